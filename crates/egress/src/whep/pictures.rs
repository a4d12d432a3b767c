//! A stream's video as RTP carries it: each frame cut once, for all viewers, in the ring's order.
//!
//! Invariant: a picture goes out with the parameter sets that stood before it in the ring, and
//! frames that are not shown in the order in which they come are noticed.

use std::sync::Arc;

use lockgate_media::avc::{AvcConfig, nal};
use lockgate_media::codec::VideoCodec;
use lockgate_media::flv::VideoTag;
use lockgate_media::{Class, Packet};
use lockgate_rtc::{Payloads, h264};

/// One frame, cut.
#[derive(Debug)]
pub(super) struct Picture {
    /// RTP payloads, in order.
    pub(super) payloads: Payloads,
    /// When it is shown, in milliseconds on the stream's timeline.
    pub(super) shown: u64,
    /// Which picture of the stream it is, from 1.
    pub(super) number: u64,
    /// `profile-level-id` of its stream.
    pub(super) profile: Option<u32>,
}

impl Picture {
    /// Bytes of its payloads.
    pub(super) fn bytes(&self) -> usize {
        self.payloads.iter().map(|payload| payload.len()).sum()
    }
}

/// Cuts the frames of a stream, one after the other.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    config: Option<AvcConfig>,
    number: u64,
    order: Order,
    /// What the stream has that WebRTC has not, or not here.
    foreign: Option<VideoCodec>,
}

impl Cutter {
    /// Takes note of a packet, and cuts it when it is a frame.
    pub(super) fn push(&mut self, packet: &Packet) -> Option<Picture> {
        let payload = packet.payload();
        let tag = VideoTag::parse(payload)?;
        if tag.codec != Some(VideoCodec::Avc) {
            self.foreign = tag.codec.or(self.foreign);
            return None;
        }
        let data = payload.get(tag.data?..)?;
        if let Class::Header(number) = packet.class() {
            if number == 0 {
                let config = AvcConfig::parse(&payload.slice_ref(data));
                self.foreign = None;
                if config.is_some() && config != self.config {
                    self.config = config;
                    self.order = Order::default();
                }
            }
            return None;
        }
        if !packet.is_frame() {
            return None;
        }
        let shown = packet
            .timestamp()
            .saturating_add_signed(i64::from(tag.composition));
        self.order.note(shown, packet.is_keyframe());
        let config = self.config.as_ref()?;
        let payloads = cut(config, data);
        if payloads.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Picture {
            payloads: payloads.into(),
            shown,
            number: self.number,
            profile: config.profile_level_id(),
        })
    }

    /// Whether frames come in another order than they are shown in.
    pub(super) fn is_reordered(&self) -> bool {
        self.order.reordered
    }

    /// The codec that keeps the stream from being sent, if one does.
    pub(super) fn foreign(&self) -> Option<VideoCodec> {
        self.foreign
    }
}

/// Notices B-frames: a frame that is shown before one that came before it.
#[derive(Debug, Default)]
struct Order {
    last: u64,
    reordered: bool,
}

impl Order {
    fn note(&mut self, shown: u64, keyframe: bool) {
        // Whatever comes after a keyframe is shown after it: another encoder may have begun there.
        // Two frames of one time are a publisher's rounding.
        self.reordered |= shown < self.last && !keyframe;
        self.last = shown;
    }
}

/// A keyframe's parameter sets go before it, unless it brings its own (RFC 6184 §8.4).
fn cut(config: &AvcConfig, data: &[u8]) -> Vec<Arc<[u8]>> {
    let units = || {
        config.units(data).filter(|unit| {
            let idle = [
                nal::DELIMITER,
                nal::FILLER,
                nal::END_OF_SEQUENCE,
                nal::END_OF_STREAM,
            ];
            nal::kind(unit).is_some_and(|kind| !idle.contains(&kind))
        })
    };
    let has = |kind| units().any(|unit| nal::kind(unit) == Some(kind));
    let sets = config.sps.iter().chain(&config.pps).map(|set| &set[..]);
    let lacks = has(nal::IDR) && !has(nal::SPS);
    h264::payloads(sets.take(if lacks { usize::MAX } else { 0 }).chain(units()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lockgate_media::Track;
    use std::time::Instant;

    fn packet(at: u64, body: &[u8]) -> Packet {
        let body = Bytes::copy_from_slice(body);
        Packet::new(Track::Video, at, body, Instant::now())
    }

    fn header() -> Packet {
        let record = AvcConfig::record(&[0x67, 0x42, 0xe0, 0x1f], &[0x68, 1]).unwrap();
        packet(0, &[&[0x17, 0, 0, 0, 0][..], &record].concat())
    }

    fn frame(at: u64, first: u8, composition: u8, unit: &[u8]) -> Packet {
        let mut body = vec![first, 1, 0, 0, composition, 0, 0, 0];
        body.push(u8::try_from(unit.len()).unwrap());
        body.extend_from_slice(unit);
        packet(at, &body)
    }

    #[test]
    fn a_keyframe_carries_its_parameter_sets_and_others_do_not() {
        let mut cutter = Cutter::default();
        assert!(cutter.push(&frame(0, 0x17, 0, &[0x65, 1])).is_none());
        assert!(cutter.push(&header()).is_none());
        let key = cutter.push(&frame(40, 0x17, 2, &[0x65, 1])).unwrap();
        assert_eq!((key.shown, key.number), (42, 1));
        assert_eq!(key.profile, Some(0x42_e01f));
        let [payload] = &key.payloads[..] else {
            panic!("one packet")
        };
        assert_eq!(
            payload[..],
            [
                0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 1, 0, 2, 0x65, 1
            ]
        );
        let other = cutter.push(&frame(80, 0x27, 2, &[0x41, 1])).unwrap();
        assert_eq!(other.payloads[0][..], [0x41, 1]);
    }

    #[test]
    fn delimiters_are_left_out_and_a_frame_of_nothing_else_is_none() {
        let mut cutter = Cutter::default();
        cutter.push(&header());
        assert!(cutter.push(&frame(0, 0x27, 0, &[0x09, 0xf0])).is_none());
    }

    #[test]
    fn b_frames_are_noticed_and_a_constant_offset_is_none() {
        let mut cutter = Cutter::default();
        cutter.push(&header());
        for at in [0, 40, 80] {
            cutter.push(&frame(at, 0x27, 80, &[0x41, 1]));
        }
        assert!(!cutter.is_reordered());
        cutter.push(&frame(120, 0x27, 160, &[0x41, 1]));
        cutter.push(&frame(160, 0x27, 0, &[0x01, 1]));
        assert!(cutter.is_reordered());
        cutter.push(&header());
        assert!(cutter.is_reordered(), "the same encoder goes on");
        let record = AvcConfig::record(&[0x67, 0x42, 0xe0, 0x20], &[0x68, 1]).unwrap();
        cutter.push(&packet(0, &[&[0x17, 0, 0, 0, 0][..], &record].concat()));
        assert!(!cutter.is_reordered(), "another may not do it");
    }

    #[test]
    fn another_codec_is_named() {
        let mut cutter = Cutter::default();
        cutter.push(&packet(0, b"\x90hvc1\x01"));
        assert_eq!(cutter.foreign(), Some(VideoCodec::Hevc));
    }
}
