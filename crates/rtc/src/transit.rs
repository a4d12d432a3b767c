//! How a viewer's packets get through: when each was sent, when it came, and whether they queue.
//!
//! The shortest way of the last half minute is the way itself; what packets take longer they stand in
//! a queue. One that comes and goes is a keyframe, or a GOP that is caught up with. Packets that are
//! lost at random leave none, and are sent again. So a network is full where a queue stands, which no
//! packet gets past, and does not shrink; and no longer when the queue is gone. No IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtcp::Arrivals;

#[cfg(test)]
mod tests;

/// Turns whose packets are known: more than 4 s of frames and sound, in 8 KiB.
const MAX_TURNS: usize = 1024;
/// Numbers wrap: beyond half of them, old ones would be taken for new ones.
const MAX_PACKETS: u16 = 1 << 15;
/// Ticks of 250 µs in a millisecond.
const MS: u32 = 4;
/// A queue that is as long, and stands for this time, is too long.
const LONG: u32 = 200 * MS;
const STANDS: Duration = Duration::from_secs(1);
/// Where it has been so within [`RECENT`], this is too long.
const SHORT: u32 = 50 * MS;
const STANDS_AGAIN: Duration = Duration::from_millis(400);
const RECENT: Duration = Duration::from_secs(8);
/// Loss is judged by so much time and so many packets: fewer may be lost by chance.
const SPAN: Duration = Duration::from_millis(500);
const MIN_PACKETS: u32 = 40;
/// Of a hundred packets so many are lost where a short queue stands: it drops them. Twice in a row,
/// unless it has been full within [`RECENT`].
const SOME_LOST: u32 = 10;
/// Nobody plays over it when as many are lost, whatever the cause. Some networks have no queue, and
/// let nothing through that is too much.
const MANY_LOST: u32 = 40;
/// How long a way counts as the shortest: twice this at most.
const WAY: Duration = Duration::from_secs(30);
/// A queue is taken to be gone so long after it should be, where no packet tells. And the longest one
/// that is believed.
const MARGIN: Duration = Duration::from_millis(500);
const MAX_QUEUE: u32 = 5000 * MS;

/// Packets that were sent at one time.
#[derive(Debug, Clone, Copy)]
struct Turn {
    first: u16,
    at: u32,
}

/// What is lost of half a second of packets.
#[derive(Debug, Default)]
struct Span {
    since: Option<Instant>,
    packets: u32,
    came: u32,
    /// The shortest queue.
    queue: Option<u32>,
}

/// Packets on their way to one viewer.
#[derive(Debug, Default)]
pub(crate) struct Transit {
    /// The number of the next packet.
    upcoming: u16,
    /// Ticks count from there.
    zero: Option<Instant>,
    /// Now, in ticks that wrap.
    now: u32,
    turns: VecDeque<Turn>,
    /// The shortest way of this half minute, which began then, and of the one before.
    ways: [Option<u32>; 2],
    ways_since: Option<Instant>,
    /// The mean of the last queues, and since when they are too long.
    mean: u32,
    long_since: Option<Instant>,
    span: Span,
    /// The last span was a bad one.
    lossy: bool,
    is_full: bool,
    /// When it last was.
    full_at: Option<Instant>,
    full: Option<Duration>,
}

impl Transit {
    /// Packets go out at this time from now on.
    pub(crate) fn turn(&mut self, now: Instant) {
        let zero = *self.zero.get_or_insert(now);
        let micros = now.saturating_duration_since(zero).as_micros();
        self.now = low(micros / 250);
    }

    /// The number that the next packet gets.
    pub(crate) fn upcoming(&self) -> u16 {
        self.upcoming
    }

    /// Numbers a packet.
    pub(crate) fn next(&mut self) -> u16 {
        let number = self.upcoming;
        self.upcoming = number.wrapping_add(1);
        if self.turns.back().is_none_or(|turn| turn.at != self.now) {
            let turn = Turn {
                first: number,
                at: self.now,
            };
            self.turns.push_back(turn);
        }
        while let Some(oldest) = self.turns.front()
            && (self.turns.len() > MAX_TURNS || number.wrapping_sub(oldest.first) > MAX_PACKETS)
        {
            self.turns.pop_front();
        }
        number
    }

