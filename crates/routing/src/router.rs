//! The registry of streams: who gets a place on which, and the bounds on how many.
//!
//! Invariant: a place taken is given back when its holder is dropped, on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use dashmap::mapref::one::RefMut;
use lockgate_media::Track;
use prometheus::Registry;
use thiserror::Error;
use tokio_util::task::TaskTracker;

use crate::admit::Grant;
use crate::config::{Config, Conflict};
use crate::gate::Source;
use crate::id::{ConnectionId, Origin, StreamId};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::player::{End, Seat, Subscription};
use crate::publication::{Cut, Publication, Waiting};
use crate::report::StreamReport;
use crate::stream::{Phase, Stream, TakeUp};

/// Why a publisher got no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is taken, and the config keeps it with who has it.
    #[error("this stream is being published already")]
    Busy,
    /// `limits.publishers` or `limits.streams` is reached.
    #[error(
        "this node has as many publishers as it may: raise limits.publishers or limits.streams"
    )]
    Full,
    /// The node stops.
    #[error("this node is stopping")]
    Draining,
}

/// Why a player got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// `limits.players` or `limits.streams` is reached.
    #[error("this node has as many players as it may: raise limits.players or limits.streams")]
    Full,
    /// `limits.players_per_stream` is reached.
    #[error("this stream has as many players as it may: raise limits.players_per_stream")]
    StreamFull,
    /// The node stops.
    #[error("this node is stopping")]
    Draining,
}

/// Why there is no stream for somebody.
enum NoStream {
    Full,
    Draining,
}

impl From<NoStream> for PublishError {
    fn from(why: NoStream) -> Self {
        match why {
            NoStream::Full => Self::Full,
            NoStream::Draining => Self::Draining,
        }
    }
}

impl From<NoStream> for SubscribeError {
    fn from(why: NoStream) -> Self {
        match why {
            NoStream::Full => Self::Full,
            NoStream::Draining => Self::Draining,
        }
    }
}

/// The streams of a node.
#[derive(Debug)]
pub struct Router {
    seats: Arc<Seats>,
}

/// What the router's handles give their places back to.
#[derive(Debug)]
pub(crate) struct Seats {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    streams: DashMap<StreamId, Arc<Stream>>,
    publishers: AtomicUsize,
    players: AtomicUsize,
    draining: AtomicBool,
    tasks: TaskTracker,
}

