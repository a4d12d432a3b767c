//! Reads the header of an FLV tag body, which is also the payload of an RTMP media message.
//!
//! Follows FLV 10.1 §E.4, the older HEVC dialect (codec id 12) and Enhanced RTMP v1 and v2
//! (FourCC, ModEx, multitrack). Only what relaying needs is read: codec, frame kind, which
//! packets configure a decoder. A body that is too short or malformed is `None`, never a panic.

use crate::codec::{AudioCodec, VideoCodec};

/// What a media packet is to its decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Configures the decoder: a sequence header, HDR metadata, a channel layout. The number
    /// tells apart those that stand beside each other (tracks of a multitrack stream, kinds).
    Header(u16),
    /// A coded frame.
    Frame,
    /// Neither: end of sequence, a command frame.
    Notice,
}

/// The header of a video tag body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTag {
    /// Codec; `None` where tracks of several codecs share one packet, and in command frames.
    pub codec: Option<VideoCodec>,
    /// What the packet is to its decoder.
    pub part: Part,
    /// A frame that decodes by itself, on the default track.
    pub keyframe: bool,
    /// Where the codec's own data starts; `None` where it is not one contiguous piece.
    pub data: Option<usize>,
    /// How much later than its timestamp it is shown, in milliseconds: not 0 in streams whose
    /// frames are not shown in the order in which they come.
    pub composition: i32,
}

/// The header of an audio tag body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTag {
    /// Codec; `None` where tracks of several codecs share one packet.
    pub codec: Option<AudioCodec>,
    /// What the packet is to its decoder.
    pub part: Part,
    /// Where the codec's own data starts; `None` where it is not one contiguous piece.
    pub data: Option<usize>,
}

/// Header number of HDR metadata and channel layouts, beside the track numbers 0 to 255.
const SIDE_HEADER: u16 = 0x100;
/// Header number of a packet that carries headers of many tracks.
const MANY_TRACKS: u16 = 0x200;

const COMMAND_FRAME: u8 = 5;

impl VideoTag {
    /// Reads the header of a video message payload.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let &first = body.first()?;
        let frame_type = first >> 4 & 0x07;
        if first & 0x80 != 0 {
            return Self::parse_enhanced(body, frame_type, first & 0x0f);
        }
        if frame_type == COMMAND_FRAME {
            return Some(Self {
                codec: None,
                part: Part::Notice,
                keyframe: false,
                data: None,
                composition: 0,
            });
        }
        let codec = VideoCodec::from_id(first & 0x0f);
        let (part, data) = match codec {
            VideoCodec::Avc | VideoCodec::Hevc => {
                let part = match body.get(1)? {
                    0 => Part::Header(0),
                    1 => Part::Frame,
                    _ => Part::Notice,
                };
                body.get(4)?;
                (part, 5)
            }
            _ => (Part::Frame, 1),
        };
        let keyframe = part == Part::Frame && frame_type == 1;
        Some(Self {
            codec: Some(codec),
            part,
            keyframe,
            data: Some(data),
            composition: if data == 5 { signed_24(body, 2) } else { 0 },
        })
    }

    /// E-RTMP v2, "Extended VideoTagHeader".
    fn parse_enhanced(body: &[u8], frame_type: u8, packet_type: u8) -> Option<Self> {
        let mut at = 1;
        let packet_type = skip_mod_ex(body, &mut at, packet_type)?;
        if frame_type == COMMAND_FRAME && packet_type != 4 {
            return Some(Self {
                codec: None,
                part: Part::Notice,
                keyframe: false,
                data: None,
                composition: 0,
            });
        }
        let tracks = Tracks::parse(body, &mut at, packet_type, 6)?;
        let codec = tracks.fourcc.map(VideoCodec::from_fourcc);
        let part = match tracks.packet_type {
            0 | 5 => Part::Header(tracks.number),
            1 | 3 => Part::Frame,
            4 => Part::Header(SIDE_HEADER | tracks.number),
            _ => Part::Notice,
        };
        // A composition time offset stands before the frame for the codecs that reorder.
        let reorders = matches!(
            codec,
            Some(VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc)
        );
        let mut composition = 0;
        if tracks.packet_type == 1 && reorders {
            composition = signed_24(body, at);
            at += 3;
        }
        let keyframe = part == Part::Frame && frame_type == 1 && tracks.is_default();
        Some(Self {
            codec,
            part,
            keyframe,
            data: tracks.contiguous.then_some(at),
            composition,
        })
    }
}

