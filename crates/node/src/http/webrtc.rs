//! WHEP and WHIP over HTTP (draft-ietf-wish-whep, RFC 9725): an offer is posted to a stream's URL,
//! and the answer names a URL that ends the session.

mod refusal;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State as AxumState};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, middleware};
use lockgate_egress::Whep;
use lockgate_egress::whep;
use lockgate_ingest::Whip;
use lockgate_ingest::whip;
use lockgate_routing::{ConnectionId, Origin};
use lockgate_rtc::{self as rtc, Opened, SessionId, Sessions};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cors::Cors;
use super::error::{ApiError, ErrorBody};
use super::{Peer, State};
use crate::metrics::Metrics;
use crate::seats::{Seat, Seats};

/// The longest offer: browsers name every codec they have, which comes to 10 KB.
const OFFER_MAX: usize = 64 * 1024;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What answers offers.
#[derive(Debug)]
pub(crate) struct Webrtc {
    /// `None` when WebRTC is off.
    pub(crate) whep: Option<Arc<Whep>>,
    pub(crate) whip: Option<Arc<Whip>>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) metrics: Metrics,
    /// The ICE servers that clients are told of.
    pub(crate) links: Vec<HeaderValue>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<State> {
    let play = shared(Side::Play).routes(routes!(play));
    let publish = shared(Side::Publish).routes(routes!(publish));
    OpenApiRouter::new()
        .nest("/{app}/{name}/whep", play)
        .nest("/{app}/{name}/whip", publish)
        .layer(DefaultBodyLimit::max(OFFER_MAX))
        .layer(middleware::from_fn(mark))
}

/// What both sides answer alike. The document knows it by an id of each side.
fn shared(side: Side) -> OpenApiRouter<State> {
    let mut router = OpenApiRouter::new()
        .routes(routes!(preflight))
        .routes(routes!(end, trickle, preflight_session))
        .layer(Extension(side));
    let paths = router.get_openapi_mut().paths.paths.values_mut();
    let operations = paths.flat_map(|it| [&mut it.delete, &mut it.options, &mut it.patch]);
    for id in operations.flatten().flat_map(|it| &mut it.operation_id) {
        *id = id.replace("{side}", side.verb());
    }
    router
}

type PathOf = Result<Path<(String, String)>, PathRejection>;
type PathOfSession = Result<Path<(String, String, String)>, PathRejection>;
/// What a POST is read from.
type Parts = (
    Extension<Peer>,
    PathOf,
    RawQuery,
    HeaderMap,
    Result<Bytes, BytesRejection>,
);

/// Play a stream by WHEP
///
/// The body is an SDP offer that wants to receive. The app's key goes into the query (`?key=…`) or
/// into `Authorization: Bearer …`. Waits for a publisher as RTMP's play does.
#[utoipa::path(post, path = "/", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name, or the signed one that signalling gave out")),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "The SDP answer; `Location` is the session", body = String, content_type = "application/sdp"),
        (status = 400, description = "No offer that can be answered", body = ErrorBody),
        (status = 401, description = "The URL gives no right to it", body = ErrorBody),
        (status = 404, description = "Nobody publishes it", body = ErrorBody),
        (status = 406, description = "No codec that both sides have", body = ErrorBody),
        (status = 409, description = "The stream has B-frames", body = ErrorBody),
        (status = 503, description = "No room", body = ErrorBody)))]
async fn play(AxumState(state): AxumState<State>, parts: Parts) -> Result<Response, ApiError> {
    let webrtc = state.webrtc()?;
    let whep = webrtc.whep.as_ref().ok_or_else(ApiError::webrtc_off)?;
    let posted = Posted::read(&state, parts)?;
    let seat = webrtc.seat(posted.peer)?;
    let (request, origin) = (posted.request(), posted.origin(whep::PROTOCOL));
    let opened = whep.open(request, origin, Box::new(seat)).await?;
    created(webrtc, opened, &posted, whep::PROTOCOL)
}

