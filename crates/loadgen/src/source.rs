//! One publisher's stream: which frame is due when, and its bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_rtmp::chunk::kind;

use crate::clip::Clip;
use crate::picture;
use crate::sound;
use crate::stamp::{Mark, Stamp};

/// How many times the size of another frame a keyframe is; encoders lie between 4 and 10.
const KEY_WEIGHT: u64 = 6;

/// What the publishers send.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bits a second of video.
    pub video_bitrate: u64,
    /// Frames a second.
    pub frame_rate: u32,
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// Bits a second of audio; 0 for none.
    pub audio_bitrate: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            video_bitrate: 1_000_000,
            frame_rate: 30,
            gop: 60,
            audio_bitrate: 128_000,
        }
    }
}

/// What synthetic audio is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    /// As bodies of FLV tags.
    Aac,
    /// As it is.
    Opus,
}

impl Sound {
    /// Samples of one frame.
    fn samples(self) -> u64 {
        match self {
            Self::Aac => sound::SAMPLES,
            Self::Opus => sound::opus::SAMPLES,
        }
    }
}

/// A message to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) kind: u8,
    /// Milliseconds from the start of the stream.
    pub(crate) timestamp: u32,
    /// Since the start of the stream.
    pub(crate) time: Duration,
    /// When it should go out.
    pub(crate) at: Instant,
}

/// A stream that is being sent.
#[derive(Debug)]
pub(crate) struct Source {
    shape: Shape,
    sound: Sound,
    /// What is sent instead of synthetic frames.
    clip: Option<Arc<Clip>>,
    start: Instant,
    video: u64,
    audio: u64,
}

impl Source {
    pub(crate) fn new(shape: Shape, sound: Sound, clip: Option<Arc<Clip>>, start: Instant) -> Self {
        Self {
            shape,
            sound,
            clip,
            start,
            video: 0,
            audio: 0,
        }
    }

    /// What configures decoders, and goes out first: kinds and payloads.
    pub(crate) fn headers(&self) -> Vec<(u8, Vec<u8>)> {
        if let Some(clip) = &self.clip {
            let headers = clip.headers();
            return headers.map(|(kind, body)| (kind, body.to_vec())).collect();
        }
        let mut headers = vec![(kind::VIDEO, picture::header())];
        if self.shape.audio_bitrate > 0 {
            headers.push((kind::AUDIO, sound::header()));
        }
        headers
    }

    /// The next message.
    pub(crate) fn due(&self) -> Due {
        let (kind, nanos) = match &self.clip {
            Some(clip) => {
                let (kind, millis) = clip.due(self.sent());
                (kind, millis * 1_000_000)
            }
            None => self.due_synthetic(),
        };
        Due {
            kind,
            // RTMP's timestamps wrap at 32 bits.
            timestamp: u32::try_from(nanos / 1_000_000 % (1 << 32)).unwrap_or(0),
            time: Duration::from_nanos(nanos),
            at: self.start + Duration::from_nanos(nanos),
        }
    }

    fn due_synthetic(&self) -> (u8, u64) {
        let rate = u64::from(self.shape.frame_rate.max(1));
        let video = self.video * 1_000_000_000 / rate;
        let audio = self.audio * self.sound.samples() * 1_000_000_000 / sound::RATE;
        if self.shape.audio_bitrate > 0 && audio < video {
            (kind::AUDIO, audio)
        } else {
            (kind::VIDEO, video)
        }
    }

    /// Messages sent so far.
    fn sent(&self) -> usize {
        usize::try_from(self.video + self.audio).unwrap_or(usize::MAX)
    }

    /// Appends the payload of the message that is due, sent at `sent` on the run's clock, and goes
    /// on to the next.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, sent: u64, mark: Mark) {
        let (is_audio, at) = (self.due().kind == kind::AUDIO, self.sent());
        let track = if is_audio {
            &mut self.audio
        } else {
            &mut self.video
        };
        let number = *track;
        *track += 1;
        let stamp = Stamp { sent, number };
        if let Some(clip) = &self.clip {
            clip.write(at, out, mark, stamp);
        } else if is_audio {
            let size = self.shape.audio_bitrate * self.sound.samples() / sound::RATE / 8;
            match self.sound {
                Sound::Aac => sound::frame(out, bytes(size), mark, stamp),
                Sound::Opus => sound::opus::frame(out, bytes(size), mark, stamp),
            }
        } else {
            let gop = u64::from(self.shape.gop.max(1));
            let (gop, nth) = (number / gop, number % gop);
            picture::frame(out, gop, nth, self.frame_size(nth), mark, stamp);
        }
    }

    fn frame_size(&self, nth: u64) -> usize {
        let gop = u64::from(self.shape.gop.max(1));
        let rate = u64::from(self.shape.frame_rate.max(1));
        let of_gop = self.shape.video_bitrate * gop / rate / 8;
        let share = of_gop / (gop - 1 + KEY_WEIGHT);
        bytes(if nth == 0 { share * KEY_WEIGHT } else { share })
    }
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_have_the_bitrate_and_the_frames_asked_for() {
        for (sound, audio_frames) in [(Sound::Aac, 469), (Sound::Opus, 500)] {
            ten_seconds(sound, audio_frames);
        }
    }

    fn ten_seconds(sound: Sound, audio_frames: usize) {
        let shape = Shape::default();
        let start = Instant::now();
        let mut source = Source::new(shape, sound, None, start);
        let (mark, mut bits, mut frames) = (Mark::new(), [0, 0], [0, 0]);
        let mut before = start;
        loop {
            let due = source.due();
            if due.at >= start + Duration::from_secs(10) {
                break;
            }
            assert!(due.at >= before);
            before = due.at;
            let mut body = Vec::new();
            source.write(&mut body, 0, mark);
            let track = usize::from(due.kind == kind::VIDEO);
            bits[track] += body.len() * 8;
            frames[track] += 1;
        }
        assert_eq!(frames, [audio_frames, 300]);
        for (bits, rate) in bits.into_iter().zip([1_280_000.0, 10_000_000.0]) {
            assert!((bits as f64 / rate - 1.0).abs() < 0.02, "{bits} of {rate}");
        }
    }
}
