//! One stream: its ring, its timeline, who publishes it, who plays it, and its fan-out tasks.
//!
//! Invariants: only the newest publication's packets enter the ring; the lock is never held
//! across a write to a socket; a stream that has ended stays ended, and a new one takes its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lockgate_media::sequence::{AudioFormat, VideoFormat};
use lockgate_media::{Class, Packet, Track};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::fanout::{Command, Fanout, Link};
use crate::gate::{Gate, Source};
use crate::id::{ConnectionId, Origin, StreamId};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::player::{End, Ended, Seat, Sink};
use crate::publication::Cut;
use crate::reader::Tap;
use crate::report::{PublisherReport, StreamReport, StreamState};
use crate::ring::{Ring, View};
use crate::throttle::Throttle;
use crate::timeline::Timeline;
use crate::tracks::{Seen, Tracks};
use audience::Audience;
use meter::Meter;

mod audience;
mod meter;

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has published yet.
    Waiting,
    /// Somebody publishes, or did a moment ago.
    Live,
    /// Over.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) seen: watch::Sender<Seen>,
    born: Instant,
    state: Mutex<State>,
    /// Who sends its packets on.
    audience: Audience,
    /// How often a switch of a gate has turned that somebody here obeys: gates are looked at when
    /// this has changed. It changes after them.
    turns: AtomicU64,
    /// Somebody cannot go on without a keyframe.
    pub(crate) keyframe: Notify,
    /// The publisher hears of that.
    pub(crate) askable: AtomicBool,
    tasks: TaskTracker,
    jump_log: Throttle,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    timeline: Timeline,
    jumps: u64,
    publisher: Option<Publisher>,
    /// Since when the stream waits for a publisher to come back.
    deserted: Option<tokio::time::Instant>,
    /// A task waits for the end of the grace.
    watched: bool,
    epoch: u64,
    /// Frames before the first keyframe of a publication decode for nobody.
    need_key: bool,
    video: Option<VideoFormat>,
    audio: Option<AudioFormat>,
    seats: HashMap<ConnectionId, Arc<Seat>>,
    /// Closed switches here are closed for every player.
    gate: Arc<Gate>,
    /// What the publisher's URL is bound to.
    lease: Option<Arc<Lease>>,
    /// A frame has come since the lease was first used here.
    began: bool,
    /// What this publication has sent so far.
    tracks: Tracks,
}

#[derive(Debug)]
struct Publisher {
    origin: Origin,
    since: Instant,
    cut: watch::Sender<Option<Cut>>,
    meter: Meter,
}

/// What taking up a stream did to the one who had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeUp {
    Fresh,
    Resumed,
    Replaced,
}

