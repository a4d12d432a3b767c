//! Errors of the API: a code for programs, a message and the next step for people.

use std::borrow::Cow;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lockgate_egress::Refused;
use lockgate_routing::Refusal;
use lockgate_signalling::bans::BanError;
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What went wrong, for programs: it never changes for the same cause.
    #[schema(example = "stream_not_found")]
    code: &'static str,
    /// What went wrong, for people.
    message: Cow<'static, str>,
    /// What to do next.
    next: &'static str,
}

/// An error and the status it is sent with.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        next: &'static str,
    ) -> Self {
        let message = message.into();
        let body = ErrorBody {
            code,
            message,
            next,
        };
        Self { status, body }
    }

    pub(super) fn no_such_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_route",
            "nothing answers at this path",
            "GET /api/v1/openapi.json lists every path",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method",
            "GET /api/v1/openapi.json lists the methods of every path",
        )
    }

    pub(super) fn not_for_a_stream() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "a stream is watched, and that is all",
            "GET it, or HEAD",
        )
    }

    pub(super) fn not_a_websocket() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_websocket",
            "this is no handshake of a WebSocket",
            "RFC 6455 §4.1 says what one is; without Upgrade the same stream comes by HTTP",
        )
    }

    pub(super) fn origin_not_allowed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "pages of this origin may not watch",
            "http.cors_origins of the node's config names those that may",
        )
    }

    /// A player that is refused.
    pub(super) fn not_played(refused: &Refused) -> Self {
        let (status, next) = match refused {
            Refused::Full(_) => return Self::full(refused.label(), refused.to_string()),
            Refused::Url(Refusal::UnknownApp | Refusal::BadName) | Refused::NotLive(..) => (
                StatusCode::NOT_FOUND,
                "the path is /<app>/<name>.flv; the name is the one that is published",
            ),
            _ => (
                StatusCode::FORBIDDEN,
                "keys of an app go behind the path: ?key=<one of its play_keys>",
            ),
        };
        Self::new(status, refused.label(), refused.to_string(), next)
    }

    /// No room, for now.
    pub(super) fn full(code: &'static str, problem: String) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            problem,
            "come again in a few seconds, or ask another node",
        )
    }

    pub(super) fn no_socket(error: &std::io::Error) -> Self {
        Self::full(
            "no_socket",
            format!("the system has no socket left: {error}"),
        )
    }

    pub(super) fn stream_not_found(app: &str, name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "stream_not_found",
            format!("no stream {app}/{name} here"),
            "GET /api/v1/streams lists those that are",
        )
    }

    pub(super) fn connection_not_found(id: u64) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "connection_not_found",
            format!("no publisher or player has the connection {id}; it may have just left"),
            "GET /api/v1/publishers and GET /api/v1/players list those that are",
        )
    }

    pub(super) fn player_not_found(id: u64) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "player_not_found",
            format!("no player has the connection {id}; it may have just left"),
            "GET /api/v1/players lists those that are",
        )
    }

    pub(super) fn channel_not_found(app: &str, channel: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "channel_not_found",
            format!("nobody is in a channel {app}/{channel}"),
            "GET /api/v1/channels lists those that are",
        )
    }

    pub(super) fn member_not_found(uid: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "member_not_found",
            format!("no member {uid} is in this channel; it may have just left"),
            "GET /api/v1/channels/{app}/{channel}/members lists those that are",
        )
    }

    pub(super) fn ban_not_found(id: u64) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ban_not_found",
            format!("no ban has the number {id}; it may have just ended"),
            "GET /api/v1/bans lists those that hold",
        )
    }

    pub(super) fn bad_target(problem: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_target",
            problem,
            "send {\"app\":…,\"uid\":…}, {\"ip\":…} or {\"app\":…,\"channel\":…}",
        )
    }

    pub(super) fn not_banned(error: &BanError) -> Self {
        match error {
            BanError::Full => Self::new(
                StatusCode::CONFLICT,
                "too_many_bans",
                error.to_string(),
                "DELETE /api/v1/bans/{id} lifts one",
            ),
            error => Self::store_failed(error.to_string()),
        }
    }

    pub(super) fn store_failed(problem: String) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "store_failed",
            problem,
            "nothing has changed; see to the disk that signalling.store is on",
        )
    }

    pub(super) fn nothing_to_switch() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "nothing_to_switch",
            "the body names neither audio nor video",
            "send {\"audio\":\"closed\"} or {\"video\":\"open\"}, or both",
        )
    }

    pub(super) fn token_missing() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "token_missing",
            "off loopback, through a proxy, or under another host name the API needs a token",
            "send Authorization: Bearer <api.token of the node's config>",
        )
    }

    pub(super) fn token_wrong() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "token_wrong",
            "this is not the node's token",
            "send Authorization: Bearer <api.token of the node's config>",
        )
    }

    pub(super) fn metrics_failed(error: &prometheus::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics_failed",
            format!("the metrics cannot be written: {error}"),
            "report it: this is a bug",
        )
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(
            rejection.status(),
            "bad_body",
            rejection.body_text(),
            "send JSON with Content-Type: application/json, as /api/v1/openapi.json describes it",
        )
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            rejection.status(),
            "bad_query",
            rejection.body_text(),
            "GET /api/v1/openapi.json describes the parameters",
        )
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(
            rejection.status(),
            "bad_path",
            rejection.body_text(),
            "GET /api/v1/openapi.json describes the parameters",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
