//! The RTMP listener: takes connections within the limits, and hands each to ingest or egress once
//! it has said what it wants.

mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_egress::Egress;
use lockgate_ingest::Ingest;
use lockgate_routing::{ConnectionId, Origin};
use lockgate_rtmp::connection::{Connection, ConnectionConfig, Socket};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::accept::Acceptor;
use crate::access::Access;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::seats::{Full, Seat, Seats};
use crate::tls::{Bridge, Terminator};
use lockgate_routing::throttle::Throttle;
use request::{NoRequest, Request, next_request};

/// The protocols' names, as metrics and reports label them.
const RTMP: &str = "rtmp";
const RTMPS: &str = "rtmps";

/// Open files of a connection behind TLS: its own, and a pair to the task that decrypts.
pub(crate) const FILES_OF_TLS: u32 = 3;

/// The listener and what its connections share.
#[derive(Debug)]
pub(crate) struct RtmpListener {
    acceptor: Acceptor,
    tls: Option<Terminator>,
    seats: Arc<Seats>,
    shared: Arc<Shared>,
    refusals: [Throttle; Full::ALL.len()],
}

/// What every connection sees of the node.
#[derive(Debug)]
struct Shared {
    access: Arc<Access>,
    ingest: Ingest,
    egress: Arc<Egress>,
    metrics: Metrics,
    connection: ConnectionConfig,
    /// Peers that asked for what they may not have.
    refused: Throttle,
    /// Peers that did not get as far as asking.
    failed: Throttle,
}

impl RtmpListener {
    pub(crate) fn new(
        acceptor: Acceptor,
        settings: &Settings,
        access: Arc<Access>,
        ingest: Ingest,
        egress: Arc<Egress>,
        seats: Arc<Seats>,
        metrics: Metrics,
    ) -> Self {
        Self {
            acceptor,
            tls: None,
            seats,
            shared: Arc::new(Shared {
                access,
                ingest,
                egress,
                metrics,
                connection: settings.connection(),
                refused: Throttle::default(),
                failed: Throttle::default(),
            }),
            refusals: Default::default(),
        }
    }

    /// The same behind TLS, on another port: the same seats, the same streams.
    pub(crate) fn behind_tls(&self, acceptor: Acceptor, tls: Terminator) -> Self {
        Self {
            acceptor,
            tls: Some(tls),
            seats: Arc::clone(&self.seats),
            shared: Arc::clone(&self.shared),
            refusals: Default::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Serves until `stop`, then closes the port, gives connections `grace` to end, and cuts the
    /// rest.
    ///
    /// # Errors
    /// A broken listener.
    pub(crate) async fn run(self, stop: CancellationToken, grace: Duration) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (socket, peer) = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    log_panic(ended);
                    continue;
                }
                accepted = self.acceptor.accept() => accepted?,
            };
            match self.seats.take(peer.ip()) {
                Ok(seat) => {
                    let shared = Arc::clone(&self.shared);
                    let tls = self.tls.clone();
                    connections.spawn(shared.connection(socket, peer, tls, seat, stop.clone()));
                }
                Err(full) => self.refuse(full, peer),
            }
        }
        drop(self.acceptor);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        if tokio::time::timeout(grace, drained).await.is_err() {
            warn!(
                connections = connections.len(),
                "cut: shutdown.grace has passed"
            );
        }
        Ok(())
    }

    /// Closing the socket is all that can be said before the handshake.
    fn refuse(&self, full: Full, peer: SocketAddr) {
        self.shared.metrics.refused(full.label());
        let throttle = self.refusals.get(full as usize);
        if let Some(times) = throttle.and_then(|throttle| throttle.note(Instant::now())) {
            warn!(limit = full.label(), times, %peer, "connections refused: limits.{} is reached", full.label());
        }
    }
}

