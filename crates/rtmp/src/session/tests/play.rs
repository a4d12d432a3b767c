//! Players.

use super::*;

#[test]
fn a_player_gets_what_it_waits_for_before_media() {
    let mut peer = Peer::connected();
    let event = peer.command(
        "play",
        0.0,
        &[Value::Null, string("a"), Value::Number(-2.0)],
    );
    let Some(Event::Play(request)) = event else {
        panic!("{event:?}")
    };
    assert_eq!((&*request.app, &*request.name), ("live", "a"));
    peer.session.accept_play();
    assert!(peer.session.is_playing());
    assert_eq!(
        peer.replies(),
        [
            begin(),
            status("NetStream.Play.Reset"),
            status("NetStream.Play.Start"),
        ]
    );
    peer.session.end_play();
    assert_eq!(
        peer.replies(),
        [
            Reply::Control(kind::USER_CONTROL, vec![0, 1, 0, 0, 0, 1]),
            status("NetStream.Play.UnpublishNotify"),
            status("NetStream.Play.Stop"),
        ]
    );
    assert!(!peer.session.is_playing());
}

#[test]
fn play_takes_its_arguments_in_every_form() {
    let null = || Value::Null;
    let cases = [
        (vec![], (-2.0, -1.0, true)),
        (vec![Value::Number(-1000.0)], (-1000.0, -1.0, true)),
        (
            vec![
                Value::Number(5.0),
                Value::Number(10.0),
                Value::Boolean(false),
            ],
            (5.0, 10.0, false),
        ),
        (
            vec![Value::Number(-1.0), null(), Value::Boolean(true)],
            (-1.0, -1.0, true),
        ),
        (
            vec![null(), null(), Value::Number(0.0)],
            (-2.0, -1.0, false),
        ),
        (vec![null(), null(), Value::Number(1.0)], (-2.0, -1.0, true)),
        (
            vec![null(), null(), Value::Number(2.0)],
            (-2.0, -1.0, false),
        ),
        (vec![null(), null(), Value::Number(3.0)], (-2.0, -1.0, true)),
        (
            vec![Value::Undefined, Value::Undefined, null()],
            (-2.0, -1.0, true),
        ),
    ];
    for (arguments, want) in cases {
        let mut peer = Peer::connected();
        let values = [vec![null(), string("a")], arguments].concat();
        let event = peer.command("play", 0.0, &values);
        let Some(Event::Play(request)) = event else {
            panic!("{event:?}")
        };
        assert_eq!((request.start, request.duration, request.reset), want);
        peer.session.accept_play();
        let reset = peer.replies().contains(&status("NetStream.Play.Reset"));
        assert_eq!(reset, want.2, "told only if asked");
    }
}

#[test]
fn players_open_and_close_their_own_gates() {
    let mut peer = Peer::playing();
    let on = [
        status("NetStream.Seek.Notify"),
        status("NetStream.Play.Start"),
    ];
    let flag = |value: bool| [Value::Null, Value::Boolean(value)];
    assert_eq!(
        peer.command("receiveAudio", 0.0, &flag(false)),
        Some(Event::ReceiveAudio(false))
    );
    assert_eq!(
        peer.command("receiveVideo", 0.0, &flag(false)),
        Some(Event::ReceiveVideo(false))
    );
    assert_eq!(peer.replies(), []);
    assert_eq!(
        peer.command("receiveVideo", 0.0, &flag(true)),
        Some(Event::ReceiveVideo(true))
    );
    assert_eq!(peer.replies(), on);
    for name in ["pause", "pauseRaw"] {
        assert_eq!(
            peer.command(name, 0.0, &flag(true)),
            Some(Event::Pause(true))
        );
        peer.session.accept_pause(true);
        assert_eq!(peer.replies(), [status("NetStream.Pause.Notify")]);
        assert_eq!(
            peer.command(name, 0.0, &flag(false)),
            Some(Event::Pause(false))
        );
        peer.session.accept_pause(false);
        assert_eq!(peer.replies(), [status("NetStream.Unpause.Notify")]);
    }
    assert_eq!(
        peer.command("seek", 0.0, &[Value::Null, Value::Number(9.0)]),
        None
    );
    assert_eq!(peer.replies(), on);
    let mut idle = Peer::connected();
    for name in ["receiveAudio", "receiveVideo", "pause", "seek"] {
        assert_eq!(idle.command(name, 0.0, &flag(true)), None);
    }
    assert_eq!(idle.replies(), []);
}
