//! HEVC as enhanced RTMP and FLV carry it: NAL units behind lengths, parameter sets in an
//! `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1).
//!
//! What is malformed ends an iteration or is `None`, never a panic.

use bytes::Bytes;

use crate::avc::Units;
use crate::bits::unescape;
use crate::sequence::HevcSps;

/// `nal_unit_type` (ITU-T H.265 table 7-1) of what is told apart here.
pub mod nal {
    /// Video parameter set.
    pub const VPS: u8 = 32;
    /// Sequence parameter set.
    pub const SPS: u8 = 33;
    /// Picture parameter set.
    pub const PPS: u8 = 34;
    /// Access unit delimiter.
    pub const DELIMITER: u8 = 35;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 36;
    /// End of bitstream.
    pub const END_OF_STREAM: u8 = 37;
    /// Filler.
    pub const FILLER: u8 = 38;

    /// The type of a NAL unit.
    pub fn kind(unit: &[u8]) -> Option<u8> {
        unit.first().map(|first| first >> 1 & 0x3f)
    }

    /// A slice of a picture at which decoding can begin: IDR, CRA, BLA.
    pub fn is_entry(kind: u8) -> bool {
        (16..=23).contains(&kind)
    }
}

/// Most parameter sets that are kept: encoders send one of each kind.
const MAX_SETS: usize = 16;

/// What configures a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HevcConfig {
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: usize,
    /// `general_profile_idc`: 1 is Main, 2 is Main 10.
    pub profile: u8,
    /// Parameter sets: video, then sequence, then picture.
    pub sets: Vec<Bytes>,
}

impl HevcConfig {
    /// Reads the record.
    pub fn parse(record: &Bytes) -> Option<Self> {
        let profile = record.get(1)? & 0x1f;
        let length_size = usize::from(record.get(21)? & 3) + 1;
        let mut sets = Vec::new();
        let mut at = 23;
        for _ in 0..*record.get(22)? {
            let kind = record.get(at)? & 0x3f;
            let count = u16::from_be_bytes(record.get(at + 1..at + 3)?.try_into().ok()?);
            at += 3;
            for _ in 0..count {
                let length = record.get(at..at + 2)?;
                let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
                let end = at + 2 + length;
                record.get(at + 2..end)?;
                let wanted = (nal::VPS..=nal::PPS).contains(&kind);
                if wanted && sets.len() < MAX_SETS && length > 0 {
                    sets.push((kind, record.slice(at + 2..end)));
                }
                at = end;
            }
        }
        sets.sort_by_key(|&(kind, _)| kind);
        Some(Self {
            length_size,
            profile,
            sets: sets.into_iter().map(|(_, set)| set).collect(),
        })
    }

    /// The record of these parameter sets, for NAL units behind lengths of four bytes. `None` when
    /// one is missing, too long, or cannot be read.
    pub fn record(vps: &[u8], sps: &[u8], pps: &[u8]) -> Option<Vec<u8>> {
        let plain = unescape(sps);
        let read = HevcSps::read(&plain)?;
        let (luma, chroma) = read.depth?;
        let byte = |value: u32, mask: u8| u8::try_from(value).ok().filter(|it| it & mask == *it);
        let mut record = vec![1];
        // Profile, tier, compatibility, constraints and level stand in both alike.
        record.extend_from_slice(plain.get(3..15)?);
        record.extend_from_slice(&[0xf0, 0, 0xfc]);
        record.push(0xfc | byte(read.chroma, 3)?);
        record.extend_from_slice(&[0xf8 | byte(luma, 7)?, 0xf8 | byte(chroma, 7)?, 0, 0]);
        let layers = byte(read.sub_layers + 1, 7)?;
        record.push(layers << 3 | u8::from(read.nested) << 2 | 3);
        record.push(3);
        for (kind, set) in [(nal::VPS, vps), (nal::SPS, sps), (nal::PPS, pps)] {
            if nal::kind(set) != Some(kind) {
                return None;
            }
            record.extend_from_slice(&[0x80 | kind, 0, 1]);
            record.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
            record.extend_from_slice(set);
        }
        Some(record)
    }

    /// The NAL units of a frame.
    pub fn units<'a>(&self, frame: &'a [u8]) -> Units<'a> {
        Units::new(frame, self.length_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Vec<u8> {
        let mut record = vec![1, 0x01];
        record.resize(21, 0);
        record.extend([0xff, 3]);
        // Out of order, as some muxers write them.
        for (kind, set) in [(nal::PPS, 7), (nal::VPS, 8), (nal::SPS, 9)] {
            record.extend([kind | 0x80, 0, 1, 0, 3, kind << 1, 1, set]);
        }
        record
    }

    #[test]
    fn parameter_sets_come_in_the_order_in_which_decoders_need_them() {
        let config = HevcConfig::parse(&Bytes::from(record())).unwrap();
        assert_eq!((config.length_size, config.profile), (4, 1));
        let kinds: Vec<_> = config
            .sets
            .iter()
            .filter_map(|set| nal::kind(set))
            .collect();
        assert_eq!(kinds, [nal::VPS, nal::SPS, nal::PPS]);
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_none() {
        let record = record();
        for length in 0..record.len() {
            let cut = Bytes::copy_from_slice(&record[..length]);
            assert_eq!(HevcConfig::parse(&cut), None, "{length}");
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_made() {
        // Made by x265: 320x180, 8 bits, 4:2:0.
        let vps = [
            0x40, 1, 0x0c, 1, 0xff, 0xff, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c,
            0xba, 2, 0x40,
        ];
        let sps = [
            0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a, 8, 0x0c,
            0x1f, 0x3e, 0x5b, 0xa4, 0xa4, 0xc2, 0xf0, 0x16, 0x80, 0x80, 0, 0, 3, 0, 0x80, 0, 0,
            0x0c, 0x84, 0x22,
        ];
        let pps = [0x44, 1, 0xc0, 0x71, 0x83, 0x12];
        let record = HevcConfig::record(&vps, &sps, &pps).unwrap();
        assert_eq!(record[..4], [1, 1, 0x60, 0]);
        assert_eq!(record[12], 0x3c, "level 2");
        assert_eq!(
            record[13..22],
            [0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f]
        );
        let config = HevcConfig::parse(&Bytes::from(record)).unwrap();
        assert_eq!(config.profile, 1);
        assert_eq!(config.sets, [&vps[..], &sps, &pps]);
        assert_eq!(HevcConfig::record(&vps, &sps[..12], &pps), None);
        assert_eq!(HevcConfig::record(&vps, &sps, &vps), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0..4u8, 0..120)) {
            let _ = HevcConfig::parse(&Bytes::from(bytes));
        }
    }
}
