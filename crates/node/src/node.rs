//! A node: everything bound by [`Node::load`], everything driven by [`Node::run`].
//!
//! No task outlives `run`: listeners and connections live in sets that abort what they still hold
//! when they drop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use lockgate_egress::{Egress, PlayMetrics, Whep};
use lockgate_ingest::{Ingest, PublishMetrics, Whip};
use lockgate_routing::Router;
use lockgate_signalling::Signalling;
use lockgate_signalling::bans::Bans;
use lockgate_signalling::desk::Desk;
use lockgate_signalling::report::Reports;
use lockgate_signalling::webhook::Webhooks;
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
use crate::rtmp_listener::{FILES_OF_TLS, RtmpListener};
use crate::seats::Seats;
use crate::start_error::StartError;
use crate::tls::{self, Tls};

/// A node that is bound and not yet driven.
#[derive(Debug)]
pub struct Node {
    router: Arc<Router>,
    signalling: Signalling,
    desk: Desk,
    rtmp: RtmpListener,
    rtmps: Option<RtmpListener>,
    http: http::Server,
    https: Option<http::Server>,
    webrtc: Option<lockgate_rtc::Listener>,
    whep: Option<Arc<Whep>>,
    whip: Option<Arc<Whip>>,
    certificate: Option<tls::Watch>,
    addresses: Addresses,
    ready: Arc<AtomicBool>,
    grace: Duration,
}

