//! H.265 into RTP payloads (RFC 7798): small NAL units share a packet (AP, §4.4.2), large ones are
//! cut (FU, §4.4.3). Units go in decoding order, so there is no `DONL`.

use std::sync::Arc;

use crate::nal::{self, Headers};

const AP: u8 = 48;
const FU: u8 = 49;
/// Bytes of a NAL unit's own header.
const HEADER: usize = 2;

/// The payloads of a frame's NAL units, in order. The last one ends the frame, and its RTP packet
/// carries the marker. Units with nothing behind a header are left out.
pub fn payloads<'a>(units: impl Iterator<Item = &'a [u8]>) -> Vec<Arc<[u8]>> {
    nal::payloads::<H265, HEADER>(units.filter(|unit| unit.len() > HEADER))
}

struct H265;

impl Headers<HEADER> for H265 {
    /// The forbidden bit of any, the lowest layer and the lowest temporal id of all (RFC 7798
    /// §4.4.2).
    fn shared(units: impl Iterator<Item = [u8; HEADER]>) -> [u8; HEADER] {
        let (mut forbidden, mut layer, mut temporal) = (0, 0x3f, 7);
        for [first, second] in units {
            forbidden |= first & 0x80;
            layer = layer.min((first & 1) << 5 | second >> 3);
            temporal = temporal.min(second & 7);
        }
        [
            forbidden | AP << 1 | layer >> 5,
            (layer & 0x1f) << 3 | temporal,
        ]
    }

    fn part([first, second]: [u8; HEADER]) -> ([u8; HEADER], u8) {
        ([first & 0x81 | FU << 1, second], first >> 1 & 0x3f)
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "it is a remainder")]
mod tests {
    use super::*;
    use crate::MAX_PAYLOAD;

    /// What a receiver makes of payloads: the reverse, written from the RFC.
    fn join(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            match payload[0] >> 1 & 0x3f {
                AP => {
                    let mut rest = &payload[2..];
                    while !rest.is_empty() {
                        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        units.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                FU => {
                    if payload[2] & 0x80 != 0 {
                        let kind = payload[2] & 0x3f;
                        units.push(vec![payload[0] & 0x81 | kind << 1, payload[1]]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&payload[3..]);
                }
                _ => units.push(payload.to_vec()),
            }
        }
        units
    }

    #[test]
    fn small_units_share_a_packet_under_the_lowest_ids() {
        let units: [&[u8]; 3] = [&[0x40, 1, 7], &[0x42, 2, 8], &[0x26, 1, 9]];
        let payloads = payloads(units.into_iter());
        assert_eq!(
            payloads[0][..],
            [
                0x60, 1, 0, 3, 0x40, 1, 7, 0, 3, 0x42, 2, 8, 0, 3, 0x26, 1, 9
            ]
        );
        assert_eq!(payloads.len(), 1);
    }

    #[test]
    fn a_large_unit_is_cut_with_its_kind_in_each_part() {
        let unit = [&[0x26, 1][..], &[7; 2 * MAX_PAYLOAD]].concat();
        let parts = payloads([&unit[..]].into_iter());
        let heads: Vec<_> = parts
            .iter()
            .map(|part| [part[0], part[1], part[2]])
            .collect();
        assert_eq!(heads, [[0x62, 1, 0x93], [0x62, 1, 0x13], [0x62, 1, 0x53]]);
        let sizes: Vec<_> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [737, 737, 735], "of one size, as near as can be");
    }

    proptest::proptest! {
        #[test]
        fn a_receiver_gets_the_units_that_were_sent(
            sizes in proptest::collection::vec((0..41u8, 3..4000usize), 0..12)
        ) {
            let units: Vec<Vec<u8>> = sizes
                .iter()
                .map(|&(kind, size)| {
                    let mut unit = vec![kind << 1, 1];
                    unit.extend((2..size).map(|at| (at % 251) as u8));
                    unit
                })
                .collect();
            let payloads = payloads(units.iter().map(Vec::as_slice));
            proptest::prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
            proptest::prop_assert_eq!(join(&payloads), units);
        }
    }
}
