//! A node: everything bound by [`Node::load`], everything driven by [`Node::run`].
//!
//! No task outlives `run`: listeners and connections live in sets that abort what they still hold
//! when they drop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use lockgate_egress::Egress;
use lockgate_ingest::Ingest;
use lockgate_routing::Router;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accept::{self, Acceptor};
use crate::access::Access;
use crate::config::{Config, Settings};
use crate::http;
use crate::metrics::Metrics;
use crate::rtmp_listener::RtmpListener;
use crate::start_error::StartError;

/// A node that is bound and not yet driven.
#[derive(Debug)]
pub struct Node {
    router: Arc<Router>,
    rtmp: RtmpListener,
    rtmp_addr: SocketAddr,
    http: http::Server,
    http_addr: SocketAddr,
    ready: Arc<AtomicBool>,
    grace: Duration,
}

impl Node {
    /// Checks the config and binds every listener, or none.
    ///
    /// # Errors
    /// A key that does not fit, or an address that cannot be listened on.
    #[expect(
        clippy::unused_async,
        reason = "sockets register with the runtime it is called in"
    )]
    pub async fn load(config: Config) -> Result<Self, StartError> {
        let settings = Settings::try_from(&config).map_err(StartError::Config)?;
        crate::file_limit::raise(config.limits.connections.get());
        let (rtmp, rtmp_addr) = listen("rtmp.listen", config.rtmp.listen)?;
        let (http, http_addr) = listen("http.listen", config.http.listen)?;

        let registry = Registry::new();
        let metrics = Metrics::new(&registry)?;
        let router = Router::new(settings.routing(), &registry)?;
        let access = Arc::new(Access::new(&config.apps));
        let ingest = Ingest::new(
            Arc::clone(&router),
            access.clone(),
            config.ingest.idle_timeout,
            &registry,
        )?;
        let egress = Egress::new(
            Arc::clone(&router),
            access.clone(),
            config.egress.wait_for_publisher,
            &registry,
        )?;
        let ready = Arc::new(AtomicBool::new(true));
        let acceptor = |listener, name| Acceptor::new(listener, name, metrics.accept_errors(name));
        Ok(Self {
            rtmp: RtmpListener::new(
                acceptor(rtmp, "rtmp"),
                &settings,
                access,
                ingest,
                egress,
                metrics.clone(),
            ),
            rtmp_addr,
            http: http::Server::new(
                acceptor(http, "http"),
                http::State::new(&settings, Arc::clone(&router), registry, Arc::clone(&ready)),
                metrics.clone(),
            ),
            http_addr,
            router,
            ready,
            grace: config.shutdown.grace,
        })
    }

    /// Where RTMP listens, with the port that the system picked if the config left it open.
    pub fn rtmp_addr(&self) -> SocketAddr {
        self.rtmp_addr
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The streams of this node.
    pub fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    /// Serves until `stop`, then drains for at most `shutdown.grace`: accepts nobody, tells
    /// players, waits for connections to end, cuts those that are left. HTTP answers until the end.
    ///
    /// # Errors
    /// A listener that died: the node is of no use without it.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        info!(rtmp = %self.rtmp_addr, http = %self.http_addr, "started");
        let stop_rtmp = CancellationToken::new();
        let stop_http = CancellationToken::new();
        let mut rtmp = JoinSet::new();
        rtmp.spawn(self.rtmp.run(stop_rtmp.clone(), self.grace));
        let mut http = JoinSet::new();
        http.spawn(self.http.run(stop_http.clone()));

        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = rtmp.join_next() => return dead("rtmp.listen", ended),
            Some(ended) = http.join_next() => return dead("http.listen", ended),
        }

        self.ready.store(false, Ordering::Relaxed);
        info!(grace = ?self.grace, "stopping");
        stop_rtmp.cancel();
        let told = tokio::time::timeout(self.grace, self.router.shutdown());
        let (told, _) = tokio::join!(told, rtmp.join_next());
        if told.is_err() {
            warn!("streams did not end within shutdown.grace");
        }
        stop_http.cancel();
        http.join_next().await;
        info!("stopped");
        Ok(())
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = accept::bind(address).and_then(|listener| {
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    });
    listener.map_err(|source| StartError::Bind {
        key,
        address,
        source,
    })
}

/// The error of a listener that ended without being told to.
fn dead(
    key: &'static str,
    ended: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> anyhow::Result<()> {
    ended
        .with_context(|| format!("{key}: the listener crashed"))?
        .with_context(|| format!("{key}: the listener broke"))?;
    anyhow::bail!("{key}: the listener ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        config.rtmp.listen.set_port(0);
        config.http.listen.set_port(0);
        config
    }

    #[tokio::test]
    async fn a_dead_listener_ends_the_node_with_an_error() {
        let node = Node::load(config()).await.unwrap();
        node.rtmp.acceptor().break_down();
        let error = node.run(CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "rtmp.listen: the listener broke");
    }

    #[tokio::test]
    async fn a_node_that_cannot_bind_leaves_nothing_bound() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config();
        config.rtmp.listen = {
            // An address that no other test picks ports on.
            let free = TcpListener::bind("127.83.12.7:0").await.unwrap();
            free.local_addr().unwrap()
        };
        config.http.listen = taken.local_addr().unwrap();
        let rtmp = config.rtmp.listen;
        let error = Node::load(config).await.unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(TcpListener::bind(rtmp).await.is_ok());
    }

    #[tokio::test]
    async fn a_config_that_does_not_fit_together_binds_nothing() {
        let mut config = config();
        config.apps.clear();
        assert_eq!(Node::load(config).await.unwrap_err().exit_code(), 64);
    }
}
