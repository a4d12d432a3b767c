//! Why a connection ends, with bounded names for metrics.

use std::io;

use crate::chunk::ChunkError;
use crate::handshake::HandshakeError;
use crate::session::SessionError;

/// Why a peer did not get past the handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The handshake took too long.
    #[error("the handshake was not finished in time")]
    Timeout,
    /// The peer closed the connection.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The peer speaks something else.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The socket failed.
    #[error("the socket failed during the handshake: {0}")]
    Io(#[from] io::Error),
}

impl AcceptError {
    /// A bounded name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Handshake(error) => error.label(),
            Self::Io(_) => "io",
        }
    }
}

/// Why a connection ended after its handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The chunk stream cannot be read on.
    #[error("the peer broke the chunk stream: {0}")]
    Chunk(#[from] ChunkError),
    /// The session cannot go on.
    #[error("the peer broke the session: {0}")]
    Session(#[from] SessionError),
    /// The peer does not read the replies it has to read.
    #[error("the peer did not read its replies in time")]
    WriteTimeout,
    /// The peer keeps asking while the answers pile up.
    #[error("the peer does not read its replies")]
    Unread,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
}

impl ConnectionError {
    /// A bounded name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Chunk(_) => "chunk",
            Self::Session(_) => "session",
            Self::WriteTimeout => "write_timeout",
            Self::Unread => "unread",
            Self::Io(_) => "io",
        }
    }
}
