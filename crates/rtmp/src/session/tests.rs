//! Whole sessions, message by message: what each client sends, and what it gets to see.

mod play;
mod publish;

use bytes::Bytes;

use super::*;
use crate::amf::{Value, amf0};
use crate::chunk::{Limits, Reader};

/// One reply, read as its client reads it.
#[derive(Debug, PartialEq)]
enum Reply {
    Control(u8, Vec<u8>),
    /// Stream id, name, transaction, and the code of its last argument if it has one.
    Command(u32, String, f64, String),
    Data(String),
}

/// A session and the client's reader for what it says.
struct Peer {
    session: Session,
    reader: Reader,
}

impl Peer {
    fn new() -> Self {
        Self {
            session: Session::new(Config::default()),
            reader: Reader::new(Limits::default()),
        }
    }

    /// A peer whose `connect` to the app `live` was accepted.
    fn connected() -> Self {
        let mut peer = Self::new();
        peer.connect(&[("app", string("live"))]).expect("connect");
        peer.session.accept_connect();
        peer.replies();
        peer
    }

    fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.command("publish", 5.0, &[Value::Null, string("a"), string("live")]);
        peer.session.accept_publish();
        peer.replies();
        peer
    }

    fn playing() -> Self {
        let mut peer = Self::connected();
        peer.command("play", 0.0, &[Value::Null, string("a")]);
        peer.session.accept_play();
        peer.replies();
        peer
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Result<Option<Event>, SessionError> {
        let payload = Bytes::copy_from_slice(payload);
        self.session.handle(Message {
            timestamp: 7,
            stream_id: 1,
            kind,
            payload,
        })
    }

    fn connect(&mut self, object: &[(&str, Value)]) -> Result<Option<Event>, SessionError> {
        self.send(kind::COMMAND, &command("connect", 1.0, &[members(object)]))
    }

    fn command(&mut self, name: &str, transaction: f64, values: &[Value]) -> Option<Event> {
        self.send(kind::COMMAND, &command(name, transaction, values))
            .expect("a command")
    }

    fn messages(&mut self) -> Vec<Message> {
        let output = self.session.take_output();
        let mut input = &output[..];
        std::iter::from_fn(|| self.reader.feed(&mut input).expect("chunks")).collect()
    }

    fn replies(&mut self) -> Vec<Reply> {
        self.messages().iter().map(Reply::read).collect()
    }
}

impl Reply {
    fn read(message: &Message) -> Self {
        let Message {
            kind,
            stream_id,
            payload,
            ..
        } = message;
        if ![kind::COMMAND, kind::DATA].contains(kind) {
            return Self::Control(*kind, payload.to_vec());
        }
        let values = amf0::decode_all(payload).expect("AMF0");
        let name = values[0].as_str().expect("a name").to_owned();
        if *kind == kind::DATA {
            return Self::Data(name);
        }
        let code = values.last().and_then(|value| value.get("code"));
        let code = code.and_then(Value::as_str).unwrap_or_default().to_owned();
        Self::Command(
            *stream_id,
            name,
            values[1].as_number().expect("an id"),
            code,
        )
    }
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn members(members: &[(&str, Value)]) -> Value {
    Value::Object(
        members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}

fn command(name: &str, transaction: f64, values: &[Value]) -> Vec<u8> {
    let mut payload = Vec::new();
    for value in [string(name), Value::Number(transaction)]
        .iter()
        .chain(values)
    {
        amf0::encode(value, &mut payload);
    }
    payload
}

fn result(transaction: f64) -> Reply {
    Reply::Command(0, "_result".to_owned(), transaction, String::new())
}

fn status(code: &str) -> Reply {
    Reply::Command(1, "onStatus".to_owned(), 0.0, code.to_owned())
}

fn begin() -> Reply {
    Reply::Control(kind::USER_CONTROL, vec![0, 0, 0, 0, 0, 1])
}

#[test]
fn connect_is_answered_in_the_order_clients_wait_for() {
    let mut peer = Peer::new();
    let event = peer.connect(&[
        ("app", string("live?key=s3cret")),
        ("tcUrl", string("rtmp://user:pw@h/live?key=s3cret")),
        ("flashVer", string("FMLE/3.0")),
    ]);
    let Ok(Some(Event::Connect(request))) = event else {
        panic!("{event:?}")
    };
    assert_eq!((&*request.app, &*request.query), ("live", "key=s3cret"));
    assert_eq!(request.tc_url, "rtmp://h/live");
    assert_eq!(request.flash_version, "FMLE/3.0");
    assert!(!request.enhanced);
    assert!(!format!("{request:?}{:?}", peer.session).contains("s3cret"));
    assert!(!peer.session.has_output(), "its owner answers");
    peer.session.accept_connect();
    let output = peer.session.take_output();
    let control = |kind, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("short");
        [&[2, 0, 0, 0, 0, 0, length, kind, 0, 0, 0, 0][..], payload].concat()
    };
    let window = 2_500_000_u32.to_be_bytes();
    let first = [
        control(kind::WINDOW_ACK_SIZE, &window),
        control(kind::SET_PEER_BANDWIDTH, &[&window[..], &[2]].concat()),
        control(kind::SET_CHUNK_SIZE, &60_000_u32.to_be_bytes()),
    ]
    .concat();
    let rest = output
        .strip_prefix(&first[..])
        .expect("windows and chunk size first");
    assert_eq!(rest[..4], [3, 0, 0, 0], "then a command, in one chunk");
    let values = amf0::decode_all(&rest[12..]).expect("AMF0");
    assert_eq!(values[..2], [string("_result"), Value::Number(1.0)]);
    assert_eq!(values[2].get("capabilities"), Some(&Value::Number(31.0)));
    assert_eq!(values[2].get("fourCcList"), None, "the client did not ask");
    assert_eq!(values[3].get("level"), Some(&string("status")));
    assert_eq!(
        values[3].get("code"),
        Some(&string("NetConnection.Connect.Success"))
    );
    assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(0.0)));
}