impl Router {
    /// A router that counts into `registry`.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(config: Config, registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let seats = Seats {
            config: Arc::new(config),
            metrics: Arc::new(Metrics::new(registry)?),
            streams: DashMap::new(),
            publishers: AtomicUsize::new(0),
            players: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
        };
        Ok(Arc::new(Self {
            seats: Arc::new(seats),
        }))
    }

    /// Makes `origin` the publisher of a stream.
    ///
    /// # Errors
    /// Why it may not be.
    pub fn publish(&self, grant: &Grant, origin: Origin) -> Result<Publication, PublishError> {
        let seats = &self.seats;
        // Who takes a name over adds nobody: the one it is taken from is on its way out.
        let replaces = || {
            seats
                .streams
                .get(&grant.stream)
                .is_some_and(|it| it.is_published())
        };
        if seats.publishers.load(Ordering::Relaxed) >= seats.config.limits.publishers && !replaces()
        {
            return Err(PublishError::Full);
        }
        let stream = seats.stream(&grant.stream)?;
        if seats.config.conflict == Conflict::Reject && stream.is_published() {
            seats.metrics.returns.with_label_values(&["rejected"]).inc();
            return Err(PublishError::Busy);
        }
        let (epoch, cut, how) = stream.take_up(origin, grant.lease.clone());
        match how {
            TakeUp::Fresh => {}
            TakeUp::Resumed => seats.metrics.returns.with_label_values(&["resumed"]).inc(),
            TakeUp::Replaced => seats.metrics.returns.with_label_values(&["replaced"]).inc(),
        }
        seats.publishers.fetch_add(1, Ordering::Relaxed);
        seats
            .metrics
            .publishers
            .with_label_values(&[origin.protocol])
            .inc();
        let stream = Arc::clone(&stream);
        Ok(Publication {
            stream,
            seats: Arc::clone(seats),
            epoch,
            cut,
            waiting: Waiting::Nothing,
            lease: grant.lease.clone(),
            protocol: origin.protocol,
        })
    }

    /// Gives `origin` a player's place on a stream, published or not.
    ///
    /// # Errors
    /// Why there is none.
    pub fn subscribe(&self, grant: &Grant, origin: Origin) -> Result<Subscription, SubscribeError> {
        let seats = &self.seats;
        if seats.players.load(Ordering::Relaxed) >= seats.config.limits.players {
            return Err(SubscribeError::Full);
        }
        let stream = seats.stream(&grant.stream)?;
        if stream.player_count() >= seats.config.limits.players_per_stream {
            return Err(SubscribeError::StreamFull);
        }
        let gate = grant
            .lease
            .as_ref()
            .map_or_else(Arc::default, |lease| Arc::clone(lease.gate()));
        let seat = Arc::new(Seat::new(origin, gate));
        stream.seat(Arc::clone(&seat));
        if let Some(lease) = &grant.lease {
            lease.came(origin.connection);
        }
        seats.players.fetch_add(1, Ordering::Relaxed);
        seats
            .metrics
            .players
            .with_label_values(&[origin.protocol])
            .inc();
        let stream = Arc::clone(&stream);
        Ok(Subscription {
            stream,
            seat,
            seats: Arc::clone(seats),
        })
    }

    /// Every stream, in no order.
    pub fn streams(&self) -> Vec<StreamReport> {
        self.seats
            .streams
            .iter()
            .map(|stream| stream.report())
            .collect()
    }

    /// One stream.
    pub fn stream(&self, id: &StreamId) -> Option<StreamReport> {
        self.seats.streams.get(id).map(|stream| stream.report())
    }

    /// Whether a stream has a publisher, or had one a moment ago.
    pub fn is_live(&self, id: &StreamId) -> bool {
        let stream = self.seats.streams.get(id);
        stream.is_some_and(|stream| *stream.phase.borrow() == Phase::Live)
    }

    /// Cuts a publisher, and its stream ends, or a player; `false` when it is neither.
    pub fn kick(&self, connection: u64) -> bool {
        let id = ConnectionId::from_number(connection);
        for stream in self.all() {
            if stream.is_published_by(id) {
                self.seats.end(&stream, Cut::Kicked, || End::StreamEnded);
                return true;
            }
            if let Some(seat) = stream.find(id) {
                self.seats.metrics.cut.with_label_values(&["kicked"]).inc();
                seat.kicked.notify_one();
                return true;
            }
        }
        false
    }

    /// Turns an operator's switch on a player's gate; `false` when there is no such player.
    pub fn switch(&self, player: u64, track: Track, closed: bool) -> bool {
        let id = ConnectionId::from_number(player);
        for stream in self.all() {
            if let Some(seat) = stream.find(id) {
                stream.turn(&seat, Source::Operator, track, closed);
                stream.look(id);
                return true;
            }
        }
        false
    }

    /// Ends one stream: its publisher and its players are told.
    pub fn end(&self, id: &StreamId) {
        let stream = self.seats.streams.get(id).map(|stream| Arc::clone(&stream));
        if let Some(stream) = stream {
            self.seats.end(&stream, Cut::Ended, || End::StreamEnded);
        }
    }

    /// Turns a switch of a lease's gate, whether or not the stream is there yet.
    pub fn turn(&self, id: &StreamId, lease: &Lease, source: Source, track: Track, closed: bool) {
        // In this order: who joins a stream that is not found here reads the gate after this turn.
        if lease.gate().turn(source, track, closed)
            && let Some(stream) = self.seats.streams.get(id).map(|stream| Arc::clone(&stream))
        {
            stream.has_turned(source, track);
        }
    }

    /// Ends every stream: publishers and players are told. Nothing new is let in.
    pub async fn shutdown(&self) {
        self.seats.draining.store(true, Ordering::Release);
        for stream in self.all() {
            self.seats.end(&stream, Cut::Shutdown, || End::Shutdown);
        }
        self.seats.tasks.close();
        self.seats.tasks.wait().await;
    }

    fn all(&self) -> Vec<Arc<Stream>> {
        self.seats
            .streams
            .iter()
            .map(|stream| Arc::clone(&stream))
            .collect()
    }
}

