//! Synthetic H.264 as FLV tag bodies: grey pictures that decode, padded to the size asked for.
//!
//! Each frame is user data with the stamp, filler, and one slice, so a decoder shows a steady
//! picture while the load is what a camera would make. The filler is a message of its own beside the
//! stamp (§D.1.4) rather than a NAL unit of filler (§7.3.2.7): what cuts frames into RTP leaves those
//! out. Clause numbers are those of H.264.

use lockgate_media::avc;

use crate::stamp::{self, Mark, Stamp};

/// Width and height in macroblocks, and the crop to 640 × 360.
const WIDTH: u32 = 40;
const HEIGHT: u32 = 23;
const CROP_BOTTOM: u32 = 4;

/// Where the stamp stands in a frame: behind the tag header, the NAL unit's length, its type, and
/// type and size of the user data.
const STAMP_AT: usize = 5 + 4 + 3;

/// First byte of a keyframe's tag body.
const KEYFRAME: u8 = 0x17;

/// What ends a unit of user data (§7.3.2.11).
const TRAILING: u8 = 0x80;

const SLICE: u8 = 0x41;
const IDR: u8 = 0x65;
const USER_DATA: u8 = 0x06;
const SPS: u8 = 0x67;
const PPS: u8 = 0x68;

/// Kinds of messages in a unit of user data (§D.1).
const FILLER: u8 = 3;
const UNREGISTERED: u8 = 5;

/// The sequence header.
pub(crate) fn header() -> Vec<u8> {
    let (sps, pps) = (sps(), pps());
    let mut body = vec![0x17, 0, 0, 0, 0];
    // AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1): baseline, level 3, 4-byte lengths.
    body.extend([1, 66, 0xc0, 30, 0xff, 0xe1]);
    body.extend(length16(&sps));
    body.extend(&sps);
    body.push(1);
    body.extend(length16(&pps));
    body.extend(&pps);
    body
}

/// Appends one frame of about `size` bytes: the `nth` of its GOP, 0 being the keyframe.
pub(crate) fn frame(out: &mut Vec<u8>, gop: u64, nth: u64, size: usize, mark: Mark, at: Stamp) {
    let start = out.len();
    out.extend([if nth == 0 { KEYFRAME } else { 0x27 }, 1, 0, 0, 0]);
    let slice = if nth == 0 { idr(gop) } else { skipped(nth) };
    let mut user_data = stamp_message(mark, at);
    let without = out.len() - start + 4 + user_data.len() + 1 + 4 + slice.len();
    let missing = size.saturating_sub(without);
    if missing > 0 {
        filler_message(&mut user_data, missing);
    }
    user_data.push(TRAILING);
    unit(out, &user_data);
    unit(out, &slice);
}

/// Appends a stamp as a NAL unit of user data, which stands in front of a frame's own.
pub(crate) fn stamp_unit(out: &mut Vec<u8>, mark: Mark, at: Stamp) {
    let mut user_data = stamp_message(mark, at);
    user_data.push(TRAILING);
    unit(out, &user_data);
}

/// A unit of user data with the stamp, not yet ended.
fn stamp_message(mark: Mark, at: Stamp) -> Vec<u8> {
    let size = u8::try_from(stamp::SIZE).unwrap_or(u8::MAX);
    let mut user_data = vec![USER_DATA, UNREGISTERED, size];
    mark.write(at, &mut user_data);
    user_data
}

/// Appends a message of about `room` bytes that says nothing. Its size is as many 255 as go into it,
/// and the rest (§7.3.2.3.1); no byte of it needs escaping.
fn filler_message(out: &mut Vec<u8>, room: usize) {
    let room = room.saturating_sub(2);
    let size = room - room / 256;
    out.push(FILLER);
    out.resize(out.len() + size / 255, 0xff);
    out.push(u8::try_from(size % 255).unwrap_or(0));
    out.resize(out.len() + size, 0xff);
}

