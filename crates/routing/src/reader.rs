//! Reading a stream without a sink: for protocols whose players are no streams of bytes.
//!
//! A [`Reader`] sees the ring as a fan-out task does, and holds a [`Place`] for each of its
//! players: the same cursor, the same gate, the same counts. How packets go out is its owner's
//! affair, and so is that a player who cannot take them does not move on.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use lockgate_media::{Packet, Track};
use prometheus::IntCounter;
use tokio::sync::Notify;

use crate::cursor::{Cursor, Dropped, Step};
use crate::gate::{Gate, Switches};
use crate::player::{End, Subscription};
use crate::ring::View;
use crate::stream::Stream;

/// What a stream tells a reader.
#[derive(Default)]
pub(crate) struct Tap {
    notify: Notify,
    end: OnceLock<fn() -> End>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl Tap {
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(crate) fn end(&self, why: fn() -> End) {
        let _ = self.end.set(why);
        self.wake();
    }
}

/// One stream among those that have or had its name, without keeping it.
#[derive(Debug, Clone)]
pub struct StreamRef(pub(crate) Weak<Stream>);

impl PartialEq for StreamRef {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

/// A reader of one stream.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<Stream>,
    tap: Arc<Tap>,
    view: View,
    gate: Arc<Gate>,
    dropped: Dropped,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    bytes: IntCounter,
    writes: IntCounter,
    packets: [IntCounter; 3],
}

/// A player's place in the ring, and what it was last seen to be allowed.
#[derive(Debug, Clone)]
pub struct Place {
    cursor: Cursor,
    switches: Switches,
    backlog: u64,
    seen_frame: bool,
    counted_bytes: u64,
}

impl Place {
    /// Packets before this were in the ring before the player joined, opened its gate or skipped.
    pub fn backlog(&self) -> u64 {
        self.backlog
    }

    /// Whether its next video packet is one of those.
    pub fn is_in_backlog(&self) -> bool {
        self.cursor.video_place() < self.backlog
    }

    /// The switches that its next packet obeys.
    pub fn switches(&self) -> Switches {
        self.switches
    }
}

impl Reader {
    pub(crate) fn new(stream: Arc<Stream>, protocol: &'static str) -> Self {
        let tap = Arc::new(Tap::default());
        stream.tap(&tap);
        let metrics = &stream.metrics;
        let kinds = [Track::Audio, Track::Video, Track::Data];
        let counters = Counters {
            bytes: metrics.egress_bytes.with_label_values(&[protocol]),
            writes: metrics.egress_writes.with_label_values(&[protocol]),
            packets: kinds.map(|kind| {
                let labels = [protocol, kind.name()];
                metrics.egress_packets.with_label_values(&labels)
            }),
        };
        let mut reader = Self {
            stream,
            tap,
            view: View::default(),
            gate: Arc::default(),
            dropped: Dropped::default(),
            counters,
        };
        reader.refresh();
        reader
    }

    /// Waits until packets came, a switch turned or the stream ended. Cancel safe.
    pub async fn changed(&self) {
        self.tap.notify.notified().await;
    }

    /// Why the stream ended, once it has and its last packets are in the view.
    pub fn ended(&self) -> Option<End> {
        self.tap.end.get().map(|why| why())
    }

    /// How long sound may wait for the picture that it goes out with.
    pub fn max_hold(&self) -> Duration {
        self.stream.config.max_hold
    }

    /// Brings the view up to date.
    pub fn refresh(&mut self) {
        self.stream.refresh(&mut self.view, &mut self.gate);
    }

    /// The ring, as of the last refresh.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Asks the publisher for a keyframe, if its protocol can be asked.
    pub fn want_keyframe(&self) {
        self.stream.keyframe.notify_one();
    }

    /// The place of a player that joins now.
    pub fn join(&self, player: &Subscription) -> Place {
        let switches = self.switches(player);
        Place {
            cursor: Cursor::join(&self.view, switches),
            switches,
            backlog: self.view.head(),
            seen_frame: false,
            counted_bytes: 0,
        }
    }

    fn switches(&self, player: &Subscription) -> Switches {
        player.seat.gate.switches().and(self.gate.switches())
    }

