//! Sessions by the name in their URL: whoever knows it may end the session. What asks for one,
//! and what is answered.

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

/// An offer and where it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The app.
    pub app: &'a str,
    /// The stream's name, or the signed one that stands for it.
    pub name: &'a str,
    /// The URL's query.
    pub query: &'a str,
    /// The offer, as SDP.
    pub offer: &'a str,
}

/// A session, as its peer is told of it.
#[derive(Debug)]
pub struct Opened {
    /// Its name in its URL.
    pub session: SessionId,
    /// The answer, as SDP.
    pub answer: String,
}

/// The name of a session in its URL: 128 random bits, because it is all that DELETE asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let proper = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = proper.then(|| u128::from_str_radix(text, 16).ok());
        number.flatten().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// The sessions that are.
#[derive(Debug, Default)]
pub struct Sessions(DashMap<SessionId, CancellationToken>);

impl Sessions {
    /// Opens one: it stands until the answer is dropped, and ends by its token.
    pub fn open(self: &Arc<Self>, ended: CancellationToken) -> Session {
        let id = SessionId::random();
        self.0.insert(id, ended);
        Session {
            id,
            sessions: Arc::clone(self),
        }
    }

    /// Whether there is one of this name.
    pub fn contains(&self, id: SessionId) -> bool {
        self.0.contains_key(&id)
    }

    /// Ends one; `false` when there is none of this name.
    pub fn end(&self, id: SessionId) -> bool {
        let ended = self.0.remove(&id);
        if let Some((_, token)) = &ended {
            token.cancel();
        }
        ended.is_some()
    }
}

/// A session's entry.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    sessions: Arc<Sessions>,
}

impl Session {
    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.0.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_its_name_alone_and_once() {
        let sessions = Arc::new(Sessions::default());
        let token = CancellationToken::new();
        let session = sessions.open(token.clone());
        let id = SessionId::parse(&session.id().to_string()).unwrap();
        assert!(sessions.contains(id) && !sessions.end(SessionId::random()));
        assert!(sessions.end(id) && token.is_cancelled());
        assert!(!sessions.end(id));
        for odd in ["", "+0000000000000000000000000000001", "g", &"0".repeat(33)] {
            assert_eq!(SessionId::parse(odd), None);
        }
    }

    #[test]
    fn a_session_that_is_dropped_leaves_no_name_behind() {
        let sessions = Arc::new(Sessions::default());
        drop(sessions.open(CancellationToken::new()));
        assert!(sessions.0.is_empty());
    }
}