/// Publish a stream by WHIP
///
/// The body is an SDP offer that wants to send video, Opus or both. H.264 is taken where the offer
/// has it, else HEVC, VP9 or AV1. The app's key goes into the query (`?key=…`) or into
/// `Authorization: Bearer …`.
#[utoipa::path(post, path = "/", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name, or the signed one that signalling gave out")),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "The SDP answer; `Location` is the session", body = String, content_type = "application/sdp"),
        (status = 400, description = "No offer that can be answered", body = ErrorBody),
        (status = 401, description = "The URL gives no right to it", body = ErrorBody),
        (status = 404, description = "No such app", body = ErrorBody),
        (status = 406, description = "No codec that both sides have", body = ErrorBody),
        (status = 409, description = "Somebody publishes it, and ingest.conflict is \"reject\"", body = ErrorBody),
        (status = 503, description = "No room", body = ErrorBody)))]
async fn publish(AxumState(state): AxumState<State>, parts: Parts) -> Result<Response, ApiError> {
    let webrtc = state.webrtc()?;
    let whip = webrtc.whip.as_ref().ok_or_else(ApiError::webrtc_off)?;
    let posted = Posted::read(&state, parts)?;
    let seat = webrtc.seat(posted.peer)?;
    let (request, origin) = (posted.request(), posted.origin(whip::PROTOCOL));
    let opened = whip.open(request, origin, Box::new(seat))?;
    created(webrtc, opened, &posted, whip::PROTOCOL)
}

/// Which of the two a session is.
#[derive(Debug, Clone, Copy)]
enum Side {
    Play,
    Publish,
}

impl Side {
    fn verb(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Publish => "publish",
        }
    }
}

impl Webrtc {
    /// A seat that is taken for as long as the session lasts.
    fn seat(&self, peer: SocketAddr) -> Result<Seat, ApiError> {
        let mut seat = self.seats.take(peer.ip()).map_err(|full| {
            self.metrics.refused(full.label());
            ApiError::no_room(full.label())
        })?;
        seat.settle();
        Ok(seat)
    }

    fn sessions(&self, side: Side) -> Option<&Sessions> {
        match side {
            Side::Play => self.whep.as_deref().map(Whep::sessions),
            Side::Publish => self.whip.as_deref().map(Whip::sessions),
        }
    }

    fn knows(&self, side: Side, session: &str) -> bool {
        let session = SessionId::parse(session);
        session.is_some_and(|id| self.sessions(side).is_some_and(|it| it.contains(id)))
    }

    fn end(&self, side: Side, session: &str) -> bool {
        let session = SessionId::parse(session);
        session.is_some_and(|id| self.sessions(side).is_some_and(|it| it.end(id)))
    }

    fn link(&self, response: &mut Response) {
        for link in &self.links {
            response.headers_mut().append(header::LINK, link.clone());
        }
    }
}

/// An offer, as it was posted.
struct Posted {
    app: String,
    name: String,
    query: String,
    offer: String,
    peer: SocketAddr,
}

impl Posted {
    fn read(state: &State, parts: Parts) -> Result<Self, ApiError> {
        let (Extension(Peer(peer)), path, RawQuery(query), headers, body) = parts;
        let Path((app, name)) = path?;
        let body = body?;
        if !is_of(&headers, SDP) {
            return Err(ApiError::wrong_type(SDP));
        }
        let offer = String::from_utf8(body.into());
        Ok(Self {
            app,
            name,
            query: with_bearer(query.unwrap_or_default(), &headers),
            offer: offer.map_err(|_| ApiError::bad_sdp("the body is not UTF-8".into()))?,
            peer: state.client(peer, &headers),
        })
    }

    fn request(&self) -> rtc::Request<'_> {
        rtc::Request {
            app: &self.app,
            name: &self.name,
            query: &self.query,
            offer: &self.offer,
        }
    }

    fn origin(&self, protocol: &'static str) -> Origin {
        Origin {
            connection: ConnectionId::next(),
            protocol,
            peer: self.peer,
        }
    }
}

