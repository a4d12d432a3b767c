//! What every session shares, and how many sessions an address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use dashmap::DashMap;
use lockgate_routing::Router;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channels::{Bounds, Channels};
use crate::code::Code;
use crate::config::Config;
use crate::form::{PullForm, PushForm};
use crate::gateway::Arrival;
use crate::hooks::{Happened, Hooks, Who};
use crate::metrics::Metrics;
use crate::names::AppId;
use crate::token::{self, Bearer, Certificate, Privileges, TokenError};
use crate::url::{Kind, UrlId};

/// The port that RTMP URLs need not name.
const RTMP_PORT: u16 = 1935;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    apps: HashMap<AppId, App>,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    seats: DashMap<IpAddr, usize>,
    keys: AtomicU64,
}

/// An app, as sessions meet it.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) bounds: Bounds,
    certificate: Option<Certificate>,
    closed: bool,
}

impl Core {
    pub(crate) fn new(
        mut config: Config,
        hooks: Arc<dyn Hooks>,
        router: Arc<Router>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let apps = std::mem::take(&mut config.apps).into_iter().map(|app| {
            let id = AppId::of_config(&app.id);
            let app = App {
                id: id.clone(),
                bounds: Bounds {
                    members: app.max_members,
                    channels: app.max_channels,
                },
                certificate: app.certificate,
                closed: app.closed,
            };
            (id, app)
        });
        Ok(Self {
            apps: apps.collect(),
            channels: Channels::new(
                router,
                Arc::clone(&hooks),
                metrics.clone(),
                config.session_grace,
                stop.clone(),
                tasks.clone(),
            ),
            hooks,
            metrics,
            stop,
            tasks,
            seats: DashMap::new(),
            keys: AtomicU64::new(1),
            config,
        })
    }

    /// An app that may be joined.
    pub(crate) fn app(&self, id: &str) -> Result<&App, Code> {
        let app = self.apps.get(id).ok_or(Code::AppInvalid)?;
        if app.closed {
            return Err(Code::NotOpen);
        }
        Ok(app)
    }

    /// What a token lets its bearer do; a refusal is told to those who listen.
    pub(crate) fn privileges(&self, app: &App, who: &Who, token: &str) -> Result<Privileges, Code> {
        let Some(certificate) = &app.certificate else {
            return Ok(Privileges::OPEN);
        };
        let bearer = Bearer {
            app: app.id.as_str(),
            channel: who.channel.as_str(),
            uid: who.uid.as_ref().map_or("", |uid| uid.as_str()),
        };
        token::verify(token, certificate, bearer, SystemTime::now()).map_err(|error| {
            self.hooks
                .happened(who, Happened::TokenRefused(error.label()));
            match error {
                TokenError::Expired => Code::TokenExpired,
                _ => Code::TokenInvalid,
            }
        })
    }

    /// A push URL of a form, for a client that came by `arrival`.
    pub(crate) fn push_url(
        &self,
        form: PushForm,
        app: &AppId,
        id: UrlId,
        arrival: &Arrival,
    ) -> String {
        let name = self.channels.book.name(Kind::Push, id);
        match form {
            PushForm::Rtmp => self.rtmp_url(app, &name, arrival),
            PushForm::Whip => self.http_url("http", arrival, &format!("{app}/{name}/whip")),
        }
    }

    /// A pull URL of a form, for a client that came by `arrival`.
    pub(crate) fn pull_url(
        &self,
        form: PullForm,
        app: &AppId,
        id: UrlId,
        arrival: &Arrival,
    ) -> String {
        let name = self.channels.book.name(Kind::Pull, id);
        match form {
            PullForm::Rtmp => self.rtmp_url(app, &name, arrival),
            PullForm::HttpFlv => self.http_url("http", arrival, &format!("{app}/{name}.flv")),
            PullForm::WsFlv => self.http_url("ws", arrival, &format!("{app}/{name}.flv")),
            PullForm::Whep => self.http_url("http", arrival, &format!("{app}/{name}/whep")),
        }
    }

    fn rtmp_url(&self, app: &AppId, name: &str, arrival: &Arrival) -> String {
        match &self.config.public_rtmp {
            Some(authority) => format!("rtmp://{authority}/{app}/{name}"),
            None if self.config.rtmp_port == RTMP_PORT => {
                format!("rtmp://{}/{app}/{name}", arrival.host)
            }
            None => {
                let port = self.config.rtmp_port;
                format!("rtmp://{}:{port}/{app}/{name}", arrival.host)
            }
        }
    }

    /// A URL where the gateway and the WebSocket are; over TLS where the client came over it.
    fn http_url(&self, scheme: &str, arrival: &Arrival, path: &str) -> String {
        let secure = if arrival.secure { "s" } else { "" };
        let host = self.config.public_host.as_ref().unwrap_or(&arrival.host);
        match self.config.public_port.or(arrival.port) {
            Some(port) => format!("{scheme}{secure}://{host}:{port}/{path}"),
            None => format!("{scheme}{secure}://{host}/{path}"),
        }
    }

    /// The number of a new session.
    pub(crate) fn key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    /// A seat for a session from this address; `None` when it has as many as it may.
    pub(crate) fn seat(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let network = network(ip);
        let mut count = self.seats.entry(network).or_insert(0);
        let full = self.tasks.len() > self.config.sessions;
        if full || *count >= self.config.sessions_per_ip {
            return None;
        }
        *count += 1;
        drop(count);
        self.metrics.sessions.inc();
        let core = Arc::clone(self);
        Some(Seat { core, network })
    }
}

/// A session's seat, free again when it drops.
#[derive(Debug)]
pub(crate) struct Seat {
    core: Arc<Core>,
    network: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.metrics.sessions.dec();
        if let Some(mut count) = self.core.seats.get_mut(&self.network) {
            *count = count.saturating_sub(1);
        }
        self.core
            .seats
            .remove_if(&self.network, |_, count| *count == 0);
    }
}

/// One IPv4 address, or one IPv6 /64: what one subscriber has.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}
