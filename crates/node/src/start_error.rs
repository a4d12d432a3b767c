//! Why a node did not start. Nothing is left half started.

use std::io;
use std::net::SocketAddr;

use crate::cli::{EXIT_BIND, EXIT_CONFIG};
use crate::config::Invalid;

/// Why [`crate::Node::load`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A key does not fit the others.
    #[error("{}: {}", .0.key, .0.problem)]
    Config(Invalid),
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {source}; {}", advice(.source, .key, *.address))]
    Bind {
        /// The config key that holds the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS library has nothing to offer: a bug.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The file of bans cannot be used.
    #[error(transparent)]
    Store(#[from] lockgate_signalling::bans::StoreError),
    /// Two metrics have the same name: a bug.
    #[error("cannot register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl From<lockgate_signalling::webhook::StartError> for StartError {
    fn from(error: lockgate_signalling::webhook::StartError) -> Self {
        use lockgate_signalling::webhook::StartError as Webhooks;
        match error {
            Webhooks::Metrics(error) => Self::Metrics(error),
            Webhooks::Tls(error) => Self::Tls(error),
        }
    }
}

impl StartError {
    /// The exit code of a process that ends for this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Bind { .. } | Self::Store(_) => EXIT_BIND,
            Self::Tls(_) | Self::Metrics(_) => 1,
        }
    }
}

/// What to do about an address that cannot be listened on.
fn advice(error: &io::Error, key: &str, address: SocketAddr) -> String {
    let mut other = address;
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            other.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            });
            format!("no interface here has this address; listen on all with --set {key}={other}")
        }
        kind => {
            other.set_port(address.port() % 10_000 + 10_000);
            let why = if kind == io::ErrorKind::PermissionDenied {
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; pick"
            } else {
                "stop what holds the port, or pick"
            };
            format!("{why} another with --set {key}={other} (port 0 picks a free one)")
        }
    }
}
