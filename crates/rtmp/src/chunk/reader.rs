//! Reads messages out of a chunk stream, whatever way the bytes come.
//!
//! Invariant: `partial` is the capacity of all message buffers together, and never passes
//! `limits.partial_bytes`. A header alone reserves no more than what came along with it, or 4 KiB.

use bytes::Bytes;

use super::aggregate::Aggregate;
use super::header::{self, Header, LONGEST};
use super::{ChunkError, Limits, Message, kind};

/// Chunk size before Set Chunk Size (§5.4.1).
const DEFAULT_CHUNK_SIZE: usize = 128;
/// Least a message buffer starts with, if the message is not shorter.
const FIRST_STEP: usize = 4096;
/// Type 3 headers that start a message repeat the time difference of the last header, and after
/// type 0 its timestamp is that difference (§5.3.1.2.4). Past this many milliseconds no encoder
/// means it so: librtmp sends such headers for "the same timestamp again".
const LONGEST_FIRST_DELTA: u32 = 1000;

/// Reads messages from chunks.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    streams: Vec<ChunkStream>,
    /// The chunk that is being read: its stream's place in `streams`, and the bytes it still has.
    chunk: Option<(usize, usize)>,
    /// Bytes that stand before the input: the part of a header that has come.
    torn: Torn,
    partial: usize,
    aggregate: Option<Box<Aggregate>>,
}

/// Up to one header's worth of bytes.
#[derive(Debug, Default)]
struct Torn {
    bytes: [u8; LONGEST],
    length: usize,
}

/// What a chunk stream remembers from its last headers, and the message it is in.
#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// The last time field, as it was sent.
    time: u32,
    /// What a type 3 header adds.
    delta: u32,
    extended: bool,
    in_message: bool,
    kind: u8,
    length: usize,
    stream_id: u32,
    buffer: Vec<u8>,
}

impl Reader {
    /// Starts with a chunk size of 128 bytes.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: Vec::new(),
            chunk: None,
            torn: Torn::default(),
            partial: 0,
            aggregate: None,
        }
    }

    /// Consumes `input` up to the end of the next message, or all of it. After `Ok(None)` the
    /// input is used up; after an error the chunk stream cannot be read on.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if let Some(message) = self.next_of_aggregate()? {
                return Ok(Some(message));
            }
            let (at, left) = match self.chunk {
                Some(chunk) => chunk,
                None => match self.read_header(input) {
                    Some(header) => self.begin_chunk(&header)?,
                    None => return Ok(None),
                },
            };
            let message = if self.torn.length > 0 {
                let (front, count) = self.torn.take(left);
                self.read_chunk(&mut front.get(..count).unwrap_or_default(), at, left)?
            } else {
                self.read_chunk(input, at, left)?
            };
            let Some(message) = message else {
                if input.is_empty() && self.torn.length == 0 {
                    return Ok(None);
                }
                continue;
            };
            match message.kind {
                kind::SET_CHUNK_SIZE => self.set_chunk_size(&message.payload)?,
                kind::ABORT => self.abort(&message.payload)?,
                kind::AGGREGATE => self.aggregate = Some(Box::new(Aggregate::new(message))),
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Changes the limit on incomplete messages; those held already stay.
    pub fn limit_partial_bytes(&mut self, bytes: usize) {
        self.limits.partial_bytes = bytes;
    }

    /// Bytes of memory that incomplete messages hold.
    pub fn partial_bytes(&self) -> usize {
        self.partial
    }

    fn next_of_aggregate(&mut self) -> Result<Option<Message>, ChunkError> {
        let Some(aggregate) = &mut self.aggregate else {
            return Ok(None);
        };
        let next = aggregate.next();
        if !matches!(next, Ok(Some(_))) {
            self.aggregate = None;
        }
        next
    }

    /// Takes one header off the input; `None` keeps what there is of it and wants more.
    fn read_header(&mut self, input: &mut &[u8]) -> Option<Header> {
        let streams = &self.streams;
        let repeats = |id| {
            let stream = streams.iter().find(|stream| stream.id == id)?;
            stream.extended.then(|| stream.repeats())
        };
        let held = self.torn.length;
        if held == 0
            && let Some(header) = header::header(input, repeats)
        {
            *input = input.get(header.size..).unwrap_or_default();
            return Some(header);
        }
        self.torn.fill(input);
        let header = header::header(self.torn.as_slice(), repeats);
        let used = header.map_or(self.torn.length, |header| header.size);
        *input = input.get(used.saturating_sub(held)..).unwrap_or_default();
        if header.is_some() {
            // What was held for an extended timestamp that is none belongs to the payload.
            self.torn.length = held.max(used);
            self.torn.take(used);
        }
        header
    }

    /// Applies a header; returns the chunk's place and how many bytes of payload it has.
    fn begin_chunk(&mut self, header: &Header) -> Result<(usize, usize), ChunkError> {
        let at = self.stream(header)?;
        let stream = self
            .streams
            .get_mut(at)
            .ok_or(ChunkError::NoHeader(header.id))?;
        if stream.in_message {
            // §5.3.1 wants type 3 here. Another type that says the same is a continuation too.
            if let Some(fields) = header.fields {
                let same = fields.message.is_none_or(|(length, kind)| {
                    usize::try_from(length) == Ok(stream.length) && kind == stream.kind
                });
                if !same {
                    return Err(ChunkError::MidMessage(header.id));
                }
            }
        } else {
            stream.begin_message(header);
            if stream.length > self.limits.message_size {
                let (length, limit) = (stream.length, self.limits.message_size);
                return Err(ChunkError::MessageSize { length, limit });
            }
        }
        let left = self.chunk_size.min(stream.length - stream.buffer.len());
        self.chunk = Some((at, left));
        Ok((at, left))
    }

    /// The place of the header's chunk stream, a new one if need be.
    fn stream(&mut self, header: &Header) -> Result<usize, ChunkError> {
        if let Some(at) = self
            .streams
            .iter()
            .position(|stream| stream.id == header.id)
        {
            return Ok(at);
        }
        // librtmp starts some chunk streams with type 1, so a message length is enough.
        if header.fields.is_none_or(|fields| fields.message.is_none()) {
            return Err(ChunkError::NoHeader(header.id));
        }
        if self.streams.len() >= self.limits.chunk_streams {
            return Err(ChunkError::ChunkStreams(self.limits.chunk_streams));
        }
        self.streams.push(ChunkStream {
            id: header.id,
            ..ChunkStream::default()
        });
        Ok(self.streams.len() - 1)
    }

    /// Reads payload of the chunk at hand; a message if that completes one.
    fn read_chunk(
        &mut self,
        input: &mut &[u8],
        at: usize,
        left: usize,
    ) -> Result<Option<Message>, ChunkError> {
        let Some(stream) = self.streams.get_mut(at) else {
            return Ok(None);
        };
        let available = input.len();
        let (payload, rest) = input.split_at(left.min(available));
        *input = rest;
        if payload.len() == stream.length {
            // The whole message lies in the input: one copy, of the exact size.
            self.chunk = None;
            return Ok(Some(stream.end_message(Bytes::copy_from_slice(payload))));
        }
        if !payload.is_empty() {
            let before = stream.buffer.capacity();
            stream.grow(payload.len(), available);
            self.partial += stream.buffer.capacity() - before;
            if self.partial > self.limits.partial_bytes {
                return Err(ChunkError::PartialBytes(self.limits.partial_bytes));
            }
            stream.buffer.extend_from_slice(payload);
        }
        let left = left - payload.len();
        self.chunk = (left > 0).then_some((at, left));
        if stream.buffer.len() < stream.length {
            return Ok(None);
        }
        let buffer = std::mem::take(&mut stream.buffer);
        self.partial -= buffer.capacity();
        Ok(Some(stream.end_message(Bytes::from(buffer))))
    }

    fn set_chunk_size(&mut self, payload: &[u8]) -> Result<(), ChunkError> {
        let size = control_u32(payload, kind::SET_CHUNK_SIZE)?;
        self.chunk_size = match usize::try_from(size) {
            Ok(usable @ 1..=0x7fff_ffff) => usable,
            _ => return Err(ChunkError::ChunkSize(size)),
        };
        Ok(())
    }

    /// §5.4.2: the rest of an incomplete message will not come.
    fn abort(&mut self, payload: &[u8]) -> Result<(), ChunkError> {
        let id = control_u32(payload, kind::ABORT)?;
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
            self.partial -= std::mem::take(&mut stream.buffer).capacity();
            stream.in_message = false;
        }
        Ok(())
    }
}

