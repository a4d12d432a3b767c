//! H.264 as FLV carries it: NAL units behind lengths, parameter sets in an
//! `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1), and back from a byte stream
//! (ISO/IEC 14496-10 Annex B).
//!
//! What is malformed ends an iteration or is `None`, never a panic.

use bytes::Bytes;

/// `nal_unit_type` (ISO/IEC 14496-10 table 7-1) of what is told apart here.
pub mod nal {
    /// A slice of a picture that decodes by itself.
    pub const IDR: u8 = 5;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const DELIMITER: u8 = 9;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 10;
    /// End of stream.
    pub const END_OF_STREAM: u8 = 11;
    /// Filler.
    pub const FILLER: u8 = 12;

    /// The type of a NAL unit.
    pub fn kind(unit: &[u8]) -> Option<u8> {
        unit.first().map(|first| first & 0x1f)
    }
}

/// Most parameter sets of a kind that are kept: encoders send one or two.
const MAX_SETS: usize = 8;

/// What configures a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig {
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: usize,
    /// Sequence parameter sets.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets.
    pub pps: Vec<Bytes>,
}

impl AvcConfig {
    /// Reads the record.
    pub fn parse(record: &Bytes) -> Option<Self> {
        let length_size = usize::from(record.get(4)? & 3) + 1;
        let mut at = 5;
        let sps = parameter_sets(record, &mut at, 0x1f)?;
        let pps = parameter_sets(record, &mut at, 0xff)?;
        Some(Self {
            length_size,
            sps,
            pps,
        })
    }

    /// The record of these parameter sets, for NAL units behind lengths of four bytes. `None` when
    /// one is missing or too long.
    pub fn record(sps: &[u8], pps: &[u8]) -> Option<Vec<u8>> {
        let profile = sps.get(1..4)?;
        let mut record = vec![1];
        record.extend_from_slice(profile);
        record.extend_from_slice(&[0xff, 0xe1]);
        record.extend_from_slice(&u16::try_from(sps.len()).ok()?.to_be_bytes());
        record.extend_from_slice(sps);
        record.push(1);
        record.extend_from_slice(&u16::try_from(pps.len()).ok()?.to_be_bytes());
        record.extend_from_slice(pps);
        // High profiles say how they code colour; four bits each of 4:2:0 and 8 bits a sample.
        if matches!(profile.first(), Some(100 | 110 | 122 | 144)) {
            record.extend_from_slice(&[0xfd, 0xf8, 0xf8, 0]);
        }
        Some(record)
    }

    /// `profile_idc`, constraint flags and `level_idc`, as SDP's `profile-level-id` puts them.
    pub fn profile_level_id(&self) -> Option<u32> {
        let bytes = self.sps.first()?.get(1..4)?;
        Some(
            bytes
                .iter()
                .fold(0, |value, &byte| value << 8 | u32::from(byte)),
        )
    }

    /// The NAL units of a frame.
    pub fn units<'a>(&self, frame: &'a [u8]) -> Units<'a> {
        Units::new(frame, self.length_size)
    }
}

fn parameter_sets(record: &Bytes, at: &mut usize, count_mask: u8) -> Option<Vec<Bytes>> {
    let count = record.get(*at)? & count_mask;
    *at += 1;
    let mut sets = Vec::new();
    for _ in 0..count {
        let length = record.get(*at..*at + 2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let end = *at + 2 + length;
        record.get(*at + 2..end)?;
        if sets.len() < MAX_SETS && length > 0 {
            sets.push(record.slice(*at + 2..end));
        }
        *at = end;
    }
    Some(sets)
}

/// NAL units behind lengths. Ends where a length does not fit.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> Units<'a> {
    /// The units of a frame whose lengths have this many bytes.
    pub fn new(frame: &'a [u8], length_size: usize) -> Self {
        Self {
            rest: frame,
            length_size,
        }
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let length = self.rest.get(..self.length_size)?;
            let length = length
                .iter()
                .fold(0_usize, |value, &byte| value << 8 | usize::from(byte));
            let end = self.length_size.checked_add(length)?;
            let unit = self.rest.get(self.length_size..end)?;
            self.rest = self.rest.get(end..)?;
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    }
}

