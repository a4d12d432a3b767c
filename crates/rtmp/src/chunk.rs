//! The chunk stream (RTMP 1.0 §5.3): messages in, messages out.
//!
//! [`Reader`] takes any split of the input and holds no more than its [`Limits`] allow. Writing
//! is stateless: every message starts with a type 0 header and an absolute timestamp, so any
//! message can be left out without touching the bytes of another.

mod aggregate;
mod header;
mod reader;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

pub use reader::Reader;
pub use writer::{slices, write_message};

/// Message type ids (RTMP 1.0 §5.4 and §7.1).
pub mod kind {
    /// Set Chunk Size; handled by the reader.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message; handled by the reader.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3: a zero byte, then AMF0.
    pub const DATA_AMF3: u8 = 15;
    /// A command in AMF3: a zero byte, then AMF0.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0: metadata and the like.
    pub const DATA: u8 = 18;
    /// A command in AMF0.
    pub const COMMAND: u8 = 20;
    /// Many messages in one; split by the reader.
    pub const AGGREGATE: u8 = 22;
}

/// One whole message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// Message stream id; 0 is the connection itself.
    pub stream_id: u32,
    /// Message type id, see [`kind`].
    pub kind: u8,
    /// The message without any headers.
    pub payload: Bytes,
}

/// Shows the size of the payload only: commands carry keys.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("timestamp", &self.timestamp)
            .field("stream_id", &self.stream_id)
            .field("kind", &self.kind)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// What a peer may make a reader hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message in bytes. The protocol itself ends at 16 MiB.
    pub message_size: usize,
    /// Most chunk streams; real peers use up to eight.
    pub chunk_streams: usize,
    /// Most bytes of memory for all incomplete messages together.
    pub partial_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 8 << 20,
            chunk_streams: 64,
            partial_bytes: 16 << 20,
        }
    }
}

/// Why a chunk stream cannot be read on.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkError {
    /// Set Chunk Size with zero or the top bit set (§5.4.1).
    #[error("the peer set an impossible chunk size of {0}")]
    ChunkSize(u32),
    /// A protocol control message too short for its kind.
    #[error("a control message of type {0} is too short")]
    Control(u8),
    /// A message longer than the limit.
    #[error("a message of {length} bytes is longer than the limit of {limit}")]
    MessageSize {
        /// What its header says.
        length: usize,
        /// [`Limits::message_size`].
        limit: usize,
    },
    /// More chunk streams than the limit.
    #[error("the peer uses more than {0} chunk streams")]
    ChunkStreams(usize),
    /// Incomplete messages hold more than the limit.
    #[error("incomplete messages hold more than {0} bytes")]
    PartialBytes(usize),
    /// A compressed header on a chunk stream that never had a full one.
    #[error("chunk stream {0} starts with a header that refers to an earlier one")]
    NoHeader(u32),
    /// A header inside a message that changes its length or type.
    #[error("a header on chunk stream {0} changes a message that is incomplete")]
    MidMessage(u32),
    /// An aggregate whose parts do not fit it.
    #[error("an aggregate message is malformed")]
    Aggregate,
}
