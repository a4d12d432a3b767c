//! AAC to Opus: what RTMP publishers send, for WebRTC's viewers.

use std::fmt;

use ruopus::OpusEncoder;
use syom::{DecodeOptions, Decoder};

use crate::codec::Walled;
use crate::follow::{Follower, Framer};
use crate::{CHANNELS, Coded, Unsupported};

/// Samples of a packet: 20 ms.
const FRAME: usize = 960;
/// Bits a second: music in stereo is transparent to most at this.
const BITRATE: u32 = 128_000;
/// The longest packet (RFC 6716 §3.4).
const PACKET: usize = 1275;
/// Half of what the encoder could spend on a frame, for a tenth of its time.
const COMPLEXITY: u8 = 5;

/// Makes Opus of AAC.
pub struct ToOpus {
    decoder: Walled<Decoder>,
    config: Vec<u8>,
    follower: Option<(u32, Follower)>,
    framer: Framer,
    encoder: Walled<OpusEncoder>,
    /// Ticks that the encoder holds back.
    lookahead: u64,
}

impl fmt::Debug for ToOpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToOpus").finish_non_exhaustive()
    }
}

fn options() -> DecodeOptions {
    DecodeOptions::unbounded().with_max_sample_rate(96_000)
}

impl ToOpus {
    /// For a stream of this `AudioSpecificConfig`.
    ///
    /// # Errors
    /// The decoder does not know it.
    pub fn new(config: &[u8]) -> Result<Self, Unsupported> {
        let mut decoder = Walled::new(Decoder::new(options()));
        let ready = decoder.run(|decoder| decoder.set_asc(config).is_ok());
        if ready != Some(true) {
            return Err(Unsupported);
        }
        let mut encoder = OpusEncoder::new(CHANNELS);
        encoder.set_bitrate(Some(BITRATE));
        encoder.set_complexity(COMPLEXITY);
        let lookahead = u64::from(encoder.lookahead());
        Ok(Self {
            decoder,
            config: config.to_vec(),
            follower: None,
            framer: Framer::default(),
            encoder: Walled::new(encoder),
            lookahead,
        })
    }

    /// Takes an AAC frame that the stream has at `ms`, and appends the packets that it completes.
    pub fn push(&mut self, ms: u64, frame: &[u8], coded: &mut Vec<Coded>) {
        let mut decoded = Vec::new();
        let mut rate = 0;
        let config = &self.config;
        let fine = self.decoder.run(|decoder| {
            let fine = decoder.decode_au(frame, |sound| {
                rate = sound.sample_rate;
                interleave(sound.planar, sound.samples, &mut decoded);
                Ok(())
            });
            // A decoder that failed wants to begin anew; the next frame may be fine.
            if fine.is_err() {
                decoder.reset();
                let _ = decoder.set_asc(config);
            }
        });
        if fine.is_none() || decoded.is_empty() {
            return;
        }
        if self
            .follower
            .as_ref()
            .is_none_or(|(known, _)| *known != rate)
        {
            let Ok(follower) = Follower::new(rate) else {
                return;
            };
            self.follower = Some((rate, follower));
        }
        let Some((_, follower)) = &mut self.follower else {
            return;
        };
        let (framer, encoder, lookahead) = (&mut self.framer, &mut self.encoder, self.lookahead);
        follower.push(ms * 48, &decoded, |time, samples| {
            framer.push(time, samples, FRAME, |time, samples| {
                let data = encoder.run(|encoder| encoder.encode(samples, PACKET).ok());
                if let Some(data) = data.flatten() {
                    let time = time.saturating_sub(lookahead);
                    coded.push(Coded { time, data });
                }
            });
        });
    }
}

/// Puts the first two channels side by side; a lone one goes to both sides.
fn interleave(planes: &[&[f32]], samples: usize, out: &mut Vec<f32>) {
    let Some(&left) = planes.first() else { return };
    // Of more channels the first is the centre (ISO/IEC 14496-3 table 1.19): left and right follow.
    let (left, right, centre) = match planes {
        [_, right] => (left, *right, None),
        [centre, left, right, ..] => (*left, *right, Some(*centre)),
        _ => (left, left, None),
    };
    for at in 0..samples {
        let sample = |plane: &[f32]| plane.get(at).copied().unwrap_or(0.0);
        let middle = centre.map_or(0.0, |centre| {
            sample(centre) * std::f32::consts::FRAC_1_SQRT_2
        });
        for plane in [left, right] {
            let value = sample(plane) + middle;
            out.push(if value.is_finite() {
                value.clamp(-1.0, 1.0)
            } else {
                0.0
            });
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "samples are small")]
mod tests {
    use super::*;
    use crate::ToAac;

    #[test]
    fn a_config_that_is_none_is_refused() {
        assert!(ToOpus::new(&[]).is_err());
        assert!(ToOpus::new(&[0xff; 2]).is_err());
    }

    #[test]
    fn frames_that_are_none_are_left_out_and_the_next_are_heard() {
        let mut to_opus = ToOpus::new(&[0x11, 0x90]).unwrap();
        let mut coded = Vec::new();
        to_opus.push(0, &[0xff; 40], &mut coded);
        to_opus.push(21, &[], &mut coded);
        assert!(coded.is_empty());
        let silence = [0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80];
        for frame in 2..10 {
            to_opus.push(frame * 1024 / 48, &silence, &mut coded);
        }
        assert!(coded.len() >= 6, "{}", coded.len());
    }

    #[test]
    fn a_tone_keeps_its_time_and_loudness_from_opus_to_aac_and_back() {
        // A click track would be smeared by two codecs; the onset of a tone is not.
        let onset = 24_000;
        let mut encoder = OpusEncoder::new(2);
        encoder.set_bitrate(Some(BITRATE));
        let mut to_aac = ToAac::new().unwrap();
        let mut to_opus = ToOpus::new(to_aac.config()).unwrap();
        let mut decoder = ruopus::OpusDecoder::new(2);
        let (mut heard, mut loudest) = (None, 0.0_f32);
        for frame in 0..75_u64 {
            let pcm: Vec<f32> = (frame * 960..(frame + 1) * 960)
                .flat_map(|at| {
                    let on = if at < onset { 0.0 } else { 0.5 };
                    let value = (at as f64 / 48_000.0 * 440.0 * std::f64::consts::TAU).sin() * on;
                    [value as f32; 2]
                })
                .collect();
            let packet = encoder.encode(&pcm, PACKET).unwrap();
            let (mut aac, mut opus) = (Vec::new(), Vec::new());
            to_aac.push(frame * 960, &packet, &mut aac);
            for frame in aac {
                to_opus.push(frame.time / 48, &frame.data, &mut opus);
            }
            for packet in opus {
                let samples = decoder.decode_packet(&packet.data).unwrap();
                for (at, sample) in samples.chunks(2).enumerate() {
                    loudest = loudest.max(sample[0].abs());
                    if sample[0].abs() > 0.25 {
                        heard.get_or_insert(packet.time + at as u64);
                    }
                }
            }
        }
        let heard = heard.expect("the tone comes out");
        assert!(heard.abs_diff(onset) < 960, "{heard}");
        assert!((0.4..0.7).contains(&loudest), "{loudest}");
    }
}
