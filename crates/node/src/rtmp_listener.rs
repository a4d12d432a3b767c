//! The RTMP listener: takes connections within the limits, and hands each to ingest or egress once
//! it has said what it wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_routing::{ConnectionId, Router};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::accept::Acceptor;
use crate::access::Access;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::seats::{Full, Seat, Seats};
use crate::throttle::Throttle;

/// The listener and what its connections share.
#[derive(Debug)]
pub(crate) struct RtmpListener {
    acceptor: Acceptor,
    seats: Arc<Seats>,
    shared: Arc<Shared>,
    refusals: [Throttle; Full::ALL.len()],
}

/// What every connection sees of the node.
#[derive(Debug)]
struct Shared {
    access: Arc<Access>,
    router: Arc<Router>,
    metrics: Metrics,
    handshake_timeout: Duration,
}

impl RtmpListener {
    pub(crate) fn new(
        acceptor: Acceptor,
        settings: &Settings,
        access: Arc<Access>,
        router: Arc<Router>,
        metrics: Metrics,
    ) -> Self {
        Self {
            acceptor,
            seats: Seats::new(&settings.config.limits),
            shared: Arc::new(Shared {
                access,
                router,
                metrics,
                handshake_timeout: settings.config.rtmp.handshake_timeout,
            }),
            refusals: Default::default(),
        }
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
                    connections.spawn(shared.connection(socket, peer, seat, stop.clone()));
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
        seat: Seat,
        stop: CancellationToken,
    ) {
        let _open = self.metrics.connection("rtmp");
        let id = ConnectionId::next();
        let span = info_span!(
            "connection",
            %id,
            %peer,
            app = tracing::field::Empty,
            stream = tracing::field::Empty
        );
        self.serve(socket, seat, stop).instrument(span).await;
    }

    /// The handshake, then ingest or egress.
    async fn serve(&self, _socket: TcpStream, mut seat: Seat, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.handshake_timeout) => {}
        }
        seat.settle();
        self.metrics.handshake_failed("timeout");
        let _ = (&self.access, &self.router);
    }
}

/// A connection that panics ends alone; that it did is a bug to hear of.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        if error.is_panic() {
            tracing::error!(%error, "a connection panicked; please report it");
        }
    }
}
