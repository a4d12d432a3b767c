//! The chunk reader: the same messages and the same error however the input is cut, never more
//! memory than its limits allow, and what was read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtmp::chunk::{ChunkError, Limits, Message, Reader, write_message};

const LIMITS: Limits = Limits { message_size: 1 << 20, chunk_streams: 16, partial_bytes: 4 << 20 };

fn read(input: &[u8], step: usize) -> (Vec<Message>, Option<ChunkError>) {
    let mut reader = Reader::new(LIMITS);
    let mut messages = Vec::new();
    for mut piece in input.chunks(step) {
        loop {
            let result = reader.feed(&mut piece);
            assert!(reader.partial_bytes() <= LIMITS.partial_bytes || result.is_err());
            match result {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (messages, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&step, input)) = input.split_first() else { return };
    let (messages, error) = read(input, usize::MAX);
    let (again, other) = read(input, usize::from(step) + 1);
    // How much memory is reserved depends on how the input is cut, and so does this error alone.
    let reserved = |error| matches!(error, Some(ChunkError::PartialBytes(_)));
    if !reserved(error) && !reserved(other) {
        assert_eq!(messages, again);
        assert_eq!(error, other);
    }
    let mut written = Vec::new();
    for message in &messages {
        let Message { timestamp, stream_id, kind, payload } = message;
        write_message(&mut written, 3 + step % 61, *timestamp, *kind, *stream_id, payload, 128);
    }
    assert_eq!(read(&written, usize::MAX), (messages, None));
});
