//! What stands around a packet's payload when it goes out as an FLV tag (FLV 10.1 §E.4.1), in each
//! form in which players receive tags: bare, as a chunk of HTTP/1.1, as a WebSocket message.
//!
//! Made once a packet and kept in it; all players' writes point into it.

use std::io::IoSlice;

use crate::packet::{Packet, Slices, Track};

/// Bytes of a tag's header.
const HEADER: usize = 11;
/// Longest body there is: its length has 24 bits.
const LONGEST: usize = 0x00ff_ffff;
/// Longest size line of a chunk: seven digits and a line end.
const CHUNK: usize = 9;
/// Longest header of an unmasked WebSocket frame.
const FRAME: usize = 10;

/// How tags travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One behind the other, as in a file.
    Bare,
    /// Each a chunk of HTTP/1.1 (RFC 9112 §7.1).
    Chunk,
    /// Each a binary message of a WebSocket (RFC 6455 §5.2), from the server: not masked.
    Message,
}

/// The bytes before and behind one packet's payload.
#[derive(Debug, Clone, Copy)]
pub struct Tag {
    header: [u8; HEADER],
    /// The size of the tag, which stands behind it, and the end of a chunk.
    back: [u8; 6],
    chunk: [u8; CHUNK],
    chunk_length: u8,
    frame: [u8; FRAME],
    frame_length: u8,
}

impl Tag {
    /// The tag of a packet. Its timestamp wraps at 32 bits, as RTMP's does.
    pub(crate) fn new(packet: &Packet) -> Self {
        let length = body(packet).len();
        let kind = match packet.track() {
            Track::Audio => 8,
            Track::Video => 9,
            Track::Data => 18,
        };
        let [.., l2, l1, l0] = length.to_be_bytes();
        let [.., t3, t2, t1, t0] = packet.timestamp().to_be_bytes();
        let [.., s3, s2, s1, s0] = (HEADER + length).to_be_bytes();
        let (chunk, chunk_length) = chunk_line(HEADER + length + 4);
        let (frame, frame_length) = frame_header(HEADER + length + 4);
        Self {
            header: [kind, l2, l1, l0, t2, t1, t0, t3, 0, 0, 0],
            back: [s3, s2, s1, s0, b'\r', b'\n'],
            chunk,
            chunk_length,
            frame,
            frame_length,
        }
    }
}

/// Pushes the bytes of `packet` as an FLV tag. Copies nothing; what stands around the payload is
/// made by the first call and kept in the packet.
pub fn slices<'a>(packet: &'a Packet, framing: Framing, into: &mut Slices<'a>) {
    let tag = packet.flv_tag();
    let back = match framing {
        Framing::Bare => tag.back.get(..4),
        Framing::Chunk => {
            let line = tag.chunk.get(..usize::from(tag.chunk_length));
            into.push(IoSlice::new(line.unwrap_or_default()));
            Some(&tag.back[..])
        }
        Framing::Message => {
            let header = tag.frame.get(..usize::from(tag.frame_length));
            into.push(IoSlice::new(header.unwrap_or_default()));
            tag.back.get(..4)
        }
    };
    into.push(IoSlice::new(&tag.header));
    let body = body(packet);
    if !body.is_empty() {
        into.push(IoSlice::new(body));
    }
    into.push(IoSlice::new(back.unwrap_or_default()));
}

