//! Vectors by hand, both dialects of extended timestamps, bounds, and what breaks a chunk stream.
//! Round trips and interplay with another implementation are in `round_trips`.

use super::*;

/// All messages of `input`, fed in pieces of `step` bytes, and the error that ended it.
pub(super) fn read_in_steps(
    input: &[u8],
    step: usize,
    limits: Limits,
) -> (Vec<Message>, Option<ChunkError>) {
    let mut reader = Reader::new(limits);
    let mut messages = Vec::new();
    for mut piece in input.chunks(step) {
        loop {
            match reader.feed(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty(), "the reader takes all of its input");
    }
    (messages, None)
}

/// The messages of `input`, which are the same however it is cut.
fn read(input: &[u8]) -> Vec<Message> {
    let (messages, error) = read_in_steps(input, usize::MAX, Limits::default());
    assert_eq!(error, None);
    for step in [1, 2, 3, 5, 17, 127, 128, 129] {
        assert_eq!(
            read_in_steps(input, step, Limits::default()),
            (messages.clone(), None)
        );
    }
    for cut in 0..input.len() {
        let mut reader = Reader::new(Limits::default());
        let mut again = Vec::new();
        let (head, tail) = input.split_at(cut);
        for mut piece in [head, tail] {
            while let Some(message) = reader.feed(&mut piece).expect("valid chunks") {
                again.push(message);
            }
        }
        assert_eq!(again, messages, "cut at {cut}");
        assert_eq!(reader.partial_bytes(), 0);
    }
    messages
}

fn fail(input: &[u8]) -> ChunkError {
    read_in_steps(input, usize::MAX, Limits::default())
        .1
        .expect("an error")
}

fn message(timestamp: u32, kind: u8, payload: &[u8]) -> Message {
    Message {
        timestamp,
        stream_id: 1,
        kind,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn each_header_type_takes_over_what_it_leaves_out() {
    let input = [
        // Type 0 on chunk stream 4: time 1000, 2 bytes of audio, stream 1.
        &[
            0x04, 0x00, 0x03, 0xe8, 0x00, 0x00, 0x02, 0x08, 0x01, 0, 0, 0, 0xaa, 0xbb,
        ][..],
        // Type 1: 20 ms later, 3 bytes of video.
        &[0x44, 0x00, 0x00, 0x14, 0x00, 0x00, 0x03, 0x09, 1, 2, 3],
        // Type 2: 30 ms later, the same length and type.
        &[0x84, 0x00, 0x00, 0x1e, 4, 5, 6],
        // Type 3: 30 ms later again.
        &[0xc4, 7, 8, 9],
    ]
    .concat();
    assert_eq!(
        read(&input),
        [
            message(1000, kind::AUDIO, &[0xaa, 0xbb]),
            message(1020, kind::VIDEO, &[1, 2, 3]),
            message(1050, kind::VIDEO, &[4, 5, 6]),
            message(1080, kind::VIDEO, &[7, 8, 9]),
        ]
    );
}

#[test]
fn type_3_after_type_0_repeats_small_timestamps_only() {
    let start = |time: [u8; 3]| [&[0x04], &time[..], &[0, 0, 1, 8, 1, 0, 0, 0, 0xaa]].concat();
    // §5.3.1.2.4: the timestamp of type 0 is the difference.
    let input = [&start([0, 0, 23])[..], &[0xc4, 0xbb]].concat();
    assert_eq!(read(&input)[1].timestamp, 46);
    // librtmp: nothing of the header changed, nor did the time.
    let input = [&start([1, 0, 0])[..], &[0xc4, 0xbb]].concat();
    assert_eq!(read(&input)[1].timestamp, 0x1_0000);
}

#[test]
fn chunk_stream_ids_have_three_forms() {
    for id in [
        &[0x3f][..],
        &[0x00, 0x00],
        &[0x00, 0xff],
        &[0x01, 0x00, 0x01],
        &[0x01, 0xff, 0xff],
    ] {
        let input = [id, &[0, 0, 1, 0, 0, 2, 8, 1, 0, 0, 0, 7, 7]].concat();
        assert_eq!(
            read(&input),
            [message(1, kind::AUDIO, &[7, 7])],
            "{id:02x?}"
        );
    }
    assert_eq!(header::basic(&[0xc0, 5]), Some((3, 69, 2)));
    assert_eq!(header::basic(&[0x41, 1, 2]), Some((1, 64 + 1 + 512, 3)));
    assert_eq!(header::basic(&[0x41, 1]), None);
}

#[test]
fn chunks_of_two_streams_interleave() {
    let (audio, video) = ([0xa5; 200], [0x5a; 300]);
    let input = [
        &[0x06, 0, 0, 40, 0, 1, 0x2c, 9, 1, 0, 0, 0][..],
        &video[..128],
        &[0x04, 0, 0, 41, 0, 0, 200, 8, 1, 0, 0, 0],
        &audio[..128],
        &[0xc6],
        &video[..128],
        &[0xc4],
        &audio[..72],
        &[0xc6],
        &video[..44],
    ]
    .concat();
    assert_eq!(
        read(&input),
        [
            message(41, kind::AUDIO, &audio),
            message(40, kind::VIDEO, &video)
        ]
    );
}

#[test]
fn the_chunk_size_may_change_between_the_chunks_of_a_message() {
    let payload = [3; 1000];
    let input = [
        &[0x04, 0, 0, 0, 0, 0x03, 0xe8, 8, 1, 0, 0, 0][..],
        &payload[..128],
        &[0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 2, 0],
        &[0xc4],
        &payload[..512],
        &[0xc4],
        &payload[..360],
    ]
    .concat();
    assert_eq!(read(&input), [message(0, kind::AUDIO, &payload)]);
}

/// A message of 300 bytes whose header and continuations may carry extended timestamps.
fn extended(first: &[u8], between: &[u8], payload: &[u8; 300]) -> Vec<u8> {
    [
        first,
        &payload[..128],
        between,
        &payload[128..256],
        between,
        &payload[256..],
    ]
    .concat()
}

#[test]
fn extended_timestamps_may_be_repeated_or_not() {
    let first = [
        0x04, 0xff, 0xff, 0xff, 0, 1, 0x2c, 8, 1, 0, 0, 0, 0x01, 0x00, 0x00, 0x02,
    ];
    let repeated = extended(&first, &[0xc4, 0x01, 0x00, 0x00, 0x02], &[9; 300]);
    assert_eq!(
        read(&repeated),
        [message(0x0100_0002, kind::AUDIO, &[9; 300])]
    );
    let left_out = extended(&first, &[0xc4], &[9; 300]);
    assert_eq!(
        read(&left_out),
        [message(0x0100_0002, kind::AUDIO, &[9; 300])]
    );
}

#[test]
fn payload_that_starts_like_an_extended_timestamp_is_payload() {
    let first = [
        0x04, 0xff, 0xff, 0xff, 0, 1, 0x2c, 8, 1, 0, 0, 0, 0x01, 0x00, 0x00, 0x02,
    ];
    for same in 1..4 {
        let mut payload = [7; 300];
        payload[128..128 + same].copy_from_slice(&[0x01, 0x00, 0x00][..same]);
        payload[256..256 + same].copy_from_slice(&[0x01, 0x00, 0x00][..same]);
        let input = extended(&first, &[0xc4], &payload);
        assert_eq!(read(&input), [message(0x0100_0002, kind::AUDIO, &payload)]);
    }
    // The last chunk is shorter than what was held back for it, and the next header follows.
    let payload = [&[5; 128][..], &[0x01, 0x00]].concat();
    let first = [
        0x04, 0xff, 0xff, 0xff, 0, 0, 130, 8, 1, 0, 0, 0, 0x01, 0x00, 0x00, 0x02,
    ];
    let next = [0x06, 0, 0, 5, 0, 0, 1, 9, 1, 0, 0, 0, 0x17];
    let input = [&first, &payload[..128], &[0xc4], &payload[128..], &next].concat();
    assert_eq!(
        read(&input),
        [
            message(0x0100_0002, kind::AUDIO, &payload),
            message(5, kind::VIDEO, &[0x17])
        ]
    );
}

#[test]
fn a_short_last_chunk_that_starts_like_an_extended_timestamp_waits_for_one_byte_more() {
    let first = [
        0x04, 0xff, 0xff, 0xff, 0, 0, 130, 8, 1, 0, 0, 0, 0x01, 0x00, 0x00, 0x02,
    ];
    let payload = [&[5; 128][..], &[0x01, 0x00]].concat();
    let input = [&first, &payload[..128], &[0xc4], &payload[128..]].concat();
    let mut reader = Reader::new(Limits::default());
    assert_eq!(reader.feed(&mut &input[..]), Ok(None));
    let want = message(0x0100_0002, kind::AUDIO, &payload);
    assert_eq!(reader.feed(&mut &[0x06][..]), Ok(Some(want)));
    // What the next message's time starts with is no reason to wait.
    let first = [
        &[0x04, 0, 0, 0, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa][..],
        &[0x44, 0xff, 0xff, 0xff, 0, 0, 129, 8, 0, 0xff, 0xff, 0xff],
    ]
    .concat();
    let payload = [&[5; 128][..], &[0x01]].concat();
    let input = [&first, &payload[..128], &[0xc4], &payload[128..]].concat();
    assert_eq!(
        read(&input),
        [
            message(0, kind::AUDIO, &[0xaa]),
            message(0x00ff_ffff, kind::AUDIO, &payload)
        ]
    );
}

#[test]
fn extended_differences_add_up() {
    let input = [
        &[0x04, 0, 0, 10, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa][..],
        // Type 2 with a difference of 0x01000000, then type 3 with it again, both dialects.
        &[0x84, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xbb],
        &[0xc4, 1, 0, 0, 0, 0xcc],
        &[0xc4, 0xdd],
        // Type 2 with a small difference ends the extension.
        &[0x84, 0, 0, 1, 0xee],
        &[0xc4, 0xff],
    ]
    .concat();
    let times: Vec<_> = read(&input)
        .iter()
        .map(|message| message.timestamp)
        .collect();
    let step = 0x0100_0000;
    assert_eq!(
        times,
        [
            10,
            step + 10,
            2 * step + 10,
            3 * step + 10,
            3 * step + 11,
            3 * step + 12
        ]
    );
}

#[test]
fn timestamps_wrap_at_32_bits() {
    let input = [
        &[
            0x04, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0, 1,
        ][..],
        &[0x84, 0, 0, 0x20, 2],
    ]
    .concat();
    assert_eq!(read(&input)[1].timestamp, 0x10);
}

#[test]
fn a_chunk_stream_may_start_with_type_1_but_not_with_less() {
    let input = [0x42, 0, 0, 0, 0, 0, 2, 4, 9, 9];
    assert_eq!(read(&input)[0].stream_id, 0);
    assert_eq!(fail(&[0x84, 0, 0, 0]), ChunkError::NoHeader(4));
    assert_eq!(fail(&[0xc4]), ChunkError::NoHeader(4));
}

#[test]
fn empty_messages_are_messages() {
    let input = [0x04, 0, 0, 1, 0, 0, 0, 8, 1, 0, 0, 0, 0xc4, 0xc4];
    let empty = |time| message(time, kind::AUDIO, &[]);
    assert_eq!(read(&input), [empty(1), empty(2), empty(3)]);
}

#[test]
fn an_aborted_message_never_comes() {
    let input = [
        &[0x04, 0, 0, 1, 0, 0, 200, 8, 1, 0, 0, 0][..],
        &[1; 128],
        &[0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 4],
        &[0x04, 0, 0, 2, 0, 0, 1, 8, 1, 0, 0, 0, 7],
        // Nothing to abort.
        &[0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 9],
    ]
    .concat();
    assert_eq!(read(&input), [message(2, kind::AUDIO, &[7])]);
}

#[test]
fn impossible_control_messages_end_the_chunk_stream() {
    let control = |kind, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("short");
        [
            &[0x02, 0, 0, 0, 0, 0, length, kind, 0, 0, 0, 0][..],
            payload,
        ]
        .concat()
    };
    assert_eq!(fail(&control(1, &[0, 0, 0, 0])), ChunkError::ChunkSize(0));
    assert_eq!(
        fail(&control(1, &[0x80, 0, 0, 1])),
        ChunkError::ChunkSize(0x8000_0001)
    );
    assert_eq!(fail(&control(1, &[0, 0, 1])), ChunkError::Control(1));
    assert_eq!(fail(&control(2, &[])), ChunkError::Control(2));
    let largest = [
        &control(1, &[0x7f, 0xff, 0xff, 0xff])[..],
        &[2, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 5],
    ];
    assert_eq!(read(&largest.concat()).len(), 1);
}

#[test]
fn a_message_keeps_its_length_and_type_to_its_end() {
    let start = [&[0x04, 0, 0, 1, 0, 0, 200, 8, 1, 0, 0, 0][..], &[1; 128]].concat();
    for change in [[0x44, 0, 0, 1, 0, 0, 201, 8], [0x44, 0, 0, 1, 0, 0, 200, 9]] {
        assert_eq!(
            fail(&[&start[..], &change].concat()),
            ChunkError::MidMessage(4)
        );
    }
    // The same once more is a continuation.
    let input = [&start[..], &[0x44, 0, 0, 1, 0, 0, 200, 8], &[1; 72]].concat();
    assert_eq!(read(&input), [message(1, kind::AUDIO, &[1; 200])]);
}

#[test]
fn limits_hold() {
    let limits = Limits {
        message_size: 1000,
        chunk_streams: 2,
        partial_bytes: 8192,
    };
    let fail = |input: &[u8]| read_in_steps(input, usize::MAX, limits).1;
    let header = |csid: u8, length: u16| {
        let [high, low] = length.to_be_bytes();
        [csid, 0, 0, 0, 0, high, low, 8, 1, 0, 0, 0]
    };
    assert_eq!(fail(&header(4, 1000)), None);
    assert_eq!(
        fail(&header(4, 1001)),
        Some(ChunkError::MessageSize {
            length: 1001,
            limit: 1000
        })
    );
    let three: Vec<_> = (4..7).flat_map(|csid| header(csid, 0)).collect();
    assert_eq!(fail(&three), Some(ChunkError::ChunkStreams(2)));

    let limits = Limits {
        message_size: 60_000,
        chunk_streams: 64,
        partial_bytes: 8192,
    };
    let many: Vec<_> = (4..9)
        .flat_map(|csid| [&header(csid, 60_000)[..], &[0; 128]].concat())
        .collect();
    let (_, error) = read_in_steps(&many, 140, limits);
    assert_eq!(error, Some(ChunkError::PartialBytes(8192)));
}

#[test]
fn a_header_reserves_no_more_than_came_along() {
    let mut reader = Reader::new(Limits::default());
    let mut input = &[0x04, 0, 0, 0, 0x7f, 0xff, 0xff, 8, 1, 0, 0, 0][..];
    assert_eq!(reader.feed(&mut input), Ok(None));
    assert_eq!(reader.partial_bytes(), 0);
    assert_eq!(reader.feed(&mut &[0][..]), Ok(None));
    assert_eq!(reader.partial_bytes(), 4096);
}

#[test]
fn large_messages_grow_to_their_exact_size() {
    let payload: Vec<_> = (0..=255).cycle().take(300_000).collect();
    let mut input = Vec::new();
    write_message(&mut input, 6, 77, kind::VIDEO, 1, &payload, 128);
    for step in [1000, 65_536] {
        let (messages, error) = read_in_steps(&input, step, Limits::default());
        assert_eq!(error, None);
        assert_eq!(messages, [message(77, kind::VIDEO, &payload)]);
    }
}

/// An FLV tag with its back pointer.
fn tag(kind: u8, time: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let [extension, time @ ..] = time;
    [
        &[kind, 0, 0, length][..],
        &time,
        &[extension, 0, 0, 0],
        payload,
        &[0, 0, 0, 11 + length],
    ]
    .concat()
}

fn aggregate(timestamp: u32, body: &[u8]) -> Vec<u8> {
    let mut input = Vec::new();
    write_message(&mut input, 7, timestamp, kind::AGGREGATE, 1, body, 128);
    input
}

#[test]
fn aggregates_are_split_and_rebased() {
    let body = [
        tag(8, [0, 0, 1, 0], &[1; 100]),
        tag(9, [0, 0, 1, 40], &[2; 50]),
        tag(3, [0, 0, 1, 41], &[9; 4]),
        tag(18, [1, 0, 1, 0], &[3]),
    ]
    .concat();
    let want = [
        message(5000, kind::AUDIO, &[1; 100]),
        message(5040, kind::VIDEO, &[2; 50]),
        message(5000 + 0x0100_0000, kind::DATA, &[3]),
    ];
    assert_eq!(read(&aggregate(5000, &body)), want);
    let no_last_pointer = &body[..body.len() - 4];
    assert_eq!(read(&aggregate(5000, no_last_pointer)), want);
    assert_eq!(read(&aggregate(5000, &[])), []);
}

#[test]
fn malformed_aggregates_end_the_chunk_stream() {
    let body = [tag(8, [0, 0, 0, 0], &[1; 10]), vec![8, 0, 0, 5]].concat();
    assert_eq!(fail(&aggregate(0, &body)), ChunkError::Aggregate);
    assert_eq!(
        fail(&aggregate(0, &[8, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1])),
        ChunkError::Aggregate
    );
}