/// `SI24`, or 0 where the body ends before it.
fn signed_24(body: &[u8], at: usize) -> i32 {
    let bytes = body.get(at..at + 3).unwrap_or_default();
    let value = bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | i32::from(byte));
    if value & 0x80_0000 != 0 {
        value - 0x100_0000
    } else {
        value
    }
}

impl AudioTag {
    /// Reads the header of an audio message payload.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let &first = body.first()?;
        if first >> 4 == 9 {
            return Self::parse_enhanced(body, first & 0x0f);
        }
        let codec = AudioCodec::from_id(first >> 4);
        let (part, data) = match codec {
            AudioCodec::Aac if *body.get(1)? == 0 => (Part::Header(0), 2),
            AudioCodec::Aac => (Part::Frame, 2),
            _ => (Part::Frame, 1),
        };
        Some(Self {
            codec: Some(codec),
            part,
            data: Some(data),
        })
    }

    /// E-RTMP v2, "Extended AudioTagHeader".
    fn parse_enhanced(body: &[u8], packet_type: u8) -> Option<Self> {
        let mut at = 1;
        let packet_type = skip_mod_ex(body, &mut at, packet_type)?;
        let tracks = Tracks::parse(body, &mut at, packet_type, 5)?;
        let part = match tracks.packet_type {
            0 => Part::Header(tracks.number),
            1 => Part::Frame,
            4 => Part::Header(SIDE_HEADER | tracks.number),
            _ => Part::Notice,
        };
        let codec = tracks.fourcc.map(AudioCodec::from_fourcc);
        Some(Self {
            codec,
            part,
            data: tracks.contiguous.then_some(at),
        })
    }
}

/// Steps over ModEx blocks (E-RTMP v2: packet type 7, a size, that much data, the next type).
fn skip_mod_ex(body: &[u8], at: &mut usize, mut packet_type: u8) -> Option<u8> {
    while packet_type == 7 {
        let mut size = usize::from(*body.get(*at)?) + 1;
        *at += 1;
        if size == 256 {
            let bytes = body.get(*at..*at + 2)?;
            size = usize::from(u16::from_be_bytes(bytes.try_into().ok()?)) + 1;
            *at += 2;
        }
        *at = at.checked_add(size)?;
        packet_type = *body.get(*at)? & 0x0f;
        *at += 1;
    }
    Some(packet_type)
}

/// What follows the packet type of an enhanced tag: FourCC and, in a multitrack packet, tracks.
struct Tracks {
    packet_type: u8,
    fourcc: Option<[u8; 4]>,
    number: u16,
    contiguous: bool,
}

impl Tracks {
    fn parse(body: &[u8], at: &mut usize, packet_type: u8, multitrack: u8) -> Option<Self> {
        if packet_type != multitrack {
            let fourcc = Some(read_fourcc(body, at)?);
            return Some(Self {
                packet_type,
                fourcc,
                number: 0,
                contiguous: true,
            });
        }
        let byte = *body.get(*at)?;
        *at += 1;
        let (kind, packet_type) = (byte >> 4, byte & 0x0f);
        // 0: one track, 1: many tracks of one codec, 2: many tracks, each with its codec.
        let fourcc = if kind == 2 {
            None
        } else {
            Some(read_fourcc(body, at)?)
        };
        if kind != 0 {
            body.get(*at)?;
            return Some(Self {
                packet_type,
                fourcc,
                number: MANY_TRACKS,
                contiguous: false,
            });
        }
        let number = u16::from(*body.get(*at)?);
        *at += 1;
        Some(Self {
            packet_type,
            fourcc,
            number,
            contiguous: true,
        })
    }

    fn is_default(&self) -> bool {
        self.number == 0 || self.number == MANY_TRACKS
    }
}

