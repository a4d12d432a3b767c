//! A player: reads a stream and judges it, or only counts its bytes, or stops reading.

use std::mem::MaybeUninit;
use std::time::Instant;

use lockgate_media::flv::{Part, VideoTag};
use lockgate_rtmp::chunk::{Message, kind};

use crate::client::Said;
use crate::clock::Clock;
use crate::link::Link;
use crate::picture;
use crate::sound;
use crate::tally::Tally;

/// What a player does with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Parses every message and judges it.
    Judge,
    /// Counts bytes from the first frame on.
    Count,
    /// Stops reading at the first frame.
    Stall,
}

impl Habit {
    /// The habit of each of `players`. A server serves players in some order, often that of their
    /// joining, so judges and those who stall are spread evenly over it.
    pub(crate) fn spread(players: usize, judges: usize, stalled: usize) -> Vec<Self> {
        let picked = |at: usize, some: usize, all: usize| {
            let some = some.min(all);
            all > 0 && (at + 1) * some / all > at * some / all
        };
        let reading = players.saturating_sub(stalled);
        let mut read = 0;
        let habit = |at| {
            if picked(at, stalled, players) {
                return Self::Stall;
            }
            read += 1;
            if picked(read - 1, judges, reading) {
                Self::Judge
            } else {
                Self::Count
            }
        };
        (0..players).map(habit).collect()
    }
}

/// Bytes of one read.
const READ: usize = 256 << 10;

/// What all connections of a run read into.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) read: Vec<u8>,
    /// Says how much to discard at a time; nothing is ever written to it.
    discarded: Vec<MaybeUninit<u8>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            read: vec![0; READ],
            discarded: vec![MaybeUninit::uninit(); 4 * READ],
        }
    }
}

/// A player.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) link: Link,
    habit: Habit,
    asked: Instant,
    /// When its first frame came, on the run's clock.
    since: Option<u64>,
    /// What its link had received when measuring began.
    begun: u32,
    audio: Follow,
    video: Follow,
}

/// One track as a player sees it.
#[derive(Debug, Default)]
struct Follow {
    timestamp: Option<u32>,
    /// The number of the frame that should come next.
    next: Option<u64>,
    frames: u64,
}

impl Player {
    pub(crate) fn new(link: Link, habit: Habit) -> Self {
        Self {
            link,
            habit,
            asked: Instant::now(),
            since: None,
            begun: 0,
            audio: Follow::default(),
            video: Follow::default(),
        }
    }

    pub(crate) fn habit(&self) -> Habit {
        self.habit
    }

    /// Whether its first frame has come.
    pub(crate) fn has_joined(&self) -> bool {
        self.since.is_some()
    }

    /// Starts the time that is measured.
    pub(crate) fn begin(&mut self) {
        self.begun = self.link.client.received();
    }

    /// Bytes since [`Self::begin`]; within a run of minutes they do not wrap.
    pub(crate) fn got(&self) -> u32 {
        self.link.client.received().wrapping_sub(self.begun)
    }

    /// Video frames it has judged.
    pub(crate) fn frames(&self) -> u64 {
        self.video.frames
    }

    /// Reads what is there. `closed` says that the server closed its side, so that the end must be
    /// read now.
    pub(crate) fn on_ready(
        &mut self,
        scratch: &mut Scratch,
        closed: bool,
        clock: &Clock,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        if self.habit == Habit::Count && self.has_joined() {
            return self.skim(&mut scratch.discarded, closed, tally);
        }
        let room = scratch.read.len();
        while let Some(input) = self.link.read(&mut scratch.read)? {
            if input.is_empty() {
                anyhow::bail!("the server closed the connection");
            }
            let count = input.len();
            tally.bytes += count as u64;
            self.link.client.count(count);
            self.judge(input, clock, tally)?;
            let stalls = self.habit == Habit::Stall && self.has_joined();
            // A short read leaves the socket empty, so the next event is a new one.
            if stalls || (count < room && !closed) {
                break;
            }
        }
        Ok(self.link.flush()?)
    }

    /// Counts what is there: what most players do all the time, so no copy, no clock, no allocation.
    fn skim(
        &mut self,
        room: &mut [MaybeUninit<u8>],
        closed: bool,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        while let Some(count) = self.link.discard(room)? {
            if count == 0 {
                anyhow::bail!("the server closed the connection");
            }
            tally.bytes += count as u64;
            self.link.client.count(count);
            if count < room.len() && !closed {
                break;
            }
        }
        Ok(self.link.flush()?)
    }

    fn judge(&mut self, mut input: &[u8], clock: &Clock, tally: &mut Tally) -> anyhow::Result<()> {
        let now = clock.nanos();
        if self.has_joined() {
            tally.judged_bytes += input.len() as u64;
        }
        while let Some(said) = self.link.client.feed(&mut input)? {
            match said {
                Said::Started => {}
                Said::Media(message) => self.take(&message, now, clock, tally),
                Said::Over => anyhow::bail!("the stream is over"),
            }
            if self.habit != Habit::Judge && self.has_joined() {
                self.link.client.stop_reading();
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Message, now: u64, clock: &Clock, tally: &mut Tally) {
        let payload = &message.payload;
        let is_video = message.kind == kind::VIDEO;
        if self.since.is_none() {
            let key = is_video
                && VideoTag::parse(payload)
                    .is_some_and(|tag| tag.keyframe && matches!(tag.part, Part::Frame));
            if key {
                self.since = Some(now);
                tally.first_frame.record(micros(self.asked.elapsed()));
            }
        }
        let (follow, stamp, delay, lost) = if is_video {
            let stamp = picture::stamp(payload, clock.mark());
            let delay = &mut tally.video_delay;
            (&mut self.video, stamp, delay, &mut tally.lost_video)
        } else {
            let stamp = sound::stamp(payload, clock.mark());
            let delay = &mut tally.audio_delay;
            (&mut self.audio, stamp, delay, &mut tally.lost_audio)
        };
        tally.messages += 1;
        let last = follow.timestamp.replace(message.timestamp);
        // Timestamps wrap at 32 bits: half of the circle is behind.
        if last.is_some_and(|last| message.timestamp.wrapping_sub(last) > u32::MAX / 2) {
            tally.back += 1;
        }
        let Some(stamp) = stamp else {
            return;
        };
        follow.frames += 1;
        match follow.next.replace(stamp.number + 1) {
            Some(next) if stamp.number > next => *lost += stamp.number - next,
            Some(next) if stamp.number < next => tally.back += 1,
            _ => {}
        }
        // What was sent before the player was there is no delay of the server's.
        if self.since.is_some_and(|since| stamp.sent >= since) {
            delay.record(now.saturating_sub(stamp.sent) / 1000);
        }
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_and_those_who_stall_are_as_many_as_asked_for_and_evenly_spread() {
        for (players, judges, stalled) in [
            (200, 180, 20),
            (1000, 20, 0),
            (7, 3, 2),
            (5, 9, 0),
            (0, 1, 1),
        ] {
            let habits = Habit::spread(players, judges, stalled);
            let count = |wanted| habits.iter().filter(|habit| **habit == wanted).count();
            assert_eq!(habits.len(), players);
            assert_eq!(count(Habit::Stall), stalled.min(players));
            assert_eq!(
                count(Habit::Judge),
                judges.min(players.saturating_sub(stalled))
            );
            let half = habits.iter().take(players / 2);
            let judges = half.filter(|habit| **habit == Habit::Judge).count();
            assert!(judges.abs_diff(count(Habit::Judge) / 2) <= 1);
        }
    }
}