/// End a session
#[utoipa::path(delete, path = "/{session}", operation_id = "end_{side}", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name"), ("session" = String, Path, description = "The session, as `Location` named it")),
    responses(
        (status = 200, description = "It is over"),
        (status = 404, description = "No such session", body = ErrorBody)))]
async fn end(
    AxumState(state): AxumState<State>,
    Extension(side): Extension<Side>,
    path: PathOfSession,
) -> Result<StatusCode, ApiError> {
    let Path((_, _, session)) = path?;
    if state.webrtc()?.end(side, &session) {
        Ok(StatusCode::OK)
    } else {
        Err(ApiError::session_not_found())
    }
}

/// Trickle a candidate
///
/// Taken and not needed: the node learns where a client is from its connectivity checks.
#[utoipa::path(patch, path = "/{session}", operation_id = "trickle_{side}", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name"), ("session" = String, Path, description = "The session, as `Location` named it")),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 204, description = "Taken"),
        (status = 404, description = "No such session", body = ErrorBody),
        (status = 415, description = "Another kind of body", body = ErrorBody)))]
async fn trickle(
    AxumState(state): AxumState<State>,
    Extension(side): Extension<Side>,
    path: PathOfSession,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let Path((_, _, session)) = path?;
    if !state.webrtc()?.knows(side, &session) {
        return Err(ApiError::session_not_found());
    }
    if is_of(&headers, FRAGMENT) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::wrong_type(FRAGMENT))
    }
}

/// What a browser asks first
#[utoipa::path(options, path = "/", operation_id = "preflight_{side}", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "Go ahead")))]
async fn preflight(AxumState(state): AxumState<State>) -> Result<Response, ApiError> {
    let webrtc = state.webrtc()?;
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, if-match",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (HeaderName::from_static("accept-post"), SDP),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    webrtc.link(&mut response);
    Ok(response)
}

/// What a browser asks first
#[utoipa::path(options, path = "/{session}", operation_id = "preflight_{side}_session", tag = "webrtc",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name"), ("session" = String, Path, description = "The session")),
    responses((status = 204, description = "Go ahead")))]
async fn preflight_session(state: AxumState<State>) -> Result<Response, ApiError> {
    preflight(state).await
}

/// A session rests on no cookie: the pages that may read media may open one, with a key where one
/// is needed.
async fn mark(Extension(cors): Extension<Cors>, request: Request, next: Next) -> Response {
    let asked = request.headers().clone();
    let mut response = next.run(request).await;
    response.headers_mut().insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("location, link, etag, accept-post, accept-patch, retry-after"),
    );
    cors.mark(&asked, response)
}

fn created(
    webrtc: &Webrtc,
    opened: Opened,
    posted: &Posted,
    kind: &str,
) -> Result<Response, ApiError> {
    let Opened { session, answer } = opened;
    let (app, name) = (encode(&posted.app), encode(&posted.name));
    let location = format!("/{app}/{name}/{kind}/{session}");
    let location = HeaderValue::from_str(&location).map_err(|_| ApiError::session_not_found())?;
    let etag = HeaderValue::from_str(&format!("\"{session}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SDP)),
        (header::LOCATION, location),
        (
            HeaderName::from_static("accept-patch"),
            HeaderValue::from_static(FRAGMENT),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (StatusCode::CREATED, headers, answer).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    webrtc.link(&mut response);
    Ok(response)
}

impl State {
    fn webrtc(&self) -> Result<&Webrtc, ApiError> {
        self.webrtc.as_deref().ok_or_else(ApiError::webrtc_off)
    }
}

fn is_of(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(kind)
    })
}

/// A bearer token is the key that the query would carry.
fn with_bearer(query: String, headers: &HeaderMap) -> String {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) => format!("key={token}&{query}"),
        None => query,
    }
}

/// Percent-encodes a segment of a path.
fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
