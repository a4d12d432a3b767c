//! RTMP as a server speaks it: handshake, chunks, AMF, sessions, and a tokio connection.
//!
//! Everything but [`connection`] is sans-IO: bytes in, messages and events out, replies collected
//! for the caller to write. No bytes a peer sends make it panic or take unbounded memory; what is
//! wrong comes back as an error, and the caller ends that connection alone.

pub mod amf;
pub mod chunk;
pub mod connection;
pub mod handshake;
pub mod session;

/// Payload bytes in each chunk a node sends, announced to every peer right after `connect`.
/// Large enough that nearly every frame is one chunk, below 65,536 because some clients keep
/// the chunk size in 16 bits.
pub const OUT_CHUNK_SIZE: usize = 60_000;