/// Where a node listens, with the ports that the system picked where the config left them open.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// `rtmp.listen`
    pub rtmp: SocketAddr,
    /// `http.listen`
    pub http: SocketAddr,
    /// `tls.rtmps`
    pub rtmps: Option<SocketAddr>,
    /// `tls.https`
    pub https: Option<SocketAddr>,
    /// `webrtc.listen`
    pub webrtc: Option<SocketAddr>,
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
        let (rtmp, rtmp_addr) = listen("rtmp.listen", config.rtmp.listen)?;
        let (http, http_addr) = listen("http.listen", config.http.listen)?;
        let optional = |key, address: Option<_>| address.map(|it| listen(key, it)).transpose();
        let (rtmps, rtmps_addr) = optional("tls.rtmps", config.tls.rtmps)?.unzip();
        let (https, https_addr) = optional("tls.https", config.tls.https)?.unzip();
        let registry = Registry::new();
        let webrtc = settings.webrtc.as_ref();
        let webrtc = webrtc.map(|settings| listen_webrtc(settings, &registry));
        let webrtc = webrtc.transpose()?;
        let addresses = Addresses {
            rtmp: rtmp_addr,
            http: http_addr,
            rtmps: rtmps_addr,
            https: https_addr,
            webrtc: webrtc.as_ref().map(|it| it.port().local_addr()),
        };
        // Not before: a node that cannot listen has one thing to say, and no use for files.
        let has_tls = config.tls.rtmps.or(config.tls.https).is_some();
        let files_each = if has_tls { FILES_OF_TLS } else { 1 };
        let sessions = config.signalling.sessions.get();
        crate::file_limit::raise(config.limits.connections.get(), files_each, sessions);

        let metrics = Metrics::new(&registry)?;
        let router = Router::new(settings.routing(), &registry)?;
        let access = Arc::new(Access::new(&config.apps));
        let desk = desk(&settings, &registry)?;
        let hooks = Arc::new(desk.clone());
        let signalling = settings.signalling(addresses.rtmp.port());
        let signalling = Signalling::new(signalling, hooks, Arc::clone(&router), &registry)?;
        let admission = signalling.admission(access.clone());
        let publish = PublishMetrics::new(&registry)?;
        let idle = config.ingest.idle_timeout;
        let whip = webrtc.as_ref().map(|listener| {
            let (router, admission) = (Arc::clone(&router), Arc::clone(&admission));
            let publish = publish.clone();
            Arc::new(Whip::new(router, admission, idle, listener.port(), publish))
        });
        let ingest = Ingest::new(Arc::clone(&router), Arc::clone(&admission), idle, publish);
        let play = PlayMetrics::new(&registry)?;
        let wait = config.egress.wait_for_publisher;
        let whep = match &webrtc {
            Some(listener) => {
                let (router, admission) = (Arc::clone(&router), Arc::clone(&admission));
                let play = play.clone();
                let whep = Whep::new(router, admission, wait, listener.port(), play, &registry)?;
                Some(Arc::new(whep))
            }
            None => None,
        };
        let egress = Arc::new(Egress::new(Arc::clone(&router), admission, wait, play));
        let seats = Seats::new(&config.limits);
        let pair = settings.pair.as_ref();
        let tls = pair.map(|it| Tls::new(it, &config.tls.cert, &config.tls.key, &registry));
        let (tls, certificate) = tls.transpose()?.unzip();
        let ready = Arc::new(AtomicBool::new(true));
        let acceptor = |listener, name| Acceptor::new(listener, name, metrics.accept_errors(name));
        let rtmp = RtmpListener::new(
            acceptor(rtmp, "rtmp"),
            &settings,
            Arc::clone(&access),
            ingest,
            Arc::clone(&egress),
            Arc::clone(&seats),
            metrics.clone(),
        );
        let http = http::Server::new(
            acceptor(http, "http"),
            http::State::new(
                &settings,
                http::Media {
                    router: Arc::clone(&router),
                    egress,
                    seats: Arc::clone(&seats),
                },
                registry,
                metrics.clone(),
                Arc::clone(&ready),
                signalling.clone(),
                desk.clone(),
            )
            .of(&addresses, access.tickets())
            .with_webrtc(http::Webrtc {
                whep: whep.clone(),
                whip: whip.clone(),
                seats,
                metrics: metrics.clone(),
                links: settings.ice_servers.clone(),
            }),
            metrics.clone(),
        );
        // Settings hold a pair wherever a listener needs one.
        let tls = tls.as_ref();
        let rtmps = rtmps
            .zip(tls)
            .map(|(listener, tls)| rtmp.behind_tls(acceptor(listener, "rtmps"), tls.rtmps.clone()));
        let https = https
            .zip(tls)
            .map(|(listener, tls)| http.behind_tls(acceptor(listener, "https"), tls.https.clone()));
        Ok(Self {
            rtmp,
            rtmps,
            http,
            https,
            webrtc,
            whep,
            whip,
            certificate,
            addresses,
            router,
            signalling,
            desk,
            ready,
            grace: config.shutdown.grace,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where RTMP listens, with the port that the system picked if the config left it open.
    pub fn rtmp_addr(&self) -> SocketAddr {
        self.addresses.rtmp
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.addresses.http
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
        let Addresses { rtmp, http, .. } = self.addresses;
        let [rtmps, https] = [self.addresses.rtmps, self.addresses.https];
        info!(%rtmp, %http, rtmps = rtmps.map(tracing::field::display), https = https.map(tracing::field::display), "started");
        let stop_rtmp = CancellationToken::new();
        let stop_http = CancellationToken::new();
        let mut rtmp = JoinSet::new();
        let listeners = [("rtmp.listen", Some(self.rtmp)), ("tls.rtmps", self.rtmps)];
        for (key, listener) in listeners {
            if let Some(listener) = listener {
                let run = listener.run(stop_rtmp.clone(), self.grace);
                rtmp.spawn(async move { (key, run.await) });
            }
        }
        let mut http = JoinSet::new();
        let listeners = [("http.listen", Some(self.http)), ("tls.https", self.https)];
        for (key, listener) in listeners {
            if let Some(listener) = listener {
                let run = listener.run(stop_http.clone());
                http.spawn(async move { (key, run.await) });
            }
        }
        // Until the end: goodbyes go by it too.
        let stop_webrtc = CancellationToken::new();
        let mut webrtc = JoinSet::new();
        if let Some(listener) = self.webrtc {
            let run = listener.run(stop_webrtc.clone());
            webrtc.spawn(async move { ("webrtc.listen", run.await) });
        }
        let mut watch = JoinSet::new();
        if let Some(certificate) = self.certificate {
            watch.spawn(certificate.run());
        }

        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = rtmp.join_next() => return dead(ended),
            Some(ended) = http.join_next() => return dead(ended),
            Some(ended) = webrtc.join_next() => return dead(ended),
        }

        self.ready.store(false, Ordering::Relaxed);
        info!(grace = ?self.grace, "stopping");
        // Clients first, and to the last of them: they look for another node, and are not told of
        // streams that end only because this one does.
        let sessions = tokio::time::timeout(self.grace / 2, self.signalling.shutdown());
        if sessions.await.is_err() {
            warn!("sessions did not end within half of shutdown.grace");
        }
        stop_rtmp.cancel();
        let (whep, whip) = (self.whep, self.whip);
        let streams = async {
            self.router.shutdown().await;
            if let Some(whep) = whep {
                whep.shutdown().await;
            }
            if let Some(whip) = whip {
                whip.shutdown().await;
            }
        };
        let told = tokio::time::timeout(self.grace, streams);
        let (told, _) = tokio::join!(told, rtmp.join_all());
        stop_webrtc.cancel();
        if told.is_err() {
            warn!("streams did not end within shutdown.grace");
        }
        // Once the members have left: that is told too.
        self.desk.webhooks.shutdown(self.grace).await;
        stop_http.cancel();
        http.join_all().await;
        info!("stopped");
        Ok(())
    }
}

/// Bans, webhooks and reports.
fn desk(settings: &Settings, registry: &Registry) -> Result<Desk, StartError> {
    let store = &settings.config.signalling.store;
    let bans = if store.as_os_str().is_empty() {
        Bans::in_memory()
    } else {
        Bans::open(store)?
    };
    Ok(Desk {
        bans: Arc::new(bans),
        webhooks: Arc::new(Webhooks::start(settings.webhooks(), registry)?),
        reports: Arc::new(Reports::new(registry)?),
    })
}

fn listen_webrtc(
    settings: &lockgate_rtc::Settings,
    registry: &Registry,
) -> Result<lockgate_rtc::Listener, StartError> {
    lockgate_rtc::Listener::bind(settings, registry).map_err(|source| StartError::Bind {
        key: "webrtc.listen",
        address: settings.listen,
        source,
    })
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
    ended: Result<(&'static str, std::io::Result<()>), tokio::task::JoinError>,
) -> anyhow::Result<()> {
    let (key, ended) = ended.context("a listener crashed")?;
    ended.with_context(|| format!("{key}: the listener broke"))?;
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
