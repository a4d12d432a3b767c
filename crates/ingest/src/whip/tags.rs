//! Frames of a WebRTC publisher as FLV tags, on one timeline: pictures, and Opus as AAC with itself
//! beside it.

use bytes::Bytes;
use lockgate_media::{Companion, Track};
use lockgate_rtc::Frame;
use lockgate_transcode::{Coded, ToAac};

use super::clock::Timeline;
use super::pictures::Pictures;

/// Ticks of Opus' clock in a millisecond.
const TICKS: u64 = 48;
/// Opus packets that wait for the AAC frame that they become part of; there are one or two.
const WAITING: usize = 16;

/// One FLV tag body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) track: Track,
    /// Milliseconds on the publisher's timeline.
    pub(super) ms: u32,
    pub(super) body: Bytes,
    pub(super) companions: Vec<Companion>,
}

impl Tag {
    fn new(track: Track, ms: u64, body: Vec<u8>) -> Self {
        Self {
            track,
            // RTMP's clock has 32 bits, and routing knows that.
            ms: u32::try_from(ms & u64::from(u32::MAX)).unwrap_or(0),
            body: body.into(),
            companions: Vec::new(),
        }
    }
}

/// The nearest whole number; what lies before 0 is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is out of bounds becomes the bound"
)]
fn whole(time: f64) -> u64 {
    time.round() as u64
}

/// Makes tags of frames.
#[derive(Debug, Default)]
pub(super) struct Tagger {
    timeline: Timeline,
    pictures: Pictures,
    sound: Option<Sound>,
}

/// The sound's way.
#[derive(Debug)]
struct Sound {
    to_aac: ToAac,
    announced: bool,
    /// What was taken in and not yet put beside a frame: its time, and the packet.
    waiting: Vec<(u64, Bytes)>,
    coded: Vec<Coded>,
}

impl Tagger {
    /// Appends the tags that a frame makes; `true` when a keyframe is wanted.
    pub(super) fn push(&mut self, frame: &Frame, tags: &mut Vec<Tag>) -> bool {
        let at = self.timeline.at(frame);
        if frame.video {
            let ms = whole(at * 1000.0);
            let tag = |body| tags.push(Tag::new(Track::Video, ms, body));
            return self.pictures.push(frame, tag);
        }
        self.sound(
            &frame.data,
            whole(at * f64::from(lockgate_transcode::RATE)),
            tags,
        );
        false
    }

