//! Whole sessions against the node's own server side, in memory.

use lockgate_rtmp::handshake::ServerHandshake;
use lockgate_rtmp::session::{Config, Event, Session};

use super::*;

/// A client and the server it talks to, byte by byte.
struct Pair {
    client: Client,
    handshake: Option<ServerHandshake>,
    session: Session,
    reader: Reader,
    /// What the server was asked, by name, and what media it got.
    events: Vec<Event>,
    said: Vec<Said>,
}

impl Pair {
    fn new(role: Role) -> Self {
        let target = Target::new(([127, 0, 0, 1], 1935).into(), "live", "a");
        Self {
            client: Client::new(role, &target, "a?key=k"),
            handshake: Some(ServerHandshake::new()),
            session: Session::new(Config::default()),
            reader: Reader::new(Limits::default()),
            events: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Exchanges bytes until neither has more to say; `answer` does what the node would.
    fn settle(&mut self, answer: fn(&mut Session, &Event)) -> Result<(), ClientError> {
        loop {
            let output = std::mem::take(&mut self.client.output);
            let mut replies = Vec::new();
            let mut input = output.as_slice();
            if let Some(handshake) = &mut self.handshake
                && handshake.feed(&mut input, &mut replies).unwrap()
            {
                self.handshake = None;
            }
            if self.handshake.is_none() {
                while let Some(message) = self.reader.feed(&mut input).unwrap() {
                    if let Some(event) = self.session.handle(message).unwrap() {
                        answer(&mut self.session, &event);
                        self.events.push(event);
                    }
                }
            }
            replies.extend(self.session.take_output());
            if output.is_empty() && replies.is_empty() {
                return Ok(());
            }
            for byte in replies {
                let mut input = &[byte][..];
                self.client.count(1);
                self.said.extend(self.client.feed(&mut input)?);
            }
        }
    }
}

fn accept(session: &mut Session, event: &Event) {
    match event {
        Event::Connect(_) => session.accept_connect(),
        Event::Publish(_) => session.accept_publish(),
        Event::Play(_) => session.accept_play(),
        _ => {}
    }
}

#[test]
fn a_publisher_is_let_in_and_its_media_arrives() {
    let mut pair = Pair::new(Role::Publish);
    pair.settle(accept).unwrap();
    assert_eq!(pair.said, [Said::Started]);
    assert!(pair.session.is_publishing());
    let [Event::Connect(connect), Event::Publish(publish)] = pair.events.as_slice() else {
        panic!("{:?}", pair.events)
    };
    assert_eq!(connect.app, "live");
    assert_eq!((&*publish.name, &*publish.query), ("a", "key=k"));

    pair.client.send(kind::VIDEO, 40, &[0x17; 100_000]);
    pair.client.send(kind::AUDIO, 41, &[0xaf, 1]);
    pair.settle(accept).unwrap();
    let media = |event: &Event| match event {
        Event::Media {
            timestamp, payload, ..
        } => (*timestamp, payload.len()),
        other => panic!("{other:?}"),
    };
    let media: Vec<_> = pair.events.iter().skip(2).map(media).collect();
    assert_eq!(media, [(40, 100_000), (41, 2)]);
}

#[test]
fn a_player_is_let_in_and_hears_the_end() {
    let mut pair = Pair::new(Role::Play);
    pair.settle(accept).unwrap();
    assert_eq!(pair.said, [Said::Started]);
    assert!(pair.session.is_playing());
    pair.session.end_play();
    pair.settle(accept).unwrap();
    assert_eq!(pair.said.get(1), Some(&Said::Over));
}

#[test]
fn a_refusal_says_why() {
    let mut pair = Pair::new(Role::Play);
    let refused = pair.settle(|session, event| match event {
        Event::Play(_) => session.reject_play("NetStream.Play.StreamNotFound", "nobody is here"),
        other => accept(session, other),
    });
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("StreamNotFound: nobody is here"), "{error}");
}

#[test]
fn pings_are_answered_and_windows_acknowledged() {
    let mut pair = Pair::new(Role::Play);
    pair.settle(accept).unwrap();
    assert!(pair.client.window > 0, "the server sets a window");
    pair.session.ping(77);
    let window = usize::try_from(pair.client.window).unwrap();
    pair.client.count(window);
    let mut reader = Reader::new(Limits::default());
    let acknowledgement = pair.client.output.clone();
    let message = reader
        .feed(&mut acknowledgement.as_slice())
        .unwrap()
        .unwrap();
    assert_eq!(message.kind, kind::ACKNOWLEDGEMENT);
    let pong = pair.session.take_output();
    pair.client.output.clear();
    assert_eq!(pair.client.feed(&mut pong.as_slice()).unwrap(), None);
    let pong = std::mem::take(&mut pair.client.output);
    let message = reader.feed(&mut pong.as_slice()).unwrap().unwrap();
    assert_eq!(message.payload.as_ref(), [0, 7, 0, 0, 0, 77]);
}
