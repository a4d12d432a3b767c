//! VP9 into RTP payloads (RFC 9628): a frame, or a superframe, cut where a packet is full.
//!
//! The descriptor says where a frame begins and ends and whether it rests on others, and no more:
//! a receiver then goes by RTP's sequence numbers, which have no holes for any viewer, whatever of
//! the stream its gate leaves out. Picture ids of the stream would have holes.

use std::sync::Arc;

use crate::MAX_PAYLOAD;

/// `P`: rests on frames before it; `B`: begins a frame; `E`: ends it (RFC 9628 §4.2).
const PREDICTED: u8 = 0x40;
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;

/// The payloads of a frame, in order.
pub fn payloads(frame: &[u8], keyframe: bool) -> Vec<Arc<[u8]>> {
    let chunks = frame.chunks(MAX_PAYLOAD - 1);
    let count = chunks.len();
    let cut = chunks.enumerate().map(|(at, chunk)| {
        let predicted = if keyframe { 0 } else { PREDICTED };
        let begin = if at == 0 { BEGIN } else { 0 };
        let end = if at + 1 == count { END } else { 0 };
        let mut payload = Vec::with_capacity(1 + chunk.len());
        payload.push(predicted | begin | end);
        payload.extend_from_slice(chunk);
        Arc::from(payload)
    });
    cut.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_frame_is_one_packet_and_nothing_is_none() {
        assert_eq!(payloads(&[0x82, 1], true)[0][..], [0x0c, 0x82, 1]);
        assert_eq!(payloads(&[0x86, 1], false)[0][..], [0x4c, 0x86, 1]);
        assert!(payloads(&[], true).is_empty());
    }

    #[test]
    fn a_large_frame_says_where_it_begins_and_ends() {
        let frame: Vec<u8> = (0..=255).cycle().take(3 * (MAX_PAYLOAD - 1)).collect();
        let parts = payloads(&frame, false);
        let heads: Vec<_> = parts.iter().map(|part| part[0]).collect();
        assert_eq!(heads, [0x48, 0x40, 0x44]);
        assert!(parts.iter().all(|part| part.len() <= MAX_PAYLOAD));
        let joined: Vec<_> = parts.iter().flat_map(|part| &part[1..]).copied().collect();
        assert_eq!(joined, frame);
    }
}
