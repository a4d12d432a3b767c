//! The admin API of the node itself: what a page has to know before it asks for anything else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::State as AxumState;
use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::error::ErrorBody;
use crate::config::{self, AppAccess, AppSignalling};
use crate::node::Addresses;

/// What stays as it is while a node runs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    started: Instant,
    apps: Arc<[App]>,
    rtmp_port: u16,
    rtmps_port: Option<u16>,
}

impl Facts {
    pub(super) fn new(apps: &[config::App]) -> Self {
        Self {
            started: Instant::now(),
            apps: apps.iter().map(App::from).collect(),
            rtmp_port: 0,
            rtmps_port: None,
        }
    }

    /// The same on a node that listens here.
    pub(super) fn at(mut self, addresses: &Addresses) -> Self {
        self.rtmp_port = addresses.rtmp.port();
        self.rtmps_port = addresses.rtmps.map(|address| address.port());
        self
    }
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    /// The version of Lockgate.
    version: &'static str,
    /// False once it stops.
    ready: bool,
    /// How long it has been running.
    uptime_seconds: f64,
    /// The port that RTMP listens on.
    rtmp_port: u16,
    /// The port that RTMPS listens on.
    rtmps_port: Option<u16>,
    /// The apps of its config.
    apps: Vec<App>,
}

/// An app, without its keys.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct App {
    /// Its name.
    name: String,
    /// Who publishes and plays by name: everybody, those with a key, nobody.
    access: Access,
    /// Whether its channels can be joined.
    channels: bool,
    /// Whether who joins one of its channels needs a token.
    tokens: bool,
}

/// Who publishes and plays by name.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    /// Everybody who reaches the node.
    Open,
    /// Those with one of the app's keys.
    Keys,
    /// Nobody: signed URLs only.
    Signed,
}

impl From<&config::App> for App {
    fn from(app: &config::App) -> Self {
        Self {
            name: app.name.clone(),
            access: match app.access {
                AppAccess::Open => Access::Open,
                AppAccess::Keys => Access::Keys,
                AppAccess::Signed => Access::Signed,
            },
            channels: app.signalling == AppSignalling::Open,
            tokens: !app.certificate.is_empty(),
        }
    }
}

/// Show the node
///
/// Its version, its apps, and where RTMP listens. `/metrics` has what it is doing.
#[utoipa::path(get, path = "/api/v1/node", tag = "health", responses(
    (status = 200, description = "The node", body = Node),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn show_node(AxumState(state): AxumState<State>) -> Json<Node> {
    Json(Node {
        version: env!("CARGO_PKG_VERSION"),
        ready: state.ready.load(Ordering::Relaxed),
        uptime_seconds: state.facts.started.elapsed().as_secs_f64(),
        rtmp_port: state.facts.rtmp_port,
        rtmps_port: state.facts.rtmps_port,
        apps: state.facts.apps.to_vec(),
    })
}
