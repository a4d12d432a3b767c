//! Who may publish and play: the one question that ingest and egress ask about a URL.

use thiserror::Error;

use std::sync::Arc;

use crate::id::StreamId;
use crate::lease::Lease;

/// Decides on a URL's app, name and query. Implemented where apps and keys are known.
pub trait Admission: Send + Sync + 'static {
    /// May a publisher with this URL push, and to which stream?
    ///
    /// # Errors
    /// The reason for a refusal, to be told to the peer.
    fn publish(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal>;

    /// May a player with this URL watch, and which stream?
    ///
    /// # Errors
    /// The reason for a refusal, to be told to the peer.
    fn play(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal>;
}

/// What a URL gives a right to.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The stream.
    pub stream: StreamId,
    /// The publication or subscription that a signed URL is bound to.
    pub lease: Option<Arc<Lease>>,
}

impl From<StreamId> for Grant {
    fn from(stream: StreamId) -> Self {
        Self {
            stream,
            lease: None,
        }
    }
}

/// Why a URL was refused. The text goes to the peer: it names no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such app.
    #[error("no app of this name on this node: check the part of the URL after the host")]
    UnknownApp,
    /// The stream's name is empty, too long, or has characters it may not have.
    #[error("the URL names no stream: rtmp://host/<app>/<name>, with a name of 1 to 256 bytes")]
    BadName,
    /// The app asks for a key and the URL has none.
    #[error("this app needs a key: add ?key=... to the stream name")]
    KeyMissing,
    /// The key is not one of the app's.
    #[error("the key in this URL is not valid for this app")]
    KeyWrong,
    /// The app takes signed URLs alone.
    #[error("this app takes signed URLs only: get one from the signalling API")]
    SignedOnly,
    /// The URL was signed here, and what it was bound to has ended; or it was not signed here.
    #[error("this URL is not valid, or no longer: ask for a new one")]
    UrlDead,
}

impl Refusal {
    /// All of them, for metrics that start at 0.
    pub const ALL: [Self; 6] = [
        Self::UnknownApp,
        Self::BadName,
        Self::KeyMissing,
        Self::KeyWrong,
        Self::SignedOnly,
        Self::UrlDead,
    ];

    /// A short name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::UnknownApp => "unknown_app",
            Self::BadName => "bad_name",
            Self::KeyMissing => "key_missing",
            Self::KeyWrong => "key_wrong",
            Self::SignedOnly => "signed_only",
            Self::UrlDead => "url_dead",
        }
    }
}
