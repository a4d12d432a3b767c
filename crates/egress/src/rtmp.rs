//! RTMP play: one connection becomes a sink, and its commands turn its gate.
//!
//! While a fan-out task writes media, this side only reads: replies go through the player, which
//! puts them between two packets.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use lockgate_media::Track;
use lockgate_routing::throttle::Throttles;
use lockgate_routing::{
    Admission, End, Ended, Holder, NotLive, Origin, Player, Protocol, Refusal, Router, Sink,
    Source, Subscription,
};
use lockgate_rtmp::chunk;
use lockgate_rtmp::connection::{Connection, Socket};
use lockgate_rtmp::session::{Event, PlayRequest};
use tracing::{debug, info, warn};

use crate::metrics::PlayMetrics;
use crate::refused::Refused;

/// The protocol's name in metrics and reports, and how it writes packets.
pub static PROTOCOL: Protocol = Protocol {
    name: "rtmp",
    slices: chunk::slices,
};

/// The same bytes, counted by themselves: behind TLS each write costs more.
static BEHIND_TLS: Protocol = Protocol {
    name: "rtmps",
    slices: chunk::slices,
};

/// Bytes that the kernel may hold unsent for one player. More would only be delay: what a player
/// cannot take stays in the ring, where it can be skipped.
pub(crate) const UNSENT: u32 = 128 * 1024;
/// How long the farewell to a player may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// Serves players.
pub struct Egress {
    pub(crate) router: Arc<Router>,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) wait_for_publisher: Duration,
    metrics: PlayMetrics,
    refusals: Throttles,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// A player on a name that nobody publishes is kept for `wait_for_publisher`.
    pub fn new(
        router: Arc<Router>,
        admission: Arc<dyn Admission>,
        wait_for_publisher: Duration,
        metrics: PlayMetrics,
    ) -> Self {
        Self {
            router,
            admission,
            wait_for_publisher,
            metrics,
            refusals: Throttles::default(),
        }
    }

    /// Serves a `play` until its stream ends or the player leaves; the connection goes on, or
    /// breaks off and is to be closed.
    pub async fn serve(
        &self,
        connection: &mut Connection,
        request: Box<PlayRequest>,
        origin: Origin,
    ) -> ControlFlow<()> {
        let admitted = self.admit(&request.app, &request.name, &request.query, origin);
        // Not kept for as long as it plays.
        drop(request);
        let (subscription, mut hold) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return self.refuse(connection, &refused),
        };
        match Box::pin(self.wait(connection, &subscription, &mut hold)).await {
            Waited::Live => {}
            Waited::Gone(next) => return next,
            Waited::Refused(refused) => return self.refuse(connection, &refused),
        }
        connection.session().accept_play();
        if let Err(error) = connection.flush().await {
            debug!(%error, "player gone before its first packet");
            return ControlFlow::Break(());
        }
        let socket = Arc::clone(connection.socket());
        if let Err(error) = socket.bound_unsent(UNSENT) {
            debug!(%error, "the kernel may queue more than it should for this player");
        }
        connection.lend_writes(true);
        info!("playing");
        let protocol = if origin.protocol == BEHIND_TLS.name {
            &BEHIND_TLS
        } else {
            &PROTOCOL
        };
        let player = subscription.attach(Box::new(RtmpSink { socket, protocol }));
        play(connection, player, hold).await
    }

    /// A place on the stream that a URL gives a right to.
    pub(crate) fn admit(
        &self,
        app: &str,
        name: &str,
        query: &str,
        origin: Origin,
    ) -> Result<(Subscription, Hold), Refused> {
        let grant = self.admission.play(app, name, query)?;
        // Whoever used this URL before is cut: a component that reconnects has lost its old one.
        let holder = match &grant.lease {
            Some(lease) => Some(lease.take().ok_or(Refusal::UrlDead)?),
            None => None,
        };
        let subscription = self.router.subscribe(&grant, origin)?;
        Ok((subscription, Hold(holder)))
    }

    fn refuse(&self, connection: &mut Connection, refused: &Refused) -> ControlFlow<()> {
        self.count(refused);
        let code = match refused {
            Refused::NotLive(..) => "NetStream.Play.StreamNotFound",
            _ => "NetStream.Play.Failed",
        };
        connection.session().reject_play(code, &refused.to_string());
        ControlFlow::Break(())
    }

    /// Counts a refusal, and logs some: anyone can cause many.
    pub(crate) fn count(&self, refused: &Refused) {
        let label = refused.label();
        self.metrics.refuse(label);
        if let Some(times) = self.refusals.note(label, Instant::now()) {
            warn!(reason = label, times, "player refused: {refused}");
        }
    }

    /// Waits for a publisher, and meanwhile for what the player says.
    async fn wait(
        &self,
        connection: &mut Connection,
        subscription: &Subscription,
        hold: &mut Hold,
    ) -> Waited {
        if !subscription.is_live() {
            info!(wait = ?self.wait_for_publisher, "waiting for a publisher");
        }
        let live = subscription.wait_live(self.wait_for_publisher);
        tokio::pin!(live);
        loop {
            let event = tokio::select! {
                biased;
                waited = &mut live => return match waited {
                    Ok(()) => Waited::Live,
                    Err(NotLive::Kicked) => {
                        let text = "an operator cut this player";
                        connection.session().reject_play("NetStream.Play.Failed", text);
                        Waited::Gone(ControlFlow::Break(()))
                    }
                    Err(why) => {
                        Waited::Refused(Refused::NotLive(why, subscription.stream().clone()))
                    }
                },
                () = hold.lost() => return Waited::Gone(ControlFlow::Break(())),
                event = connection.next() => event,
            };
            match event {
                Ok(Some(Event::Ended)) => return Waited::Gone(ControlFlow::Continue(())),
                Ok(Some(event)) => {
                    switch(&event, |source, track, closed| {
                        subscription.turn(source, track, closed);
                    });
                }
                Ok(None) | Err(_) => return Waited::Gone(ControlFlow::Break(())),
            }
        }
    }
}

