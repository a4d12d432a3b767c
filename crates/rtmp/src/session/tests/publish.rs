//! Publishers, and streams as they begin, are refused, and end.

use super::*;

#[test]
fn an_encoder_publishes_and_stops() {
    let mut peer = Peer::connected();
    // As OBS and ffmpeg: three commands that do not wait for each other.
    let name = || string("a?key=s3cret");
    assert_eq!(
        peer.command("releaseStream", 2.0, &[Value::Null, name()]),
        None
    );
    assert_eq!(peer.command("FCPublish", 3.0, &[Value::Null, name()]), None);
    assert_eq!(peer.command("createStream", 4.0, &[Value::Null]), None);
    let on_fc = |name: &str, code: &str| Reply::Command(0, name.into(), 0.0, code.into());
    let replies = peer.replies();
    assert_eq!(
        replies,
        [
            result(2.0),
            result(3.0),
            on_fc("onFCPublish", "NetStream.Publish.Start"),
            result(4.0)
        ]
    );
    let event = peer.command("publish", 5.0, &[Value::Null, name(), string("live")]);
    let Some(Event::Publish(request)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(
        (&*request.app, &*request.name, &*request.query),
        ("live", "a", "key=s3cret")
    );
    assert!(!format!("{request:?}").contains("s3cret"));
    assert!(!peer.session.has_output());
    peer.session.accept_publish();
    assert!(peer.session.is_publishing());
    assert_eq!(peer.replies(), [begin(), status("NetStream.Publish.Start")]);

    let media = |track, payload: &[u8]| {
        let payload = Bytes::copy_from_slice(payload);
        Ok(Some(Event::Media {
            track,
            timestamp: 7,
            payload,
        }))
    };
    assert_eq!(
        peer.send(kind::AUDIO, &[0xaf, 0]),
        media(Track::Audio, &[0xaf, 0])
    );
    assert_eq!(
        peer.send(kind::VIDEO, &[0x17, 0]),
        media(Track::Video, &[0x17, 0])
    );
    let metadata = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05";
    assert_eq!(
        peer.send(kind::DATA, metadata),
        media(Track::Data, &metadata[16..])
    );
    assert_eq!(
        peer.send(kind::AUDIO, &[]),
        Ok(None),
        "some encoders keep alive with nothing"
    );

    assert_eq!(
        peer.command("FCUnpublish", 6.0, &[Value::Null, name()]),
        Some(Event::Ended)
    );
    assert_eq!(
        peer.replies(),
        [
            result(6.0),
            on_fc("onFCUnpublish", "NetStream.Unpublish.Success"),
            status("NetStream.Unpublish.Success")
        ]
    );
    let id = Value::Number(1.0);
    assert_eq!(
        peer.command("deleteStream", 7.0, &[Value::Null, id]),
        None,
        "it ends once"
    );
    assert_eq!(peer.send(kind::AUDIO, &[0xaf, 0]), Ok(None));
    assert_eq!(peer.replies(), []);
}

#[test]
fn a_stream_is_created_with_the_id_media_is_written_with() {
    let mut peer = Peer::connected();
    for transaction in [2.0, 3.0] {
        peer.command("createStream", transaction, &[Value::Null]);
        let message = peer.messages().pop().expect("a result");
        let values = amf0::decode_all(&message.payload).expect("AMF0");
        assert_eq!(
            values[1..],
            [Value::Number(transaction), Value::Null, Value::Number(1.0)]
        );
    }
}

#[test]
fn gstreamer_wants_no_answers_to_transaction_zero() {
    let mut peer = Peer::connected();
    peer.command("releaseStream", 0.0, &[Value::Null, string("a")]);
    peer.command("_checkbw", 0.0, &[Value::Null]);
    peer.command("whatIsThis", 0.0, &[Value::Null]);
    assert_eq!(peer.replies(), []);
    peer.command("publish", 0.0, &[Value::Null, string("a"), string("live")]);
    peer.session.accept_publish();
    assert_eq!(peer.replies().len(), 2);
    // Its deleteStream carries the name.
    assert_eq!(
        peer.command("deleteStream", 0.0, &[Value::Null, string("a")]),
        Some(Event::Ended)
    );
}

#[test]
fn every_way_to_end_ends_once() {
    for name in ["deleteStream", "closeStream", "FCUnpublish"] {
        let mut peer = Peer::publishing();
        assert_eq!(
            peer.command(name, 0.0, &[Value::Null]),
            Some(Event::Ended),
            "{name}"
        );
        assert_eq!(peer.command(name, 0.0, &[Value::Null]), None, "{name}");
        let mut peer = Peer::playing();
        assert_eq!(
            peer.command(name, 0.0, &[Value::Null]),
            Some(Event::Ended),
            "{name}"
        );
    }
    let mut peer = Peer::publishing();
    let stop = [Value::Null, Value::Boolean(false)];
    assert_eq!(peer.command("publish", 0.0, &stop), Some(Event::Ended));
    // A request may be withdrawn while its owner still thinks.
    let mut peer = Peer::connected();
    peer.command("play", 0.0, &[Value::Null, string("a")]);
    assert_eq!(
        peer.command("closeStream", 0.0, &[Value::Null]),
        Some(Event::Ended)
    );
    peer.session.accept_play();
    assert_eq!(peer.replies(), []);
}

#[test]
fn refusals_carry_their_code_and_leave_the_session_open() {
    let mut peer = Peer::connected();
    for _ in 0..2 {
        peer.command("play", 0.0, &[Value::Null, string("a")]);
        peer.session
            .reject_play("NetStream.Play.StreamNotFound", "Nobody publishes it.");
        assert_eq!(peer.replies(), [status("NetStream.Play.StreamNotFound")]);
        peer.command("publish", 0.0, &[Value::Null, string("a")]);
        peer.session
            .reject_publish("NetStream.Publish.Denied", "The key is wrong.");
        assert_eq!(peer.replies(), [status("NetStream.Publish.Denied")]);
    }
    let mut peer = Peer::publishing();
    peer.session.end_publish(
        "NetStream.Publish.BadName",
        "Somebody else publishes it now.",
    );
    assert_eq!(peer.replies(), [status("NetStream.Publish.BadName")]);
    assert_eq!(peer.send(kind::AUDIO, &[0xaf, 1]), Ok(None));
}

#[test]
fn one_connection_has_one_stream() {
    for mut peer in [Peer::publishing(), Peer::playing()] {
        assert_eq!(
            peer.command("publish", 0.0, &[Value::Null, string("b")]),
            None
        );
        assert_eq!(peer.command("play", 0.0, &[Value::Null, string("b")]), None);
        let replies = [
            status("NetStream.Publish.BadName"),
            status("NetStream.Play.Failed"),
        ];
        assert_eq!(peer.replies(), replies);
        assert_eq!(
            peer.command("closeStream", 0.0, &[Value::Null]),
            Some(Event::Ended)
        );
        assert!(
            peer.command("play", 0.0, &[Value::Null, string("b")])
                .is_some()
        );
    }
}

#[test]
fn an_unusable_name_is_an_empty_one_for_the_owner_to_refuse() {
    for name in [
        string(""),
        string("a\nb"),
        Value::Null,
        string(&"a".repeat(300)),
    ] {
        let mut peer = Peer::connected();
        let asked = peer.command("publish", 0.0, &[Value::Null, name.clone()]);
        assert!(matches!(asked, Some(Event::Publish(request)) if request.name.is_empty()));
        peer.session
            .reject_publish("NetStream.Publish.BadName", "no name");
        assert_eq!(peer.replies(), [status("NetStream.Publish.BadName")]);
        let asked = peer.command("play", 0.0, &[Value::Null, name]);
        assert!(matches!(asked, Some(Event::Play(request)) if request.name.is_empty()));
        peer.session.reject_play("NetStream.Play.Failed", "no name");
        assert_eq!(peer.replies(), [status("NetStream.Play.Failed")]);
    }
    let app = [("app", string(&"a".repeat(300)))];
    assert_eq!(Peer::new().connect(&app), Err(SessionError::App));
}
