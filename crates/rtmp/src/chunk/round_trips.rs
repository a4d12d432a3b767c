//! What is written is read back: by our reader from our writer and from an encoder that uses
//! every short cut of the format, and between us and `rml_rtmp`.

use std::time::Instant;

use lockgate_media::{Packet, Slices, Track};
use proptest::collection::vec;
use proptest::prelude::*;
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::tests::read_in_steps;
use super::*;
use crate::OUT_CHUNK_SIZE;

/// One message of the test encoder, and how it is to be sent.
#[derive(Debug, Clone)]
struct Sent {
    csid: u32,
    step: u32,
    kind: u8,
    payload: Vec<u8>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let csid = prop_oneof![3_u32..8, 60_u32..70, 318_u32..322, 65_590_u32..=65_599];
    let step = prop_oneof![0_u32..100, 0x00ff_fff0_u32..0x0100_0010, any::<u32>()];
    let kind = prop_oneof![Just(kind::AUDIO), Just(kind::VIDEO), Just(kind::DATA)];
    let payload = prop_oneof![vec(any::<u8>(), 0..5), vec(Just(1_u8), 0..600)];
    (csid, step, kind, payload).prop_map(|(csid, step, kind, payload)| Sent {
        csid,
        step,
        kind,
        payload,
    })
}

/// Writes chunks with the shortest headers that say what they must, one message at a time.
struct Encoder {
    last: std::collections::HashMap<u32, (Message, u32)>,
    repeat_extended: bool,
}

impl Encoder {
    fn write(&mut self, out: &mut Vec<u8>, csid: u32, message: &Message, chunk_size: usize) {
        let basic = |kind: u8| {
            let mark = kind << 6;
            match csid {
                0..64 => vec![mark | u8::try_from(csid).unwrap()],
                64..320 => vec![mark, u8::try_from(csid - 64).unwrap()],
                _ => [
                    &[mark | 1][..],
                    &u16::try_from(csid - 64).unwrap().to_le_bytes(),
                ]
                .concat(),
            }
        };
        let length = u32::try_from(message.payload.len()).unwrap();
        let (kind, time) = match self.last.get(&csid) {
            None => (0, message.timestamp),
            Some((last, step)) => {
                let new_step = message.timestamp.wrapping_sub(last.timestamp);
                let same = (last.payload.len(), last.kind) == (message.payload.len(), message.kind);
                (
                    1 + u8::from(same) + u8::from(same && new_step == *step),
                    new_step,
                )
            }
        };
        let extended: &[u8] = if time >= 0x00ff_ffff {
            &time.to_be_bytes()
        } else {
            &[]
        };
        let be24 = |value: u32| value.min(0x00ff_ffff).to_be_bytes()[1..].to_vec();
        out.extend(basic(kind));
        if kind < 3 {
            out.extend(be24(time));
        }
        if kind < 2 {
            out.extend(be24(length));
            out.push(message.kind);
        }
        if kind == 0 {
            out.extend(message.stream_id.to_le_bytes());
        }
        if kind < 3 || self.repeat_extended {
            out.extend(extended);
        }
        for (at, chunk) in message.payload.chunks(chunk_size).enumerate() {
            if at > 0 {
                out.extend(basic(3));
                if self.repeat_extended {
                    out.extend(extended);
                }
            }
            out.extend(chunk);
        }
        // The step after type 0 is never taken for a repetition: see LONGEST_FIRST_DELTA.
        let step = if kind == 0 { u32::MAX } else { time };
        self.last.insert(csid, (message.clone(), step));
    }
}