/// The NAL units of a byte stream: what stands between start codes of three or four bytes.
pub fn byte_stream(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let end = find_start_code(rest).unwrap_or(rest.len());
            let (unit, behind) = rest.split_at(end);
            rest = after_start_code(behind).unwrap_or_default();
            // The zero before a start code of four bytes, and trailing ones, are not the unit's.
            let length = unit
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |at| at + 1);
            if let Some(unit) = unit.get(..length).filter(|unit| !unit.is_empty()) {
                return Some(unit);
            }
        }
    })
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|three| three == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(find_start_code(bytes)? + 3..)
}

/// Appends a NAL unit behind a length of four bytes.
pub fn append(unit: &[u8], frame: &mut Vec<u8>) {
    let Ok(length) = u32::try_from(unit.len()) else {
        return;
    };
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x1f, 0xac];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c];

    #[test]
    fn a_record_comes_back_as_it_was_made() {
        let record = Bytes::from(AvcConfig::record(SPS, PPS).unwrap());
        let config = AvcConfig::parse(&record).unwrap();
        assert_eq!(config.length_size, 4);
        assert_eq!((&config.sps[0][..], &config.pps[0][..]), (SPS, PPS));
        assert_eq!(config.profile_level_id(), Some(0x64_001f));
        assert!(AvcConfig::record(&[0x67], PPS).is_none());
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_none_or_short_of_a_set() {
        let record = AvcConfig::record(SPS, PPS).unwrap();
        for length in 0..record.len() - 4 {
            let cut = Bytes::copy_from_slice(&record[..length]);
            assert!(AvcConfig::parse(&cut).is_none(), "{length}");
        }
    }

    #[test]
    fn units_end_where_a_length_lies() {
        let config = AvcConfig {
            length_size: 2,
            sps: Vec::new(),
            pps: Vec::new(),
        };
        let frame = [0, 2, 0x65, 1, 0, 0, 0, 1, 0x06, 0, 9, 0x41];
        let units: Vec<_> = config.units(&frame).collect();
        assert_eq!(units, [&[0x65, 1][..], &[0x06]]);
    }

    #[test]
    fn a_byte_stream_is_split_at_both_start_codes() {
        let stream = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 0, 0, 3, 4, 0,
        ];
        let units: Vec<_> = byte_stream(&stream).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3, 0, 0, 3, 4]]);
        assert_eq!(byte_stream(&[1, 2, 3]).count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn units_survive_the_way_to_a_byte_stream_and_back(
            units in proptest::collection::vec(proptest::collection::vec(1..=255u8, 1..40), 0..8)
        ) {
            let mut stream = Vec::new();
            let mut frame = Vec::new();
            for unit in &units {
                stream.extend_from_slice(&[0, 0, 1]);
                stream.extend_from_slice(unit);
                append(unit, &mut frame);
            }
            let config = AvcConfig { length_size: 4, sps: Vec::new(), pps: Vec::new() };
            proptest::prop_assert_eq!(byte_stream(&stream).collect::<Vec<_>>(), units.clone());
            proptest::prop_assert_eq!(config.units(&frame).collect::<Vec<_>>(), units);
        }

        #[test]
        fn whatever_a_frame_holds_reading_it_ends(bytes in proptest::collection::vec(0..4u8, 0..200), size in 1..5usize) {
            let config = AvcConfig { length_size: size, sps: Vec::new(), pps: Vec::new() };
            let held: usize = config.units(&bytes).map(<[u8]>::len).sum();
            proptest::prop_assert!(held <= bytes.len());
            let held: usize = byte_stream(&bytes).map(<[u8]>::len).sum();
            proptest::prop_assert!(held <= bytes.len());
            let _ = AvcConfig::parse(&Bytes::from(bytes));
        }
    }
}
