//! A stream's video as RTP carries it: each frame cut once, for all viewers, in the ring's order.
//!
//! Invariant: a picture goes out with the parameter sets that stood before it in the ring, and
//! frames that are not shown in the order in which they come are noticed.

use lockgate_media::codec::VideoCodec;
use lockgate_media::flv::VideoTag;
use lockgate_media::{Class, Packet, Track};
use lockgate_routing::ring::View;
use lockgate_rtc::{Format, Payloads};

use super::cut::Config;

/// One frame, cut.
#[derive(Debug)]
pub(super) struct Picture {
    /// RTP payloads, in order.
    pub(super) payloads: Payloads,
    /// When it is shown, in milliseconds on the stream's timeline.
    pub(super) shown: u64,
    /// Which picture of the stream it is, from 1.
    pub(super) number: u64,
    /// What its stream is.
    pub(super) format: Format,
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
    config: Option<Config>,
    number: u64,
    order: Order,
    /// What the stream has that WebRTC has not, or not here.
    foreign: Option<VideoCodec>,
}

impl Cutter {
    /// One that has taken note of all that a ring holds, and cut nothing.
    pub(super) fn looked(view: &View) -> Self {
        let mut cutter = Self::default();
        for header in view.headers().iter().filter(|it| it.seq < view.first()) {
            cutter.note(&header.packet);
        }
        for packet in (view.first()..view.head()).filter_map(|seq| view.get(seq)) {
            cutter.note(packet);
        }
        cutter
    }

    /// Takes note of a packet, and cuts it when it is a frame.
    pub(super) fn push(&mut self, packet: &Packet) -> Option<Picture> {
        let (data, shown) = self.note(packet)?;
        let config = self.config.as_ref()?;
        let payloads = config.cut(data, packet.is_keyframe());
        if payloads.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Picture {
            payloads: payloads.into(),
            shown,
            number: self.number,
            format: config.format(),
        })
    }

    /// Takes note of a packet: of a frame that can be cut, its data and when it is shown.
    fn note<'a>(&mut self, packet: &'a Packet) -> Option<(&'a [u8], u64)> {
        if packet.track() != Track::Video {
            return None;
        }
        let payload = packet.payload();
        let tag = VideoTag::parse(payload)?;
        let codec = tag.codec?;
        if !Config::carries(codec) {
            self.foreign = Some(codec);
            return None;
        }
        let data = payload.get(tag.data?..)?;
        if let Class::Header(number) = packet.class() {
            if number == 0 {
                self.foreign = None;
                self.configure(Config::of_header(codec, &payload.slice_ref(data)));
            }
            return None;
        }
        if !packet.is_frame() {
            return None;
        }
        self.configure(Config::of_frame(codec, data));
        let shown = packet
            .timestamp()
            .saturating_add_signed(i64::from(tag.composition));
        self.order.note(shown, packet.is_keyframe());
        self.config.as_ref().filter(|it| it.codec() == codec)?;
        self.foreign = None;
        Some((data, shown))
    }

    /// Another encoder may begin here.
    fn configure(&mut self, config: Option<Config>) {
        if config.is_some() && config != self.config {
            self.config = config;
            self.order = Order::default();
        }
    }

    /// The stream's codec, and what its packets carry; `None` until it has said so.
    pub(super) fn carried(&self) -> Option<(VideoCodec, Format)> {
        let config = self.config.as_ref()?;
        Some((config.codec(), config.format()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lockgate_media::avc::AvcConfig;
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
        assert_eq!(key.format, Format::H264(Some(0x42_e01f)));
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
    fn a_codec_that_webrtc_lacks_is_named_and_one_that_it_has_is_carried() {
        let mut cutter = Cutter::default();
        cutter.push(&packet(0, b"\x90vvc1\x01"));
        assert_eq!(cutter.foreign(), Some(VideoCodec::Vvc));
        let picture = cutter.push(&packet(0, b"\x91vp09\x82\x49")).unwrap();
        assert_eq!(picture.format, Format::Vp9(0));
        assert_eq!(cutter.carried(), Some((VideoCodec::Vp9, Format::Vp9(0))));
        assert_eq!(cutter.foreign(), None);
        // Frames of a codec whose header has not come are nobody's.
        assert!(
            cutter
                .push(&packet(0, b"\x93hvc1\0\0\0\x03\x26\x01\x09"))
                .is_none()
        );
    }
}
