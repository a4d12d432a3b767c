//! `GET /<app>/<name>.flv`, and its twin over WebSocket: a live stream, by HTTP.
//!
//! Answered once there is a publisher, so a refusal is a status of HTTP and a body that says why.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as AxumState};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use lockgate_egress::Refused;
use lockgate_egress::flv::{HTTP_FLV, Viewer, WS_FLV};
use lockgate_media::tag::Framing;
use lockgate_routing::{ConnectionId, NotLive, Origin, SubscribeError};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tracing::{Instrument, debug, info_span};
use tungstenite::handshake::derive_accept_key;

use super::carrier::Carrier;
use super::error::ApiError;
use super::plain::Plain;
use super::stream_body::StreamBody;
use super::{Peer, State};
use crate::seats::Seat;
use crate::tls::Bridge;

/// What the path of a stream ends in.
const SUFFIX: &str = ".flv";

/// How a stream goes out: it is nothing to keep, and nothing for a proxy to collect first.
const ANSWER: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "video/x-flv"),
    (header::CACHE_CONTROL, "no-store"),
    (header::ACCEPT_RANGES, "none"),
    (HeaderName::from_static("x-accel-buffering"), "no"),
];

/// Which stream a path names.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    app: String,
    name: String,
}

impl FromStr for Address {
    type Err = ();

    /// Reads `/<app>/<name>.flv`; the name may have slashes, and both may be percent-encoded.
    fn from_str(path: &str) -> Result<Self, ()> {
        let path = path.strip_prefix('/').ok_or(())?;
        let (app, name) = path
            .strip_suffix(SUFFIX)
            .ok_or(())?
            .split_once('/')
            .ok_or(())?;
        let decoded = |text| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(drop)
        };
        Ok(Self {
            app: decoded(app)?,
            name: decoded(name)?,
        })
    }
}

/// What no route answers: a stream, or nothing.
pub(super) async fn stream_or_nothing(
    AxumState(state): AxumState<State>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(carrier): Extension<Carrier>,
    request: Request,
) -> Response {
    let Ok(address) = request.uri().path().parse::<Address>() else {
        return ApiError::no_such_route().into_response();
    };
    let (mut parts, _) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return state.cors.preflight(&parts.headers);
    }
    // Another upgrade that a client offers, to HTTP/2 say, may be passed over.
    let wants_websocket = has_token(&parts.headers, header::UPGRADE, "websocket");
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.filter(|_| wants_websocket);
    let peer = state.client(peer, &parts.headers);
    let origin = Origin {
        connection: ConnectionId::next(),
        protocol: if upgrade.is_some() { WS_FLV } else { HTTP_FLV },
        peer,
    };
    let span = info_span!("connection", id = %origin.connection, %peer, app = address.app, stream = address.name);
    let asked = Asked {
        state: &state,
        carrier: &carrier,
        address: &address,
        origin,
    };
    let answer = async {
        match (&parts.method, upgrade) {
            (&Method::HEAD, _) => asked.head(&parts),
            (&Method::GET, Some(upgrade)) => asked.messages(&parts, upgrade).await,
            (&Method::GET, None) => asked.stream(&parts).await,
            _ => Err(ApiError::not_for_a_stream()),
        }
    };
    let answer = answer.instrument(span).await;
    state.cors.mark(&parts.headers, answer.into_response())
}

struct Asked<'a> {
    state: &'a State,
    carrier: &'a Carrier,
    address: &'a Address,
    origin: Origin,
}

