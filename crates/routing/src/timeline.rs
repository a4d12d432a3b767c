//! Maps the timestamps of lying publisher clocks onto one timeline that never goes back.
//!
//! Invariants: what comes out never decreases on a track; audio and video that jump together
//! stay in sync; a publisher that comes back continues where the stream was. Pure code: `now`
//! is passed in.

use std::time::{Duration, Instant};

use lockgate_media::Track;

/// A step forward past this, beyond the time that really passed, is a jump.
const FORWARD_MS: i64 = 10_000;
/// A step back within this is jitter, and is held instead of rebased.
const JITTER_MS: i64 = 500;
/// A header may lead the frames by this; what leads more would hold the frames after it back.
const HEADER_LEAD_MS: i64 = 1_000;
/// A publication that starts under this keeps its own timestamps.
const SMALL_START_MS: u32 = 60_000;
/// Where a publication that starts anywhere else begins: room for the other track to be earlier.
const START_MS: i64 = 1_000;

/// What a timestamp did that a clock should not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// Leapt forward.
    Forward,
    /// Ran backwards.
    Backward,
    /// Went past 2^32 ms, as RTMP's clock does after 49.7 days.
    Wrap,
}

impl Jump {
    /// A short name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Wrap => "wrap",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    /// The publisher's last timestamp.
    input: u32,
    /// Where it maps to, before it was held back from decreasing.
    mapped: i64,
    /// When it came.
    at: Instant,
}

impl Clock {
    /// Where `input` lies if this clock is right about it.
    fn project(&self, input: u32) -> i64 {
        self.mapped + step(self.input, input)
    }
}

