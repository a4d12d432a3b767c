//! H.264 into RTP payloads (RFC 6184, packetization mode 1): small NAL units share a packet
//! (STAP-A, §5.7.1), large ones are cut (FU-A, §5.8).
//!
//! A frame is cut once for all its viewers: payloads are shared, and what differs between viewers
//! stands in the RTP header.

use std::sync::Arc;

/// Longest RTP payload, in bytes. With the headers of RTP, SRTP, RTX, UDP and IPv6 it stays below
/// 1280 bytes, which every path of IPv6 carries whole.
pub const MAX_PAYLOAD: usize = 1100;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The payloads of a frame's NAL units, in order. The last one ends the frame, and its RTP packet
/// carries the marker.
pub fn payloads<'a>(units: impl Iterator<Item = &'a [u8]>) -> Vec<Arc<[u8]>> {
    let mut writer = Writer::default();
    for unit in units {
        writer.push(unit);
    }
    writer.flush();
    writer.payloads
}

#[derive(Default)]
struct Writer<'a> {
    payloads: Vec<Arc<[u8]>>,
    /// Small units that may share a packet, and their size in it.
    small: Vec<&'a [u8]>,
    size: usize,
}

impl<'a> Writer<'a> {
    fn push(&mut self, unit: &'a [u8]) {
        if unit.is_empty() {
            return;
        }
        if unit.len() > MAX_PAYLOAD {
            self.flush();
            self.cut(unit);
            return;
        }
        let size = unit.len() + 2;
        if 1 + self.size + size > MAX_PAYLOAD {
            self.flush();
        }
        self.small.push(unit);
        self.size += size;
    }

    fn flush(&mut self) {
        match self.small.as_slice() {
            [] => {}
            [unit] => self.payloads.push(Arc::from(*unit)),
            units => {
                let mut payload = Vec::with_capacity(1 + self.size);
                payload.push(STAP_A | importance(units));
                for unit in units {
                    // Units here are shorter than a packet.
                    let length = u16::try_from(unit.len()).unwrap_or(0);
                    payload.extend_from_slice(&length.to_be_bytes());
                    payload.extend_from_slice(unit);
                }
                self.payloads.push(Arc::from(payload));
            }
        }
        self.small.clear();
        self.size = 0;
    }

    fn cut(&mut self, unit: &[u8]) {
        let Some((&header, body)) = unit.split_first() else {
            return;
        };
        // Of one size, as near as can be: what is sent to a viewer by one call is.
        let count = body.len().div_ceil(MAX_PAYLOAD - 2);
        let size = body.len().div_ceil(count.max(1)).max(1);
        let chunks = body.chunks(size);
        // Rounded up, they may be fewer than that where there are a thousand.
        let count = chunks.len();
        for (at, chunk) in chunks.enumerate() {
            let mut payload = Vec::with_capacity(2 + chunk.len());
            let start = if at == 0 { 0x80 } else { 0 };
            let end = if at + 1 == count { 0x40 } else { 0 };
            payload.push(header & 0xe0 | FU_A);
            payload.push(start | end | header & 0x1f);
            payload.extend_from_slice(chunk);
            self.payloads.push(Arc::from(payload));
        }
    }
}

/// The forbidden bit and the highest `nal_ref_idc` of the units (RFC 6184 §5.7.1).
fn importance(units: &[&[u8]]) -> u8 {
    let first = units.iter().filter_map(|unit| unit.first());
    first.fold(0, |all, &byte| {
        all & 0x80 | byte & 0x80 | (all & 0x60).max(byte & 0x60)
    })
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "it is a remainder")]
mod tests {
    use super::*;

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
