//! The HTTP server: HTTP/1.1, and over TLS HTTP/2 too, over the node's own accept loop, with a bound
//! on everything a peer can hold.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::carrier::Carrier;
use super::plain::Plain;
use super::{OverTls, Peer, State};
use crate::accept::Acceptor;
use crate::metrics::Metrics;
use crate::tls::{self, Terminator, UNSENT};
use lockgate_routing::throttle::Throttle;

/// Scrapers, probes, a few operators, and clients on their way to a WebSocket: a crowd that
/// reconnects comes at once.
const CONNECTIONS_MAX: usize = 4096;

/// A request's head has to arrive within this, and before it TLS's handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection is closed after this, between two requests: whoever keeps one opens another. Media
/// goes on for as long as it likes.
const LIFETIME: Duration = Duration::from_secs(120);

/// How long the last request of a connection may still take.
const LAST_REQUEST: Duration = Duration::from_secs(10);

/// The same when the node stops: nobody waits for a stopping node longer.
const LAST_REQUEST_AT_STOP: Duration = Duration::from_secs(1);

/// Bytes of the longest head of a request, and of what is collected before it is written.
const BUFFER_MAX: usize = 64 * 1024;

/// Requests under way at once on a connection of HTTP/2: a page with all its pictures, not a crowd.
const STREAMS_MAX: u32 = 64;

/// How often a connection of HTTP/2 is asked whether it is alive, and how long it has to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

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
                // Heads and tags are written whole.
                if let Err(error) = socket.set_nodelay(true) {
                    debug!(%peer, %error, "TCP_NODELAY cannot be set");
                }
                let Some(tls) = tls else {
                    serve_plain(socket, peer, permit, service, stop).await;
                    return drop(open);
                };
                let shaken = tokio::select! {
                    shaken = tls.accept(socket, HEADER_TIMEOUT) => shaken,
                    () = stop.cancelled() => return,
                };
                match shaken {
                    Ok(stream) => serve_tls(stream, peer, permit, service, stop).await,
                    Err(error) => {
                        metrics.handshake_failed(error.label());
                        debug!(%peer, %error, "HTTPS connection failed");
                    }
                }
                drop(open);
            });
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        // Those that do not end are aborted with the set.
        let _ = tokio::time::timeout(LAST_REQUEST_AT_STOP, drained).await;
        Ok(())
    }
}

async fn serve_plain(
    socket: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    service: axum::Router,
    stop: CancellationToken,
) {
    let (socket, handover) = Plain::new(socket);
    let carrier = Carrier::new(permit, Some(handover));
    serve_http1(socket, Front::new(peer, None, carrier, service), stop).await;
}

async fn serve_tls(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    service: axum::Router,
    stop: CancellationToken,
) {
    if let Err(error) = socket2::SockRef::from(stream.get_ref().0).set_tcp_notsent_lowat(UNSENT) {
        debug!(%peer, %error, "the kernel may queue more than it should for this connection");
    }
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2);
    let front = Front::new(peer, Some(OverTls), Carrier::new(permit, None), service);
    if is_http2 {
        serve_http2(stream, front, stop).await;
    } else {
        serve_http1(stream, front, stop).await;
    }
}

async fn serve_http1(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    front: Front,
    stop: CancellationToken,
) {
    let (peer, carrier) = (front.peer, front.carrier.clone());
    let answer = service_fn(move |request| front.answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades();
    drive(
        connection,
        http1::UpgradeableConnection::graceful_shutdown,
        peer,
        &carrier,
        &stop,
    )
    .await;
    if let Some(after) = carrier.after() {
        after.await;
    }
}

async fn serve_http2(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    front: Front,
    stop: CancellationToken,
) {
    let (peer, carrier) = (front.peer, front.carrier.clone());
    let answer = service_fn(move |request| front.answer(request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(socket), answer);
    drive(
        connection,
        http2::Connection::graceful_shutdown,
        peer,
        &carrier,
        &stop,
    )
    .await;
}

/// Serves a connection until it ends, is too old, or the node stops; `wind_down` lets it answer what
/// it has been asked.
async fn drive<C, E>(
    connection: C,
    wind_down: impl Fn(Pin<&mut C>),
    peer: SocketAddr,
    carrier: &Carrier,
    stop: &CancellationToken,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = carrier.is_cut() => return,
        () = async { tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LIFETIME) => {}
        }} => {
            wind_down(connection.as_mut());
            let too_late = async {
                // A node that stops has ended its streams.
                tokio::select! {
                    () = carrier.idle() => {}
                    () = stop.cancelled() => {}
                }
                tokio::time::sleep(LAST_REQUEST).await;
            };
            tokio::select! {
                ended = connection => ended,
                () = carrier.is_cut() => return,
                () = too_late => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "HTTP connection ended");
    }
}

/// What stands before the routes, for each connection.
#[derive(Clone)]
struct Front {
    peer: SocketAddr,
    tls: Option<OverTls>,
    carrier: Carrier,
    service: axum::Router,
}

impl Front {
    fn new(
        peer: SocketAddr,
        tls: Option<OverTls>,
        carrier: Carrier,
        service: axum::Router,
    ) -> Self {
        Self {
            peer,
            tls,
            carrier,
            service,
        }
    }

    /// Answers a request, once it says what the routes ask about it.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let mut request = request.map(Body::new);
        // HTTP/2 has the host in the URL: whoever looks for it looks in one place.
        if !request.headers().contains_key(header::HOST)
            && let Some(authority) = request.uri().authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        let extensions = request.extensions_mut();
        extensions.insert(Peer(self.peer));
        extensions.insert(self.carrier.clone());
        if let Some(tls) = self.tls {
            extensions.insert(tls);
        }
        self.service.clone().oneshot(request)
    }
}
