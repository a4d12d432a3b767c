//! AV1 into RTP payloads (RTP Payload Format For AV1, v1.0 §4): the OBUs of a temporal unit, small
//! ones in one packet, large ones cut. There is no dependency descriptor: a receiver goes by RTP's
//! sequence numbers, which have no holes for any viewer.

use std::sync::Arc;

use crate::MAX_PAYLOAD;

/// The aggregation header (§4.4): `Z`, the first element goes on; `Y`, the last one will; `W`, how
/// many elements there are; `N`, a coded video sequence begins.
const CONTINUES: u8 = 0x80;
const CONTINUED: u8 = 0x40;
const BEGINS: u8 = 0x08;
/// The most elements that `W` counts. Only then the last one has no length before it.
const COUNTED: usize = 3;
/// Bytes of a length before an element: two are enough for what fits a packet.
const LENGTH: usize = 2;
/// A piece of an OBU shorter than this is not worth the place in a packet.
const LEAST: usize = 16;

/// The payloads of a temporal unit. `obus` are without their sizes, `begins` says that a coded
/// video sequence does: the first of them is a sequence header.
pub fn payloads(obus: &[Vec<u8>], begins: bool) -> Vec<Arc<[u8]>> {
    let mut writer = Writer {
        begins,
        ..Writer::default()
    };
    for obu in obus.iter().filter(|obu| !obu.is_empty()) {
        writer.push(obu);
    }
    writer.flush(false);
    writer.payloads
}

#[derive(Default)]
struct Writer<'a> {
    payloads: Vec<Arc<[u8]>>,
    elements: Vec<&'a [u8]>,
    /// Bytes of the elements, each with its length.
    size: usize,
    /// The first element goes on with an OBU of the packet before.
    continues: bool,
    begins: bool,
}

impl<'a> Writer<'a> {
    fn push(&mut self, mut obu: &'a [u8]) {
        loop {
            let room = (MAX_PAYLOAD - 1).saturating_sub(self.size + LENGTH);
            if obu.len() <= room {
                self.element(obu);
                return;
            }
            if room < LEAST {
                self.flush(false);
                continue;
            }
            let (piece, rest) = obu.split_at_checked(room).unwrap_or((obu, &[]));
            self.element(piece);
            self.flush(true);
            obu = rest;
        }
    }

    fn element(&mut self, piece: &'a [u8]) {
        self.elements.push(piece);
        self.size += piece.len() + LENGTH;
    }

    /// Ends the packet. `continued`: its last element goes on in the next.
    fn flush(&mut self, continued: bool) {
        if self.elements.is_empty() {
            return;
        }
        let count = self.elements.len();
        let mut head = 0;
        if std::mem::replace(&mut self.continues, continued) {
            head |= CONTINUES;
        }
        if continued {
            head |= CONTINUED;
        }
        if std::mem::take(&mut self.begins) {
            head |= BEGINS;
        }
        let counted = count <= COUNTED;
        if counted {
            head |= u8::try_from(count).unwrap_or(0) << 4;
        }
        let mut payload = Vec::with_capacity(1 + self.size);
        payload.push(head);
        for (at, element) in self.elements.drain(..).enumerate() {
            if !(counted && at + 1 == count) {
                leb128(element.len(), &mut payload);
            }
            payload.extend_from_slice(element);
        }
        self.payloads.push(Arc::from(payload));
        self.size = 0;
    }
}

/// Appends a length (AV1 §4.10.5).
fn leb128(mut value: usize, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "it is a remainder")]
mod tests {
    use super::*;

    fn read_leb128(rest: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = rest[0];
            *rest = &rest[1..];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
    }

    /// What a receiver makes of payloads: the reverse, written from the specification.
    fn join(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
        let mut obus: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            let (head, mut rest) = (payload[0], &payload[1..]);
            let count = usize::from(head >> 4 & 3);
            let mut at = 0;
            while !rest.is_empty() {
                at += 1;
                let length = if at == count {
                    rest.len()
                } else {
                    read_leb128(&mut rest)
                };
                if at == 1 && head & CONTINUES != 0 {
                    obus.last_mut().unwrap().extend_from_slice(&rest[..length]);
                } else {
                    obus.push(rest[..length].to_vec());
                }
                rest = &rest[length..];
            }
            assert!(count == 0 || count == at);
        }
        obus
    }

    #[test]
    fn few_obus_share_a_packet_and_the_last_has_no_length() {
        let obus = [vec![0x08, 1, 2], vec![0x30, 3]];
        let payloads = payloads(&obus, true);
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0][..], [0x28, 3, 0x08, 1, 2, 0x30, 3]);
    }

    #[test]
    fn a_large_obu_is_cut_and_says_so() {
        let obus = [vec![0x30; 2 * MAX_PAYLOAD]];
        let payloads = payloads(&obus, false);
        let heads: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [0x50, 0xd0, 0x90]);
    }

    proptest::proptest! {
        #[test]
        fn a_receiver_gets_the_obus_that_were_sent(
            sizes in proptest::collection::vec(1..3000usize, 0..12), begins: bool
        ) {
            let obus: Vec<Vec<u8>> = sizes
                .iter()
                .map(|&size| (0..size).map(|at| (at % 251) as u8).collect())
                .collect();
            let payloads = payloads(&obus, begins);
            proptest::prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
            let began = payloads.iter().filter(|payload| payload[0] & BEGINS != 0).count();
            proptest::prop_assert_eq!(began, usize::from(begins && !obus.is_empty()));
            // An OBU that ends with its packet is not continued.
            proptest::prop_assert_eq!(join(&payloads), obus);
        }
    }
}
