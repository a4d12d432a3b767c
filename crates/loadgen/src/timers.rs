//! When which connection wants to be driven: one moment each, and the next of all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Moments by the places of connections.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Also moments that an earlier one has taken the place of.
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    armed: Vec<Option<Instant>>,
}

impl Timers {
    /// Wakes a place at `at`, unless it is woken before that.
    pub(crate) fn arm(&mut self, place: usize, at: Instant) {
        if place >= self.armed.len() {
            self.armed.resize(place + 1, None);
        }
        if let Some(armed) = self.armed.get_mut(place)
            && armed.is_none_or(|armed| at < armed)
        {
            *armed = Some(at);
            self.heap.push(Reverse((at, place)));
        }
    }

    /// A place whose moment has come; it has none from then on.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Reverse((at, place))) = self.heap.peek()
            && at <= now
        {
            self.heap.pop();
            let armed = self.armed.get_mut(place);
            if let Some(armed) = armed.filter(|armed| **armed == Some(at)) {
                *armed = None;
                return Some(place);
            }
        }
        None
    }

    /// The next moment, at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_woken_once_at_its_earliest_moment() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        for (place, ms) in [(3, 20), (3, 10), (3, 30), (1, 15)] {
            timers.arm(place, at(ms));
        }
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(50)), Some(3));
        assert_eq!(timers.pop(at(50)), Some(1));
        assert_eq!(timers.pop(at(50)), None);
        timers.arm(3, at(60));
        assert_eq!(timers.pop(at(60)), Some(3));
        assert_eq!(timers.next(), None);
    }
}