    /// Obeys turned switches, and moves a player on that is too far behind; `true` when its video
    /// went to another place.
    pub fn prepare(&mut self, player: &Subscription, place: &mut Place) -> bool {
        let mut moved = false;
        let switches = self.switches(player);
        if switches != place.switches {
            let own = &player.seat.gate;
            let since = own.since_turn().min(self.gate.since_turn());
            let effect = &self.stream.metrics.mute_effect;
            effect.observe(since.as_secs_f64());
            place.switches = switches;
            place.cursor.turn(&self.view, switches);
            moved = true;
        }
        let skips = place
            .cursor
            .catch_up(&self.view, self.stream.config.skip_after);
        for (skipped, track) in [(skips.audio, Track::Audio), (skips.video, Track::Video)] {
            if skipped {
                self.count_skip(player, track);
            }
        }
        moved |= skips.video;
        if moved {
            place.backlog = self.view.head();
        }
        moved
    }

    /// Leaves out a player's video up to the next keyframe, because its network does not carry it.
    pub fn starve(&mut self, player: &Subscription, place: &mut Place) {
        if place.cursor.await_keyframe() {
            self.count_skip(player, Track::Video);
        }
    }

    /// Helps a player that cannot decode on: asks for a keyframe where the publisher can be asked,
    /// and goes back to the newest where it cannot. `true` when it went back.
    pub fn mend(&mut self, place: &mut Place) -> bool {
        self.want_keyframe();
        let askable = self.stream.askable.load(Ordering::Relaxed);
        let back = !askable && place.cursor.replay(&self.view);
        if back {
            place.backlog = self.view.head();
        }
        back
    }

    fn count_skip(&self, player: &Subscription, track: Track) {
        let skips = &self.stream.metrics.skips;
        skips.with_label_values(&[track.name()]).inc();
        player.seat.skips.fetch_add(1, Ordering::Relaxed);
    }

    /// What a player is sent next, if anything is there for it.
    pub fn next(&mut self, place: &mut Place) -> Option<Step> {
        let muted = self.stream.config.muted_audio;
        let (view, switches) = (&self.view, place.switches);
        place.cursor.next(view, switches, muted, &mut self.dropped)
    }

    /// Counts a packet sent to a player, in so many bytes and writes.
    pub fn sent(
        &mut self,
        player: &Subscription,
        place: &mut Place,
        step: &Step,
        bytes: usize,
        writes: usize,
    ) {
        let packet: &Packet = &step.packet;
        let [audio, video, data] = &self.counters.packets;
        match packet.track() {
            Track::Audio => audio.inc(),
            Track::Video => video.inc(),
            Track::Data => data.inc(),
        }
        self.counters.bytes.inc_by(bytes as u64);
        self.counters.writes.inc_by(writes as u64);
        let seat = &player.seat;
        seat.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        seat.packets.fetch_add(1, Ordering::Relaxed);
        if packet.is_frame() && !place.seen_frame {
            place.seen_frame = true;
            let first = &self.stream.metrics.first_frame;
            first.observe(seat.joined.elapsed().as_secs_f64());
        }
        if step.seq.is_some_and(|seq| seq >= place.backlog) {
            let dwell = Instant::now().saturating_duration_since(packet.received());
            self.stream.metrics.dwell.observe(dwell.as_secs_f64());
        }
    }

    /// Adds what gates kept back to the node's metrics: once a pass.
    pub fn settle(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped != Dropped::default() {
            self.stream.metrics.dropped.add(dropped);
        }
    }

    /// Works out a player's rate since it was last asked for, `passed` ago, and its delay.
    pub fn rate(&self, player: &Subscription, place: &mut Place, passed: Duration) {
        let seat = &player.seat;
        let bytes = seat.bytes.load(Ordering::Relaxed);
        let sent = bytes - std::mem::replace(&mut place.counted_bytes, bytes);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = sent.saturating_mul(8000) / millis;
        seat.bitrate.store(rate, Ordering::Relaxed);
        let behind = place.cursor.behind(&self.view).as_millis();
        let behind = u64::try_from(behind).unwrap_or(u64::MAX);
        seat.delay_ms.store(behind, Ordering::Relaxed);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.settle();
        self.stream.untap(&self.tap);
    }
}

#[cfg(test)]
mod tests;