/// A frame's bytes as a byte stream (Annex B), with what configures decoders before a keyframe;
/// empty for a body that is none.
pub(crate) fn byte_stream(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut append = |nal: &[u8]| {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    };
    if body.first() == Some(&KEYFRAME) {
        append(&sps());
        append(&pps());
    }
    let mut rest = body.get(5..).unwrap_or_default();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((nal, behind)) = behind.split_at_checked(length) else {
            break;
        };
        append(nal);
        rest = behind;
    }
    out
}

/// What a frame of a byte stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// It configures decoders.
    pub(crate) configures: bool,
    /// It decodes by itself.
    pub(crate) keyframe: bool,
    pub(crate) stamp: Option<Stamp>,
}

impl Look {
    /// Looks at a frame.
    pub(crate) fn at(stream: &[u8], mark: Mark) -> Self {
        let mut look = Self::default();
        for unit in avc::byte_stream(stream) {
            match avc::nal::kind(unit) {
                Some(avc::nal::SPS) => look.configures = true,
                Some(avc::nal::IDR) => look.keyframe = true,
                Some(USER_DATA) if look.stamp.is_none() => {
                    look.stamp = unit.get(3..).and_then(|bytes| mark.read(bytes));
                }
                _ => {}
            }
        }
        look
    }
}

/// The stamp of a frame.
pub(crate) fn stamp(body: &[u8], mark: Mark) -> Option<Stamp> {
    mark.read(body.get(STAMP_AT..)?)
}