impl Stream {
    pub(crate) fn new(
        id: StreamId,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        let state = State {
            ring: Ring::new(config.ring),
            timeline: Timeline::default(),
            jumps: 0,
            publisher: None,
            deserted: None,
            watched: false,
            epoch: 0,
            need_key: true,
            video: None,
            audio: None,
            seats: HashMap::new(),
            gate: Arc::new(Gate::new()),
            lease: None,
            began: false,
            tracks: Tracks::default(),
        };
        metrics.streams.inc();
        Self {
            id,
            config,
            metrics,
            phase: watch::Sender::new(Phase::Waiting),
            seen: watch::Sender::default(),
            born: Instant::now(),
            state: Mutex::new(state),
            audience: Audience::default(),
            turns: AtomicU64::new(0),
            keyframe: Notify::new(),
            askable: AtomicBool::new(false),
            tasks,
            jump_log: Throttle::default(),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.phase.borrow() == Phase::Ended
    }

    pub(crate) fn is_published(&self) -> bool {
        self.state.lock().publisher.is_some()
    }

    /// Makes `origin` the publisher; whoever was it is cut.
    pub(crate) fn take_up(
        &self,
        origin: Origin,
        lease: Option<Arc<Lease>>,
    ) -> (u64, watch::Receiver<Option<Cut>>, TakeUp) {
        let now = Instant::now();
        let (cut, receiver) = watch::channel(None);
        let mut state = self.state.lock();
        self.askable.store(false, Ordering::Relaxed);
        if let Some(lease) = lease {
            state.gate = Arc::clone(lease.gate());
            let same = state
                .lease
                .as_ref()
                .is_some_and(|held| Arc::ptr_eq(held, &lease));
            state.began &= same;
            state.lease = Some(lease);
        }
        let old = state.publisher.replace(Publisher {
            origin,
            since: now,
            cut,
            meter: Meter::new(now),
        });
        let how = match (&old, state.epoch) {
            (Some(_), _) => TakeUp::Replaced,
            (None, 0) => TakeUp::Fresh,
            (None, _) => TakeUp::Resumed,
        };
        if let Some(old) = old {
            old.cut.send_replace(Some(Cut::Replaced));
        }
        state.epoch += 1;
        state.deserted = None;
        state.need_key = true;
        // Another encoder: what it sends is not known before it says so.
        (state.video, state.audio) = (None, None);
        state.tracks = Tracks::default();
        self.seen.send_replace(Seen::default());
        state.timeline.resume();
        state.ring.change_publisher();
        let epoch = state.epoch;
        drop(state);
        self.phase.send_if_modified(|phase| {
            let changed = *phase == Phase::Waiting;
            if changed {
                *phase = Phase::Live;
            }
            changed
        });
        (epoch, receiver, how)
    }

    /// Takes note that the publisher of `epoch`, if it still is that, can be asked for keyframes.
    pub(crate) fn make_askable(&self, epoch: u64) {
        let state = self.state.lock();
        if state.epoch == epoch {
            self.askable.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note that a publisher's connection is gone; `true` when it was the current one.
    pub(crate) fn break_off(&self, epoch: u64) -> bool {
        let mut state = self.state.lock();
        let current = state.epoch == epoch && state.publisher.is_some();
        if current {
            state.publisher = None;
            state.deserted = Some(tokio::time::Instant::now());
        }
        current
    }

    /// Whether whoever asks is to watch over the grace: one task does, however often publishers
    /// come and go.
    pub(crate) fn watch(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().watched, true)
    }

    /// Since when nobody publishes a stream that was published; `None` ends the watch.
    pub(crate) fn deserted(&self) -> Option<tokio::time::Instant> {
        let mut state = self.state.lock();
        state.watched = state.deserted.is_some();
        state.deserted
    }

    /// Whether nobody has taken up the stream since then.
    pub(crate) fn is_deserted_since(&self, then: tokio::time::Instant) -> bool {
        self.state.lock().deserted == Some(then)
    }

    /// Ends the stream for everybody.
    pub(crate) fn end(&self, cut: Cut, why: fn() -> End) {
        let before = self.phase.send_replace(Phase::Ended);
        if before == Phase::Ended {
            return;
        }
        let mut state = self.state.lock();
        let lease = state.lease.take();
        // A publisher that still pushes is told, and its packets go nowhere.
        state.epoch += 1;
        state.deserted = None;
        if let Some(publisher) = state.publisher.take() {
            publisher.cut.send_replace(Some(cut));
        }
        drop(state);
        self.audience.end(why);
        if let Some(lease) = lease {
            lease.ended();
        }
    }

    /// Appends one packet of the publication `epoch`; `false` when that is not the current one.
    pub(crate) fn push(&self, epoch: u64, timestamp: u32, packet: Packet) -> bool {
        let (track, received) = (packet.track(), packet.received());
        let is_frame = packet.is_frame();
        let mut locked = self.state.lock();
        let state = &mut *locked;
        if state.epoch != epoch {
            return false;
        }
        let Some(publisher) = &mut state.publisher else {
            return false;
        };
        let frame = packet.is_frame() && track == Track::Video;
        publisher
            .meter
            .count(packet.payload().len(), frame, received);
        if track == Track::Video && packet.is_frame() {
            if state.need_key && packet.class() != Class::Keyframe {
                self.metrics.dropped.before_keyframe.inc();
                return true;
            }
            state.need_key = false;
        }
        let time = if packet.is_frame() {
            let (time, jump) = state.timeline.frame(track, timestamp, received);
            if let Some(jump) = jump {
                state.jumps += 1;
                self.metrics.count_jump(jump);
                if let Some(times) = self.jump_log.note(received) {
                    tracing::warn!(
                        stream = %self.id, track = track.name(), jump = jump.label(), timestamp, times,
                        "the publisher's clock jumped and was rebased"
                    );
                }
            }
            time
        } else if track == Track::Data && packet.is_header() {
            // Metadata has no time: at any other than 0 ffmpeg takes it for a track of subtitles.
            0
        } else {
            state.timeline.aside(track, timestamp)
        };
        match track {
            Track::Video if packet.class() == Class::Header(0) || state.video.is_none() => {
                state.video = VideoFormat::parse(packet.payload()).or(state.video);
            }
            Track::Audio if packet.class() == Class::Header(0) || state.audio.is_none() => {
                state.audio = AudioFormat::parse(packet.payload()).or(state.audio);
            }
            _ => {}
        }
        if state.tracks.add(track) {
            self.seen
                .send_modify(|seen| seen.are(state.tracks, received));
        }
        let silence = match track {
            Track::Audio => state.audio.and_then(|format| format.silence()),
            Track::Video | Track::Data => None,
        };
        let before = [state.ring.bytes(), state.ring.len()];
        state
            .ring
            .push(Arc::new(packet.at(time).with_silence(silence)));
        self.count_ring(before, [state.ring.bytes(), state.ring.len()]);
        let began = is_frame && !state.began;
        state.began |= is_frame;
        let lease = if began { state.lease.clone() } else { None };
        drop(locked);
        if let Some(lease) = lease {
            lease.began();
        }
        true
    }

    /// Counts what all rings hold, which all of them write to, where it has changed.
    fn count_ring(&self, before: [usize; 2], after: [usize; 2]) {
        let gauges = [&self.metrics.ring_bytes, &self.metrics.ring_packets];
        for (gauge, (before, after)) in gauges.into_iter().zip(before.into_iter().zip(after)) {
            if before != after {
                gauge.add(after.cast_signed() as i64 - before.cast_signed() as i64);
            }
        }
    }

    /// Brings a fan-out task's view up to date.
    pub(crate) fn refresh(&self, view: &mut View, gate: &mut Arc<Gate>) {
        let state = self.state.lock();
        state.ring.refresh(view);
        if !Arc::ptr_eq(gate, &state.gate) {
            *gate = Arc::clone(&state.gate);
        }
    }

    /// Whether anybody plays the stream, by whatever protocol, or is about to.
    pub(crate) fn is_watched(&self) -> bool {
        !self.state.lock().seats.is_empty()
    }

    /// Tells the fan-out that packets came in.
    pub(crate) fn wake(&self, urgent: bool) {
        self.audience.wake(urgent);
    }

    /// Tells a reader of packets from now on, and of the end.
    pub(crate) fn tap(&self, tap: &Arc<Tap>) {
        self.audience.tap(tap);
        // Reading a stream that has just ended is its end too.
        if self.has_ended() {
            tap.end(|| End::StreamEnded);
        }
    }

    /// Whether a reader is told.
    pub(crate) fn is_tapped(&self) -> bool {
        self.audience.is_tapped()
    }

    /// Tells a reader no more.
    pub(crate) fn untap(&self, tap: &Arc<Tap>) {
        self.audience.untap(tap);
    }

    /// Gives a player a seat.
    pub(crate) fn seat(&self, seat: Arc<Seat>) {
        self.state.lock().seats.insert(seat.origin.connection, seat);
    }

    /// Takes a player's seat; `true` when nobody is left on a stream that was never published.
    pub(crate) fn unseat(&self, seat: &Seat) -> bool {
        let mut state = self.state.lock();
        state.seats.remove(&seat.origin.connection);
        state.seats.is_empty() && state.epoch == 0
    }

    pub(crate) fn is_forsaken(&self) -> bool {
        let state = self.state.lock();
        state.seats.is_empty() && state.epoch == 0
    }

    pub(crate) fn player_count(&self) -> usize {
        self.state.lock().seats.len()
    }

    /// Hands a player's sink to a fan-out task of its protocol: the one with the fewest players,
    /// or a new one while there are cores left for it.
    pub(crate) fn join(
        self: &Arc<Self>,
        seat: Arc<Seat>,
        sink: Box<dyn Sink>,
        ended: oneshot::Sender<Ended>,
    ) -> Arc<Link> {
        let protocol = sink.protocol();
        let command = Command::Join { seat, sink, ended };
        let most = self.config.fanout_tasks.get();
        let link = self.audience.join(protocol, command, most, |link| {
            let fanout = Fanout::new(Arc::clone(self), Arc::clone(link), protocol);
            self.tasks.spawn(fanout.run());
        });
        // Joining a stream that has just ended is its end too.
        if self.has_ended() {
            link.send(Command::EndAll(|| End::StreamEnded));
        }
        link
    }

    /// Retires a fan-out task whose last player left; `false` when one is joining.
    pub(crate) fn retire(&self, link: &Arc<Link>) -> bool {
        self.audience.retire(link)
    }

    /// Turns one player's switch and counts it.
    pub(crate) fn turn(&self, seat: &Seat, source: Source, track: Track, closed: bool) {
        if seat.gate.turn(source, track, closed) {
            self.count_turn(source, track);
        }
    }

    /// Turns a switch for every player.
    pub(crate) fn turn_all(&self, source: Source, track: Track, closed: bool) {
        let gate = Arc::clone(&self.state.lock().gate);
        if gate.turn(source, track, closed) {
            self.has_turned(source, track);
        }
    }

    /// A switch of a gate that players of this stream obey has turned.
    pub(crate) fn has_turned(&self, source: Source, track: Track) {
        self.count_turn(source, track);
        self.audience.turn();
    }

    /// How often a switch has turned that a player may have to obey.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    fn count_turn(&self, source: Source, track: Track) {
        self.turns.fetch_add(1, Ordering::Release);
        self.metrics
            .switches
            .with_label_values(&[source.name(), track.name()])
            .inc();
    }

    /// The seat of one player.
    pub(crate) fn find(&self, player: ConnectionId) -> Option<Arc<Seat>> {
        self.state.lock().seats.get(&player).cloned()
    }

    /// Whether this connection publishes the stream.
    pub(crate) fn is_published_by(&self, connection: ConnectionId) -> bool {
        let state = self.state.lock();
        state
            .publisher
            .as_ref()
            .is_some_and(|publisher| publisher.origin.connection == connection)
    }

    /// Makes every fan-out task look at its players' switches.
    pub(crate) fn look(&self, player: ConnectionId) {
        self.audience.look(player);
    }

    pub(crate) fn report(&self) -> StreamReport {
        let phase = *self.phase.borrow();
        // Only taken along under the lock: packets wait for it, and there may be thousands.
        let (seats, switches) = {
            let state = self.state.lock();
            let seats: Vec<_> = state.seats.values().cloned().collect();
            (seats, state.gate.switches())
        };
        let players = seats.iter().map(|seat| seat.report(switches)).collect();
        let state = self.state.lock();
        let view = state.ring.view();
        let publisher = state.publisher.as_ref().map(|publisher| PublisherReport {
            connection: publisher.origin.connection.get(),
            protocol: publisher.origin.protocol,
            peer: publisher.origin.peer.to_string(),
            since: publisher.since.elapsed(),
            bytes: publisher.meter.bytes,
            packets: publisher.meter.packets,
            bitrate: publisher.meter.bitrate,
            frame_rate: publisher.meter.frame_rate,
        });
        StreamReport {
            app: self.id.app().to_owned(),
            name: self.id.name().to_owned(),
            state: match (phase, &publisher) {
                (Phase::Waiting, _) => StreamState::Waiting,
                (_, Some(_)) => StreamState::Live,
                (_, None) => StreamState::Grace,
            },
            age: self.born.elapsed(),
            players,
            video: state.video,
            audio: state.audio,
            ring_bytes: state.ring.bytes() as u64,
            ring_packets: state.ring.len() as u64,
            gop_packets: view.newest_key().map_or(0, |key| view.head() - key),
            timeline_jumps: state.jumps,
            publisher,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.metrics.streams.dec();
        let state = self.state.get_mut();
        let (bytes, packets) = (state.ring.bytes(), state.ring.len());
        self.metrics
            .ring_bytes
            .sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics
            .ring_packets
            .sub(i64::try_from(packets).unwrap_or(i64::MAX));
    }
}
