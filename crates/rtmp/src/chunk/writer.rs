//! Writes messages as chunks: replies into a buffer, packets as slices that every player shares.
//!
//! Headers are type 0 with an absolute timestamp, then type 3. Extended timestamps are repeated
//! in type 3 headers, as §5.3.1.3 has it.

use std::io::IoSlice;

use lockgate_media::{Head, Packet, Slices, Track};

use super::kind;
use crate::OUT_CHUNK_SIZE;

/// Timestamps from here on are extended.
const EXTENDED: u32 = 0x00ff_ffff;
/// Longest message there is: its length has 24 bits.
const LONGEST: usize = 0x00ff_ffff;
/// The one message stream of a connection.
const STREAM_ID: u32 = 1;

/// The header before a message and the one before each further chunk of it.
fn headers(csid: u8, timestamp: u32, kind: u8, stream_id: u32, length: usize) -> Head {
    let [e3, e2, e1, e0] = timestamp.to_be_bytes();
    let [_, t2, t1, t0] = timestamp.min(EXTENDED).to_be_bytes();
    let [.., l2, l1, l0] = length.to_be_bytes();
    let [s0, s1, s2, s3] = stream_id.to_le_bytes();
    let csid = csid & 0x3f;
    let first = [
        csid, t2, t1, t0, l2, l1, l0, kind, s0, s1, s2, s3, e3, e2, e1, e0,
    ];
    let rest = [0xc0 | csid, e3, e2, e1, e0];
    if timestamp >= EXTENDED {
        Head::new(&first, &rest)
    } else {
        let ([first @ .., _, _, _, _], [rest, ..]) = (&first, &rest);
        Head::new(first, std::slice::from_ref(rest))
    }
}

/// Appends one message. `csid` is 2 to 63; `timestamp` in milliseconds; `payload` is cut at
/// 16,777,215 bytes, the longest message there is.
pub fn write_message(
    out: &mut Vec<u8>,
    csid: u8,
    timestamp: u32,
    kind: u8,
    stream_id: u32,
    payload: &[u8],
    chunk_size: usize,
) {
    debug_assert!((2..64).contains(&csid));
    let payload = payload.get(..LONGEST).unwrap_or(payload);
    let head = headers(csid, timestamp, kind, stream_id, payload.len());
    out.extend_from_slice(head.first());
    let mut chunks = payload.chunks(chunk_size.max(1));
    out.extend_from_slice(chunks.next().unwrap_or_default());
    for chunk in chunks {
        out.extend_from_slice(head.rest());
        out.extend_from_slice(chunk);
    }
}

/// Pushes the bytes of `packet` as RTMP players receive it, in chunks of [`OUT_CHUNK_SIZE`].
///
/// Copies nothing and allocates nothing, unless `into` is full; the headers are made by the
/// first call and kept in the packet.
pub fn slices<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    let head = packet.rtmp_head().get_or_init(|| head(packet));
    into.push(IoSlice::new(head.first()));
    let payload = payload(packet);
    let mut chunks = payload.chunks(OUT_CHUNK_SIZE);
    if let Some(chunk) = chunks.next() {
        into.push(IoSlice::new(chunk));
    }
    for chunk in chunks {
        into.push(IoSlice::new(head.rest()));
        into.push(IoSlice::new(chunk));
    }
}

fn payload(packet: &Packet) -> &[u8] {
    let payload = packet.payload();
    payload.get(..LONGEST).unwrap_or(payload)
}

#[cold]
fn head(packet: &Packet) -> Head {
    let (csid, kind) = match packet.track() {
        Track::Audio => (4, kind::AUDIO),
        Track::Data => (5, kind::DATA),
        Track::Video => (6, kind::VIDEO),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "RTMP timestamps wrap at 32 bits"
    )]
    let timestamp = packet.timestamp() as u32;
    headers(csid, timestamp, kind, STREAM_ID, payload(packet).len())
}
