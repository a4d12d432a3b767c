//! When a frame was, on one timeline for sound and picture: RTP time, and what the peer's sender
//! reports say of it (RFC 3550 §6.4.1).
//!
//! Until a line has had its first report, frames are where they arrived. Reports then move it onto
//! the peer's own clock, which both lines share, and a clock that drifts is followed.

use std::time::{Duration, Instant, SystemTime};

use lockgate_rtc::{Frame, Report};

/// How much of a later report counts: they jitter by what the peer's scheduler does.
const WEIGHT: f64 = 0.25;
/// A line begins here, in seconds: what comes late must not lie before 0.
const START: f64 = 1.0;

/// The timeline of one publisher.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    start: Option<Instant>,
    /// What the peer's clock is ahead of the timeline, in seconds since its epoch.
    ahead: Option<f64>,
    audio: Line,
    video: Line,
}

/// One line's place on it.
#[derive(Debug, Default)]
struct Line {
    /// The timeline's seconds at RTP time 0.
    zero: Option<f64>,
    report: Option<Report>,
}

impl Timeline {
    /// When a frame was, in seconds.
    pub(super) fn at(&mut self, frame: &Frame) -> f64 {
        let start = *self.start.get_or_insert(frame.received);
        let line = if frame.video {
            &mut self.video
        } else {
            &mut self.audio
        };
        let rate = f64::from(frame.rate.max(1));
        let time = frame.time as f64 / rate;
        let arrived = frame
            .received
            .saturating_duration_since(start)
            .as_secs_f64()
            + START;
        let mut zero = line.zero.unwrap_or(arrived - time);
        if let Some(report) = frame.report
            && line.report != Some(report)
        {
            let first = line.report.replace(report).is_none();
            let since = report.time.wrapping_sub(low(frame.time));
            let clock = seconds(report.clock) - f64::from(since.cast_signed()) / rate;
            // The first report of either line puts the peer's clock where that line is.
            let ahead = *self.ahead.get_or_insert(clock - (zero + time));
            let reported = clock - ahead - time;
            let weight = if first { 1.0 } else { WEIGHT };
            zero += (reported - zero) * weight;
        }
        line.zero = Some(zero);
        (zero + time).max(0.0)
    }
}

/// The part of an RTP time that reports have.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low(time: u64) -> u32 {
    time as u32
}

fn seconds(clock: SystemTime) -> f64 {
    let since = clock.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of an hour are small"
)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Sender {
        start: Instant,
        /// How much faster than the node's its clock runs.
        off: f64,
    }

    impl Sender {
        /// A frame of `second` by the node's clock, which arrives `late`.
        fn frame(&self, video: bool, second: f64, late: f64, report: bool) -> Frame {
            let rate = if video { 90_000 } else { 48_000 };
            let own = second * (1.0 + self.off);
            // Each line begins somewhere.
            let base = if video { 1_000_000 } else { 4_294_900_000 };
            let time = base + (own * f64::from(rate)) as u64;
            let report = report.then(|| Report {
                clock: SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1e9 + own),
                time: low(time),
            });
            Frame {
                video,
                format: lockgate_rtc::Format::Opus,
                time,
                rate,
                received: self.start + Duration::from_secs_f64(second + late),
                contiguous: true,
                report,
                data: Arc::from([0_u8]),
            }
        }
    }

    #[test]
    fn an_hour_of_a_fast_clock_keeps_sound_and_picture_together() {
        for off in [-0.0003, 0.0003] {
            let sender = Sender {
                start: Instant::now(),
                off,
            };
            let mut timeline = Timeline::default();
            let mut worst = 0.0_f64;
            for second in 0..3_600 {
                // Video takes 80 ms longer to arrive; reports come every second.
                let second = f64::from(second);
                let audio = timeline.at(&sender.frame(false, second, 0.01, second > 0.0));
                let video = timeline.at(&sender.frame(true, second, 0.09, second > 1.0));
                if second > 2.0 {
                    worst = worst.max((audio - video).abs());
                }
            }
            assert!(worst < 0.02, "{off}: {worst}");
        }
    }

    #[test]
    fn before_any_report_frames_are_where_they_arrived() {
        let sender = Sender {
            start: Instant::now(),
            off: 0.0,
        };
        let mut timeline = Timeline::default();
        let first = timeline.at(&sender.frame(true, 0.0, 0.0, false));
        let second = timeline.at(&sender.frame(true, 0.04, 0.03, false));
        assert!((first - START).abs() < 1e-6);
        assert!((second - first - 0.04).abs() < 1e-4, "jitter is not time");
    }
}