fn read_fourcc(body: &[u8], at: &mut usize) -> Option<[u8; 4]> {
    let fourcc = body.get(*at..*at + 4)?.try_into().ok()?;
    *at += 4;
    Some(fourcc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(hex: &[u8]) -> VideoTag {
        VideoTag::parse(hex).expect("a valid video tag")
    }

    fn audio(hex: &[u8]) -> AudioTag {
        AudioTag::parse(hex).expect("a valid audio tag")
    }

    #[test]
    fn legacy_video_tags_are_told_apart() {
        let header = video(&[0x17, 0, 0, 0, 0, 1]);
        assert_eq!(
            (header.codec, header.part),
            (Some(VideoCodec::Avc), Part::Header(0))
        );
        assert!(!header.keyframe, "a sequence header is not a picture");
        assert!(video(&[0x17, 1, 0, 0, 0, 9]).keyframe);
        assert!(!video(&[0x27, 1, 0, 0, 0, 9]).keyframe);
        assert_eq!(video(&[0x17, 2, 0, 0, 0]).part, Part::Notice);
        assert_eq!(video(&[0x1c, 0, 0, 0, 0, 1]).codec, Some(VideoCodec::Hevc));
        assert!(video(&[0x12, 0]).keyframe, "Sorenson has no packet type");
        assert_eq!(video(&[0x57, 0]).part, Part::Notice, "a command frame");
    }

    #[test]
    fn enhanced_video_tags_are_told_apart() {
        let header = video(b"\x90hvc1\x01");
        assert_eq!(
            (header.codec, header.part),
            (Some(VideoCodec::Hevc), Part::Header(0))
        );
        assert_eq!(header.data, Some(5));
        let frame = video(b"\x91hvc1\0\0\0x");
        assert!(frame.keyframe);
        assert_eq!(frame.data, Some(8));
        assert_eq!(video(b"\xa3hvc1x").data, Some(5));
        assert_eq!(
            video(b"\x91av01x").data,
            Some(5),
            "AV1 has no composition time"
        );
        assert_eq!(video(b"\x92vp09").part, Part::Notice);
        assert_eq!(video(b"\x94hvc1\x02").part, Part::Header(SIDE_HEADER));
    }

    #[test]
    fn mod_ex_blocks_are_stepped_over() {
        // Size 3 (minus one is 2), 3 bytes of nanoseconds, then packet type 1.
        let frame = video(b"\x97\x02\x00\x01\x02\x01av01x");
        assert!(frame.keyframe);
        assert_eq!(frame.data, Some(10));
        let mut long = vec![0x97, 0xff, 0x00, 0xff];
        long.extend([0; 256]);
        long.extend(b"\x03vp09");
        assert_eq!(video(&long).codec, Some(VideoCodec::Vp9));
        assert_eq!(VideoTag::parse(b"\x97\xff\xff\xff"), None);
    }

    #[test]
    fn multitrack_packets_name_their_track() {
        let second = video(b"\x96\x01hvc1\x02\0\0\0x");
        assert_eq!(second.part, Part::Frame);
        assert!(!second.keyframe, "only the default track starts a GOP");
        assert_eq!(video(b"\x96\x00hvc1\x02x").part, Part::Header(2));
        assert!(video(b"\x96\x01av01\x00x").keyframe);
        let many = video(b"\x96\x21avc1\x00");
        assert_eq!((many.codec, many.data), (None, None));
        assert!(many.keyframe);
    }

    #[test]
    fn audio_tags_are_told_apart() {
        assert_eq!(audio(&[0xaf, 0, 0x12, 0x10]).part, Part::Header(0));
        assert_eq!(audio(&[0xaf, 1, 0x21]).part, Part::Frame);
        assert_eq!(audio(&[0x2f, 1]).codec, Some(AudioCodec::Mp3));
        let opus = audio(b"\x90OpusOpusHead");
        assert_eq!(
            (opus.codec, opus.part),
            (Some(AudioCodec::Opus), Part::Header(0))
        );
        assert_eq!(opus.data, Some(5));
        assert_eq!(audio(b"\x91fLaCx").codec, Some(AudioCodec::Flac));
        assert_eq!(audio(b"\x94Opus\x00").part, Part::Header(SIDE_HEADER));
        assert_eq!(audio(b"\x95\x01ac-3\x03x").part, Part::Frame);
        assert_eq!(
            audio(b"\x97\x00\x00\x01Opusx").codec,
            Some(AudioCodec::Opus)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            VideoTag::parse(&body);
            AudioTag::parse(&body);
        }
    }
}