enum Waited {
    Live,
    Gone(ControlFlow<()>),
    Refused(Refused),
}

/// A connection's hold on the subscription its URL is bound to, if it is to one.
#[derive(Debug)]
pub(crate) struct Hold(Option<Holder>);

impl Hold {
    /// Waits until the subscription is another connection's, or has ended.
    pub(crate) async fn lost(&mut self) {
        match &mut self.0 {
            // Boxed, so that a player by name does not hold the room for it.
            Some(holder) => Box::pin(holder.lost()).await,
            None => std::future::pending().await,
        }
    }
}

/// Reads a player's commands until it or its stream ends.
async fn play(connection: &mut Connection, mut player: Player, mut hold: Hold) -> ControlFlow<()> {
    loop {
        let event = tokio::select! {
            event = connection.next() => event,
            ended = player.ended() => return Box::pin(part(connection, ended)).await,
            () = hold.lost() => {
                let ended = Box::pin(player.leave()).await;
                return Box::pin(part(connection, Ended { why: End::StreamEnded, ..ended })).await;
            }
        };
        match event {
            Ok(Some(Event::Ended)) => {
                let ended = Box::pin(player.leave()).await;
                return Box::pin(part(connection, ended)).await;
            }
            Ok(Some(event)) => {
                switch(&event, |source, track, closed| {
                    player.turn(source, track, closed);
                });
                if let Event::Pause(paused) = event {
                    connection.session().accept_pause(paused);
                }
            }
            Ok(None) => {
                info!("player left");
                return ControlFlow::Break(());
            }
            Err(error) => {
                info!(%error, "player's connection failed");
                return ControlFlow::Break(());
            }
        }
        if connection.session().has_output() {
            player.control(connection.session().take_output());
        }
    }
}

/// Turns the switches that a player's command asks for, if it is such a command.
fn switch(event: &Event, turn: impl Fn(Source, Track, bool)) {
    match *event {
        Event::ReceiveAudio(wanted) => turn(Source::Player, Track::Audio, !wanted),
        Event::ReceiveVideo(wanted) => turn(Source::Player, Track::Video, !wanted),
        Event::Pause(paused) => {
            turn(Source::Pause, Track::Audio, paused);
            turn(Source::Pause, Track::Video, paused);
        }
        _ => {}
    }
}

/// Writes what was on its way, says why the stream is over, and lets the connection go.
async fn part(connection: &mut Connection, ended: Ended) -> ControlFlow<()> {
    let Ended { why, residue } = ended;
    let next = if matches!(why, End::Left) {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    };
    match &why {
        // Nothing can be said to a socket that takes nothing.
        End::Io(error) => {
            info!(%error, "player left");
            return ControlFlow::Break(());
        }
        End::TooSlow => {
            warn!("player cut: it took nothing for too long");
            return ControlFlow::Break(());
        }
        _ => info!(reason = ?why, "player done"),
    }
    let socket = Arc::clone(connection.socket());
    let written = tokio::time::timeout(FAREWELL, write_all(&socket, &residue)).await;
    if !matches!(written, Ok(Ok(()))) {
        return ControlFlow::Break(());
    }
    connection.lend_writes(false);
    if next.is_break() {
        connection.session().end_play();
    }
    next
}

pub(crate) async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A player's socket, as the fan-out sees it.
struct RtmpSink {
    socket: Arc<Socket>,
    protocol: &'static Protocol,
}

impl Sink for RtmpSink {
    fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(slices)
    }

    fn prefetch(&self) {
        self.socket.prefetch();
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }
}
