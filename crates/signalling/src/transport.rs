//! What a session needs of a WebSocket: text in order, both ways.
//!
//! The session is written against this trait, so that it knows no WebSocket library and its tests
//! need none.

use std::future::Future;

use bytes::Bytes;

/// A text frame. Cheap to clone: one text goes to many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Made of text alone; see the two ways in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes, which are UTF-8.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Bytes that came in, if they are text.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text frame.
    Text(Text),
    /// An answer to [`Transport::probe`]: everything sent before it has arrived.
    Pong(u32),
    /// A sign of life that says nothing.
    Alive,
    /// A frame that is none of these.
    Other,
    /// It is over: closed by the peer, broken, or more than it may send.
    Gone,
}

/// The transport is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// One WebSocket.
pub trait Transport: Send {
    /// The next frame. Cancel-safe.
    fn receive(&mut self) -> impl Future<Output = Received> + Send;

    /// Takes a text to be sent; it may wait for [`flush`](Self::flush).
    fn feed(&mut self, text: Text) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Takes a ping, whose pong brings the number back.
    fn probe(&mut self, number: u32) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Sends what was taken.
    fn flush(&mut self) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Says goodbye, and flushes.
    fn close(&mut self, code: u16, reason: &'static str) -> impl Future<Output = ()> + Send;
}
