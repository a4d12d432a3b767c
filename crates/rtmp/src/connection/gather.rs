//! A socket whose small messages wait for others.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What is waited for, and for how long.
#[derive(Debug)]
pub(super) struct Gather {
    /// From how many bytes on the socket counts as readable.
    pub(super) bytes: usize,
    /// For how long less than that may lie there.
    pub(super) within: Duration,
    begun: Instant,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Gather {
    pub(super) fn new(bytes: usize, within: Duration, begun: Instant) -> Self {
        Self {
            bytes,
            within,
            begun,
            timer: Box::pin(sleep_until(begun + within)),
            over: false,
        }
    }

    /// Ready once nothing may wait any longer.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = self.timer.as_mut().poll(cx);
        self.over = over.is_ready();
        over
    }

    /// Whether the wait that ended just now did so because nothing may wait any longer.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.over)
    }

    /// Begins anew after a read; when the one before was.
    pub(super) fn begin(&mut self, now: Instant) -> Instant {
        self.timer.as_mut().reset(now + self.within);
        std::mem::replace(&mut self.begun, now)
    }
}
