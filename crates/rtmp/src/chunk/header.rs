//! Chunk headers (RTMP 1.0 §5.3.1), read from as many bytes as there are.
//!
//! A pure function of the bytes at hand and what the chunk stream remembers, so how the input is
//! split can not change what is read.

/// Longest header: 3 bytes of chunk stream id, 11 of message header, 4 of extended timestamp.
pub(super) const LONGEST: usize = 18;

/// The value of a timestamp field that says an extended timestamp follows.
const EXTENDED: u32 = 0x00ff_ffff;

/// What one chunk header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Chunk stream id.
    pub(super) id: u32,
    /// Bytes the header takes.
    pub(super) size: usize,
    /// Header types 0 to 2; `None` is type 3.
    pub(super) fields: Option<Fields>,
}

/// The fields of a header of type 0, 1 or 2; what the type leaves out is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    /// Absolute in type 0, a difference in types 1 and 2.
    pub(super) time: u32,
    /// An extended timestamp carried it.
    pub(super) extended: bool,
    /// Message length and type id, in types 0 and 1.
    pub(super) message: Option<(u32, u8)>,
    /// Message stream id, in type 0.
    pub(super) stream_id: Option<u32>,
}

/// The header type and chunk stream id, and how many bytes say so; `None` wants more bytes.
pub(super) fn basic(input: &[u8]) -> Option<(u8, u32, usize)> {
    let &first = input.first()?;
    let (id, size) = match first & 0x3f {
        0 => (64 + u32::from(*input.get(1)?), 2),
        1 => (
            64 + u32::from(*input.get(1)?) + 256 * u32::from(*input.get(2)?),
            3,
        ),
        id => (u32::from(id), 1),
    };
    Some((first >> 6, id, size))
}

/// Reads a header; `None` wants more bytes. `repeats` are the values that an extended timestamp
/// of a type 3 header may have on this chunk stream, none if the last header had no such field.
///
/// The specification repeats the extended timestamp in type 3 headers (§5.3.1.3), many encoders
/// do not: it is there when the bytes are the value it would have.
pub(super) fn header(
    input: &[u8],
    repeats: impl FnOnce(u32) -> Option<[u32; 2]>,
) -> Option<Header> {
    let (kind, id, mut size) = basic(input)?;
    let rest = input.get(size..)?;
    if kind == 3 {
        if let Some(values) = repeats(id) {
            let mut matching = values.iter().filter(|value| {
                value
                    .to_be_bytes()
                    .iter()
                    .zip(rest)
                    .all(|(expected, byte)| expected == byte)
            });
            if matching.next().is_some() {
                rest.get(..4)?;
                size += 4;
            }
        }
        return Some(Header {
            id,
            size,
            fields: None,
        });
    }
    let time = be24(rest)?;
    let (message, stream_id, mut length) = match kind {
        0 => (
            true,
            Some(u32::from_le_bytes(*rest.get(7..)?.first_chunk()?)),
            11,
        ),
        1 => (true, None, 7),
        _ => (false, None, 3),
    };
    let message = if message {
        Some((be24(rest.get(3..)?)?, *rest.get(6)?))
    } else {
        None
    };
    let extended = time == EXTENDED;
    let time = if extended {
        let value = u32::from_be_bytes(*rest.get(length..)?.first_chunk()?);
        length += 4;
        value
    } else {
        time
    };
    let fields = Fields {
        time,
        extended,
        message,
        stream_id,
    };
    Some(Header {
        id,
        size: size + length,
        fields: Some(fields),
    })
}

fn be24(input: &[u8]) -> Option<u32> {
    let &[a, b, c] = input.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}