/// The signed distance from one 32-bit timestamp to another (RTMP 1.0 §5.3.1 serial arithmetic).
fn step(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

/// One stream's timeline, across all the connections that publish it.
#[derive(Debug, Default)]
pub struct Timeline {
    clocks: [Option<Clock>; 2],
    /// The newest time given out on each track: audio, video, data.
    newest: [Option<u64>; 3],
    /// When the last packet of audio or video came.
    last_at: Option<Instant>,
}

impl Timeline {
    /// Forgets the publisher's clock but not the stream's time: the next packet continues it.
    pub fn resume(&mut self) {
        self.clocks = [None, None];
    }

    /// The newest time on any track.
    pub fn newest(&self) -> u64 {
        self.newest.iter().flatten().copied().max().unwrap_or(0)
    }

    /// Maps a frame's timestamp.
    pub fn frame(&mut self, track: Track, input: u32, now: Instant) -> (u64, Option<Jump>) {
        let Some(own) = clock_index(track) else {
            return (self.aside(track, input), None);
        };
        let (mine, other) = if own == 0 {
            (self.clocks[0], self.clocks[1])
        } else {
            (self.clocks[1], self.clocks[0])
        };
        let (mapped, jump) = match mine {
            Some(clock) => self.advance(clock, other, input, now),
            None => (self.start(other, input, now), None),
        };
        let clock = Some(Clock {
            input,
            mapped,
            at: now,
        });
        if own == 0 {
            self.clocks[0] = clock;
        } else {
            self.clocks[1] = clock;
        }
        self.last_at = Some(now);
        (self.give(track, mapped), jump)
    }

    /// Maps the timestamp of a header, metadata or another packet that must not drive a clock:
    /// encoders stamp these with anything.
    pub fn aside(&mut self, track: Track, input: u32) -> u64 {
        let clocks = self.clocks.iter().flatten();
        let newest = i64::try_from(self.newest()).unwrap_or(i64::MAX);
        let mapped = clocks
            .map(|clock| clock.project(input))
            .find(|mapped| (-FORWARD_MS..=HEADER_LEAD_MS).contains(&(mapped - newest)));
        let fresh = self.newest.iter().all(Option::is_none);
        let mapped = match mapped {
            Some(mapped) => mapped,
            None if fresh => fresh_start(input),
            None => newest,
        };
        self.give(track, mapped)
    }

    fn advance(
        &self,
        clock: Clock,
        other: Option<Clock>,
        input: u32,
        now: Instant,
    ) -> (i64, Option<Jump>) {
        let passed = millis(now.saturating_duration_since(clock.at));
        let step = step(clock.input, input);
        if (-JITTER_MS..=FORWARD_MS + passed).contains(&step) {
            let wrapped = step > 0 && input < clock.input;
            return (clock.mapped + step, wrapped.then_some(Jump::Wrap));
        }
        let jump = if step < 0 {
            Jump::Backward
        } else {
            Jump::Forward
        };
        let expected = clock.mapped + passed.max(1);
        // If the other track has jumped already, follow it: that keeps the two in sync.
        let followed = other
            .map(|other| other.project(input))
            .filter(|mapped| (mapped - expected).abs() <= FORWARD_MS / 4);
        (followed.unwrap_or(expected), Some(jump))
    }

    fn start(&self, other: Option<Clock>, input: u32, now: Instant) -> i64 {
        let resumed = self.last_at.map(|at| {
            let newest = i64::try_from(self.newest()).unwrap_or(i64::MAX);
            newest.saturating_add(millis(now.saturating_duration_since(at)).max(1))
        });
        let expected = resumed.unwrap_or_else(|| fresh_start(input));
        match other.map(|other| other.project(input)) {
            Some(mapped) if (mapped - expected).abs() <= FORWARD_MS => mapped,
            _ => expected,
        }
    }

    fn give(&mut self, track: Track, mapped: i64) -> u64 {
        let newest = match track {
            Track::Audio => &mut self.newest[0],
            Track::Video => &mut self.newest[1],
            Track::Data => &mut self.newest[2],
        };
        let out = u64::try_from(mapped).unwrap_or(0).max(newest.unwrap_or(0));
        *newest = Some(out);
        out
    }
}

fn clock_index(track: Track) -> Option<usize> {
    match track {
        Track::Audio => Some(0),
        Track::Video => Some(1),
        Track::Data => None,
    }
}

fn fresh_start(input: u32) -> i64 {
    if input < SMALL_START_MS {
        i64::from(input)
    } else {
        START_MS
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_media::Track::{Audio, Data, Video};

    /// Feeds (track, timestamp, ms since start) and gives what comes out.
    fn run(packets: &[(Track, u32, u64)]) -> (Vec<u64>, Vec<Jump>) {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        let mut jumps = Vec::new();
        let times = packets
            .iter()
            .map(|&(track, input, at)| {
                let now = start + Duration::from_millis(at);
                let (time, jump) = timeline.frame(track, input, now);
                jumps.extend(jump);
                time
            })
            .collect();
        (times, jumps)
    }

    #[test]
    fn a_publisher_that_starts_near_zero_keeps_its_timestamps() {
        let (times, jumps) = run(&[
            (Video, 40, 0),
            (Audio, 0, 0),
            (Audio, 23, 20),
            (Video, 73, 33),
        ]);
        assert_eq!(times, [40, 0, 23, 73]);
        assert!(jumps.is_empty());
    }

    #[test]
    fn a_publisher_that_starts_at_five_hours_is_moved_with_both_tracks_in_sync() {
        let (times, jumps) = run(&[
            (Video, 18_000_000, 0),
            (Audio, 17_999_980, 0),
            (Video, 18_000_033, 33),
        ]);
        assert_eq!(times, [1000, 980, 1033]);
        assert!(jumps.is_empty());
    }

    #[test]
    fn jumps_are_rebased_and_both_tracks_follow_together() {
        let (times, jumps) = run(&[
            (Audio, 0, 0),
            (Video, 0, 0),
            (Video, 33, 33),
            (Video, 9_000_000, 66),
            (Audio, 23, 66),
            (Audio, 9_000_010, 90),
            (Video, 9_000_033, 100),
        ]);
        assert_eq!(times, [0, 0, 33, 66, 23, 76, 99]);
        assert_eq!(jumps, [Jump::Forward, Jump::Forward]);
    }

    #[test]
    fn a_clock_that_runs_back_is_rebased() {
        let (times, jumps) = run(&[
            (Video, 50_000, 0),
            (Video, 50_033, 33),
            (Video, 0, 66),
            (Video, 33, 99),
        ]);
        assert_eq!(times, [50_000, 50_033, 50_066, 50_099]);
        assert_eq!(jumps, [Jump::Backward]);
    }

    #[test]
    fn jitter_is_held_and_does_not_shift_the_clock() {
        let (times, jumps) = run(&[
            (Audio, 100, 0),
            (Audio, 90, 20),
            (Audio, 110, 40),
            (Audio, 133, 60),
        ]);
        assert_eq!(times, [100, 100, 110, 133]);
        assert!(jumps.is_empty());
    }

    #[test]
    fn the_wrap_after_49_days_goes_on_and_is_counted() {
        let (times, jumps) = run(&[(Video, u32::MAX - 20, 0), (Video, 12, 33), (Video, 45, 66)]);
        assert_eq!(times, [1000, 1033, 1066]);
        assert_eq!(jumps, [Jump::Wrap]);
    }

    #[test]
    fn a_pause_that_really_happened_is_no_jump() {
        let (times, jumps) = run(&[(Video, 0, 0), (Video, 60_000, 60_000)]);
        assert_eq!(times, [0, 60_000]);
        assert!(jumps.is_empty());
    }

    #[test]
    fn a_publisher_that_comes_back_continues_by_the_wall_clock() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        timeline.frame(Video, 0, start);
        timeline.frame(Audio, 5, start + Duration::from_millis(5));
        timeline.resume();
        let later = start + Duration::from_millis(3005);
        assert_eq!(timeline.aside(Video, 0), 5);
        assert_eq!(timeline.frame(Video, 700, later).0, 3005);
        assert_eq!(timeline.frame(Audio, 710, later).0, 3015);
        assert_eq!(timeline.frame(Audio, 690, later).0, 3015);
    }

    #[test]
    fn headers_with_wild_timestamps_do_not_move_the_clock() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        assert_eq!(timeline.aside(Data, 0), 0);
        timeline.frame(Video, 20_000, start);
        assert_eq!(timeline.aside(Video, 0), 20_000);
        assert_eq!(timeline.aside(Video, u32::MAX), 20_000);
        assert_eq!(timeline.frame(Video, 20_033, start).0, 20_033);
    }

    proptest::proptest! {
        #[test]
        fn nothing_a_publisher_sends_makes_a_track_go_back(
            packets in proptest::collection::vec((0..3usize, proptest::num::u32::ANY, 0..5000u64, proptest::bool::ANY), 1..200)
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut timeline = Timeline::default();
            let mut last = [0; 3];
            for (track, input, passed, header) in packets {
                now += Duration::from_millis(passed);
                let kind = [Audio, Video, Data][track];
                let time = if header { timeline.aside(kind, input) } else { timeline.frame(kind, input, now).0 };
                proptest::prop_assert!(time >= last[track]);
                last[track] = time;
                if passed == 77 {
                    timeline.resume();
                }
            }
        }
    }
}