/// What an FLV stream begins with (§E.2): its header, which says what tags there will be, and the
/// size of no tag before the first.
pub fn file_header(audio: bool, video: bool) -> [u8; 13] {
    let flags = u8::from(audio) << 2 | u8::from(video);
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// The header of a final binary frame of a server, and how long it is.
pub fn frame_header(length: usize) -> ([u8; FRAME], u8) {
    const FINAL_BINARY: u8 = 0x82;
    let [l7, l6, l5, l4, l3, l2, l1, l0] = (length as u64).to_be_bytes();
    match length {
        0..126 => ([FINAL_BINARY, l0, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        126..0x1_0000 => ([FINAL_BINARY, 126, l1, l0, 0, 0, 0, 0, 0, 0], 4),
        _ => ([FINAL_BINARY, 127, l7, l6, l5, l4, l3, l2, l1, l0], 10),
    }
}

/// The size line of a chunk, and how long it is.
fn chunk_line(length: usize) -> ([u8; CHUNK], u8) {
    let mut line = [0; CHUNK];
    let mut used = 0;
    let nibbles = (0..7).rev().map(|at| (length >> (4 * at)) & 0xf);
    let digits = nibbles
        .skip_while(|nibble| *nibble == 0)
        .filter_map(|nibble| b"0123456789abcdef".get(nibble));
    for (to, from) in line.iter_mut().zip(digits.chain(b"\r\n")) {
        *to = *from;
        used += 1;
    }
    (line, used)
}

fn body(packet: &Packet) -> &[u8] {
    let payload = packet.payload();
    payload.get(..LONGEST).unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::time::Instant;

    fn bytes(packet: &Packet, framing: Framing) -> Vec<u8> {
        let mut all = Slices::new();
        slices(packet, framing, &mut all);
        all.iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn packet(track: Track, timestamp: u64, payload: Vec<u8>) -> Packet {
        Packet::new(track, timestamp, Bytes::from(payload), Instant::now())
    }

    #[test]
    fn a_tag_is_what_the_specification_says() {
        let audio = packet(Track::Audio, 0x0102_0304, vec![0xaf, 1, 0x21]);
        let tag = [8, 0, 0, 3, 2, 3, 4, 1, 0, 0, 0, 0xaf, 1, 0x21, 0, 0, 0, 14];
        assert_eq!(bytes(&audio, Framing::Bare), tag);
        assert_eq!(
            bytes(&audio, Framing::Chunk),
            [b"12\r\n", &tag[..], b"\r\n"].concat()
        );
        assert_eq!(
            bytes(&audio, Framing::Message),
            [&[0x82, 18], &tag[..]].concat()
        );
        let data = packet(Track::Data, 0, vec![2, 0, 0]);
        assert_eq!(bytes(&data, Framing::Bare)[0], 18);
        let video = packet(
            Track::Video,
            u64::from(u32::MAX) + 8,
            vec![0x27, 1, 0, 0, 0],
        );
        assert_eq!(bytes(&video, Framing::Bare)[..8], [9, 0, 0, 5, 0, 0, 7, 0]);
    }

    #[test]
    fn an_empty_payload_is_a_whole_tag() {
        let empty = packet(Track::Audio, 0, Vec::new());
        let tag = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
        assert_eq!(bytes(&empty, Framing::Bare), tag);
        assert_eq!(bytes(&empty, Framing::Chunk)[..3], *b"f\r\n");
    }

    #[test]
    fn the_longest_tag_fits_its_size_line() {
        let (line, length) = chunk_line(HEADER + LONGEST + 4);
        assert_eq!(&line[..usize::from(length)], b"100000e\r\n");
    }

    #[test]
    fn the_header_says_which_tags_there_will_be() {
        assert_eq!(file_header(true, true)[4], 5);
        assert_eq!(file_header(true, false)[4], 4);
        assert_eq!(file_header(false, true)[4], 1);
        assert_eq!(&file_header(true, true)[..4], b"FLV\x01");
    }

    proptest! {
        #[test]
        fn every_form_carries_the_same_tag(
            length in prop_oneof![0_usize..300, 65_480_usize..65_600, 100_000_usize..100_010],
            time: u32,
        ) {
            let packet = packet(Track::Video, u64::from(time), vec![0x27; length]);
            let bare = bytes(&packet, Framing::Bare);
            prop_assert_eq!(bare.len(), 11 + length + 4);
            let size = u32::from_be_bytes(bare[11 + length..].try_into().unwrap());
            prop_assert_eq!(size as usize, 11 + length);
            prop_assert_eq!(u32::from_be_bytes([bare[7], bare[4], bare[5], bare[6]]), time);

            let chunk = bytes(&packet, Framing::Chunk);
            let end = chunk.iter().position(|&byte| byte == b'\r').unwrap();
            let line = std::str::from_utf8(&chunk[..end]).unwrap();
            prop_assert_eq!(usize::from_str_radix(line, 16).unwrap(), bare.len());
            prop_assert_eq!(&chunk[end + 2..chunk.len() - 2], &bare[..]);
            prop_assert!(chunk.ends_with(b"\r\n"));

            let message = bytes(&packet, Framing::Message);
            let (told, from) = match message[1] {
                127 => (u64::from_be_bytes(message[2..10].try_into().unwrap()), 10),
                126 => (u64::from(u16::from_be_bytes([message[2], message[3]])), 4),
                short => (u64::from(short), 2),
            };
            prop_assert_eq!(told, bare.len() as u64);
            prop_assert_eq!(&message[from..], &bare[..]);
        }
    }
}