    /// When a packet was sent, if that is known.
    fn sent_at(&self, number: u16) -> Option<u32> {
        let newest = self.upcoming.wrapping_sub(1);
        let back = newest.wrapping_sub(number);
        let later = |turn: &Turn| newest.wrapping_sub(turn.first) >= back;
        let at = self.turns.partition_point(later);
        self.turns.get(at.checked_sub(1)?).map(|turn| turn.at)
    }

    /// The viewer tells of packets.
    pub(crate) fn arrived(&mut self, arrivals: &Arrivals<'_>, now: Instant) {
        let (mut came, mut least) = (0, None);
        arrivals.each(|number, at| {
            came += 1;
            // Clocks differ by anything, but by the same.
            least = shorter(
                least,
                self.sent_at(number).map(|sent| at.wrapping_sub(sent)),
            );
        });
        let is_old = |since| now.saturating_duration_since(since) >= WAY;
        if self.ways_since.is_none_or(is_old) {
            self.ways_since = Some(now);
            let [this, _] = self.ways;
            self.ways = [None, this];
        }
        let [this, before] = &mut self.ways;
        *this = shorter(*this, least);
        let way = shorter(*this, *before);
        let queue = least.zip(way).map(|(least, way)| least.wrapping_sub(way));
        let queue = queue.map(|queue| queue.min(MAX_QUEUE));
        let drops = self.drops(arrivals.count(), came, queue, now);
        let stands = queue.is_some_and(|queue| self.stands(queue, now));
        let is_left = self.is_full && queue.is_none_or(|queue| queue >= SHORT);
        if drops || stands || is_left {
            let queue = queue.unwrap_or(0);
            self.is_full = true;
            self.full_at = Some(now);
            self.full = Some(Duration::from_micros(u64::from(queue) * 250) + MARGIN);
        } else if std::mem::take(&mut self.is_full) {
            self.full = Some(Duration::ZERO);
        }
    }

    /// Whether it has been full a short time ago.
    fn is_recent(&self, now: Instant) -> bool {
        let passed = |at| now.saturating_duration_since(at);
        self.full_at.is_some_and(|at| passed(at) < RECENT)
    }

    /// Whether a queue is too long, has been for a time, and does not shrink.
    fn stands(&mut self, queue: u32, now: Instant) -> bool {
        let (long, time) = if self.is_recent(now) {
            (SHORT, STANDS_AGAIN)
        } else {
            (LONG, STANDS)
        };
        self.mean = (self.mean * 3 + queue) / 4;
        let shrinks = queue < self.mean / 8 * 7;
        if queue < long {
            self.long_since = None;
            return false;
        }
        let since = *self.long_since.get_or_insert(now);
        now.saturating_duration_since(since) >= time && !shrinks
    }

    /// Whether it loses what is too much for it: twice in a row, or again.
    fn drops(&mut self, packets: u16, came: u32, queue: Option<u32>, now: Instant) -> bool {
        let span = &mut self.span;
        let since = *span.since.get_or_insert(now);
        span.packets = span.packets.saturating_add(packets.into());
        span.came = span.came.saturating_add(came);
        span.queue = span.queue.into_iter().chain(queue).min();
        if now.saturating_duration_since(since) < SPAN || span.packets < MIN_PACKETS {
            return false;
        }
        let span = std::mem::take(span);
        let lost = span.packets.saturating_sub(span.came);
        let lost = lost.saturating_mul(100) / span.packets;
        let queues = span.queue.is_some_and(|queue| queue >= SHORT);
        let lossy = lost >= MANY_LOST || queues && lost >= SOME_LOST;
        let before = std::mem::replace(&mut self.lossy, lossy);
        lossy && (before || self.is_recent(now))
    }

    #[cfg(test)]
    pub(crate) fn fill(&mut self) {
        self.is_full = true;
    }

    /// Whether what is sent queues.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// For how long what is sent queues, where that is known anew since this was last asked.
    pub(crate) fn full(&mut self) -> Option<Duration> {
        self.full.take()
    }
}

/// The shorter of two ways, whose times wrap.
fn shorter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) if other.wrapping_sub(one) > u32::MAX / 2 => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low(ticks: u128) -> u32 {
    ticks as u32
}
