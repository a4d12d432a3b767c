//! NAL units into RTP payloads, in the way that H.264 (RFC 6184) and H.265 (RFC 7798) have in
//! common: small units share a packet, each behind its length, and large ones are cut.
//!
//! A frame is cut once for all its viewers: payloads are shared, and what differs between viewers
//! stands in the RTP header.

use std::sync::Arc;

/// Longest RTP payload, in bytes. With the headers of RTP, SRTP, RTX, UDP and IPv6 it stays below
/// 1280 bytes, which every path of IPv6 carries whole.
pub const MAX_PAYLOAD: usize = 1100;

/// What a codec's payloads begin with. A unit's own header has `N` bytes.
pub(crate) trait Headers<const N: usize> {
    /// Of units that share a packet, from the header of each.
    fn shared(units: impl Iterator<Item = [u8; N]>) -> [u8; N];

    /// Of a part of a unit with this header: what stands in its place, and the unit's kind.
    fn part(unit: [u8; N]) -> ([u8; N], u8);
}

/// The payloads of a frame's NAL units, in order. Units without a whole header are left out.
pub(crate) fn payloads<'a, H: Headers<N>, const N: usize>(
    units: impl Iterator<Item = &'a [u8]>,
) -> Vec<Arc<[u8]>> {
    let mut writer = Writer::<N>::default();
    for unit in units {
        writer.push::<H>(unit);
    }
    writer.flush::<H>();
    writer.payloads
}

#[derive(Default)]
struct Writer<'a, const N: usize> {
    payloads: Vec<Arc<[u8]>>,
    /// Small units that may share a packet, and their size in it.
    small: Vec<&'a [u8]>,
    size: usize,
}

impl<'a, const N: usize> Writer<'a, N> {
    fn push<H: Headers<N>>(&mut self, unit: &'a [u8]) {
        let Some((&header, body)) = unit.split_first_chunk::<N>() else {
            return;
        };
        if unit.len() > MAX_PAYLOAD {
            self.flush::<H>();
            self.cut(H::part(header), body);
            return;
        }
        let size = unit.len() + 2;
        if N + self.size + size > MAX_PAYLOAD {
            self.flush::<H>();
        }
        self.small.push(unit);
        self.size += size;
    }

    fn flush<H: Headers<N>>(&mut self) {
        match self.small.as_slice() {
            [] => {}
            [unit] => self.payloads.push(Arc::from(*unit)),
            units => {
                let mut payload = Vec::with_capacity(N + self.size);
                let headers = units.iter().filter_map(|unit| unit.first_chunk().copied());
                payload.extend_from_slice(&H::shared(headers));
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

    fn cut(&mut self, (header, kind): ([u8; N], u8), body: &[u8]) {
        // Of one size, as near as can be: what is sent to a viewer by one call is.
        let count = body.len().div_ceil(MAX_PAYLOAD - N - 1);
        let size = body.len().div_ceil(count.max(1)).max(1);
        let chunks = body.chunks(size);
        // Rounded up, they may be fewer than that where there are a thousand.
        let count = chunks.len();
        for (at, chunk) in chunks.enumerate() {
            let mut payload = Vec::with_capacity(N + 1 + chunk.len());
            let start = if at == 0 { 0x80 } else { 0 };
            let end = if at + 1 == count { 0x40 } else { 0 };
            payload.extend_from_slice(&header);
            payload.push(start | end | kind);
            payload.extend_from_slice(chunk);
            self.payloads.push(Arc::from(payload));
        }
    }
}
