//! Names: which stream, which connection, where it came from.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::admit::Refusal;

/// A stream on this node: an app and a name in it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamId {
    app: Arc<str>,
    name: Arc<str>,
}

impl StreamId {
    /// Longest app or name, in bytes.
    pub const MAX_LENGTH: usize = 256;

    /// Checks both names once, at the edge.
    ///
    /// # Errors
    /// [`Refusal::BadName`] for an empty or overlong name or one with control characters.
    pub fn new(app: &str, name: &str) -> Result<Self, Refusal> {
        for text in [app, name] {
            if text.is_empty() || text.len() > Self::MAX_LENGTH || text.contains(char::is_control) {
                return Err(Refusal::BadName);
            }
        }
        Ok(Self {
            app: app.into(),
            name: name.into(),
        })
    }

    /// The app.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The name within the app.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.name)
    }
}

/// A connection's number, unique while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The next free number.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number itself, as the API shows it.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The connection of this number, as the API names it.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a publisher or player comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Its connection.
    pub connection: ConnectionId,
    /// The protocol it speaks, as metrics label it.
    pub protocol: &'static str,
    /// Its address.
    pub peer: SocketAddr,
}
