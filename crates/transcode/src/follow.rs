//! Sound that follows its stream's time: 48 kHz out, whatever rate and however exact a clock it
//! came by.
//!
//! Timestamps are rounded and the clock behind the samples is not the one behind the timestamps. So
//! samples are played a little faster or slower, by less than anybody hears, and a gap stays a gap.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::{CHANNELS, RATE, Unsupported};

/// Frames resampled at a time: 2.7 ms at 48 kHz.
const CHUNK: usize = 128;
/// The largest change of speed: half a percent, which is a twelfth of a semitone.
const MOST: f64 = 0.005;
/// An error of time is worked off in about this, in ticks.
const WITHIN: f64 = 96_000.0;
/// Beyond this, in ticks, time has jumped and is followed at once: 80 ms.
const JUMP: f64 = 3_840.0;
/// How much of a new error counts beside what was known: timestamps are rounded to milliseconds.
const WEIGHT: f64 = 0.1;

/// How fast sound is played to stay with its timestamps. In ticks, no samples here.
#[derive(Debug, Default)]
pub(crate) struct Steering {
    error: f64,
}

/// What to do with sound that arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Steer {
    /// Play it at this speed; above 1 makes more samples of it.
    Stretch(f64),
    /// It begins a new run, at its own time.
    Jump,
    /// It is for a time that was already played.
    Drop,
}

impl Steering {
    /// `late` is how far the sound's timestamp is behind the time that it would come out at.
    pub(crate) fn steer(&mut self, late: f64) -> Steer {
        if late < -JUMP {
            self.error = 0.0;
            return Steer::Jump;
        }
        if late > JUMP {
            self.error = 0.0;
            return Steer::Drop;
        }
        self.error += WEIGHT * (-late - self.error);
        Steer::Stretch(1.0 + (self.error / WITHIN).clamp(-MOST, MOST))
    }
}

/// Brings sound to 48 kHz.
pub(crate) struct Follower {
    resampler: Async<f32>,
    rate: u32,
    steering: Steering,
    /// Interleaved, not yet resampled.
    waiting: Vec<f32>,
    /// The time of the next sample that comes out.
    next: Option<f64>,
}

impl Follower {
    pub(crate) fn new(rate: u32) -> Result<Self, Unsupported> {
        if !(8_000..=96_000).contains(&rate) {
            return Err(Unsupported);
        }
        let parameters = SincInterpolationParameters {
            sinc_len: 64,
            f_cutoff: None,
            oversampling_factor: 128,
            interpolation: SincInterpolationType::Linear,
            window: WindowFunction::BlackmanHarris2,
        };
        let ratio = f64::from(RATE) / f64::from(rate);
        let resampler = Async::new_sinc(
            ratio,
            1.0 + 2.0 * MOST,
            &parameters,
            CHUNK,
            CHANNELS,
            FixedAsync::Input,
        );
        Ok(Self {
            resampler: resampler.map_err(|_| Unsupported)?,
            rate,
            steering: Steering::default(),
            waiting: Vec::new(),
            next: None,
        })
    }

    /// Ticks that so many frames last.
    fn ticks(&self, frames: usize) -> f64 {
        frames as f64 * f64::from(RATE) / f64::from(self.rate)
    }

    /// Takes interleaved stereo in, which the stream has at `at` ticks, and gives what comes out to
    /// `out`: the time of its first sample, and the samples.
    pub(crate) fn push(&mut self, at: u64, samples: &[f32], mut out: impl FnMut(u64, &[f32])) {
        let at = at as f64;
        // The filter's own delay is no lateness: it is taken off where a run begins.
        let delay = self.resampler.output_delay() as f64;
        let waiting = self.ticks(self.waiting.len() / CHANNELS);
        let steer = match self.next {
            Some(next) => self.steering.steer(next + delay + waiting - at),
            None => Steer::Jump,
        };
        match steer {
            Steer::Drop => return,
            Steer::Jump => {
                self.waiting.clear();
                self.resampler.reset();
                self.next = Some(at - delay);
            }
            Steer::Stretch(speed) => {
                // Within the bounds that the resampler was made for.
                let _ = self.resampler.set_resample_ratio_relative(speed, true);
            }
        }
        self.waiting.extend(samples.iter().copied().map(heard));
        let mut used = 0;
        while let Some(chunk) = self.waiting.get(used..used + CHUNK * CHANNELS) {
            used += CHUNK * CHANNELS;
            let Ok(input) = InterleavedSlice::new(chunk, CHANNELS, CHUNK) else {
                break;
            };
            let Ok(resampled) = self.resampler.process(&input, None) else {
                break;
            };
            let resampled = resampled.take_data();
            if let Some(next) = &mut self.next {
                let begins = whole(*next);
                *next += (resampled.len() / CHANNELS) as f64;
                out(begins, &resampled);
            }
        }
        self.waiting.drain(..used.min(self.waiting.len()));
    }
}

/// A sample, or silence where nobody could tell: decoders fade to numbers so small that processors
/// take many times as long for them, and one that is silent would cost the most.
fn heard(sample: f32) -> f32 {
    // 180 dB below full scale.
    if sample.abs() < 1e-9 { 0.0 } else { sample }
}