impl Torn {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Copies the front of `input` behind what is held, as much as fits.
    fn fill(&mut self, input: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(input) {
            *to = *from;
            self.length += 1;
        }
    }

    /// Takes up to `count` bytes off the front; returns them with how many they are.
    fn take(&mut self, count: usize) -> ([u8; LONGEST], usize) {
        let (front, count) = (self.bytes, count.min(self.length));
        self.bytes.rotate_left(count);
        self.length -= count;
        (front, count)
    }
}

impl ChunkStream {
    /// What an extended timestamp in a type 3 header may be: the field as it was sent, or the
    /// absolute time of the message that the header continues or starts.
    fn repeats(&self) -> [u32; 2] {
        let starts = if self.in_message { 0 } else { self.delta };
        [self.time, self.timestamp.wrapping_add(starts)]
    }

    fn begin_message(&mut self, header: &Header) {
        self.in_message = true;
        let Some(fields) = header.fields else {
            self.timestamp = self.timestamp.wrapping_add(self.delta);
            return;
        };
        (self.time, self.extended) = (fields.time, fields.extended);
        if let Some((length, kind)) = fields.message {
            self.length = usize::try_from(length).unwrap_or(usize::MAX);
            self.kind = kind;
        }
        if let Some(stream_id) = fields.stream_id {
            self.stream_id = stream_id;
            self.timestamp = fields.time;
            self.delta = if fields.time <= LONGEST_FIRST_DELTA {
                fields.time
            } else {
                0
            };
        } else {
            self.timestamp = self.timestamp.wrapping_add(fields.time);
            self.delta = fields.time;
        }
    }

    fn end_message(&mut self, payload: Bytes) -> Message {
        self.in_message = false;
        Message {
            timestamp: self.timestamp,
            stream_id: self.stream_id,
            kind: self.kind,
            payload,
        }
    }

    /// Makes room for `more` bytes: for the whole message if `available` bytes promise it, else
    /// in steps of four times what has come.
    fn grow(&mut self, more: usize, available: usize) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() {
            let step = (self.buffer.capacity() * 4).max(self.buffer.len() + available);
            let capacity = step.max(FIRST_STEP).min(self.length).max(needed);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
    }
}

/// The first four bytes of a protocol control message (§5.4).
fn control_u32(payload: &[u8], kind: u8) -> Result<u32, ChunkError> {
    payload
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or(ChunkError::Control(kind))
}