    fn sound(&mut self, packet: &[u8], time: u64, tags: &mut Vec<Tag>) {
        if self.sound.is_none() {
            let Ok(to_aac) = ToAac::new() else { return };
            self.sound = Some(Sound {
                to_aac,
                announced: false,
                waiting: Vec::new(),
                coded: Vec::new(),
            });
        }
        let Some(sound) = &mut self.sound else { return };
        if sound.waiting.len() < WAITING {
            let packet = Bytes::copy_from_slice(packet);
            sound.waiting.push((time, packet));
        }
        sound.to_aac.push(time, packet, &mut sound.coded);
        for coded in sound.coded.drain(..) {
            let ms = coded.time / TICKS;
            if !std::mem::replace(&mut sound.announced, true) {
                let header = [&[0xaf, 0][..], sound.to_aac.config()].concat();
                tags.push(Tag::new(Track::Audio, ms, header));
            }
            let mut tag = Tag::new(Track::Audio, ms, [&[0xaf, 1][..], &coded.data].concat());
            let beside = sound.waiting.drain(..);
            tag.companions = beside
                .filter_map(|(time, opus)| {
                    let after = i64::try_from(time).ok()? - i64::try_from(ms * TICKS).ok()?;
                    let after = i32::try_from(after).ok()?;
                    Some(Companion { after, opus })
                })
                .collect();
            tags.push(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_rtc::Format;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const KEY: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 9,
    ];
    const DELTA: &[u8] = &[0, 0, 0, 1, 0x41, 7];

    struct Frames {
        start: Instant,
        tagger: Tagger,
    }

    impl Frames {
        fn new() -> Self {
            Self {
                start: Instant::now(),
                tagger: Tagger::default(),
            }
        }

        fn push(
            &mut self,
            ms: u64,
            format: Format,
            contiguous: bool,
            data: &[u8],
        ) -> (Vec<Tag>, bool) {
            let video = format != Format::Opus;
            let rate = if video { 90 } else { 48 };
            let frame = Frame {
                video,
                format,
                time: ms * rate,
                rate: u32::try_from(rate).unwrap() * 1000,
                received: self.start + Duration::from_millis(ms),
                contiguous,
                report: None,
                data: Arc::from(data),
            };
            let mut tags = Vec::new();
            let wanted = self.tagger.push(&frame, &mut tags);
            (tags, wanted)
        }

        fn video(&mut self, ms: u64, contiguous: bool, data: &[u8]) -> (Vec<Vec<u8>>, bool) {
            let (tags, wanted) = self.push(ms, Format::H264(None), contiguous, data);
            (tags.iter().map(|tag| tag.body.to_vec()).collect(), wanted)
        }
    }

    #[test]
    fn a_keyframe_brings_its_record_once_and_frames_follow() {
        let mut frames = Frames::new();
        let (tags, wanted) = frames.video(0, true, DELTA);
        assert!(tags.is_empty() && wanted, "nobody can decode it");
        let (tags, wanted) = frames.video(40, true, KEY);
        assert!(!wanted);
        assert_eq!(tags[0][..5], [0x17, 0, 0, 0, 0]);
        assert_eq!(tags[1], [0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 9]);
        let (tags, _) = frames.video(80, true, DELTA);
        assert_eq!(tags, [[0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 7]]);
        let (tags, _) = frames.video(120, true, KEY);
        assert_eq!(tags.len(), 1, "the record has not changed");
    }

    #[test]
    fn after_a_loss_nothing_goes_in_before_a_keyframe() {
        let mut frames = Frames::new();
        frames.video(0, true, KEY);
        let (tags, wanted) = frames.video(40, false, DELTA);
        assert!(tags.is_empty() && wanted);
        let (tags, wanted) = frames.video(80, true, DELTA);
        assert!(tags.is_empty() && wanted);
        let (tags, wanted) = frames.video(120, false, KEY);
        assert!(tags.len() == 1 && !wanted);
    }

    #[test]
    fn newer_codecs_go_in_as_enhanced_rtmp_has_them() {
        let mut frames = Frames::new();
        let mut bodies = |ms, format, data: &[u8]| -> Vec<Vec<u8>> {
            let (tags, _) = frames.push(ms, format, true, data);
            tags.iter().map(|tag| tag.body.to_vec()).collect()
        };
        let key = [0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0b, 0x36, 6];
        let vp9 = bodies(0, Format::Vp9(0), &key);
        assert_eq!(vp9[0][..], *b"\x90vp09\x01\0\0\0\0\x0b\x82\x02\x02\x02\0\0");
        assert_eq!(vp9[1], [&b"\x91vp09"[..], &key].concat());
        let vp9 = bodies(40, Format::Vp9(0), &[0x86, 1]);
        assert_eq!(vp9, [b"\xa1vp09\x86\x01"]);
        let sequence = [
            0x0a, 0x0b, 2, 0, 0, 4, 0xa1, 0xe7, 0xf6, 0x60, 0x17, 0xc0, 2,
        ];
        let key = [&[0x12, 0][..], &sequence, &[0x32, 1, 9]].concat();
        let av1 = bodies(80, Format::Av1(0), &key);
        assert_eq!(av1[0], [&b"\x90av01\x81\0\x0c\0"[..], &sequence].concat());
        assert_eq!(av1[1], [&b"\x91av01"[..], &key[2..]].concat());
        let av1 = bodies(120, Format::Av1(0), &[0x12, 0, 0x32, 1, 8]);
        assert_eq!(av1, [b"\xa1av01\x32\x01\x08"]);
    }

    #[test]
    fn sound_goes_in_as_aac_with_what_it_was_made_of_beside_it() {
        let mut frames = Frames::new();
        let mut all = Vec::new();
        for packet in 0..50_u64 {
            all.extend(
                frames
                    .push(packet * 20, Format::Opus, true, &[0xfc, 0xff, 0xfe])
                    .0,
            );
        }
        assert_eq!(all[0].body[..], [0xaf, 0, 0x11, 0x90]);
        assert!(all[1..].iter().all(|tag| tag.body[..2] == [0xaf, 1]));
        let beside: Vec<_> = all
            .iter()
            .flat_map(|tag| {
                let begins = i64::from(tag.ms) * 48;
                tag.companions
                    .iter()
                    .map(move |it| begins + i64::from(it.after))
            })
            .collect();
        assert!(beside.len() >= 45, "{}", beside.len());
        assert!(
            beside
                .windows(2)
                .all(|two| (two[1] - two[0] - 960).abs() <= 1)
        );
    }
}
