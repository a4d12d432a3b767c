//! A server's session after the handshake (RTMP 1.0 §7): messages in, events and replies out.
//!
//! One connection carries one stream, with message stream id 1, so that media is serialised once
//! for all players. Replies collect in the session's output in the order clients wait for; a
//! request (connect, publish, play) is answered by its owner, all else by the session itself.

mod command;
mod data;
mod event;
mod name;
mod output;
mod reply;
#[cfg(test)]
mod tests;

use bytes::Buf;
use lockgate_media::Track;

use crate::amf::AmfError;
use crate::chunk::{Message, kind};
pub use event::{ConnectRequest, Event, PlayRequest, PublishRequest};
use name::App;
use output::Output;

/// Chunk size until Set Chunk Size is sent (§5.4.1).
const FIRST_CHUNK_SIZE: usize = 128;

/// What a session is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// After how many bytes each side acknowledges, in bytes (§5.4.4).
    pub window: u32,
    /// Longest name of an app or stream, in bytes.
    pub name_length: usize,
    /// Longest query of an app and stream together, in bytes.
    pub query_length: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 2_500_000,
            name_length: 255,
            query_length: 2048,
        }
    }
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// A command that cannot be read.
    #[error("a command cannot be read: {0}")]
    Amf(#[from] AmfError),
    /// A command without a name and a transaction id.
    #[error("a command has no name or transaction id")]
    Nameless,
    /// A command longer than any client sends.
    #[error("a command of {0} bytes is longer than commands are")]
    CommandSize(usize),
    /// A command other than `connect` before that was accepted.
    #[error("the peer sent a command before it was connected")]
    NotConnected,
    /// A second `connect`.
    #[error("the peer connected twice")]
    ConnectedTwice,
    /// An app whose name is too long or holds control characters.
    #[error("the app's name is too long or holds control characters")]
    App,
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    New,
    /// `connect` with this transaction id waits for its answer.
    ConnectAsked(f64),
    Idle,
    PublishAsked,
    Publishing,
    /// `play` waits for its answer; whether it asked to reset a playlist.
    PlayAsked(bool),
    Playing,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    config: Config,
    stage: Stage,
    app: App,
    encoding: Encoding,
    output: Output,
    /// Payload bytes in each chunk of the output.
    chunk_size: usize,
    /// Bytes after which the peer wants an acknowledgement.
    peer_window: u32,
    /// The window the peer was told.
    told_window: u32,
    received: u64,
    acknowledged: u64,
}

/// What `connect` said about the peer's abilities.
#[derive(Debug, Clone, Copy, Default)]
struct Encoding {
    /// 0 or 3, echoed.
    object_encoding: f64,
    /// The peer speaks enhanced RTMP.
    enhanced: bool,
}

impl Session {
    /// A session whose handshake is done.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            stage: Stage::New,
            app: App::default(),
            encoding: Encoding::default(),
            output: Output::default(),
            chunk_size: FIRST_CHUNK_SIZE,
            peer_window: config.window,
            told_window: 0,
            received: 0,
            acknowledged: 0,
        }
    }

    /// Takes one message: at most one event comes of it. After an error the session is over.
    ///
    /// Answer a request before the next message is handled; commands that clients send without
    /// waiting are answered at once and would overtake it.
    pub fn handle(&mut self, message: Message) -> Result<Option<Event>, SessionError> {
        let Message {
            timestamp,
            kind,
            payload,
            ..
        } = message;
        match kind {
            kind::AUDIO | kind::VIDEO => {
                let track = if kind == kind::AUDIO {
                    Track::Audio
                } else {
                    Track::Video
                };
                let wanted = self.stage == Stage::Publishing && !payload.is_empty();
                // Moved, not cloned: its first clone would allocate for their count.
                Ok(wanted.then_some(Event::Media {
                    track,
                    timestamp,
                    payload,
                }))
            }
            kind::DATA | kind::DATA_AMF3 if self.stage == Stage::Publishing => {
                let payload = data::read(payload, kind == kind::DATA_AMF3);
                Ok(payload.map(|payload| Event::Media {
                    track: Track::Data,
                    timestamp,
                    payload,
                }))
            }
            kind::COMMAND | kind::COMMAND_AMF3 => self.command(&payload, kind),
            kind::USER_CONTROL => {
                self.user_control(&payload);
                Ok(None)
            }
            kind::WINDOW_ACK_SIZE => {
                if let Some(window @ 1..) = u32_at(&payload, 0) {
                    self.peer_window = window;
                }
                Ok(None)
            }
            kind::SET_PEER_BANDWIDTH => {
                // §5.4.5: answered when the window differs from the last one told. Output is not
                // held back for it: what limits players is how fast they read.
                if let Some(window @ 1..) = u32_at(&payload, 0)
                    && window != self.told_window
                {
                    self.tell_window(window);
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Counts bytes read from the peer and acknowledges them when its window is full (§5.4.3).
    pub fn received(&mut self, bytes: usize) {
        self.received += u64::try_from(bytes).unwrap_or(u64::MAX);
        // While replies wait, the peer does not read: a later acknowledgement covers this one.
        if self.received - self.acknowledged >= u64::from(self.peer_window)
            && self.output.is_empty()
        {
            self.acknowledged = self.received;
            #[expect(clippy::cast_possible_truncation, reason = "the sequence number wraps")]
            let sequence = self.received as u32;
            self.control(kind::ACKNOWLEDGEMENT, &sequence.to_be_bytes());
        }
    }

    /// True while replies wait to be written.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Takes the replies that wait, whole messages unless a part of them was written before.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.output.take()
    }

    /// The replies that wait.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Asks the peer for a sign of life (§7.1.7, PingRequest); `timestamp` comes back in its
    /// answer, which is not an event.
    pub fn ping(&mut self, timestamp: u32) {
        self.user_control_out(reply::PING_REQUEST, timestamp);
    }

    /// True once `publish` was accepted and until it ends.
    pub fn is_publishing(&self) -> bool {
        self.stage == Stage::Publishing
    }

    /// True once `play` was accepted and until it ends.
    pub fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }

    /// §7.1.7. Only pings want an answer; the peer's buffer length is of no use to a live relay.
    fn user_control(&mut self, mut payload: &[u8]) {
        const PING_REQUEST: u16 = reply::PING_REQUEST;
        if let (Ok(PING_REQUEST), Ok(timestamp)) = (payload.try_get_u16(), payload.try_get_u32()) {
            self.user_control_out(reply::PING_RESPONSE, timestamp);
        }
    }
}

fn u32_at(payload: &[u8], at: usize) -> Option<u32> {
    payload
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}
