//! H.264 into RTP payloads (RFC 6184, packetization mode 1): small NAL units share a packet
//! (STAP-A, §5.7.1), large ones are cut (FU-A, §5.8).

use std::sync::Arc;

use crate::nal::{self, Headers};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The payloads of a frame's NAL units, in order. The last one ends the frame, and its RTP packet
/// carries the marker.
pub fn payloads<'a>(units: impl Iterator<Item = &'a [u8]>) -> Vec<Arc<[u8]>> {
    nal::payloads::<H264, 1>(units)
}

struct H264;

impl Headers<1> for H264 {
    /// The forbidden bit and the highest `nal_ref_idc` of the units (RFC 6184 §5.7.1).
    fn shared(units: impl Iterator<Item = [u8; 1]>) -> [u8; 1] {
        let importance = units.fold(0, |all, [byte]| {
            all & 0x80 | byte & 0x80 | (all & 0x60).max(byte & 0x60)
        });
        [STAP_A | importance]
    }

    fn part([header]: [u8; 1]) -> ([u8; 1], u8) {
        ([header & 0xe0 | FU_A], header & 0x1f)
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "it is a remainder")]
mod tests {
    use super::*;
    use crate::MAX_PAYLOAD;

    fn cut(units: &[&[u8]]) -> Vec<Vec<u8>> {
        let payloads = payloads(units.iter().copied());
        payloads.iter().map(|payload| payload.to_vec()).collect()
    }

    /// What a receiver makes of payloads: the reverse, written from the RFC.
    fn join(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            match payload[0] & 0x1f {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while !rest.is_empty() {
                        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        units.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                FU_A => {
                    if payload[1] & 0x80 != 0 {
                        units.push(vec![payload[0] & 0xe0 | payload[1] & 0x1f]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&payload[2..]);
                }
                _ => units.push(payload.to_vec()),
            }
        }
        units
    }

    #[test]
    fn a_lone_unit_goes_as_it_is_and_small_ones_share_a_packet() {
        assert_eq!(cut(&[&[0x41, 1, 2]]), [[0x41, 1, 2]]);
        assert_eq!(
            cut(&[&[0x67, 1], &[0x28, 2]]),
            [[0x78, 0, 2, 0x67, 1, 0, 2, 0x28, 2]]
        );
        assert!(cut(&[&[]]).is_empty());
    }

    #[test]
    fn a_large_unit_is_cut_with_its_header_in_each_part() {
        let unit = [&[0x65][..], &[7; 2 * MAX_PAYLOAD]].concat();
        let parts = cut(&[&unit]);
        let heads: Vec<_> = parts.iter().map(|part| (part[0], part[1])).collect();
        assert_eq!(heads, [(0x7c, 0x85), (0x7c, 0x05), (0x7c, 0x45)]);
        assert!(parts.iter().all(|part| part.len() <= MAX_PAYLOAD));
    }

    #[test]
    fn the_last_part_of_a_very_large_unit_says_that_it_is() {
        let unit = vec![0x65; 1_210_000];
        let parts = payloads([&unit[..]].into_iter());
        let ends = parts.iter().filter(|part| part[1] & 0x40 != 0).count();
        assert_eq!(ends, 1, "of {}", parts.len());
        assert_eq!(parts.last().unwrap()[1], 0x45);
    }

    proptest::proptest! {
        #[test]
        fn a_receiver_gets_the_units_that_were_sent(
            sizes in proptest::collection::vec((1..6u8, 1..4000usize), 0..12)
        ) {
            let units: Vec<Vec<u8>> = sizes
                .iter()
                .map(|&(kind, size)| {
                    let mut unit = vec![0x60 | kind];
                    unit.extend((1..size).map(|at| (at % 251) as u8));
                    unit
                })
                .collect();
            let payloads = payloads(units.iter().map(Vec::as_slice));
            proptest::prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
            proptest::prop_assert_eq!(join(&payloads), units);
        }
    }
}
