//! The HTTP server: HTTP/1.1 over the node's own accept loop, with a bound on everything a peer can
//! hold.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::{OverTls, Peer, State};
use crate::accept::Acceptor;
use crate::metrics::Metrics;
use crate::tls::Terminator;
use lockgate_routing::throttle::Throttle;

/// Scrapers, probes, a few operators, and clients on their way to a WebSocket: a crowd that
/// reconnects comes at once.
const CONNECTIONS_MAX: usize = 4096;

/// A request's head has to arrive within this, and before it TLS's handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection is closed after this, between two requests: whoever keeps one opens another.
const LIFETIME: Duration = Duration::from_secs(120);

/// How long the last request of a connection may still take.
const LAST_REQUEST: Duration = Duration::from_secs(10);

/// The same when the node stops: nobody waits for a stopping node longer.
const LAST_REQUEST_AT_STOP: Duration = Duration::from_secs(1);

/// The HTTP listener and what answers on it.
#[derive(Debug)]
pub(crate) struct Server {
    acceptor: Acceptor,
    tls: Option<Terminator>,
    service: axum::Router,
    permits: Arc<Semaphore>,
    metrics: Metrics,
}

impl Server {
    pub(crate) fn new(acceptor: Acceptor, state: State, metrics: Metrics) -> Self {
        Self {
            acceptor,
            tls: None,
            service: super::service(state),
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            metrics,
        }
    }

    /// The same behind TLS, on another port: the same answers, the same bounds.
    pub(crate) fn behind_tls(&self, acceptor: Acceptor, tls: Terminator) -> Self {
        Self {
            acceptor,
            tls: Some(tls),
            service: self.service.clone(),
            permits: Arc::clone(&self.permits),
            metrics: self.metrics.clone(),
        }
    }

    /// Serves until `stop`, and a moment longer for requests that are being answered.
    ///
    /// # Errors
    /// A broken listener.
    pub(crate) async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let mut connections = JoinSet::new();
        let refusals = Throttle::default();
        loop {
            let (socket, peer) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.acceptor.accept() => accepted?,
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                self.metrics.refused("http_connections");
                if let Some(times) = refusals.note(Instant::now()) {
                    warn!(limit = CONNECTIONS_MAX, times, "too many HTTP connections");
                }
                continue;
            };
            let protocol = if self.tls.is_some() { "https" } else { "http" };
            let open = self.metrics.connection(protocol);
            let (tls, metrics) = (self.tls.clone(), self.metrics.clone());
            let (service, stop) = (self.service.clone(), stop.clone());
            connections.spawn(async move {
                match tls {
                    None => serve(socket, peer, None, service, stop).await,
                    Some(tls) => tokio::select! {
                        shaken = tls.accept(socket, HEADER_TIMEOUT) => match shaken {
                            Ok(stream) => serve(stream, peer, Some(OverTls), service, stop).await,
                            Err(error) => {
                                metrics.handshake_failed(error.label());
                                debug!(%peer, %error, "HTTPS connection failed");
                            }
                        },
                        () = stop.cancelled() => {}
                    },
                }
                drop((permit, open));
            });
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        // Those that do not end are aborted with the set.
        let _ = tokio::time::timeout(LAST_REQUEST_AT_STOP, drained).await;
        Ok(())
    }
}

async fn serve(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    tls: Option<OverTls>,
    service: axum::Router,
    stop: CancellationToken,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        if let Some(tls) = tls {
            request.extensions_mut().insert(tls);
        }
        service.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LIFETIME) => {}
        }} => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_REQUEST, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "HTTP connection ended");
    }
}
