//! Signalling over HTTP: the gateway's one request, and WebSockets that become sessions.
//!
//! A WebSocket keeps no buffer of its own while nothing comes or goes.

use axum::body::Bytes;
use axum::extract::State as AxumState;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::SinkExt;
use lockgate_signalling::transport::{Broken, Received, Text, Transport};
use lockgate_signalling::{Arrival, Signalling};

use super::{OverTls, Peer, State};
use super::{console, forwarded, pages};

/// What a WebSocket holds to read into, and to collect frames in: most frames are smaller.
const BUFFER: usize = 1024;

/// Unsent bytes after which a WebSocket is broken; its session cuts it long before, by its queue.
const UNSENT_MAX: usize = 1024 * 1024;

/// Where do I connect?
///
/// For mini-program clients, before they open their WebSocket. A refusal is a code in the answer.
#[utoipa::path(post, path = "/arapi/v1", tag = "signalling",
    request_body(content = String, content_type = "application/json"),
    responses((status = 200, description = "Where, or why not", body = Object)))]
pub(super) async fn gateway(
    AxumState(state): AxumState<State>,
    Extension(Peer(peer)): Extension<Peer>,
    tls: Option<Extension<OverTls>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = body.unwrap_or_default();
    let reply = state
        .signalling
        .gateway(&body, &state.arrival(peer.ip(), tls.is_some(), &headers));
    // A client asks once: its connection is not kept for it.
    ([(header::CONNECTION, "close")], ANY_ORIGIN, Json(reply)).into_response()
}

/// The gateway's answer is no secret and rests on no cookie: pages of any origin may read it.
const ANY_ORIGIN: [(HeaderName, &str); 1] = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];

/// What a browser asks before a page of another origin may POST JSON to the gateway.
pub(super) async fn preflight() -> impl IntoResponse {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, ANY_ORIGIN, allowed)
}

/// The console, or a signalling session
///
/// The console where HTML is asked for, plain text about what is where otherwise; with
/// `Upgrade: websocket`, a session of signalling.
#[utoipa::path(get, path = "/", tag = "health",
    responses((status = 200, description = "Plain text", body = String, content_type = "text/plain")))]
pub(super) async fn root(
    AxumState(state): AxumState<State>,
    Extension(Peer(peer)): Extension<Peer>,
    tls: Option<Extension<OverTls>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !headers.contains_key(header::UPGRADE) {
        return if console::is_browser(&headers) {
            console::page(&headers)
        } else {
            ([(header::VARY, "accept")], pages::INDEX).into_response()
        };
    }
    match upgrade {
        Ok(upgrade) => {
            let arrival = state.arrival(peer.ip(), tls.is_some(), &headers);
            open(upgrade, state.signalling, arrival, state.max_message)
        }
        Err(error) => error.into_response(),
    }
}

fn open(
    upgrade: WebSocketUpgrade,
    signalling: Signalling,
    arrival: Arrival,
    max_message: usize,
) -> Response {
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(UNSENT_MAX)
        .max_message_size(max_message)
        .max_frame_size(max_message)
        .on_upgrade(move |socket| async move {
            signalling.session(Socket(socket), arrival).await;
        })
}

impl State {
    /// What a request came in by.
    fn arrival(&self, peer: std::net::IpAddr, over_tls: bool, headers: &HeaderMap) -> Arrival {
        let host = headers.get(header::HOST);
        let authority = host.and_then(|host| host.as_bytes().try_into().ok());
        let authority: Option<Authority> = authority;
        let proto = headers.get("x-forwarded-proto");
        Arrival {
            peer: forwarded::client(peer, headers, &self.trusted_proxies),
            host: match &authority {
                Some(authority) => authority.host().to_owned(),
                None => self.own_host.clone(),
            },
            port: authority.and_then(|authority| authority.port_u16()),
            // A proxy in front may have ended the TLS. Anybody is believed in this, as in its `Host`:
            // it decides about nothing but the address that is told to the same client.
            secure: over_tls || proto.is_some_and(|proto| proto.as_bytes() == b"https"),
        }
    }
}

/// A WebSocket, as sessions see it.
struct Socket(WebSocket);

impl Transport for Socket {
    async fn receive(&mut self) -> Received {
        match self.0.recv().await {
            Some(Ok(Message::Text(text))) => {
                Text::from_bytes(text.into()).map_or(Received::Other, Received::Text)
            }
            Some(Ok(Message::Pong(number))) => match <[u8; 4]>::try_from(&number[..]) {
                Ok(number) => Received::Pong(u32::from_be_bytes(number)),
                Err(_) => Received::Alive,
            },
            Some(Ok(Message::Ping(_))) => Received::Alive,
            Some(Ok(Message::Binary(_))) => Received::Other,
            Some(Ok(Message::Close(_)) | Err(_)) | None => Received::Gone,
        }
    }

    async fn feed(&mut self, text: Text) -> Result<(), Broken> {
        let text = Utf8Bytes::try_from(text.into_bytes()).map_err(|_| Broken)?;
        self.0.feed(Message::Text(text)).await.map_err(|_| Broken)
    }

    async fn probe(&mut self, number: u32) -> Result<(), Broken> {
        let number = Bytes::copy_from_slice(&number.to_be_bytes());
        self.0.feed(Message::Ping(number)).await.map_err(|_| Broken)
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        self.0.flush().await.map_err(|_| Broken)
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        if self.0.send(Message::Close(Some(frame))).await.is_ok() {
            // Until the peer has closed too: a socket that is dropped with something unread takes
            // the goodbye with it.
            while let Some(Ok(_)) = self.0.recv().await {}
        }
    }
}
