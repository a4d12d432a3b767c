//! When a fan-out task walks its players: at once, or held so that one write takes more along.
//!
//! Invariant: with a hold of zero nothing waits. Otherwise a task is busy with its passes for half of
//! the time at most, and what comes while it rests goes out in one write a player, until pass and
//! rest together take [`WIDEST`]. What others of its thread took in the middle of a pass is rest
//! already. A pass that is over before half of the time to the next frame is past makes no frame wait.

use std::time::Duration;

use tokio::time::Instant;

/// A hold above this is for many viewers rather than for talk: it holds video as well as audio.
const VIDEO_TOO: Duration = Duration::from_millis(100);
/// The longest that a loaded task lets packets wait, from the start of one pass to the next. What
/// the network and the node's own queues add keeps a player's delay below 100 ms.
const WIDEST: Duration = Duration::from_millis(90);
/// What waits in the ring for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    /// Audio alone.
    Audio,
    /// Video or data.
    Frame,
    /// A switch turned for all players.
    Turn,
}

/// The clock of one fan-out task.
#[derive(Debug)]
pub(super) struct Pace {
    max_hold: Duration,
    /// When the next pass is due.
    due: Option<Instant>,
    /// When it would be due if the task were idle.
    wanted: Instant,
    /// No pass before this, but for switches.
    rested: Instant,
    /// What the longest of the last passes took: the next one may take as long again, a keyframe's
    /// say, and its last player still gets what waited within [`WIDEST`].
    slowest: Duration,
}

impl Pace {
    pub(super) fn new(max_hold: Duration, now: Instant) -> Self {
        Self {
            max_hold,
            due: None,
            wanted: now,
            rested: now,
            slowest: Duration::ZERO,
        }
    }

    /// When the next pass is due, if anything waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes note of what waits.
    pub(super) fn note(&mut self, waiting: Waiting, now: Instant) {
        let hold = match waiting {
            Waiting::Nothing => return,
            Waiting::Turn => Duration::ZERO,
            Waiting::Frame if self.max_hold <= VIDEO_TOO => Duration::ZERO,
            Waiting::Audio | Waiting::Frame => self.max_hold,
        };
        let wanted = now + hold;
        let due = if waiting == Waiting::Turn {
            wanted
        } else {
            wanted.max(self.rested)
        };
        if self.due.is_none_or(|held| due < held) {
            self.due = Some(due);
            self.wanted = wanted;
        }
    }

    /// Starts a pass if one is due; how much longer it waited than it would have on an idle task.
    pub(super) fn start(&mut self, now: Instant) -> Option<Duration> {
        let due = self.due.filter(|due| *due <= now)?;
        self.due = None;
        Some(due.saturating_duration_since(self.wanted))
    }

    /// Takes note of a pass that has ended, and was `busy` for that long of its time.
    pub(super) fn passed(&mut self, started: Instant, now: Instant, busy: Duration) {
        if self.max_hold.is_zero() {
            return;
        }
        let took = now.saturating_duration_since(started);
        self.slowest = took.max(self.slowest * 127 / 128);
        let rest = (busy * 2).saturating_sub(took);
        let rest = rest.min(WIDEST.saturating_sub(self.slowest));
        self.rested = now + rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn due(pace: &mut Pace, waiting: Waiting, now: Instant) -> Option<Instant> {
        pace.note(waiting, now);
        pace.due()
    }

    fn pace(hold: u32) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(MS * hold, now), now)
    }

    #[test]
    fn a_frame_goes_at_once_and_audio_waits_for_it_within_the_hold() {
        let (mut pace, now) = pace(40);
        assert_eq!(due(&mut pace, Waiting::Nothing, now), None);
        assert_eq!(due(&mut pace, Waiting::Audio, now), Some(now + MS * 40));
        assert_eq!(pace.start(now + MS * 39), None);
        let frame = now + MS * 7;
        assert_eq!(due(&mut pace, Waiting::Frame, frame), Some(frame));
        assert_eq!(pace.start(frame), Some(Duration::ZERO));
        assert_eq!(pace.start(frame), None, "it was taken along");
    }

    #[test]
    fn what_waits_longest_decides() {
        let (mut pace, now) = pace(40);
        due(&mut pace, Waiting::Audio, now);
        assert_eq!(
            due(&mut pace, Waiting::Audio, now + MS * 21),
            Some(now + MS * 40)
        );
    }

    #[test]
    fn a_long_hold_holds_video_too_and_none_holds_nothing() {
        let (mut long, now) = pace(350);
        assert_eq!(due(&mut long, Waiting::Frame, now), Some(now + MS * 350));
        let (mut none, now) = pace(0);
        assert_eq!(due(&mut none, Waiting::Audio, now), Some(now));
        none.start(now);
        none.passed(now, now + MS * 60, MS * 60);
        let next = now + MS * 61;
        assert_eq!(
            due(&mut none, Waiting::Frame, next),
            Some(next),
            "loaded or not"
        );
    }

    #[test]
    fn a_loaded_task_rests_and_says_how_long_packets_waited() {
        let (mut pace, now) = pace(40);
        due(&mut pace, Waiting::Frame, now);
        pace.start(now);
        pace.passed(now, now + MS * 20, MS * 20);
        let rested = now + MS * 40;
        assert_eq!(due(&mut pace, Waiting::Frame, now + MS * 33), Some(rested));
        assert_eq!(pace.start(rested), Some(MS * 7));
    }

    #[test]
    fn what_others_took_during_a_pass_is_rest() {
        let (mut pace, now) = pace(40);
        let end = now + MS * 30;
        pace.passed(now, end, MS * 20);
        assert_eq!(due(&mut pace, Waiting::Frame, end), Some(now + MS * 40));
        let (mut crowded, now) = super::tests::pace(40);
        let end = now + MS * 50;
        crowded.passed(now, end, MS * 20);
        assert_eq!(due(&mut crowded, Waiting::Frame, end), Some(end));
    }

    #[test]
    fn small_passes_never_make_a_frame_wait() {
        let (mut pace, now) = pace(40);
        due(&mut pace, Waiting::Frame, now);
        pace.start(now);
        pace.passed(now, now + MS * 16, MS * 16);
        let frame = now + MS * 33;
        assert_eq!(due(&mut pace, Waiting::Frame, frame), Some(frame));
    }

    #[test]
    fn the_rest_shrinks_as_passes_come_near_the_widest_hold() {
        for took in [60, 89, 90, 200] {
            let (mut pace, now) = pace(40);
            let end = now + MS * took;
            pace.passed(now, end, MS * took);
            let at = due(&mut pace, Waiting::Frame, end).unwrap();
            assert_eq!(at, end.max(now + WIDEST), "{took} ms");
        }
    }

    #[test]
    fn a_short_pass_after_a_long_one_rests_for_less() {
        let (mut pace, now) = pace(40);
        pace.passed(now, now + MS * 80, MS * 80);
        let start = now + MS * 100;
        pace.passed(start, start + MS * 30, MS * 30);
        let end = start + MS * 30;
        let at = due(&mut pace, Waiting::Frame, end).unwrap();
        assert!(at < end + MS * 12, "the next may take 80 ms again");
    }

    #[test]
    fn a_turned_switch_waits_for_no_rest() {
        let (mut pace, now) = pace(40);
        pace.passed(now, now + MS * 30, MS * 30);
        let turn = now + MS * 31;
        due(&mut pace, Waiting::Frame, turn);
        assert_eq!(due(&mut pace, Waiting::Turn, turn), Some(turn));
    }
}
