//! A stream's audio as RTP carries it: Opus packets, in the ring's order.
//!
//! Invariant: RTP time goes on by what packets last, and follows the stream's timeline within
//! [`TOLERANCE`], however fast the publisher's clock runs.

use std::sync::Arc;

use lockgate_media::codec::AudioCodec;
use lockgate_media::flv::AudioTag;
use lockgate_media::opus;
use lockgate_media::{Class, Packet};
use lockgate_transcode::{Coded, ToOpus};

/// Ticks of Opus' clock in a millisecond.
const TICKS: u64 = 48;
/// How far RTP time may be from the stream's: less than anybody hears, more than the rounding of
/// timestamps to milliseconds and what they jitter.
const TOLERANCE: u64 = 10 * TICKS;

/// One Opus packet.
#[derive(Debug, Clone)]
pub(super) struct Sound {
    /// In ticks of 1/48,000 s on the stream's timeline.
    pub(super) time: u64,
    /// The packet.
    pub(super) payload: Arc<[u8]>,
    /// What a muted viewer gets in its place.
    pub(super) silence: Arc<[u8]>,
}

impl Sound {
    fn new(time: u64, packet: &[u8]) -> Option<Self> {
        Some(Self {
            time,
            payload: packet.into(),
            silence: opus::silence(packet)?.into(),
        })
    }
}

/// RTP time of a run of packets.
#[derive(Debug, Default)]
struct Clock {
    next: Option<u64>,
}

impl Clock {
    /// The time of a packet that the stream has at `at`, and that lasts `samples`; `None` when it
    /// is left out, because those before it last too long for their timestamps.
    fn stamp(&mut self, at: u64, samples: u32) -> Option<u64> {
        let time = match self.next {
            Some(next) if next > at + TOLERANCE => return None,
            // Far behind: a gap, which a decoder conceals.
            Some(next) if at > next + TOLERANCE => at,
            Some(next) => next,
            None => at,
        };
        self.next = Some(time + u64::from(samples));
        Some(time)
    }
}

/// Makes Opus packets of a stream's audio.
#[derive(Debug, Default)]
pub(super) struct Sounder {
    clock: Clock,
    aac: Option<ToOpus>,
    /// What that was made for.
    config: Vec<u8>,
    /// Scratch space.
    coded: Vec<Coded>,
}

impl Sounder {
    /// The Opus packets that a packet of the stream completes.
    pub(super) fn push(&mut self, packet: &Packet) -> Vec<Sound> {
        self.make(packet).unwrap_or_default()
    }

    fn make(&mut self, packet: &Packet) -> Option<Vec<Sound>> {
        let payload = packet.payload();
        let tag = AudioTag::parse(payload)?;
        let data = payload.get(tag.data?..)?;
        match (tag.codec?, packet.class()) {
            (AudioCodec::Aac, Class::Header(0)) => {
                // Encoders send their header again and again.
                if self.config != data {
                    self.config = data.to_vec();
                    self.aac = ToOpus::new(data).ok();
                }
                None
            }
            (AudioCodec::Aac, Class::Frame) if !packet.companions().is_empty() => {
                let begins = packet.timestamp() * TICKS;
                let companions = packet.companions().iter();
                Some(
                    companions
                        .filter_map(|companion| {
                            let at = begins.saturating_add_signed(companion.after.into());
                            let samples = opus::samples(&companion.opus)?;
                            let time = self.clock.stamp(at, samples)?;
                            Sound::new(time, &companion.opus)
                        })
                        .collect(),
                )
            }
            (AudioCodec::Aac, Class::Frame) => {
                let aac = self.aac.as_mut()?;
                aac.push(packet.timestamp(), data, &mut self.coded);
                let sounds = self.coded.drain(..);
                Some(
                    sounds
                        .filter_map(|coded| {
                            let samples = opus::samples(&coded.data)?;
                            let time = self.clock.stamp(coded.time, samples)?;
                            Sound::new(time, &coded.data)
                        })
                        .collect(),
                )
            }
            (AudioCodec::Opus, Class::Frame) => {
                let samples = opus::samples(data)?;
                let time = self.clock.stamp(packet.timestamp() * TICKS, samples)?;
                Some(vec![Sound::new(time, data)?])
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_by_samples_however_timestamps_are_rounded() {
        let mut clock = Clock::default();
        // Frames of 23.22 ms, as their timestamps are rounded.
        let times: Vec<_> = [0, 23, 46, 70, 93]
            .map(|at| clock.stamp(at * TICKS, 1115).unwrap())
            .to_vec();
        assert_eq!(times, [0, 1115, 2230, 3345, 4460]);
    }

    #[test]
    fn an_hour_of_a_clock_that_runs_fast_or_slow_stays_within_the_tolerance() {
        for off in [-300_i64, -20, 20, 300] {
            let mut clock = Clock::default();
            let mut worst = 0;
            let (mut last, mut left_out) = (0, 0);
            for frame in 0..180_000_u64 {
                // The stream's time of a frame of 20 ms by a clock that is off by parts in a million.
                let at = frame * 20 * TICKS;
                let at = at.saturating_add_signed(i64::try_from(at).unwrap() * off / 1_000_000);
                let Some(time) = clock.stamp(at, 960) else {
                    left_out += 1;
                    continue;
                };
                assert!(frame == 0 || time >= last + 960);
                last = time;
                worst = worst.max(time.abs_diff(at));
            }
            assert!(worst <= TOLERANCE, "{off}: {worst}");
            assert!(left_out <= 60, "{off}: {left_out}");
        }
    }
}
