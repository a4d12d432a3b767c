//! What a session says, in the order clients wait for it.
//!
//! Protocol control goes on chunk stream 2, commands on 3; media has chunk streams of its own,
//! so a reply may stand between any two packets.

use crate::OUT_CHUNK_SIZE;
use crate::amf::{Value, amf0};
use crate::chunk::{kind, write_message};

use super::{Session, Stage};

/// The one message stream of a connection; what `createStream` answers.
pub(super) const STREAM_ID: u32 = 1;
const CONTROL_CSID: u8 = 2;
const COMMAND_CSID: u8 = 3;

/// User control events (§7.1.7).
const STREAM_BEGIN: u16 = 0;
const STREAM_EOF: u16 = 1;
pub(super) const PING_REQUEST: u16 = 6;
pub(super) const PING_RESPONSE: u16 = 7;

/// Limit type of Set Peer Bandwidth (§5.4.5): the peer decides.
const DYNAMIC: u8 = 2;
/// What is passed on whatever the codec: `CanForward` (E-RTMP v2, FourCcInfoMask).
const CAN_FORWARD: f64 = 4.0;
/// Multitrack, ModEx and nanosecond offsets pass through (E-RTMP v2, CapsExMask).
const CAPS_EX: f64 = 14.0;

/// An `onStatus` (§7.2.2).
pub(super) struct Status<'a> {
    level: &'a str,
    code: &'a str,
    description: &'a str,
}

impl<'a> Status<'a> {
    pub(super) const SEEK_NOTIFY: Self =
        Status::notice("NetStream.Seek.Notify", "A live stream stays where it is.");
    pub(super) const PLAY_START: Self = Status::notice("NetStream.Play.Start", "Playing.");
    pub(super) const UNPUBLISH: Self = Status::notice(
        "NetStream.Unpublish.Success",
        "The stream is no longer published.",
    );

    const fn notice(code: &'a str, description: &'a str) -> Self {
        Self {
            level: "status",
            code,
            description,
        }
    }

    pub(super) const fn error(code: &'a str, description: &'a str) -> Self {
        Self {
            level: "error",
            code,
            description,
        }
    }

    fn value(&self, more: Vec<(&str, Value)>) -> Value {
        let text = |text: &str| Value::String(text.to_owned());
        let mut members = vec![
            ("level", text(self.level)),
            ("code", text(self.code)),
            ("description", text(self.description)),
        ];
        members.extend(more);
        object(members)
    }
}