/// The nearest tick; a time before the stream's begin is its begin.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is out of bounds becomes the bound"
)]
fn whole(ticks: f64) -> u64 {
    ticks.round() as u64
}

/// Cuts sound into frames of one size, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    samples: Vec<f32>,
    /// The time of the first sample held.
    time: u64,
}

impl Framer {
    pub(crate) fn push(
        &mut self,
        time: u64,
        samples: &[f32],
        size: usize,
        mut frame: impl FnMut(u64, &[f32]),
    ) {
        let held = (self.samples.len() / CHANNELS) as u64;
        // After a jump what is held belongs to nothing any more.
        if time.abs_diff(self.time + held) > 2 {
            self.samples.clear();
            self.time = time;
        }
        self.samples.extend_from_slice(samples);
        let mut used = 0;
        while let Some(samples) = self.samples.get(used..used + size * CHANNELS) {
            frame(self.time, samples);
            self.time += size as u64;
            used += size * CHANNELS;
        }
        self.samples.drain(..used);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "samples are small")]
mod tests {
    use super::*;

    /// An hour of frames whose samples come by a clock that is off, as ticks alone.
    fn worst_of_an_hour(off: f64, frame: f64) -> f64 {
        let mut steering = Steering::default();
        let (mut next, mut worst, mut at) = (0.0_f64, 0.0_f64, 0.0_f64);
        while at < 3600.0 * 48_000.0 {
            // Timestamps are whole milliseconds of the stream's time.
            let stamp = (at / 48.0).floor() * 48.0;
            let late = next - stamp;
            let Steer::Stretch(speed) = steering.steer(late) else {
                panic!("{off}: jumped at {at}");
            };
            worst = worst.max(late.abs());
            next += frame * speed;
            // What the publisher's clock takes for this many samples.
            at += frame / (1.0 + off);
        }
        worst
    }

    #[test]
    fn what_fades_below_hearing_is_silence() {
        assert_eq!([1e-10, -1e-40, -1e-8].map(heard), [0.0, 0.0, -1e-8]);
    }

    #[test]
    fn an_hour_of_a_fast_or_slow_clock_drifts_by_less_than_20_ms() {
        for off in [-0.002, -0.0003, 0.0, 0.0003, 0.002] {
            for frame in [960.0, 1024.0, 1114.5578] {
                let worst = worst_of_an_hour(off, frame) / 48.0;
                assert!(worst < 20.0, "{off}, {frame}: {worst} ms");
            }
        }
    }

    fn tone(frames: usize, from: usize, rate: f64) -> Vec<f32> {
        (from..from + frames)
            .flat_map(|at| {
                let value = (at as f64 / rate * 440.0 * std::f64::consts::TAU).sin() * 0.5;
                [value as f32; 2]
            })
            .collect()
    }

    #[test]
    fn sound_of_44_100_hz_comes_out_at_its_time_and_pitch() {
        let mut follower = Follower::new(44_100).unwrap();
        let (mut first, mut frames, mut crossings, mut last) = (None, 0, 0, 0.0);
        for chunk in 0..200_u32 {
            let at = whole(f64::from(chunk) * 1024.0 / 44_100.0 * 1000.0) * 48;
            follower.push(
                at,
                &tone(1024, chunk as usize * 1024, 44_100.0),
                |time, samples| {
                    first.get_or_insert(time);
                    for sample in samples.chunks(2) {
                        crossings += usize::from(last < 0.0 && sample[0] >= 0.0);
                        last = sample[0];
                    }
                    frames += samples.len() / 2;
                },
            );
        }
        assert_eq!(first, Some(0));
        let seconds = 200.0 * 1024.0 / 44_100.0;
        assert!((frames as f64 / 48_000.0 - seconds).abs() < 0.02);
        let pitch = crossings as f64 / seconds;
        assert!((pitch - 440.0).abs() < 3.0, "{pitch}");
    }

    #[test]
    fn a_gap_stays_a_gap_and_what_was_played_is_not_played_again() {
        let mut follower = Follower::new(48_000).unwrap();
        let mut times = Vec::new();
        for at in [0, 960, 48_000, 1_920, 48_960] {
            follower.push(at, &tone(960, 0, 48_000.0), |time, _| times.push(time));
        }
        assert!(times.is_sorted(), "{times:?}");
        assert!(times.iter().any(|&time| time > 47_000));
        assert!(!times.iter().any(|time| (3_000..47_000).contains(time)));
    }

    #[test]
    fn frames_are_of_one_size_and_begin_anew_after_a_jump() {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for (time, count) in [(0, 700), (700, 700), (1_400, 520), (9_000, 960)] {
            framer.push(time, &vec![0.0; count * 2], 960, |at, samples| {
                frames.push((at, samples.len()));
            });
        }
        assert_eq!(frames, [(0, 1920), (960, 1920), (9_000, 1920)]);
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for rate in [0, 7_350, 192_000] {
            assert!(Follower::new(rate).is_err());
        }
    }
}
