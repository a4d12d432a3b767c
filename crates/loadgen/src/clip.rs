//! A recorded stream as a source: an FLV file, sent in a loop with timestamps that go on rising.
//!
//! H.264 and AAC get the stamp in front of their frames, as user data that decoders skip, so delay and
//! losses are measured as with synthetic frames. Frames of other codecs go out as they are, and
//! nothing is measured of them but bytes.

use anyhow::{Context, ensure};
use lockgate_media::codec::{AudioCodec, VideoCodec};
use lockgate_media::flv::{AudioTag, Part, VideoTag};
use lockgate_rtmp::chunk::kind;

use crate::picture;
use crate::sound;
use crate::stamp::{Mark, Stamp};

/// Bytes of the size that stands behind every tag (FLV 10.1 §E.3).
const TAG_SIZE: usize = 4;
/// Where an AVC decoder configuration says how long the lengths of its NAL units are, from the
/// start of the tag body; its two low bits are one less than that (ISO/IEC 14496-15 §5.3.3.1).
const NAL_LENGTH_AT: usize = 5 + 4;
/// What the last frame lasts when the file does not tell.
const ONE_FRAME_MS: u32 = 33;

/// A recorded stream.
#[derive(Debug)]
pub struct Clip {
    /// What configures decoders.
    headers: Vec<Tag>,
    /// Frames in the file's order, their timestamps from 0.
    frames: Vec<Tag>,
    /// Milliseconds from one turn of the loop to the next.
    length: u32,
    /// Whether stamps fit into the video.
    short_units: bool,
}

#[derive(Debug)]
struct Tag {
    kind: u8,
    timestamp: u32,
    body: Vec<u8>,
}

impl Clip {
    /// Takes an FLV file apart. It starts at its first keyframe, if it has video.
    ///
    /// # Errors
    /// When it is no FLV file, or has no frames.
    pub fn parse(file: &[u8]) -> anyhow::Result<Self> {
        let (mut headers, mut frames) = (Vec::new(), Vec::new());
        let mut rest = file
            .strip_prefix(b"FLV\x01")
            .and_then(|rest| rest.get(5 + TAG_SIZE..))
            .context("no FLV file")?;
        // A last tag that was cut short is left out: a recorder that was killed leaves one.
        while let Some((tag, after)) = next(rest) {
            rest = after;
            match part(&tag) {
                Some(Part::Header(_)) => headers.push(tag),
                Some(Part::Frame) => frames.push(tag),
                Some(Part::Notice) | None => {}
            }
        }
        let video = frames.iter().any(|tag| tag.kind == kind::VIDEO);
        let first = frames.iter().position(|tag| !video || is_keyframe(tag));
        frames.drain(..first.context("no frame to start with")?);
        let start = frames.first().map_or(0, |tag| tag.timestamp);
        for frame in &mut frames {
            frame.timestamp = frame.timestamp.saturating_sub(start);
        }
        // A loop that started anew within the last frame would run back.
        let end = frames.iter().map(|tag| tag.timestamp).max().unwrap_or(0);
        let short_units = headers
            .iter()
            .filter(|tag| tag.kind == kind::VIDEO)
            .all(|tag| {
                tag.body
                    .get(NAL_LENGTH_AT)
                    .is_some_and(|byte| byte & 3 == 3)
            });
        ensure!(end > 0, "one moment alone is no stream");
        Ok(Self {
            headers,
            frames,
            length: end + ONE_FRAME_MS,
            short_units,
        })
    }

    /// What goes out before the first frame: kinds and payloads.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.headers.iter().map(|tag| (tag.kind, &*tag.body))
    }

    /// Kind and milliseconds since the start of frame `at`, counted on through every turn.
    pub(crate) fn due(&self, at: usize) -> (u8, u64) {
        let (turn, frame) = self.place(at);
        let (kind, timestamp) = frame.map_or((kind::VIDEO, 0), |tag| (tag.kind, tag.timestamp));
        (
            kind,
            turn as u64 * u64::from(self.length) + u64::from(timestamp),
        )
    }

    /// Appends the payload of frame `at`, with a stamp where one fits.
    pub(crate) fn write(&self, at: usize, out: &mut Vec<u8>, mark: Mark, stamp: Stamp) {
        let (_, Some(frame)) = self.place(at) else {
            return;
        };
        let body = &frame.body;
        let (head, rest) = body.split_at(self.stamp_at(frame).unwrap_or(0));
        out.extend(head);
        if !head.is_empty() {
            match frame.kind {
                kind::VIDEO => picture::stamp_unit(out, mark, stamp),
                _ => sound::stamp_element(out, mark, stamp),
            }
        }
        out.extend(rest);
    }

    fn place(&self, at: usize) -> (usize, Option<&Tag>) {
        let count = self.frames.len().max(1);
        (at / count, self.frames.get(at % count))
    }

    /// Where a stamp goes: between the tag's header and the frame.
    fn stamp_at(&self, frame: &Tag) -> Option<usize> {
        if frame.kind == kind::VIDEO {
            // The stamp is read at a fixed place, which enhanced headers do not have.
            let plain = frame.body.first().is_some_and(|first| first & 0x80 == 0);
            let tag = VideoTag::parse(&frame.body).filter(|_| plain && self.short_units)?;
            tag.data.filter(|_| tag.codec == Some(VideoCodec::Avc))
        } else {
            let plain = frame.body.first().is_some_and(|first| first >> 4 == 10);
            let tag = AudioTag::parse(&frame.body).filter(|_| plain)?;
            tag.data.filter(|_| tag.codec == Some(AudioCodec::Aac))
        }
    }
}