impl Asked<'_> {
    /// What a GET would be answered with now.
    fn head(&self, request: &Parts) -> Result<Response, ApiError> {
        let Address { app, name } = self.address;
        let egress = &self.state.egress;
        let answer = egress.would_serve(app, name, request.uri.query().unwrap_or_default());
        answer.map_err(|refused| self.refusal(refused))?;
        // Of no known length, and never asked for.
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        Ok((ANSWER, body).into_response())
    }

    async fn stream(&self, request: &Parts) -> Result<Response, ApiError> {
        let seat = self.seat()?;
        let viewer = self.viewer(request).await?;
        let (version, carrier) = (request.version, self.carrier);
        let body = match carrier.handover() {
            Some(handover) if version < Version::HTTP_2 => {
                let framing = match version {
                    Version::HTTP_11 => Framing::Chunk,
                    _ => Framing::Bare,
                };
                StreamBody::direct(viewer, handover.clone(), framing, carrier, seat)
            }
            _ => {
                let is_alone = version < Version::HTTP_2;
                StreamBody::through_pair(viewer, carrier, is_alone, seat)
                    .map_err(|error| ApiError::no_socket(&error))?
            }
        };
        let mut response = (ANSWER, Body::new(body)).into_response();
        if version < Version::HTTP_2 {
            carrier.give_up_place();
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response)
    }

    async fn messages(&self, request: &Parts, upgrade: OnUpgrade) -> Result<Response, ApiError> {
        // Pages are not asked by their browser whether they may.
        if !self.state.cors.allows(&request.headers) {
            return Err(ApiError::origin_not_allowed());
        }
        let accept = accept_key(&request.headers).ok_or_else(ApiError::not_a_websocket)?;
        let seat = self.seat()?;
        let viewer = self.viewer(request).await?;
        self.carrier.give_up_place();
        let served = serve_messages(upgrade, viewer, seat).in_current_span();
        self.carrier.then(Box::pin(served));
        let switch = [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, switch).into_response())
    }

    /// A seat among all who send and watch.
    fn seat(&self) -> Result<Seat, ApiError> {
        let seat = self.state.seats.take(self.origin.peer.ip());
        let mut seat = seat.map_err(|full| {
            self.state.metrics.refused(full.label());
            let limit = full.label();
            let problem = format!("this node has no room for you: limits.{limit} is reached");
            ApiError::full(limit, problem)
        })?;
        seat.settle();
        Ok(seat)
    }

    async fn viewer(&self, request: &Parts) -> Result<Viewer, ApiError> {
        let Address { app, name } = self.address;
        let (egress, query) = (&self.state.egress, request.uri.query());
        let viewer = egress.viewer(app, name, query.unwrap_or_default(), self.origin);
        viewer.await.map_err(|refused| self.refusal(refused))
    }

    fn refusal(&self, refused: Refused) -> ApiError {
        match refused {
            // Its stream ended because this node does.
            Refused::NotLive(NotLive::Ended, _) if !self.state.is_ready() => {
                ApiError::not_played(&Refused::Full(SubscribeError::Draining))
            }
            refused => ApiError::not_played(&refused),
        }
    }
}

/// What a WebSocket's handshake is answered with (RFC 6455 §4.2); `None` when it is none.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_handshake = has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket")
        && has_token(headers, header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|_| is_handshake)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// Whether a header's list has a token.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut tokens = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|it| it.trim().eq_ignore_ascii_case(token))
}

/// A WebSocket from its handshake to its end.
async fn serve_messages(upgrade: OnUpgrade, viewer: Viewer, _seat: Seat) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    if let Err(error) = play_messages(upgraded, viewer).await {
        debug!(%error, "WebSocket player ended");
    }
}

async fn play_messages(upgraded: Upgraded, viewer: Viewer) -> std::io::Result<()> {
    let upgraded = match upgraded.downcast::<TokioIo<Plain>>() {
        Ok(parts) => {
            let socket = parts.io.into_inner().into_socket();
            return viewer.play_messages(socket, parts.read_buf.into()).await;
        }
        Err(upgraded) => upgraded,
    };
    let Ok(parts) = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() else {
        return Err(std::io::ErrorKind::Unsupported.into());
    };
    let (socket, bridge) = Bridge::start(parts.io.into_inner())?;
    let socket = Arc::new(socket.into());
    let played = viewer.play_messages(socket, parts.read_buf.into()).await;
    bridge.finish().await;
    played
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_app_and_a_stream() {
        let read = |path: &str| path.parse::<Address>().map(|it| (it.app, it.name));
        let address = |app: &str, name: &str| Ok((app.to_owned(), name.to_owned()));
        assert_eq!(read("/live/demo.flv"), address("live", "demo"));
        assert_eq!(read("/live/room/1.flv"), address("live", "room/1"));
        assert_eq!(read("/live/%E4%B8%AD.flv"), address("live", "\u{4e2d}"));
        assert_eq!(read("/live/.flv"), address("live", ""));
        assert_eq!(read("/live/a.flv.flv"), address("live", "a.flv"));
        for none in [
            "/",
            "/demo.flv",
            "/live/demo",
            "/live/demo.FLV",
            "*",
            "/live/%ff.flv",
        ] {
            assert_eq!(read(none), Err(()), "{none}");
        }
    }

    #[test]
    fn a_websocket_is_answered_with_its_key() {
        let handshake = |connection: &'static str, version: &'static str| {
            HeaderMap::from_iter([
                (header::CONNECTION, HeaderValue::from_static(connection)),
                (header::UPGRADE, HeaderValue::from_static("WebSocket")),
                (
                    header::SEC_WEBSOCKET_VERSION,
                    HeaderValue::from_static(version),
                ),
                (
                    header::SEC_WEBSOCKET_KEY,
                    HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
                ),
            ])
        };
        // The example of RFC 6455 §1.3.
        let accept = accept_key(&handshake("keep-alive, Upgrade", "13")).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(accept_key(&handshake("keep-alive", "13")).is_none());
        assert!(accept_key(&handshake("Upgrade", "8")).is_none());
    }
}
