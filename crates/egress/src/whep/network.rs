//! Whether a viewer's network carries its stream: by what the viewer itself measures (REMB), or by
//! when each packet comes there (transport-wide feedback).
//!
//! By packets it is known that they queue, and for how long: nothing is added while they do. By the
//! other it has to be guessed. A receiver that has room says so too late and too low to be a bound:
//! its estimate follows what it is sent. So only a fall below what is sent counts, which is a queue
//! that grows in front of it.

use std::time::{Duration, Instant};

/// An estimate counts as fallen below this part of the one before, in percent.
const FALL: u64 = 90;
/// How long a fall holds that is not confirmed.
const HOLD: Duration = Duration::from_secs(4);

/// What is known of one viewer's network.
#[derive(Debug, Default)]
pub(super) struct Network {
    estimate: Option<u64>,
    /// Bytes sent since the last tick, and the rate before it.
    bytes: u64,
    rate: u64,
    choked: Option<Choked>,
    /// Until when there is a queue, by packets.
    full_until: Option<Instant>,
}

#[derive(Debug)]
struct Choked {
    until: Instant,
    /// Bytes that may still be sent, and when that was.
    room: f64,
    at: Instant,
}

impl Network {
    /// The viewer measured this, in bits a second.
    pub(super) fn estimate(&mut self, bits: u64, now: Instant) {
        let before = self.estimate.replace(bits);
        let fell = before.is_some_and(|before| bits < before / 100 * FALL);
        if bits >= self.rate {
            self.choked = None;
        } else if fell || self.choked.is_some() {
            let (room, at) = self
                .choked
                .as_ref()
                .map_or((0.0, now), |it| (it.room, it.at));
            self.choked = Some(Choked {
                until: now + HOLD,
                room,
                at,
            });
        }
    }

    /// What it is sent queues for so long.
    pub(super) fn full(&mut self, time: Duration, now: Instant) {
        self.full_until = now.checked_add(time);
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(choked) = &mut self.choked {
            choked.room -= bytes as f64;
        }
    }

    pub(super) fn tick(&mut self, passed: Duration) {
        let bytes = std::mem::take(&mut self.bytes);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.rate = bytes.saturating_mul(8000) / millis;
    }

    /// Whether what was sent still queues, so that not even a keyframe would come soon.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_until.is_some_and(|until| now < until)
    }

    /// Whether what was sent has used up what the network carries.
    pub(super) fn is_choked(&mut self, now: Instant) -> bool {
        let Some(choked) = &mut self.choked else {
            return false;
        };
        if now >= choked.until {
            self.choked = None;
            return false;
        }
        let second = self.estimate.unwrap_or(0) as f64 / 8.0;
        let passed = now.saturating_duration_since(choked.at).as_secs_f64();
        choked.at = now;
        choked.room = (choked.room + passed * second).min(second);
        choked.room < -second / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_estimate_that_never_rose_to_the_rate_chokes_nobody() {
        let mut network = Network::default();
        let now = Instant::now();
        network.sent(500_000);
        network.tick(SECOND);
        for bits in [300_000, 400_000, 500_000] {
            network.estimate(bits, now);
            network.sent(500_000);
            assert!(!network.is_choked(now));
        }
    }

    #[test]
    fn a_network_is_full_until_its_queue_is_known_to_be_gone_or_should_be() {
        let mut network = Network::default();
        let now = Instant::now();
        network.full(SECOND, now);
        assert!(network.is_full(now));
        assert!(!network.is_full(now + SECOND));
        network.full(SECOND, now);
        network.full(Duration::ZERO, now);
        assert!(!network.is_full(now));
    }

    #[test]
    fn a_fall_below_the_rate_chokes_until_it_is_over_or_rises_again() {
        let mut network = Network::default();
        let start = Instant::now();
        network.estimate(5_000_000, start);
        network.sent(500_000);
        network.tick(SECOND);
        network.estimate(1_000_000, start);
        assert!(!network.is_choked(start), "nothing was sent since");
        network.sent(100_000);
        assert!(network.is_choked(start));
        assert!(!network.is_choked(start + SECOND), "it has drained");
        network.sent(200_000);
        assert!(network.is_choked(start + SECOND));
        network.estimate(4_500_000, start + SECOND);
        assert!(!network.is_choked(start + SECOND));
        network.estimate(1_000_000, start + SECOND);
        network.sent(200_000);
        assert!(network.is_choked(start + SECOND));
        assert!(!network.is_choked(start + SECOND + HOLD), "or by itself");
    }
}
