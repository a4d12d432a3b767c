//! The run's clock: what stamps are written with and compared to.

use std::time::Instant;

use crate::stamp::Mark;

/// A monotonic clock that starts with the run, and the mark of its stamps.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    mark: Mark,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            mark: Mark::new(),
        }
    }

    /// Nanoseconds since the run started.
    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }
}
