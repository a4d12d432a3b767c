//! TLS 1.2 and 1.3 for the listeners that want it: one certificate, which may change while the
//! node runs, and a handshake that has a deadline.
//!
//! Peers prove nothing here; who may do what is told by keys, tokens and URLs.

mod bridge;
mod pair;
mod reload;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::start_error::StartError;
pub(crate) use bridge::Bridge;
pub(crate) use pair::Pair;
use reload::Certificate;
pub(crate) use reload::Watch;

/// What the server speaks. A client that offers protocols, and none of these, is refused (RFC 7301
/// §3.2); one that offers none is served HTTP/1.1.
const HTTP_1_1: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";

/// Bytes that the kernel may hold unsent for one peer, and that a task may hold for the kernel:
/// enough for a network that is far away, little beside what a player may be behind.
pub(crate) const UNSENT: u32 = 64 * 1024;

/// The cryptography: ring builds with a C compiler alone, and in half the time of its successor.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What the TLS listeners share.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// For HTTPS.
    pub(crate) https: Terminator,
    /// For RTMPS.
    pub(crate) rtmps: Terminator,
}

impl Tls {
    /// Serves `pair` until `Watch` finds another; the two files are those it was read from.
    ///
    /// # Errors
    /// The library was built without what it needs, or `registry` has its metric already.
    pub(crate) fn new(
        pair: &Pair,
        cert: &Path,
        key: &Path,
        registry: &Registry,
    ) -> Result<(Self, Watch), StartError> {
        let provider = provider();
        let certificate = Certificate::new(pair, registry)?;
        // Clients that come back skip the expensive half of the handshake.
        let ticketer = ring::Ticketer::new()?;
        let config = |tickets_of_tls13| -> Result<ServerConfig, rustls::Error> {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_cert_resolver(certificate.clone());
            config.ticketer = Arc::clone(&ticketer);
            config.send_tls13_tickets = tickets_of_tls13;
            Ok(config)
        };
        let mut https = config(1)?;
        https.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        let tls = Self {
            https: Terminator::new(https),
            // TLS 1.3 sends tickets after the handshake, which librtmp over GnuTLS takes for an error.
            rtmps: Terminator::new(config(0)?),
        };
        Ok((tls, Watch::new(certificate, pair, cert, key)))
    }
}

/// Turns accepted sockets into encrypted streams.
#[derive(Clone)]
pub(crate) struct Terminator(TlsAcceptor);

impl std::fmt::Debug for Terminator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminator").finish_non_exhaustive()
    }
}

/// Why a peer did not get past the TLS handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the TLS handshake was not finished in time")]
    Timeout,
    #[error("the peer closed the connection during the TLS handshake")]
    Closed,
    #[error("the TLS handshake failed: {0}")]
    Tls(rustls::Error),
    #[error("the socket failed during the TLS handshake: {0}")]
    Io(io::Error),
}

impl HandshakeError {
    /// A bounded name for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Tls(_) => "tls",
            Self::Io(_) => "io",
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            // Errors of the protocol come wrapped in errors of the stream.
            _ => match error.downcast::<rustls::Error>() {
                Ok(error) => Self::Tls(error),
                Err(error) => Self::Io(error),
            },
        }
    }
}

impl Terminator {
    fn new(config: ServerConfig) -> Self {
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// Shakes hands. Turns Nagle's algorithm off.
    ///
    /// # Errors
    /// It took longer than `within`, or the peer and the node have nothing in common.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        within: Duration,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        socket.set_nodelay(true).map_err(HandshakeError::Io)?;
        let shaken = tokio::time::timeout(within, self.0.accept(socket)).await;
        Ok(shaken.map_err(|_| HandshakeError::Timeout)??)
    }
}