#[test]
fn enhanced_clients_hear_that_every_codec_passes() {
    for asked in [
        "fourCcList",
        "capsEx",
        "videoFourCcInfoMap",
        "audioFourCcInfoMap",
    ] {
        let mut peer = Peer::new();
        let object = [
            ("app", string("live")),
            ("objectEncoding", Value::Number(3.0)),
            (asked, Value::StrictArray(vec![string("hvc1")])),
        ];
        let event = peer.connect(&object);
        let Ok(Some(Event::Connect(request))) = event else {
            panic!("{event:?}")
        };
        assert!(request.enhanced);
        peer.session.accept_connect();
        let result = peer.messages().pop().expect("a result");
        let values = amf0::decode_all(&result.payload).expect("AMF0");
        assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(3.0)));
        for object in &values[2..] {
            let any = members(&[("*", Value::Number(4.0))]);
            assert_eq!(
                object.get("fourCcList"),
                Some(&Value::StrictArray(vec![string("*")]))
            );
            assert_eq!(object.get("videoFourCcInfoMap"), Some(&any));
            assert_eq!(object.get("audioFourCcInfoMap"), Some(&any));
            assert_eq!(object.get("capsEx"), Some(&Value::Number(14.0)));
        }
    }
}

#[test]
fn a_rejected_connect_says_why() {
    let mut peer = Peer::new();
    peer.connect(&[("app", string("secret"))]).expect("connect");
    peer.session.reject_connect("The app is closed.");
    let code = "NetConnection.Connect.Rejected".to_owned();
    assert_eq!(
        peer.replies(),
        [Reply::Command(0, "_error".to_owned(), 1.0, code)]
    );
    peer.session.accept_connect();
    assert!(
        !peer.session.has_output(),
        "there is nothing left to answer"
    );
}

#[test]
fn small_questions_are_answered() {
    let mut peer = Peer::connected();
    for name in [
        "_checkbw",
        "checkBandwidth",
        "set_playlist",
        "getStreamLength",
        "getMovLen",
    ] {
        peer.command(name, 9.0, &[Value::Null]);
        assert_eq!(peer.replies(), [result(9.0)], "{name}");
    }
    peer.command("FCSubscribe", 9.0, &[Value::Null, string("a")]);
    let subscribed = (
        "onFCSubscribe".to_owned(),
        "NetStream.Play.Start".to_owned(),
    );
    let subscribed = Reply::Command(0, subscribed.0, 0.0, subscribed.1);
    assert_eq!(peer.replies(), [result(9.0), subscribed]);
    peer.command("whatIsThis", 9.0, &[Value::Null]);
    let failed = "NetConnection.Call.Failed".to_owned();
    assert_eq!(
        peer.replies(),
        [Reply::Command(0, "_error".to_owned(), 9.0, failed)]
    );
    for name in ["_result", "_error", "onStatus"] {
        peer.command(name, 9.0, &[Value::Null]);
        assert_eq!(peer.replies(), [], "{name} is an answer itself");
    }
}