impl Seats {
    /// The stream of this name, made when there is none. While the answer is held no one ends or
    /// forgets the stream.
    fn stream(&self, id: &StreamId) -> Result<RefMut<'_, StreamId, Arc<Stream>>, NoStream> {
        let full = self.streams.len() >= self.config.limits.streams;
        let entry = self.streams.entry(id.clone());
        // Asked under the registry's lock: a shutdown that it does not see yet sees the stream.
        if self.draining.load(Ordering::Acquire) {
            return Err(NoStream::Draining);
        }
        match entry {
            Entry::Occupied(entry) if !entry.get().has_ended() => Ok(entry.into_ref()),
            Entry::Occupied(mut entry) => {
                entry.insert(self.new_stream(id));
                Ok(entry.into_ref())
            }
            Entry::Vacant(_) if full => Err(NoStream::Full),
            Entry::Vacant(entry) => Ok(entry.insert(self.new_stream(id))),
        }
    }

    fn new_stream(&self, id: &StreamId) -> Arc<Stream> {
        let (config, metrics) = (Arc::clone(&self.config), Arc::clone(&self.metrics));
        Arc::new(Stream::new(id.clone(), config, metrics, self.tasks.clone()))
    }

    /// A player's place is free again.
    pub(crate) fn leave(&self, stream: &Arc<Stream>, seat: &Seat) {
        self.players.fetch_sub(1, Ordering::Relaxed);
        self.metrics
            .players
            .with_label_values(&[seat.origin.protocol])
            .dec();
        if stream.unseat(seat) {
            self.streams.remove_if(&stream.id, |_, held| {
                Arc::ptr_eq(held, stream) && held.is_forsaken()
            });
        }
    }

    /// A publisher's connection is gone: its stream ends when nobody takes it up in time.
    pub(crate) fn publisher_left(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        epoch: u64,
        protocol: &str,
    ) {
        self.publishers.fetch_sub(1, Ordering::Relaxed);
        self.metrics.publishers.with_label_values(&[protocol]).dec();
        if !stream.break_off(epoch) {
            return;
        }
        let grace = self.config.publisher_grace;
        if grace.is_zero() {
            self.end(stream, Cut::Shutdown, || End::StreamEnded);
            return;
        }
        if !stream.watch() {
            return;
        }
        // Held weakly: a stream that ends before its grace does takes its ring along.
        let (seats, watched) = (Arc::clone(self), Arc::downgrade(stream));
        tokio::spawn(async move {
            while let Some(since) = watched.upgrade().and_then(|stream| stream.deserted()) {
                tokio::time::sleep_until(since + grace).await;
                if let Some(stream) = watched.upgrade() {
                    seats.end_if(
                        &stream,
                        Cut::Shutdown,
                        || End::StreamEnded,
                        |it| it.is_deserted_since(since),
                    );
                }
            }
        });
    }

    fn end(&self, stream: &Arc<Stream>, cut: Cut, why: fn() -> End) {
        self.end_if(stream, cut, why, |_| true);
    }

    /// Ends a stream and forgets it, under the registry's lock: nobody takes it up meanwhile.
    fn end_if(
        &self,
        stream: &Arc<Stream>,
        cut: Cut,
        why: fn() -> End,
        test: impl Fn(&Stream) -> bool,
    ) {
        self.streams.remove_if(&stream.id, |_, held| {
            let ends = Arc::ptr_eq(held, stream) && test(stream);
            if ends {
                stream.end(cut, why);
            }
            ends
        });
    }
}

#[cfg(test)]
mod tests;