fn next(rest: &[u8]) -> Option<(Tag, &[u8])> {
    let ([kind, s0, s1, s2, t0, t1, t2, t3, _, _, _], rest) = rest.split_first_chunk()?;
    let size = u32::from_be_bytes([0, *s0, *s1, *s2]);
    let (body, rest) = rest.split_at_checked(usize::try_from(size).ok()?)?;
    let tag = Tag {
        kind: *kind,
        timestamp: u32::from_be_bytes([*t3, *t0, *t1, *t2]),
        body: body.to_vec(),
    };
    Some((tag, rest.get(TAG_SIZE..).unwrap_or_default()))
}

/// What a tag is to its decoder; `None` for what is neither audio nor video.
fn part(tag: &Tag) -> Option<Part> {
    match tag.kind {
        kind::VIDEO => VideoTag::parse(&tag.body).map(|tag| tag.part),
        kind::AUDIO => AudioTag::parse(&tag.body).map(|tag| tag.part),
        _ => None,
    }
}

fn is_keyframe(tag: &Tag) -> bool {
    tag.kind == kind::VIDEO && VideoTag::parse(&tag.body).is_some_and(|tag| tag.keyframe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tags: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (kind, timestamp, body) in tags {
            let [t3, t0, t1, t2] = timestamp.to_be_bytes();
            let [_, size @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
            file.push(*kind);
            file.extend(size);
            file.extend([t0, t1, t2, t3, 0, 0, 0]);
            file.extend(*body);
            file.extend(u32::try_from(body.len() + 11).unwrap().to_be_bytes());
        }
        file
    }

    fn small() -> Vec<u8> {
        let delta = b"\x27\x01\0\0\0\0\0\0\x01\x41";
        let key = b"\x17\x01\0\0\0\0\0\0\x01\x65";
        file(&[
            (18, 0, b"\x02\0"),
            (9, 0, &picture::header()),
            (8, 0, &sound::header()),
            (9, 960, delta),
            (9, 1000, key),
            (8, 1010, b"\xaf\x01\x21"),
            (9, 1040, delta),
        ])
    }

    #[test]
    fn a_file_starts_at_its_keyframe_and_goes_on_rising_when_it_starts_again() {
        let clip = Clip::parse(&small()).unwrap();
        assert_eq!(clip.headers().count(), 2);
        let due: Vec<_> = (0..4).map(|at| clip.due(at)).collect();
        let (video, audio) = (kind::VIDEO, kind::AUDIO);
        assert_eq!(due, [(video, 0), (audio, 10), (video, 40), (video, 73)]);
    }

    #[test]
    fn frames_get_a_stamp_where_players_look_for_it() {
        let clip = Clip::parse(&small()).unwrap();
        let (mark, stamp) = (Mark::new(), Stamp { sent: 5, number: 6 });
        let mut frames = [Vec::new(), Vec::new()];
        for (at, frame) in frames.iter_mut().enumerate() {
            clip.write(at, frame, mark, stamp);
        }
        assert_eq!(picture::stamp(&frames[0], mark), Some(stamp));
        assert!(frames[0].ends_with(b"\0\0\0\x01\x65"));
        assert_eq!(sound::stamp(&frames[1], mark), Some(stamp));
        assert!(frames[1].ends_with(b"\x21"));
    }

    #[test]
    fn frames_of_other_codecs_go_out_as_they_are() {
        let (mp3, vp6): (&[u8], &[u8]) = (b"\x2f\xff\xfb", b"\x14\0\x01");
        let clip = Clip::parse(&file(&[(9, 0, vp6), (8, 30, mp3)])).unwrap();
        for (at, body) in [vp6, mp3].into_iter().enumerate() {
            let mut out = Vec::new();
            clip.write(at, &mut out, Mark::new(), Stamp { sent: 1, number: 1 });
            assert_eq!(out, body);
        }
    }

    #[test]
    fn what_is_no_file_and_what_is_cut_short_is_no_panic() {
        for end in 0..small().len() {
            let _ = Clip::parse(&small()[..end]);
        }
        assert!(Clip::parse(b"RIFF").is_err());
        assert!(Clip::parse(&file(&[])).is_err());
    }
}
