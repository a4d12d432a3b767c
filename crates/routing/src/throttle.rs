//! One log line an interval, for what a stranger can make happen as often as they like.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the same kind of event may write a line.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Decides whether an event is logged, and counts those that were not.
#[derive(Debug, Default)]
pub struct Throttle {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Throttle {
    /// Notes an event at `now`. `Some(events)` when a line is due: how many there were since the
    /// last one, this one included.
    pub fn note(&self, now: Instant) -> Option<u64> {
        let (last, held) = &mut *self.state.lock();
        *held += 1;
        let quiet = last.is_some_and(|last| now.saturating_duration_since(last) < LOG_INTERVAL);
        if quiet {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(held))
    }
}

/// A [`Throttle`] for each of a few reasons, so that a loud one does not hide the others.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<HashMap<&'static str, Throttle>>);

impl Throttles {
    /// Notes an event of `reason` at `now`; as [`Throttle::note`]. Reasons must be few.
    pub fn note(&self, reason: &'static str, now: Instant) -> Option<u64> {
        self.0.lock().entry(reason).or_default().note(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_logged_and_the_rest_wait_for_the_interval() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.note(start), Some(1));
        for second in 1..10 {
            assert_eq!(throttle.note(start + Duration::from_secs(second)), None);
        }
        assert_eq!(throttle.note(start + LOG_INTERVAL), Some(10));
    }
}
