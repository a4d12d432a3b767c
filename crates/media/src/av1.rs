//! AV1 as enhanced RTMP and MP4 carry it: temporal units of OBUs with their sizes, and the
//! `AV1CodecConfigurationRecord` (AV1 §5.3, AV1-ISOBMFF §2.3).
//!
//! What is malformed ends an iteration or is `None`, never a panic.

pub(crate) mod sequence;

/// `obu_type` (AV1 §6.2.2) of what is told apart here.
pub mod obu {
    /// Sequence header: what configures a decoder.
    pub const SEQUENCE_HEADER: u8 = 1;
    /// Temporal delimiter.
    pub const TEMPORAL_DELIMITER: u8 = 2;
    /// Tile list.
    pub const TILE_LIST: u8 = 8;
    /// Padding.
    pub const PADDING: u8 = 15;
}

const FORBIDDEN: u8 = 0x80;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// One open bitstream unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obu<'a> {
    header: u8,
    extension: Option<u8>,
    /// What it holds.
    pub payload: &'a [u8],
}

impl Obu<'_> {
    /// Its `obu_type`.
    pub fn kind(&self) -> u8 {
        self.header >> 3 & 0x0f
    }

    /// Whether it means something to a decoder behind a transport that delimits units itself.
    pub fn is_carried(&self) -> bool {
        let idle = [obu::TEMPORAL_DELIMITER, obu::TILE_LIST, obu::PADDING];
        !idle.contains(&self.kind())
    }

    /// Its bytes without a size, as RTP carries it.
    pub fn bare(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.payload.len());
        bytes.push(self.header & !HAS_SIZE);
        bytes.extend(self.extension);
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

/// The OBUs of a temporal unit. Ends where a size does not fit; one without a size is the last.
pub fn obus(unit: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let (obu, behind) = next(rest)?;
        rest = behind;
        Some(obu)
    })
}

fn next(bytes: &[u8]) -> Option<(Obu<'_>, &[u8])> {
    let (&header, mut rest) = bytes.split_first()?;
    if header & FORBIDDEN != 0 {
        return None;
    }
    let mut extension = None;
    if header & HAS_EXTENSION != 0 {
        let (&byte, behind) = rest.split_first()?;
        (extension, rest) = (Some(byte), behind);
    }
    let mut size = rest.len();
    if header & HAS_SIZE != 0 {
        size = leb128(&mut rest)?;
    }
    let (payload, behind) = rest.split_at_checked(size)?;
    let obu = Obu {
        header,
        extension,
        payload,
    };
    Some((obu, behind))
}

/// `leb128` (AV1 §4.10.5): at most 8 bytes, and no more than 32 bits.
fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_u64;
    for at in 0..8 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Appends a size.
fn leb128_to(mut value: usize, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

/// What configures a decoder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Av1Config {
    /// `seq_profile`: 0 is Main.
    pub profile: u8,
    /// The sequence header, and what else stands beside it, without sizes.
    pub obus: Vec<Vec<u8>>,
}

impl Av1Config {
    /// Reads the record.
    pub fn parse(record: &[u8]) -> Option<Self> {
        // A marker bit and version 1.
        if *record.first()? != 0x81 {
            return None;
        }
        let profile = record.get(1)? >> 5;
        let configuration = obus(record.get(4..)?).filter(Obu::is_carried);
        Some(Self {
            profile,
            obus: configuration.map(|obu| obu.bare()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obus_come_with_and_without_sizes_and_extensions() {
        let unit = [
            0x12, 0, // a temporal delimiter
            0x0e, 0x20, 2, 7, 8, // a sequence header with an extension
            0x30, 9, 9, // a frame without a size
        ];
        let obus: Vec<_> = obus(&unit).collect();
        let kinds: Vec<_> = obus
            .iter()
            .map(|obu| (obu.kind(), obu.is_carried()))
            .collect();
        assert_eq!(kinds, [(2, false), (1, true), (6, true)]);
        assert_eq!(obus[1].bare(), [0x0c, 0x20, 7, 8]);
        assert_eq!(obus[2].bare(), [0x30, 9, 9]);
    }

    #[test]
    fn sizes_that_do_not_fit_end_the_unit() {
        assert_eq!(obus(&[0x32, 3, 1, 2]).count(), 0);
        assert_eq!(
            obus(&[0x32, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]).count(),
            0
        );
        assert_eq!(obus(&[0x32, 0xff, 0xff, 0xff, 0xff, 0x7f]).count(), 0);
        assert_eq!(obus(&[0x80]).count(), 0, "the forbidden bit");
    }

    #[test]
    fn a_record_names_profile_and_sequence_header() {
        let record = [0x81, 0x20, 0, 0, 0x0a, 2, 7, 8];
        let config = Av1Config::parse(&record).unwrap();
        assert_eq!((config.profile, config.obus), (1, vec![vec![0x08, 7, 8]]));
        assert_eq!(Av1Config::parse(&[0x01, 0, 0, 0]), None);
        assert_eq!(Av1Config::parse(&record[..3]), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_unit_holds_reading_it_ends(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let held: usize = obus(&bytes).map(|obu| obu.payload.len() + 1).sum();
            proptest::prop_assert!(held <= bytes.len());
            let _ = Av1Config::parse(&bytes);
        }
    }
}
