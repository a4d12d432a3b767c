//! Commands of a peer (RTMP 1.0 §7.2): which become events, which are answered here.

use crate::amf::{Value, amf0};
use crate::chunk::kind;

use super::event::{ConnectRequest, Event, PlayRequest, PublishRequest};
use super::name::{App, Stream, public_url};
use super::reply::Status;
use super::{Encoding, Session, SessionError, Stage};

/// Longest command in bytes; the longest real one, `connect` with a page's URL, is about 2 KB.
const LONGEST: usize = 64 << 10;

/// Name, transaction id, and the arguments behind the command object.
struct Command {
    name: String,
    transaction: f64,
    object: Value,
    arguments: Vec<Value>,
}

impl Command {
    fn read(payload: &[u8], kind: u8) -> Result<Self, SessionError> {
        if payload.len() > LONGEST {
            return Err(SessionError::CommandSize(payload.len()));
        }
        // AMF3 commands are a zero byte and AMF0, which may switch to AMF3 for single values.
        let payload = match payload.split_first() {
            Some((0, rest)) if kind == kind::COMMAND_AMF3 => rest,
            _ => payload,
        };
        let mut values = amf0::decode_all(payload)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(SessionError::Nameless);
        };
        let Some(Value::Number(transaction)) = values.next() else {
            return Err(SessionError::Nameless);
        };
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self {
            name,
            transaction,
            object,
            arguments: values.collect(),
        })
    }

    fn argument(&self, at: usize) -> &Value {
        self.arguments.get(at).unwrap_or(&Value::Undefined)
    }
}

impl Session {
    pub(super) fn command(
        &mut self,
        payload: &[u8],
        kind: u8,
    ) -> Result<Option<Event>, SessionError> {
        let command = Command::read(payload, kind)?;
        let transaction = command.transaction;
        match (command.name.as_str(), self.stage) {
            ("connect", Stage::New) => return self.connect(&command).map(Some),
            ("connect", _) => return Err(SessionError::ConnectedTwice),
            (_, Stage::New | Stage::ConnectAsked(_)) => return Err(SessionError::NotConnected),
            _ => {}
        }
        Ok(match command.name.as_str() {
            "publish" => self.publish(&command),
            "play" => self.play(&command),
            "createStream" => {
                self.result(
                    transaction,
                    &Value::Number(f64::from(super::reply::STREAM_ID)),
                );
                None
            }
            "deleteStream" => self.end(false),
            "closeStream" => self.end(true),
            "FCUnpublish" => {
                self.result(transaction, &Value::Undefined);
                self.on_fc("onFCUnpublish", "NetStream.Unpublish.Success");
                self.end(true)
            }
            "FCPublish" => {
                self.result(transaction, &Value::Undefined);
                self.on_fc("onFCPublish", "NetStream.Publish.Start");
                None
            }
            "FCSubscribe" => {
                self.result(transaction, &Value::Undefined);
                self.on_fc("onFCSubscribe", "NetStream.Play.Start");
                None
            }
            // What ffmpeg takes a length of zero for is what a live stream is.
            "getStreamLength" | "getMovLen" => {
                self.result(transaction, &Value::Number(0.0));
                None
            }
            "releaseStream" | "FCUnsubscribe" | "_checkbw" | "checkBandwidth" | "set_playlist" => {
                self.result(transaction, &Value::Undefined);
                None
            }
            "receiveAudio" => self.receive(&command, Event::ReceiveAudio),
            "receiveVideo" => self.receive(&command, Event::ReceiveVideo),
            "pause" | "pauseRaw" => {
                let paused = command.argument(0).as_bool().unwrap_or(true);
                self.has_player().then_some(Event::Pause(paused))
            }
            "seek" => {
                // A live stream stays where it is; ffmpeg waits for this answer.
                if self.stage == Stage::Playing {
                    self.status(&Status::SEEK_NOTIFY);
                    self.status(&Status::PLAY_START);
                }
                None
            }
            // Answers to what the node asked: nothing waits for them.
            "_result" | "_error" | "onStatus" => None,
            _ => {
                self.call_failed(transaction);
                None
            }
        })
    }

