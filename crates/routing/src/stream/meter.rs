//! What a publisher sends: counts, and rates over the last full second.

use std::time::{Duration, Instant};

/// Counts what comes in, and its rates over the last full second.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    frames: u64,
    window: (Instant, u64, u64),
    pub(super) bitrate: u64,
    pub(super) frame_rate: f64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            bytes: 0,
            packets: 0,
            frames: 0,
            window: (now, 0, 0),
            bitrate: 0,
            frame_rate: 0.0,
        }
    }

    pub(super) fn count(&mut self, bytes: usize, frame: bool, now: Instant) {
        self.bytes += bytes as u64;
        self.packets += 1;
        self.frames += u64::from(frame);
        let (since, bytes, frames) = self.window;
        let passed = now.saturating_duration_since(since);
        if passed >= Duration::from_secs(1) {
            let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).max(1);
            self.bitrate = (self.bytes - bytes).saturating_mul(8_000_000) / micros;
            let frames = u32::try_from(self.frames - frames).unwrap_or(u32::MAX);
            self.frame_rate = f64::from(frames) / passed.as_secs_f64();
            self.window = (now, self.bytes, self.frames);
        }
    }
}
