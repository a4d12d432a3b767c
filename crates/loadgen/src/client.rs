//! The client's side of an RTMP session, from the handshake to publishing or playing.
//!
//! Sans-IO: bytes in, what matters out, replies collected in `output` for the caller to write.

use bytes::Bytes;
use lockgate_rtmp::OUT_CHUNK_SIZE;
use lockgate_rtmp::amf::{AmfError, Value, amf0};
use lockgate_rtmp::chunk::{self, ChunkError, Limits, Message, Reader, kind};
use lockgate_rtmp::handshake::{ClientHandshake, HandshakeError};
use thiserror::Error;

use crate::target::Target;

const CONTROL_CSID: u8 = 2;
const COMMAND_CSID: u8 = 3;
const AUDIO_CSID: u8 = 4;
const VIDEO_CSID: u8 = 6;

/// User control events (RTMP 1.0 §7.1.7).
const SET_BUFFER_LENGTH: u16 = 3;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// Milliseconds that players say they buffer, as ffmpeg does.
const BUFFER_MS: u32 = 3000;

/// What a client is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Publish,
    Play,
}

/// What a server said that matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Publishing or playing has started.
    Started,
    /// A message of the stream.
    Media(Message),
    /// The stream is over.
    Over,
}

/// Why a session came to nothing.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("the handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    #[error("the server's chunks cannot be read: {0}")]
    Chunk(#[from] ChunkError),
    #[error("the server's command cannot be read: {0}")]
    Amf(#[from] AmfError),
    #[error("the server refused: {0}")]
    Refused(String),
}

#[derive(Debug)]
enum Stage {
    Handshake(Box<ClientHandshake>),
    /// `connect` was sent.
    Connect,
    /// `createStream` was sent.
    Create,
    /// `publish` or `play` was sent.
    Ask,
    Started,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Client {
    role: Role,
    /// App, URL and stream name.
    names: [Box<str>; 3],
    stage: Stage,
    reader: Reader,
    stream_id: u32,
    chunk_size: usize,
    /// Bytes read, and how many were acknowledged when; the server sets the window.
    received: u32,
    acknowledged: u32,
    window: u32,
    pub(crate) output: Vec<u8>,
}

impl Client {
    /// A session with the first bytes of its handshake in `output`.
    pub(crate) fn new(role: Role, target: &Target, stream: &str) -> Self {
        let handshake = ClientHandshake::new();
        let mut output = Vec::new();
        handshake.start(&mut output);
        Self {
            role,
            names: [target.app(), &target.app_url(), stream].map(Into::into),
            stage: Stage::Handshake(Box::new(handshake)),
            reader: Reader::new(Limits::default()),
            stream_id: 1,
            chunk_size: 128,
            received: 0,
            acknowledged: 0,
            window: 0,
            output,
        }
    }

    /// Consumes `input` up to the next thing that matters, or all of it.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Said>, ClientError> {
        if let Stage::Handshake(handshake) = &mut self.stage {
            if !handshake.feed(input, &mut self.output)? {
                return Ok(None);
            }
            self.connect();
        }
        while let Some(message) = self.reader.feed(input)? {
            if let Some(said) = self.handle(message)? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// Counts bytes that were read and acknowledges them as the server asked (§5.4.3).
    pub(crate) fn count(&mut self, bytes: usize) {
        // The sequence number wraps, as the specification has it.
        self.received = self
            .received
            .wrapping_add(u32::try_from(bytes).unwrap_or(0));
        if self.window > 0 && self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            self.control(kind::ACKNOWLEDGEMENT, &self.acknowledged.to_be_bytes());
        }
    }

    /// Bytes that were counted, modulo 2^32.
    pub(crate) fn received(&self) -> u32 {
        self.received
    }

    /// Forgets what only reading messages needs, once bytes are counted alone.
    pub(crate) fn stop_reading(&mut self) {
        self.reader = Reader::new(Limits::default());
    }

    /// Appends one media message to `output`.
    pub(crate) fn send(&mut self, kind: u8, timestamp: u32, payload: &[u8]) {
        let csid = if kind == kind::AUDIO {
            AUDIO_CSID
        } else {
            VIDEO_CSID
        };
        self.write(csid, kind, timestamp, self.stream_id, payload);
    }

    fn handle(&mut self, message: Message) -> Result<Option<Said>, ClientError> {
        match message.kind {
            kind::WINDOW_ACK_SIZE => self.window = first_u32(&message.payload),
            kind::SET_PEER_BANDWIDTH => {
                let window = first_u32(&message.payload).to_be_bytes();
                self.control(kind::WINDOW_ACK_SIZE, &window);
            }
            kind::USER_CONTROL => self.answer_ping(&message.payload),
            kind::COMMAND => return self.command(&message.payload),
            kind::AUDIO | kind::VIDEO => return Ok(Some(Said::Media(message))),
            _ => {}
        }
        Ok(None)
    }

    fn answer_ping(&mut self, payload: &[u8]) {
        if let Some((event, time)) = payload.split_first_chunk()
            && u16::from_be_bytes(*event) == PING_REQUEST
        {
            let pong = [&PING_RESPONSE.to_be_bytes()[..], time].concat();
            self.control(kind::USER_CONTROL, &pong);
        }
    }

    fn command(&mut self, payload: &Bytes) -> Result<Option<Said>, ClientError> {
        let values = amf0::decode_all(payload)?;
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        let info = values.get(3);
        let text = |key| info.and_then(|info| info.get(key)).and_then(Value::as_str);
        if name == "_error" || text("level") == Some("error") {
            let why = [text("code"), text("description")];
            let why: Vec<_> = why.into_iter().flatten().collect();
            return Err(ClientError::Refused(why.join(": ")));
        }
        match (&self.stage, name) {
            (Stage::Connect, "_result") => self.create(),
            (Stage::Create, "_result") => {
                if let Some(id) = info.and_then(Value::as_number) {
                    self.stream_id = whole(id);
                    self.ask();
                }
            }
            (Stage::Ask, "onStatus") => {
                let started = ["NetStream.Publish.Start", "NetStream.Play.Start"];
                if text("code").is_some_and(|code| started.contains(&code)) {
                    self.stage = Stage::Started;
                    return Ok(Some(Said::Started));
                }
            }
            (Stage::Started, "onStatus") => {
                let over = ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"];
                if text("code").is_some_and(|code| over.contains(&code)) {
                    return Ok(Some(Said::Over));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn connect(&mut self) {
        self.stage = Stage::Connect;
        let [app, url, _] = &self.names;
        let members = [
            ("app", string(app)),
            ("flashVer", string("LNX 9,0,124,2")),
            ("tcUrl", string(url)),
            ("capabilities", Value::Number(15.0)),
            ("objectEncoding", Value::Number(0.0)),
        ];
        let members = members.map(|(name, value)| (name.to_owned(), value));
        self.call("connect", 1.0, 0, &[Value::Object(members.into())]);
    }

    fn create(&mut self) {
        self.stage = Stage::Create;
        let size = u32::try_from(OUT_CHUNK_SIZE).unwrap_or(u32::MAX);
        self.control(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.chunk_size = OUT_CHUNK_SIZE;
        let [.., stream] = &self.names;
        let stream = string(stream);
        if self.role == Role::Publish {
            self.call("FCPublish", 0.0, 0, &[Value::Null, stream]);
        }
        self.call("createStream", 2.0, 0, &[Value::Null]);
    }

    fn ask(&mut self) {
        self.stage = Stage::Ask;
        let [.., stream] = &self.names;
        let stream = string(stream);
        let id = self.stream_id;
        match self.role {
            Role::Publish => self.call("publish", 0.0, id, &[Value::Null, stream, string("live")]),
            Role::Play => {
                let live = Value::Number(-2000.0);
                self.call("play", 0.0, id, &[Value::Null, stream, live]);
                let buffer = [
                    &SET_BUFFER_LENGTH.to_be_bytes()[..],
                    &id.to_be_bytes(),
                    &BUFFER_MS.to_be_bytes(),
                ];
                self.control(kind::USER_CONTROL, &buffer.concat());
            }
        }
    }

    fn call(&mut self, name: &str, transaction: f64, stream_id: u32, arguments: &[Value]) {
        let mut payload = Vec::new();
        amf0::encode_str(name, &mut payload);
        amf0::encode_number(transaction, &mut payload);
        for argument in arguments {
            amf0::encode(argument, &mut payload);
        }
        self.write(COMMAND_CSID, kind::COMMAND, 0, stream_id, &payload);
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        self.write(CONTROL_CSID, kind, 0, 0, payload);
    }

    fn write(&mut self, csid: u8, kind: u8, timestamp: u32, stream_id: u32, payload: &[u8]) {
        let (out, size) = (&mut self.output, self.chunk_size);
        chunk::write_message(out, csid, timestamp, kind, stream_id, payload, size);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn first_u32(payload: &[u8]) -> u32 {
    payload
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
