//! A player, from its joining to its end: a subscription first, and attached once there is a
//! publisher. Dropping either takes it out of its stream, on every path.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use lockgate_media::{Packet, Slices, Track};
use tokio::sync::{Notify, oneshot};

use crate::fanout::{Command, Link};
use crate::gate::{Gate, Source, Switches};
use crate::id::{Origin, StreamId};
use crate::reader::{Reader, StreamRef};
use crate::report::{GateReport, PlayerReport};
use crate::router::Seats;
use crate::stream::{Phase, Stream};
use crate::tracks::Tracks;

/// How a protocol writes packets. Players of one protocol, which is one `static`, get the same
/// bytes; several may have one name.
pub struct Protocol {
    /// Its name, as metrics label it.
    pub name: &'static str,
    /// The bytes of a packet, as slices of what is kept anyway.
    pub slices: for<'a> fn(&'a Packet, &mut Slices<'a>),
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Where a player's bytes go: a socket that does not block.
pub trait Sink: Send + 'static {
    /// The protocol it takes.
    fn protocol(&self) -> &'static Protocol;

    /// Writes as much as it takes now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it takes nothing now; any other ends the player.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Looks up what a write needs, so that it is in the CPU's cache by then: many players' are fetched
    /// from memory at the same time, where each of their writes would wait for its own.
    fn prefetch(&self) {}

    /// Ready when a write may take something.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Why a player ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// It left.
    Left,
    /// Its stream ended.
    StreamEnded,
    /// An operator cut it.
    Kicked,
    /// It took nothing for too long.
    TooSlow,
    /// Its socket failed.
    Io(io::Error),
    /// The node stops.
    Shutdown,
}

/// A player's end and what was on its way.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub why: End,
    /// The rest of a partly written packet and of control messages: to be written before
    /// anything else on the connection.
    pub residue: Vec<u8>,
}

/// What a player's fan-out task and its connection share.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) origin: Origin,
    pub(crate) joined: Instant,
    pub(crate) gate: Arc<Gate>,
    pub(crate) kicked: Notify,
    pub(crate) bytes: AtomicU64,
    pub(crate) packets: AtomicU64,
    pub(crate) bitrate: AtomicU64,
    pub(crate) delay_ms: AtomicU64,
    pub(crate) skips: AtomicU64,
}

impl Seat {
    pub(crate) fn new(origin: Origin, gate: Arc<Gate>) -> Self {
        Self {
            origin,
            joined: Instant::now(),
            gate,
            kicked: Notify::new(),
            bytes: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            bitrate: AtomicU64::new(0),
            delay_ms: AtomicU64::new(0),
            skips: AtomicU64::new(0),
        }
    }

    pub(crate) fn report(&self, publisher: Switches) -> PlayerReport {
        PlayerReport {
            connection: self.origin.connection.get(),
            protocol: self.origin.protocol,
            peer: self.origin.peer.to_string(),
            since: self.joined.elapsed(),
            bytes: self.bytes.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            bitrate: self.bitrate.load(Ordering::Relaxed),
            delay: Duration::from_millis(self.delay_ms.load(Ordering::Relaxed)),
            skips: self.skips.load(Ordering::Relaxed),
            gate: GateReport::new(self.gate.switches().and(publisher)),
        }
    }
}

/// A player's place on a stream that may not be published yet.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) stream: Arc<Stream>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) seats: Arc<Seats>,
}

/// Why waiting for a publisher ended without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotLive {
    /// Nobody published in time.
    TimedOut,
    /// An operator cut the player.
    Kicked,
    /// The stream ended, or the node stops.
    Ended,
}

