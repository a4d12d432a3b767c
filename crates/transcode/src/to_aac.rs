//! Opus to AAC: what WebRTC publishers send, for RTMP and FLV players.

use std::fmt;

use ruopus::OpusDecoder;
use syom::{EncodeOptions, Encoder};

use crate::codec::Walled;
use crate::follow::{Follower, Framer};
use crate::{CHANNELS, Coded, RATE, Unsupported};

/// Samples of a frame.
const FRAME: usize = 1024;
/// Bits a second.
const BITRATE: u32 = 128_000;
/// Ticks by which what an AAC decoder gives out is late: the overlap of its first frame.
const PRIMING: u64 = 1024;

/// Makes AAC-LC in stereo at 48 kHz of Opus.
pub struct ToAac {
    decoder: Walled<OpusDecoder>,
    follower: Follower,
    framer: Framer,
    encoder: Walled<Encoder>,
    config: Vec<u8>,
}

impl fmt::Debug for ToAac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToAac").finish_non_exhaustive()
    }
}

impl ToAac {
    /// One for a stream.
    ///
    /// # Errors
    /// The encoder refuses its own options: a bug.
    pub fn new() -> Result<Self, Unsupported> {
        let options = EncodeOptions::raw().with_bitrate_bps(BITRATE);
        let encoder = Encoder::new(RATE, CHANNELS, &options).map_err(|_| Unsupported)?;
        Ok(Self {
            decoder: Walled::new(OpusDecoder::new(CHANNELS)),
            follower: Follower::new(RATE)?,
            framer: Framer::default(),
            config: encoder.asc().to_vec(),
            encoder: Walled::new(encoder),
        })
    }

    /// Its `AudioSpecificConfig`.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Takes an Opus packet that the stream has at `time` ticks, and appends the frames that it
    /// completes.
    pub fn push(&mut self, time: u64, packet: &[u8], coded: &mut Vec<Coded>) {
        let decoded = self
            .decoder
            .run(|decoder| decoder.decode_packet(packet).ok());
        let Some(mut decoded) = decoded.flatten() else {
            return;
        };
        for sample in &mut decoded {
            *sample = if sample.is_finite() {
                sample.clamp(-1.0, 1.0)
            } else {
                0.0
            };
        }
        let (framer, encoder) = (&mut self.framer, &mut self.encoder);
        self.follower.push(time, &decoded, |time, samples| {
            framer.push(time, samples, FRAME, |time, samples| {
                let planes = [0, 1].map(|channel| plane(samples, channel));
                let [left, right] = planes;
                encoder.run(|encoder| {
                    encoder.feed(&[&left, &right], |unit| {
                        coded.push(Coded {
                            time: time.saturating_sub(PRIMING),
                            data: unit.payload.to_vec(),
                        });
                        Ok(())
                    })
                });
            });
        });
    }
}

/// One channel; what the resampler overshot is clipped.
fn plane(samples: &[f32], channel: usize) -> Vec<f32> {
    let of = samples.iter().skip(channel).step_by(CHANNELS);
    of.map(|sample| sample.clamp(-1.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_says_aac_lc_in_stereo_at_48_khz() {
        assert_eq!(ToAac::new().unwrap().config(), [0x11, 0x90]);
    }

    #[test]
    fn frames_come_evenly_and_packets_that_are_none_are_left_out() {
        let mut to_aac = ToAac::new().unwrap();
        let mut coded = Vec::new();
        for packet in 0..50 {
            to_aac.push(packet * 960, &[0xfc, 0xff, 0xfe], &mut coded);
            to_aac.push(packet * 960, &[], &mut coded);
            to_aac.push(packet * 960, &[0xff], &mut coded);
        }
        assert!(coded.len() >= 43, "{}", coded.len());
        let times: Vec<_> = coded.iter().map(|frame| frame.time).collect();
        let steps = times.windows(2).skip(1).map(|two| two[1] - two[0]);
        assert!(steps.clone().all(|step| step == 1024), "{times:?}");
    }
}