impl Shared {
    /// One connection from its first byte to its last.
    async fn connection(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        tls: Option<Terminator>,
        seat: Seat,
        stop: CancellationToken,
    ) {
        let protocol = if tls.is_some() { RTMPS } else { RTMP };
        let _open = self.metrics.connection(protocol);
        let origin = Origin {
            connection: ConnectionId::next(),
            protocol,
            peer,
        };
        let span = info_span!(
            "connection",
            id = %origin.connection,
            %peer,
            app = tracing::field::Empty,
            stream = tracing::field::Empty
        );
        match tls {
            None => {
                let socket = Socket::from(socket);
                self.serve(socket, origin, seat, &stop)
                    .instrument(span)
                    .await;
            }
            Some(tls) => {
                // Boxed, so that a plain connection does not hold the room for it.
                let serve = Box::pin(self.serve_tls(socket, &tls, origin, seat, &stop));
                serve.instrument(span).await;
            }
        }
    }

    /// The TLS handshake, then the same as without.
    async fn serve_tls(
        &self,
        socket: TcpStream,
        tls: &Terminator,
        origin: Origin,
        seat: Seat,
        stop: &CancellationToken,
    ) {
        let within = self.connection.handshake_timeout;
        let shaken = tokio::select! {
            shaken = tls.accept(socket, within) => shaken.map_err(NoRequest::Tls),
            () = stop.cancelled() => return,
        };
        let bridged = shaken.and_then(|stream| {
            Bridge::start(stream).map_err(|error| NoRequest::Handshake(error.into()))
        });
        match bridged {
            Ok((socket, bridge)) => {
                self.serve(socket.into(), origin, seat, stop).await;
                bridge.finish().await;
            }
            Err(why) => self.count(&why),
        }
    }

    /// The handshake, then one request after the other, each for as long as its stream lives.
    async fn serve(
        &self,
        socket: Socket,
        origin: Origin,
        mut seat: Seat,
        stop: &CancellationToken,
    ) {
        // Boxed, because it is the largest state of a connection and the shortest.
        let greeted = Box::pin(Connection::accept(socket, &self.connection));
        let mut connection = tokio::select! {
            greeted = greeted => match greeted {
                Ok(connection) => connection,
                Err(error) => return self.count(&error.into()),
            },
            () = stop.cancelled() => return,
        };
        loop {
            let within = self.connection.handshake_timeout;
            let request = tokio::select! {
                request = Box::pin(next_request(&mut connection, within, &self.access)) => request,
                () = stop.cancelled() => break,
            };
            let request = match request {
                Ok(request) => request,
                Err(why) => {
                    // Whoever had a stream may leave, or say nothing more.
                    if !seat.has_settled() {
                        self.count(&why);
                    }
                    break;
                }
            };
            seat.settle();
            let (app, name) = request.stream();
            Span::current().record("app", app).record("stream", name);
            let next = match request {
                // Boxed, so that players, who are many, do not hold the room for it.
                Request::Publish(request) => {
                    Box::pin(self.ingest.serve(&mut connection, &request, origin)).await
                }
                Request::Play(request) => self.egress.serve(&mut connection, request, origin).await,
            };
            if next.is_break() {
                break;
            }
        }
        // The last reply says why. A peer that does not stay to read it changes nothing. Boxed, because
        // it takes the connection along: every other state would hold the room for a second one.
        let _ = Box::pin(connection.close()).await;
    }

    /// Counts a connection that came to nothing, and logs some of them: anyone can make many.
    fn count(&self, why: &NoRequest) {
        let (what, throttle) = match why {
            NoRequest::Refused(_) => {
                self.metrics.refused(why.label());
                ("refused", &self.refused)
            }
            _ => {
                self.metrics.handshake_failed(why.label());
                ("failed", &self.failed)
            }
        };
        match throttle.note(Instant::now()) {
            Some(times) => info!(%why, times, "connection {what} before it began"),
            None => debug!(%why, "connection {what} before it began"),
        }
    }
}

/// A connection that panics ends alone; that it did is a bug to hear of.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection panicked; please report it");
    }
}
