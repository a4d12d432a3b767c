//! Splits an aggregate message (RTMP 1.0 §7.1.6) into the messages in it.
//!
//! Each part is an FLV tag with a back pointer behind it. Parts are copied: a slice would keep
//! the whole aggregate in memory for as long as its smallest part lives.

use bytes::Bytes;

use super::{ChunkError, Message, kind};

/// FLV tag header: type, 3 bytes of size, 3 + 1 of timestamp, 3 of stream id.
const TAG_HEADER: usize = 11;
/// The size of the tag once more, behind it.
const BACK_POINTER: usize = 4;

/// An aggregate of which some messages may have been taken.
#[derive(Debug)]
pub(super) struct Aggregate {
    whole: Message,
    at: usize,
    /// What to add to the timestamps of its parts.
    shift: Option<u32>,
}

impl Aggregate {
    pub(super) fn new(whole: Message) -> Self {
        Self {
            whole,
            at: 0,
            shift: None,
        }
    }

    /// The next media message in it; `Ok(None)` at its end.
    pub(super) fn next(&mut self) -> Result<Option<Message>, ChunkError> {
        loop {
            let rest = self.whole.payload.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let (header, rest) = rest
                .split_first_chunk::<TAG_HEADER>()
                .ok_or(ChunkError::Aggregate)?;
            let &[kind, a, b, c, t2, t1, t0, t3, ..] = header;
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            let payload = rest.get(..length).ok_or(ChunkError::Aggregate)?;
            // Some writers leave out the last back pointer.
            self.at += TAG_HEADER + length + BACK_POINTER.min(rest.len() - length);
            let time = u32::from_be_bytes([t3, t2, t1, t0]);
            let whole = &self.whole;
            let shift = *self.shift.get_or_insert(whole.timestamp.wrapping_sub(time));
            if matches!(
                kind,
                kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3
            ) {
                return Ok(Some(Message {
                    timestamp: time.wrapping_add(shift),
                    stream_id: whole.stream_id,
                    kind,
                    payload: Bytes::copy_from_slice(payload),
                }));
            }
        }
    }
}
