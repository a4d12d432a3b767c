//! Why players are refused, whatever they speak.

use lockgate_routing::{NotLive, Refusal, StreamId, SubscribeError};
use thiserror::Error;

/// Why a player is refused. The text goes to the peer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Refused {
    /// By what its URL says.
    #[error(transparent)]
    Url(#[from] Refusal),
    /// There is no place for it.
    #[error(transparent)]
    Full(#[from] SubscribeError),
    /// Nobody publishes.
    #[error("nobody publishes {1}")]
    NotLive(NotLive, StreamId),
}

impl Refused {
    /// A short name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Url(refusal) => refusal.label(),
            Self::Full(SubscribeError::StreamFull) => "stream_full",
            Self::Full(SubscribeError::Draining) => "draining",
            Self::Full(_) => "full",
            Self::NotLive(NotLive::TimedOut, _) => "not_found",
            Self::NotLive(..) => "ended",
        }
    }
}
