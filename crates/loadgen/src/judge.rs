//! What a player makes of the frames it gets: when they come, which are missing, which run back.

use std::time::{Duration, Instant};

use crate::stamp::Stamp;
use crate::tally::Tally;

/// A frame that has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) video: bool,
    /// A decoder can start with it.
    pub(crate) starts: bool,
    /// In the protocol's unit, modulo 2^32.
    pub(crate) timestamp: u32,
    pub(crate) stamp: Option<Stamp>,
}

/// One player's view of its stream.
#[derive(Debug)]
pub(crate) struct Judge {
    asked: Instant,
    /// When its first frame came, on the run's clock.
    since: Option<u64>,
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

impl Judge {
    /// Of a player that asks for its stream now.
    pub(crate) fn new() -> Self {
        Self {
            asked: Instant::now(),
            since: None,
            audio: Follow::default(),
            video: Follow::default(),
        }
    }

    /// Whether its first frame has come.
    pub(crate) fn has_joined(&self) -> bool {
        self.since.is_some()
    }

    /// Video frames it has judged.
    pub(crate) fn frames(&self) -> u64 {
        self.video.frames
    }

    /// Takes a frame that came at `now` on the run's clock.
    pub(crate) fn take(&mut self, arrival: Arrival, now: u64, tally: &mut Tally) {
        if self.since.is_none() && arrival.video && arrival.starts {
            self.since = Some(now);
            tally.first_frame.record(micros(self.asked.elapsed()));
        }
        let (follow, delay, lost) = if arrival.video {
            let delay = &mut tally.video_delay;
            (&mut self.video, delay, &mut tally.lost_video)
        } else {
            let delay = &mut tally.audio_delay;
            (&mut self.audio, delay, &mut tally.lost_audio)
        };
        tally.messages += 1;
        let last = follow.timestamp.replace(arrival.timestamp);
        // Timestamps wrap at 32 bits: half of the circle is behind.
        if last.is_some_and(|last| arrival.timestamp.wrapping_sub(last) > u32::MAX / 2) {
            tally.back += 1;
        }
        let Some(stamp) = arrival.stamp else {
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_counts_from_the_first_keyframe_and_gaps_are_losses() {
        let (mut judge, mut tally) = (Judge::new(), Tally::default());
        let mut take = |starts, number, now| {
            let sent = number * 1_000_000;
            let arrival = Arrival {
                video: true,
                starts,
                timestamp: u32::try_from(number).unwrap(),
                stamp: Some(Stamp { sent, number }),
            };
            judge.take(arrival, now, &mut tally);
        };
        take(false, 1, 2_000_000);
        take(true, 2, 3_000_000);
        take(false, 3, 3_500_000);
        take(false, 6, 6_250_000);
        take(false, 5, 6_300_000);
        assert!(judge.has_joined() && judge.frames() == 5);
        assert_eq!((tally.lost_video, tally.back), (2, 2));
        assert_eq!(tally.first_frame.count(), 1);
        assert_eq!(
            (tally.video_delay.count(), tally.video_delay.max()),
            (3, 1300)
        );
    }
}
