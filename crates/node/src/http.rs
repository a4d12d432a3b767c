//! HTTP: the console at `/`, streams as FLV, `/metrics`, `/healthz`, `/readyz`, the admin API under
//! `/api/v1`, and its OpenAPI document, which is made from the same routes that answer.

mod api;
mod auth;
mod bans_api;
mod carrier;
mod channels_api;
mod channels_model;
mod console;
mod cors;
mod error;
mod flv;
mod forwarded;
mod model;
mod node_api;
mod pages;
mod plain;
mod server;
mod signalling;
mod stream_body;
mod webrtc;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::{middleware, routing};
use lockgate_egress::Egress;
use lockgate_routing::Router;
use lockgate_signalling::Signalling;
use lockgate_signalling::desk::Desk;
use prometheus::Registry;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{Network, Settings};
use crate::metrics::Metrics;
use crate::node::Addresses;
use crate::seats::Seats;
use crate::secret::Secret;
use crate::tickets::Tickets;
use auth::BearerScheme;
use cors::Cors;
use error::ApiError;
pub(crate) use server::Server;
pub(crate) use webrtc::Webrtc;

/// The largest body that is read: the longest token, and some.
const BODY_MAX: usize = 16 * 1024;

/// What handlers see of the node.
#[derive(Clone)]
pub(crate) struct State {
    router: Arc<Router>,
    registry: Registry,
    ready: Arc<AtomicBool>,
    token: Option<Secret>,
    egress: Arc<Egress>,
    seats: Arc<Seats>,
    metrics: Metrics,
    cors: Cors,
    signalling: Signalling,
    desk: Desk,
    webrtc: Option<Arc<Webrtc>>,
    /// Bytes of the largest message of a WebSocket.
    max_message: usize,
    /// The host of clients that name none.
    own_host: String,
    /// Proxies that are believed about whom they were asked by.
    trusted_proxies: Arc<[Network]>,
    facts: node_api::Facts,
    tickets: Arc<Tickets>,
}

/// What media needs of the node.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) router: Arc<Router>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) seats: Arc<Seats>,
}

impl State {
    pub(crate) fn new(
        settings: &Settings,
        media: Media,
        registry: Registry,
        metrics: Metrics,
        ready: Arc<AtomicBool>,
        signalling: Signalling,
        desk: Desk,
    ) -> Self {
        Self {
            router: media.router,
            registry,
            ready,
            token: settings.token.clone(),
            egress: media.egress,
            seats: media.seats,
            metrics,
            cors: Cors::new(&settings.config.http.cors_origins),
            signalling,
            desk,
            webrtc: None,
            max_message: settings.config.signalling.max_message,
            own_host: match settings.config.http.listen.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            },
            trusted_proxies: settings.config.http.trusted_proxies.clone().into(),
            facts: node_api::Facts::new(&settings.config.apps),
            tickets: Arc::new(Tickets::new()),
        }
    }

    /// The same on a node that listens here and admits by these tickets.
    pub(crate) fn of(self, addresses: &Addresses, tickets: Arc<Tickets>) -> Self {
        let facts = self.facts.at(addresses);
        Self {
            facts,
            tickets,
            ..self
        }
    }

    /// With WebRTC's signalling on it.
    pub(crate) fn with_webrtc(mut self, webrtc: Webrtc) -> Self {
        self.webrtc = Some(Arc::new(webrtc));
        self
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Whom a request of `peer` counts as, with the port that it came from.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let ip = forwarded::client(peer.ip(), headers, &self.trusted_proxies);
        SocketAddr::new(ip, peer.port())
    }
}

/// The address of the peer of a request, put there by the server.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

/// A request came by TLS that ends here; put there by the server.
#[derive(Debug, Clone, Copy)]
struct OverTls;

/// The document's frame; the paths come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lockgate admin API",
        description = "Streams, publishers and players of one node. Off loopback every request \
                       under /api/v1 needs the bearer token of `api.token`."
    ),
    tags(
        (name = "streams", description = "What is live, and who brings and watches it"),
        (name = "control", description = "Kick a connection, switch a player's gate"),
        (name = "channels", description = "Who is in which channel, seen from both ends"),
        (name = "bans", description = "Who may not join"),
        (name = "signalling", description = "What mini-program clients ask"),
        (name = "webrtc", description = "Play by WHEP, publish by WHIP"),
        (name = "health", description = "For probes, scrapers and people")
    ),
    modifiers(&BearerScheme)
)]
struct Document;

/// Every route and the document of them.
fn routes() -> (axum::Router<State>, utoipa::openapi::OpenApi) {
    OpenApiRouter::<State>::with_openapi(Document::openapi())
        .routes(routes!(signalling::root))
        .routes(routes!(signalling::gateway))
        .routes(routes!(pages::metrics))
        .routes(routes!(pages::healthz))
        .routes(routes!(pages::readyz))
        .routes(routes!(pages::openapi))
        .routes(routes!(node_api::show_node))
        .routes(routes!(api::list_streams))
        .routes(routes!(api::show_stream))
        .routes(routes!(api::watch))
        .routes(routes!(api::list_publishers))
        .routes(routes!(api::list_players))
        .routes(routes!(api::kick))
        .routes(routes!(api::switch_gate))
        .routes(routes!(channels_api::list_channels))
        .routes(routes!(channels_api::show_channel))
        .routes(routes!(channels_api::list_members))
        .routes(routes!(channels_api::show_member))
        .routes(routes!(channels_api::kick_member))
        .routes(routes!(channels_api::mute_member))
        .routes(routes!(bans_api::list_bans, bans_api::ban))
        .routes(routes!(bans_api::lift))
        .merge(webrtc::routes())
        .split_for_parts()
}

/// The service: the routes, behind the token where they need one.
fn service(state: State) -> axum::Router {
    let (router, document) = routes();
    router
        .route("/arapi/v1", routing::options(signalling::preflight))
        .route("/_console/{file}", routing::get(console::asset))
        .fallback(flv::stream_or_nothing)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            auth::require_token,
        ))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::Extension(pages::Document::new(&document)))
        .layer(axum::Extension(state.cors.clone()))
        .with_state(state)
}