proptest! {
    #[test]
    fn every_short_cut_of_an_encoder_is_understood(
        messages in vec(sent(), 1..20),
        sizes in vec(1_usize..700, 1..4),
        repeat_extended: bool,
        step in prop_oneof![1_usize..20, Just(usize::MAX)],
    ) {
        let mut encoder = Encoder { last: Default::default(), repeat_extended };
        let (mut input, mut want) = (Vec::new(), Vec::new());
        let (mut time, mut chunk_size) = (0_u32, 128);
        for (at, sent) in messages.into_iter().enumerate() {
            if at % 4 == 3 {
                chunk_size = sizes[at / 4 % sizes.len()];
                let size = u32::try_from(chunk_size).unwrap().to_be_bytes();
                write_message(&mut input, 2, 0, kind::SET_CHUNK_SIZE, 0, &size, chunk_size.max(4));
            }
            time = time.wrapping_add(sent.step);
            let message = Message {
                timestamp: time,
                stream_id: 1,
                kind: sent.kind,
                payload: sent.payload.into(),
            };
            encoder.write(&mut input, sent.csid, &message, chunk_size);
            want.push(message);
        }
        // A last chunk of less than four bytes may be the start of an extended timestamp, until
        // bytes come that are not its rest.
        let after = Message {
            timestamp: 0,
            stream_id: 0,
            kind: kind::ACKNOWLEDGEMENT,
            payload: Bytes::from_static(&[0, 0, 0, 1]),
        };
        write_message(&mut input, 2, 0, after.kind, 0, &after.payload, 128);
        want.push(after);
        // Chunks of SetChunkSize itself are cut at the size before; small sizes are left out.
        prop_assume!(sizes.iter().all(|size| *size >= 4));
        // Payload of ones may be the very value of an extended timestamp that is left out.
        prop_assume!(repeat_extended || want.iter().all(|message| message.timestamp != 0x0101_0101));
        let (read, error) = read_in_steps(&input, step, Limits::default());
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, want);
    }

    #[test]
    fn what_we_write_we_read(
        csid in 2_u8..64,
        timestamp: u32,
        kind in 3_u8..22,
        stream_id: u32,
        payload in vec(any::<u8>(), 0..1000),
        chunk_size in 1_usize..600,
        step in 1_usize..100,
    ) {
        let mut input = Vec::new();
        let size = u32::try_from(chunk_size).unwrap().to_be_bytes();
        write_message(&mut input, 2, 0, kind::SET_CHUNK_SIZE, 0, &size, 128);
        write_message(&mut input, csid, timestamp, kind, stream_id, &payload, chunk_size);
        let want = Message { timestamp, stream_id, kind, payload: payload.into() };
        prop_assert_eq!(read_in_steps(&input, step, Limits::default()), (vec![want], None));
    }

    #[test]
    fn any_bytes_read_the_same_however_they_are_cut(
        input in vec(prop_oneof![any::<u8>(), Just(0_u8), Just(0xff), 1_u8..10, Just(0xc4), Just(4)], 0..400),
        step in 1_usize..40,
    ) {
        let limits = Limits { message_size: 4096, chunk_streams: 8, partial_bytes: 1 << 20 };
        let whole = read_in_steps(&input, usize::MAX, limits);
        prop_assert_eq!(read_in_steps(&input, step, limits), whole);
    }

    #[test]
    fn slices_are_the_chunks_of_the_message(
        track in prop_oneof![Just(Track::Audio), Just(Track::Video), Just(Track::Data)],
        timestamp in prop_oneof![0_u64..100, 0x00ff_fff0_u64..0x0100_0010, any::<u64>()],
        length in prop_oneof![0_usize..10, 59_999_usize..60_002, 119_000_usize..200_000],
    ) {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let packet = Packet::new(track, timestamp, payload.clone().into(), Instant::now());
        let (csid, kind) = match track {
            Track::Audio => (4, kind::AUDIO),
            Track::Data => (5, kind::DATA),
            Track::Video => (6, kind::VIDEO),
        };
        let mut want = Vec::new();
        #[expect(clippy::cast_possible_truncation, reason = "what is tested")]
        let time = timestamp as u32;
        write_message(&mut want, csid, time, kind, 1, &payload, OUT_CHUNK_SIZE);
        for _ in 0..2 {
            let mut slices = Slices::new();
            slices_of(&packet, &mut slices);
            let got: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            prop_assert!(got == want);
        }
    }
}

fn slices_of<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    super::slices(packet, into);
}

fn rml_messages() -> Vec<Message> {
    let payload = |length| Bytes::from((0..=255).cycle().take(length).collect::<Vec<u8>>());
    let message = |timestamp, kind, length| Message {
        timestamp,
        stream_id: 1,
        kind,
        payload: payload(length),
    };
    vec![
        message(2000, kind::AUDIO, 10),
        message(2020, kind::AUDIO, 10),
        message(2040, kind::AUDIO, 10),
        message(2041, kind::VIDEO, 70_000),
        message(2060, kind::AUDIO, 10),
        message(2081, kind::VIDEO, 129),
        message(17_000_000, kind::VIDEO, 5000),
        message(17_000_040, kind::VIDEO, 5000),
    ]
}

#[test]
fn what_rml_rtmp_writes_we_read() {
    let messages = rml_messages();
    let mut serializer = ChunkSerializer::new();
    let mut input = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if at == 4 {
            let packet = serializer
                .set_max_chunk_size(4096, RtmpTimestamp::new(0))
                .expect("a chunk size");
            input.extend(packet.bytes);
        }
        let payload = MessagePayload {
            timestamp: RtmpTimestamp::new(message.timestamp),
            type_id: message.kind,
            message_stream_id: message.stream_id,
            data: message.payload.to_vec().into(),
        };
        input.extend(
            serializer
                .serialize(&payload, false, false)
                .expect("a message")
                .bytes,
        );
    }
    for step in [1, 100, usize::MAX] {
        let (read, error) = read_in_steps(&input, step, Limits::default());
        assert_eq!(error, None);
        assert_eq!(read, messages);
    }
}

#[test]
fn what_we_write_rml_rtmp_reads() {
    let messages = rml_messages();
    let mut deserializer = ChunkDeserializer::new();
    deserializer
        .set_max_chunk_size(OUT_CHUNK_SIZE)
        .expect("a chunk size");
    for message in messages {
        let track = if message.kind == kind::AUDIO {
            Track::Audio
        } else {
            Track::Video
        };
        let time = u64::from(message.timestamp);
        let packet = Packet::new(track, time, message.payload.clone(), Instant::now());
        let mut slices = Slices::new();
        slices_of(&packet, &mut slices);
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let read = deserializer
            .get_next_message(&bytes)
            .expect("chunks")
            .expect("a message");
        assert_eq!(read.timestamp.value, message.timestamp);
        assert_eq!(read.type_id, message.kind);
        assert_eq!(read.message_stream_id, 1);
        assert_eq!(read.data[..], message.payload[..]);
    }
}
