//! What probes, scrapers and people fetch: `/`, `/metrics`, health, the OpenAPI document.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as AxumState;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};

use super::State;
use super::error::{ApiError, ErrorBody};

/// The OpenAPI document as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Document(Arc<str>);

impl Document {
    pub(super) fn new(document: &utoipa::openapi::OpenApi) -> Self {
        Self(document.to_json().unwrap_or_default().into())
    }
}

pub(super) const INDEX: &str = "\
Lockgate media node

/                      the console, in a browser
/<app>/<name>.flv      a stream, for players that speak HTTP-FLV or WebSocket-FLV
/metrics               Prometheus metrics
/healthz               200 while the process works
/readyz                200 while it takes connections, 503 once it stops
/api/v1/node           version, apps, ports
/api/v1/streams        what is live
/api/v1/publishers     who brings it
/api/v1/players        who watches it
/api/v1/channels       who is in which channel
/api/v1/bans           who may not join
/api/v1/openapi.json   every path, described
";

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(AxumState(state): AxumState<State>) -> Result<Response, ApiError> {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder
        .encode(&state.registry.gather(), &mut text)
        .map_err(|error| ApiError::metrics_failed(&error))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

/// Is the process alive?
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Should connections come here?
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "They should", body = String, content_type = "text/plain"),
    (status = 503, description = "The node is draining", body = String, content_type = "text/plain")))]
pub(super) async fn readyz(AxumState(state): AxumState<State>) -> (StatusCode, &'static str) {
    if state.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "health", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn openapi(Extension(document): Extension<Document>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document.0.to_string()).into_response()
}