#[test]
fn amf3_commands_are_commands() {
    let mut peer = Peer::connected();
    let play = [
        &[0],
        &command("play", 0.0, &[Value::Null])[..],
        b"\x11\x06\x03a",
    ]
    .concat();
    let event = peer.send(kind::COMMAND_AMF3, &play);
    assert!(matches!(event, Ok(Some(Event::Play(request))) if request.name == "a"));
}

#[test]
fn pings_go_both_ways() {
    let mut peer = Peer::connected();
    assert_eq!(peer.send(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]), Ok(None));
    assert_eq!(
        peer.replies(),
        [Reply::Control(kind::USER_CONTROL, vec![0, 7, 1, 2, 3, 4])]
    );
    peer.session.ping(0x0506_0708);
    assert_eq!(
        peer.replies(),
        [Reply::Control(kind::USER_CONTROL, vec![0, 6, 5, 6, 7, 8])]
    );
    for ignored in [
        &[0, 7, 5, 6, 7, 8][..],
        &[0, 3, 0, 0, 0, 1, 0, 0, 1, 44],
        &[0, 4, 0, 0, 0, 1],
        &[0],
        &[],
    ] {
        assert_eq!(peer.send(kind::USER_CONTROL, ignored), Ok(None));
        assert_eq!(peer.replies(), []);
    }
}

#[test]
fn bytes_are_acknowledged_by_the_window_of_the_peer() {
    let mut peer = Peer::connected();
    peer.send(kind::WINDOW_ACK_SIZE, &1000_u32.to_be_bytes())
        .expect("a window");
    let ack = |bytes: u32| Reply::Control(kind::ACKNOWLEDGEMENT, bytes.to_be_bytes().to_vec());
    peer.session.received(999);
    assert_eq!(peer.replies(), []);
    peer.session.received(1);
    assert_eq!(peer.replies(), [ack(1000)]);
    peer.session.received(5000);
    peer.session.received(5000);
    assert_eq!(peer.replies(), [ack(6000)], "one waits already");
    peer.session.received(0);
    assert_eq!(peer.replies(), [ack(11_000)]);
    peer.session
        .received(usize::try_from(u32::MAX).expect("64 bits"));
    assert_eq!(peer.replies(), [ack(10_999)], "the number wraps");
    assert_eq!(
        peer.send(kind::WINDOW_ACK_SIZE, &[0; 4]),
        Ok(None),
        "a window of nothing"
    );
    assert_eq!(peer.send(kind::WINDOW_ACK_SIZE, &[0; 3]), Ok(None));
    peer.session.received(999);
    assert_eq!(peer.replies(), []);
}

#[test]
fn another_peer_bandwidth_is_answered_with_a_window() {
    let mut peer = Peer::connected();
    let bandwidth = |size: u32| [&size.to_be_bytes()[..], &[2]].concat();
    peer.send(kind::SET_PEER_BANDWIDTH, &bandwidth(2_500_000))
        .expect("the same");
    assert_eq!(peer.replies(), []);
    peer.send(kind::SET_PEER_BANDWIDTH, &bandwidth(5000))
        .expect("another");
    let window = Reply::Control(kind::WINDOW_ACK_SIZE, 5000_u32.to_be_bytes().to_vec());
    assert_eq!(peer.replies(), [window]);
}

#[test]
fn junk_ends_the_session() {
    let mut peer = Peer::connected();
    let long = vec![5; 65_537];
    assert_eq!(
        peer.send(kind::COMMAND, &long),
        Err(SessionError::CommandSize(65_537))
    );
    assert_eq!(peer.send(kind::COMMAND, &[]), Err(SessionError::Nameless));
    assert_eq!(
        peer.send(kind::COMMAND, b"\x02\x00\x01a"),
        Err(SessionError::Nameless)
    );
    assert_eq!(
        peer.send(kind::COMMAND, b"\x05\x05"),
        Err(SessionError::Nameless)
    );
    let error = peer.send(kind::COMMAND, b"\x02\x00\x01");
    assert_eq!(error, Err(SessionError::Amf(AmfError::Truncated)));
    let connect = peer.connect(&[("app", string("live"))]);
    assert_eq!(connect, Err(SessionError::ConnectedTwice));
    let early = Peer::new().send(kind::COMMAND, &command("createStream", 1.0, &[]));
    assert_eq!(early, Err(SessionError::NotConnected));
    // What nobody waits for is let pass.
    for kind in [kind::AUDIO, kind::DATA, kind::ACKNOWLEDGEMENT, 16, 19, 255] {
        assert_eq!(Peer::new().send(kind, &[1, 2, 3, 4]), Ok(None));
    }
}