fn unit(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend(u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(nal);
}

fn length16(nal: &[u8]) -> [u8; 2] {
    u16::try_from(nal.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// §7.3.2.1.1: order of output is order of decoding, one reference, cropped.
fn sps() -> Vec<u8> {
    let mut bits = Bits::new(SPS);
    bits.put(66, 8);
    bits.put(0xc0, 8);
    bits.put(30, 8);
    for value in [0, 0, 2, 1] {
        bits.exp_golomb(value);
    }
    bits.put(0, 1);
    bits.exp_golomb(WIDTH - 1);
    bits.exp_golomb(HEIGHT - 1);
    bits.put(0b111, 3);
    for value in [0, 0, 0, CROP_BOTTOM] {
        bits.exp_golomb(value);
    }
    bits.put(0, 1);
    bits.finish()
}

/// §7.3.2.2: CAVLC, one slice group, no weighting.
fn pps() -> Vec<u8> {
    let mut bits = Bits::new(PPS);
    bits.exp_golomb(0);
    bits.exp_golomb(0);
    bits.put(0, 2);
    for value in [0, 0, 0] {
        bits.exp_golomb(value);
    }
    bits.put(0, 3);
    for value in [0, 0, 0] {
        bits.exp_golomb(value);
    }
    bits.put(0, 3);
    bits.finish()
}

/// A grey picture: every macroblock is predicted from nothing and has no residual (§7.3.5).
fn idr(gop: u64) -> Vec<u8> {
    let mut bits = Bits::new(IDR);
    for value in [0, 7, 0] {
        bits.exp_golomb(value);
    }
    bits.put(0, 4);
    // Neighbouring IDR pictures differ in their id (§7.4.3).
    bits.exp_golomb(u32::from(gop % 2 == 1));
    bits.put(0, 2);
    bits.exp_golomb(0);
    for _ in 0..WIDTH * HEIGHT {
        bits.exp_golomb(3);
        bits.put(0b111, 3);
    }
    bits.finish()
}

/// The picture before once more: every macroblock is skipped.
fn skipped(nth: u64) -> Vec<u8> {
    let mut bits = Bits::new(SLICE);
    for value in [0, 5, 0] {
        bits.exp_golomb(value);
    }
    bits.put(u32::try_from(nth % 16).unwrap_or(0), 4);
    bits.put(0, 3);
    bits.exp_golomb(0);
    bits.exp_golomb(WIDTH * HEIGHT);
    bits.finish()
}

/// Writes a NAL unit bit by bit.
struct Bits {
    bytes: Vec<u8>,
    word: u64,
    held: u32,
}

impl Bits {
    fn new(kind: u8) -> Self {
        Self {
            bytes: vec![kind],
            word: 0,
            held: 0,
        }
    }

    /// Appends the low `count` bits, at most 32.
    fn put(&mut self, value: u32, count: u32) {
        self.word = (self.word << count) | u64::from(value);
        self.held += count;
        while self.held >= 8 {
            self.held -= 8;
            let [low, ..] = (self.word >> self.held).to_le_bytes();
            self.byte(low);
        }
    }

    /// §9.1: ue(v), which for zero is se(v) too.
    fn exp_golomb(&mut self, value: u32) {
        let bits = 32 - (value + 1).leading_zeros();
        self.put(0, bits - 1);
        self.put(value + 1, bits);
    }

    /// §7.4.1.1: three bytes that look like a start code are told apart by a 3.
    fn byte(&mut self, byte: u8) {
        if byte <= 3 && self.bytes.ends_with(&[0, 0]) {
            self.bytes.push(3);
        }
        self.bytes.push(byte);
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.put(0, (8 - self.held) % 8);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_media::sequence::VideoFormat;
    use lockgate_media::{Class, Packet, Track};

    fn class(body: Vec<u8>) -> Class {
        Packet::new(Track::Video, 0, body.into(), std::time::Instant::now()).class()
    }

    fn one(nth: u64, size: usize) -> (Vec<u8>, Mark) {
        let (mark, mut body) = (Mark::new(), Vec::new());
        let at = Stamp { sent: 7, number: 9 };
        frame(&mut body, 0, nth, size, mark, at);
        (body, mark)
    }

    #[test]
    fn the_header_says_640_by_360() {
        let format = VideoFormat::parse(&header()).unwrap();
        assert_eq!(format.size, Some((640, 360)));
        assert_eq!(class(header()), Class::Header(0));
    }

    #[test]
    fn frames_have_the_size_asked_for_and_their_stamp() {
        for (nth, size, expected) in [(0, 20_000, Class::Keyframe), (3, 4_000, Class::Frame)] {
            let (body, mark) = one(nth, size);
            assert_eq!(body.len(), size);
            assert_eq!(stamp(&body, mark), Some(Stamp { sent: 7, number: 9 }));
            assert_eq!(class(body), expected);
        }
    }

    #[test]
    fn a_frame_as_a_byte_stream_is_what_the_body_is() {
        for (nth, keyframe) in [(0, true), (3, false)] {
            let (body, mark) = one(nth, 4_000);
            let stream = byte_stream(&body);
            let look = Look::at(&stream, mark);
            let stamp = Some(Stamp { sent: 7, number: 9 });
            let expected = Look {
                configures: keyframe,
                keyframe,
                stamp,
            };
            assert_eq!(look, expected);
            let sizes: Vec<_> = avc::byte_stream(&stream).map(<[u8]>::len).collect();
            assert_eq!(sizes.iter().sum::<usize>() + 4 * sizes.len(), stream.len());
            assert_eq!(Look::at(&stream, Mark::new()).stamp, None);
        }
        assert_eq!(byte_stream(b""), b"");
        assert_eq!(byte_stream(b"\x27\x01\0\0\0\0\0\0\x09\x41"), b"");
    }

    #[test]
    fn a_frame_too_small_for_its_picture_is_the_picture_alone() {
        let (body, mark) = one(0, 10);
        assert!(body.len() > 920, "one byte a macroblock");
        assert!(stamp(&body, mark).is_some());
    }

    #[test]
    fn start_codes_inside_a_unit_are_escaped() {
        let mut bits = Bits::new(1);
        bits.put(0, 24);
        bits.put(1, 8);
        assert_eq!(bits.finish(), [1, 0, 0, 3, 0, 1, 0x80]);
    }
}
