//! What an RTP header is made of (RFC 3550 §5.1, RFC 8285), as an answer says it of a stream.

use crate::srtp::MAX_HEADER;

const FIXED: usize = 12;
/// Where the time of sending stands, behind its own head and that of all extensions.
pub(crate) const STAMP: usize = FIXED + 4 + 1;

/// What the answer says of a stream.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) ssrc: u32,
    /// The stream of its resends.
    pub(crate) resend_ssrc: Option<u32>,
    /// Payload types, and those of their resends.
    pub(crate) resend_types: Vec<(u8, u8)>,
    pub(crate) mid: String,
    /// Extensions by their numbers from 1 to 14: the line's name, and the time of sending.
    pub(crate) mid_extension: Option<u8>,
    pub(crate) stamp_extension: Option<u8>,
    /// And the number among all packets of the peer
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    pub(crate) count_extension: Option<u8>,
    /// Ticks a second of its clock.
    pub(crate) rate: u32,
}

/// A header with its extensions in the form of one byte each (RFC 8285 §4.2).
pub(crate) fn template(terms: &Terms) -> ([u8; MAX_HEADER], usize) {
    let mut header = vec![0; FIXED];
    let mut extensions = Vec::new();
    if let Some(id) = terms.stamp_extension {
        extensions.extend_from_slice(&[id << 4 | 2, 0, 0, 0]);
    }
    if let Some(id) = terms.count_extension {
        extensions.extend_from_slice(&[id << 4 | 1, 0, 0]);
    }
    let mid = terms.mid.as_bytes();
    if let Some(id) = terms.mid_extension
        && let Some(length) = (1..=16).contains(&mid.len()).then(|| mid.len() - 1)
    {
        extensions.push(id << 4 | u8::try_from(length).unwrap_or(0));
        extensions.extend_from_slice(mid);
    }
    let extended = if extensions.is_empty() { 0 } else { 0x10 };
    if !extensions.is_empty() {
        extensions.resize(extensions.len().next_multiple_of(4), 0);
        let words = u8::try_from(extensions.len() / 4).unwrap_or(0);
        header.extend_from_slice(&[0xbe, 0xde, 0, words]);
        header.extend_from_slice(&extensions);
    }
    let mut whole = [0; MAX_HEADER];
    for (to, from) in whole.iter_mut().zip(&header) {
        *to = *from;
    }
    if let Some(first) = whole.first_mut() {
        *first = 0x80 | extended;
    }
    (whole, header.len())
}