impl Session {
    /// Answers `connect`: windows, chunk size, then the result.
    pub fn accept_connect(&mut self) {
        let Stage::ConnectAsked(transaction) = self.stage else {
            return;
        };
        self.stage = Stage::Idle;
        let window = self.config.window;
        self.tell_window(window);
        let [a, b, c, d] = window.to_be_bytes();
        self.control(kind::SET_PEER_BANDWIDTH, &[a, b, c, d, DYNAMIC]);
        let size = u32::try_from(OUT_CHUNK_SIZE).unwrap_or(u32::MAX);
        self.control(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.chunk_size = OUT_CHUNK_SIZE;

        let mut properties = vec![
            ("fmsVer", Value::String("FMS/3,5,7,7009".to_owned())),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
        ];
        let mut more = vec![(
            "objectEncoding",
            Value::Number(self.encoding.object_encoding),
        )];
        if self.encoding.enhanced {
            // E-RTMP v2 has them in the response; clients look into either object.
            properties.extend(enhanced());
            more.extend(enhanced());
        }
        let success = Status::notice("NetConnection.Connect.Success", "Connection succeeded.");
        let values = [object(properties), success.value(more)];
        self.send_command(0, "_result", transaction, &values);
    }

    /// Refuses `connect`; close the connection once this is written.
    pub fn reject_connect(&mut self, description: &str) {
        let Stage::ConnectAsked(transaction) = self.stage else {
            return;
        };
        self.stage = Stage::New;
        let rejected = Status::error("NetConnection.Connect.Rejected", description);
        self.send_command(
            0,
            "_error",
            transaction,
            &[Value::Null, rejected.value(Vec::new())],
        );
    }

    /// Answers `publish`: media follows as events.
    pub fn accept_publish(&mut self) {
        if self.stage == Stage::PublishAsked {
            self.stage = Stage::Publishing;
            self.user_control_out(STREAM_BEGIN, STREAM_ID);
            self.status(&Status::notice("NetStream.Publish.Start", "Publishing."));
        }
    }

    /// Refuses `publish`, with a code such as `NetStream.Publish.BadName`.
    pub fn reject_publish(&mut self, code: &str, description: &str) {
        if self.stage == Stage::PublishAsked {
            self.stage = Stage::Idle;
            self.status(&Status::error(code, description));
        }
    }

    /// Answers `play`: media may be written behind this output.
    ///
    /// The data messages that Flash waited for (`|RtmpSampleAccess`, `NetStream.Data.Start`) are
    /// not sent: no player of today does, and ffmpeg takes them for a stream of their own.
    pub fn accept_play(&mut self) {
        let Stage::PlayAsked(reset) = self.stage else {
            return;
        };
        self.stage = Stage::Playing;
        self.user_control_out(STREAM_BEGIN, STREAM_ID);
        if reset {
            self.status(&Status::notice(
                "NetStream.Play.Reset",
                "Playing from the start.",
            ));
        }
        self.status(&Status::PLAY_START);
    }

    /// Refuses `play`, with a code such as `NetStream.Play.StreamNotFound`.
    pub fn reject_play(&mut self, code: &str, description: &str) {
        if matches!(self.stage, Stage::PlayAsked(_)) {
            self.stage = Stage::Idle;
            self.status(&Status::error(code, description));
        }
    }

    /// Answers `pause`.
    pub fn accept_pause(&mut self, paused: bool) {
        if self.stage == Stage::Playing {
            self.status(&if paused {
                Status::notice("NetStream.Pause.Notify", "Paused.")
            } else {
                Status::notice("NetStream.Unpause.Notify", "Playing.")
            });
        }
    }

    /// Tells a player that its stream is over.
    pub fn end_play(&mut self) {
        if self.stage == Stage::Playing {
            self.stage = Stage::Idle;
            self.user_control_out(STREAM_EOF, STREAM_ID);
            self.status(&Status::notice(
                "NetStream.Play.UnpublishNotify",
                "The stream is no longer published.",
            ));
            self.status(&Status::notice("NetStream.Play.Stop", "Stopped."));
        }
    }

    /// Tells a publisher why it is cut, with a code such as `NetStream.Publish.BadName`.
    pub fn end_publish(&mut self, code: &str, description: &str) {
        if self.stage == Stage::Publishing {
            self.stage = Stage::Idle;
            self.status(&Status::error(code, description));
        }
    }

    pub(super) fn tell_window(&mut self, window: u32) {
        self.told_window = window;
        self.control(kind::WINDOW_ACK_SIZE, &window.to_be_bytes());
    }

    pub(super) fn control(&mut self, kind: u8, payload: &[u8]) {
        self.send(CONTROL_CSID, kind, 0, payload);
    }

    pub(super) fn user_control_out(&mut self, event: u16, value: u32) {
        let payload = [&event.to_be_bytes()[..], &value.to_be_bytes()].concat();
        self.control(kind::USER_CONTROL, &payload);
    }

    pub(super) fn status(&mut self, status: &Status<'_>) {
        self.send_command(
            STREAM_ID,
            "onStatus",
            0.0,
            &[Value::Null, status.value(Vec::new())],
        );
    }

    /// Answers a command that is not a request; one with transaction id 0 wants no answer.
    pub(super) fn result(&mut self, transaction: f64, value: &Value) {
        if transaction != 0.0 {
            self.send_command(0, "_result", transaction, &[Value::Null, value.clone()]);
        }
    }

    pub(super) fn call_failed(&mut self, transaction: f64) {
        if transaction != 0.0 {
            let failed = Status::error("NetConnection.Call.Failed", "The command is not known.");
            self.send_command(
                0,
                "_error",
                transaction,
                &[Value::Null, failed.value(Vec::new())],
            );
        }
    }

    /// What Flash Media Server calls back on `FCPublish` and its kin; FMLE waits for it.
    pub(super) fn on_fc(&mut self, name: &str, code: &str) {
        let value = Status::notice(code, "").value(Vec::new());
        self.send_command(0, name, 0.0, &[Value::Null, value]);
    }

    fn send_command(&mut self, stream_id: u32, name: &str, transaction: f64, values: &[Value]) {
        let mut payload = Vec::with_capacity(256);
        amf0::encode_str(name, &mut payload);
        amf0::encode_number(transaction, &mut payload);
        for value in values {
            amf0::encode(value, &mut payload);
        }
        self.send(COMMAND_CSID, kind::COMMAND, stream_id, &payload);
    }

    fn send(&mut self, csid: u8, kind: u8, stream_id: u32, payload: &[u8]) {
        write_message(
            self.output.buffer(),
            csid,
            0,
            kind,
            stream_id,
            payload,
            self.chunk_size,
        );
    }
}

fn object(members: Vec<(&str, Value)>) -> Value {
    Value::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// E-RTMP v1 and v2: every codec is forwarded.
fn enhanced() -> [(&'static str, Value); 4] {
    let any = || object(vec![("*", Value::Number(CAN_FORWARD))]);
    [
        (
            "fourCcList",
            Value::StrictArray(vec![Value::String("*".to_owned())]),
        ),
        ("videoFourCcInfoMap", any()),
        ("audioFourCcInfoMap", any()),
        ("capsEx", Value::Number(CAPS_EX)),
    ]
}