    fn connect(&mut self, command: &Command) -> Result<Event, SessionError> {
        let object = &command.object;
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (app, tc_url) = (text("app"), text("tcUrl"));
        self.app = App::parse(app, tc_url, &self.config).ok_or(SessionError::App)?;
        let enhanced = [
            "fourCcList",
            "videoFourCcInfoMap",
            "audioFourCcInfoMap",
            "capsEx",
        ]
        .into_iter()
        .any(|name| object.get(name).is_some());
        let object_encoding = match object.get("objectEncoding").and_then(Value::as_number) {
            Some(3.0) => 3.0,
            _ => 0.0,
        };
        self.encoding = Encoding {
            object_encoding,
            enhanced,
        };
        self.stage = Stage::ConnectAsked(command.transaction);
        let bounded = |text: &str| text.chars().filter(|c| !c.is_control()).take(256).collect();
        Ok(Event::Connect(Box::new(ConnectRequest {
            app: self.app.name.clone(),
            query: self.app.query.clone(),
            tc_url: bounded(&public_url(tc_url)),
            flash_version: bounded(text("flashVer")),
            page_url: bounded(&public_url(text("pageUrl"))),
            enhanced,
        })))
    }

    fn publish(&mut self, command: &Command) -> Option<Event> {
        // `publish(false)` is how Flash stops publishing.
        if command.argument(0) == &Value::Boolean(false) {
            return self.end(true);
        }
        let name = command.argument(0).as_str().unwrap_or_default();
        let stream = self.app.stream(name, &self.config);
        if self.stage != Stage::Idle {
            self.status(&Status::error(
                "NetStream.Publish.BadName",
                "This connection has a stream already.",
            ));
            return None;
        }
        // A name that cannot be used is refused like any other, by whoever answers.
        let Stream { name, query } = stream.unwrap_or_default();
        self.stage = Stage::PublishAsked;
        let app = self.app.name.clone();
        Some(Event::Publish(Box::new(PublishRequest {
            app,
            name,
            query,
        })))
    }

    fn play(&mut self, command: &Command) -> Option<Event> {
        let name = command.argument(0).as_str().unwrap_or_default();
        let stream = self.app.stream(name, &self.config);
        if self.stage != Stage::Idle {
            self.status(&Status::error(
                "NetStream.Play.Failed",
                "This connection has a stream already.",
            ));
            return None;
        }
        // A name that cannot be used is refused like any other, by whoever answers.
        let Stream { name, query } = stream.unwrap_or_default();
        let reset = match command.argument(3) {
            // 0 and 2 keep the playlist, 1 and 3 end it.
            Value::Number(number) => number % 2.0 != 0.0,
            other => other.as_bool().unwrap_or(true),
        };
        self.stage = Stage::PlayAsked(reset);
        Some(Event::Play(Box::new(PlayRequest {
            app: self.app.name.clone(),
            name,
            query,
            start: command.argument(1).as_number().unwrap_or(-2.0),
            duration: command.argument(2).as_number().unwrap_or(-1.0),
            reset,
        })))
    }

    /// A player's switches count from its `play` on, answered or not.
    fn has_player(&self) -> bool {
        matches!(self.stage, Stage::Playing | Stage::PlayAsked(_))
    }

    fn receive(&mut self, command: &Command, event: fn(bool) -> Event) -> Option<Event> {
        let wanted = command.argument(0).as_bool()?;
        if !self.has_player() {
            return None;
        }
        if wanted && self.stage == Stage::Playing {
            // §7.2.2.4 and §7.2.2.5 have these two for "on" and nothing for "off".
            self.status(&Status::SEEK_NOTIFY);
            self.status(&Status::PLAY_START);
        }
        Some(event(wanted))
    }

    /// Ends the stream or withdraws the request for it; once, as encoders say so twice.
    fn end(&mut self, tell: bool) -> Option<Event> {
        let before = std::mem::replace(&mut self.stage, Stage::Idle);
        match before {
            Stage::Publishing if tell => self.status(&Status::UNPUBLISH),
            Stage::Idle => return None,
            _ => {}
        }
        Some(Event::Ended)
    }
}