impl Subscription {
    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream.id
    }

    /// Turns a switch of the player's gate; it acts on the next packet.
    pub fn turn(&self, source: Source, track: Track, closed: bool) {
        self.stream.turn(&self.seat, source, track, closed);
    }

    /// Whether the stream has a publisher, or had one a moment ago.
    pub fn is_live(&self) -> bool {
        *self.stream.phase.borrow() == Phase::Live
    }

    /// Waits until the stream has a publisher, or had one a moment ago.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait_live(&self, wait: Duration) -> Result<(), NotLive> {
        let mut phase = self.stream.phase.subscribe();
        let live = phase.wait_for(|phase| *phase != Phase::Waiting);
        tokio::select! {
            reached = tokio::time::timeout(wait, live) => match reached {
                Ok(Ok(phase)) if *phase == Phase::Live => Ok(()),
                Ok(_) => Err(NotLive::Ended),
                Err(_) => Err(NotLive::TimedOut),
            },
            () = self.seat.kicked.notified() => Err(NotLive::Kicked),
        }
    }

    /// The tracks that the stream has: once both have come, or `settle` after the first did, or
    /// once the stream is over. Waits for as long as nothing comes.
    pub async fn tracks(&self, settle: Duration) -> Tracks {
        let mut phase = self.stream.phase.subscribe();
        let mut seen = self.stream.seen.subscribe();
        tokio::select! {
            tracks = crate::tracks::settled(&mut seen, settle) => tracks,
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => Tracks::default(),
        }
    }

    /// Who plays.
    pub fn origin(&self) -> Origin {
        self.seat.origin
    }

    /// Completes when an operator has cut the player.
    pub fn kicked(&self) -> impl Future<Output = ()> + Send + use<> {
        let seat = Arc::clone(&self.seat);
        async move { seat.kicked.notified().await }
    }

    /// Which of the streams that had or will have this name it is.
    pub fn stream_ref(&self) -> StreamRef {
        StreamRef(Arc::downgrade(&self.stream))
    }

    /// A reader of its stream, for who sends to players by itself.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.stream), self.seat.origin.protocol)
    }

    /// Starts sending: from here on the sink belongs to the stream's fan-out.
    pub fn attach(self, sink: Box<dyn Sink>) -> Player {
        let (ended_tx, ended) = oneshot::channel();
        let link = self.stream.join(Arc::clone(&self.seat), sink, ended_tx);
        Player {
            subscription: self,
            link,
            ended,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.seats.leave(&self.stream, &self.seat);
    }
}

/// A player that is being sent its stream.
#[derive(Debug)]
pub struct Player {
    subscription: Subscription,
    link: Arc<Link>,
    ended: oneshot::Receiver<Ended>,
}

impl Player {
    /// Turns a switch of the player's gate; it acts on the next packet.
    pub fn turn(&self, source: Source, track: Track, closed: bool) {
        self.subscription.turn(source, track, closed);
        self.link
            .send(Command::Look(self.subscription.seat.origin.connection));
    }

    /// Sends bytes of the protocol itself, a command's reply say, between two packets.
    pub fn control(&self, bytes: Vec<u8>) {
        self.link.send(Command::Control(
            self.subscription.seat.origin.connection,
            bytes,
        ));
    }

    /// Waits for the player's end. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        let id = self.subscription.seat.origin.connection;
        tokio::select! {
            ended = &mut self.ended => return ended.unwrap_or_else(|_| nothing_left(End::Shutdown)),
            () = self.subscription.seat.kicked.notified() => {}
        }
        self.link.send(Command::End(id, End::Kicked));
        (&mut self.ended)
            .await
            .unwrap_or_else(|_| nothing_left(End::Kicked))
    }

    /// Takes the player off its stream; the connection may go on.
    pub async fn leave(mut self) -> Ended {
        self.link.send(Command::End(
            self.subscription.seat.origin.connection,
            End::Left,
        ));
        (&mut self.ended)
            .await
            .unwrap_or_else(|_| nothing_left(End::Left))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.link.send(Command::End(
            self.subscription.seat.origin.connection,
            End::Left,
        ));
    }
}

fn nothing_left(why: End) -> Ended {
    Ended {
        why,
        residue: Vec::new(),
    }
}
