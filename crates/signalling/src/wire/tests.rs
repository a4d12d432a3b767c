//! The wire, with the traps of real clients.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn request(cmd: &str, content: &Value) -> Result<Request, Code> {
    let frame = json!({"Cmd": cmd, "Content": content}).to_string();
    Envelope::read(&frame).unwrap().request()
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

#[test]
fn what_clients_send_is_read() {
    for (cmd, content, expected) in [
        (
            "KeepAlive",
            r#"{"time":"1700000000000"}"#,
            Request::KeepAlive,
        ),
        (
            "SetRole",
            r#"{"Role":"Audience"}"#,
            Request::SetRole(Role::Audience),
        ),
        (
            "SetRole",
            r#"{"Role":"Host"}"#,
            Request::SetRole(Role::Host),
        ),
        ("Publish", "", Request::Publish(Target::All, PushForm::Rtmp)),
        (
            "Publish",
            r#"{"Target":"audio"}"#,
            Request::Publish(Target::Audio, PushForm::Rtmp),
        ),
        (
            "Publish",
            r#"{"Target":"video","Form":"whip"}"#,
            Request::Publish(Target::Video, PushForm::Whip),
        ),
        (
            "Publish",
            r#"{"Form":"rtmp"}"#,
            Request::Publish(Target::All, PushForm::Rtmp),
        ),
        ("UnPublish", "", Request::UnPublish),
        (
            "Subscribe",
            r#"{"UserId":"7","ChanId":"c"}"#,
            Request::Subscribe(uid("7"), PullForm::Rtmp),
        ),
        (
            "Subscribe",
            r#"{"UserId":7}"#,
            Request::Subscribe(uid("7"), PullForm::Rtmp),
        ),
        (
            "Subscribe",
            r#"{"UserId":"7","Form":"http-flv"}"#,
            Request::Subscribe(uid("7"), PullForm::HttpFlv),
        ),
        (
            "Subscribe",
            r#"{"UserId":"7","Form":"ws-flv"}"#,
            Request::Subscribe(uid("7"), PullForm::WsFlv),
        ),
        (
            "Subscribe",
            r#"{"UserId":"7","Form":"whep"}"#,
            Request::Subscribe(uid("7"), PullForm::Whep),
        ),
        (
            "UnSubscribe",
            r#"{"UserId":"a","ChanId":"c"}"#,
            Request::UnSubscribe(uid("a")),
        ),
        (
            "MuteRemoteStream",
            r#"{"UserId":"a","MuteAudio":true,"MuteVideo":false}"#,
            Request::MuteRemote(
                uid("a"),
                Mutes {
                    audio: true,
                    video: false,
                },
            ),
        ),
        (
            "MuteLocalStream",
            r#"{"UserId":"me","MuteAudio":false,"MuteVideo":true}"#,
            Request::MuteLocal(Mutes {
                audio: false,
                video: true,
            }),
        ),
        ("Logout", "", Request::Logout),
        (
            "RenewToken",
            r#"{"AcsToken":"t"}"#,
            Request::RenewToken("t".to_owned()),
        ),
    ] {
        assert_eq!(
            request(cmd, &json!(content)),
            Ok(expected),
            "{cmd} {content}"
        );
    }
    // A content that is an object and not a text is meant well.
    assert_eq!(
        request("Subscribe", &json!({"UserId": "a"})),
        Ok(Request::Subscribe(uid("a"), PullForm::Rtmp))
    );
    assert_eq!(request("Logout", &Value::Null), Ok(Request::Logout));
}

#[test]
fn a_login_may_leave_its_uid_to_the_node() {
    let content = |uid: Value| {
        json!(
            json!({"ChanId": "room #1?", "ChanSId": "s", "UserId": uid, "UserSId": "abc",
            "SdkVer": "1.0", "SessionId": "", "AcsToken": "", "Caps": ["token-events"]})
            .to_string()
        )
    };
    for (given, expected) in [
        (json!(""), None),
        (Value::Null, None),
        (json!(42), Some("42")),
        (json!("bob"), Some("bob")),
    ] {
        let Ok(Request::Login(login)) = request("Login", &content(given)) else {
            panic!("refused")
        };
        assert_eq!(login.uid.as_ref().map(Uid::as_str), expected);
        assert_eq!(login.channel.as_str(), "room #1?");
        assert_eq!((login.sid.as_str(), login.caps.token_events), ("abc", true));
    }
    assert_eq!(
        request("Login", &content(json!("a b"))),
        Err(Code::DeveloperInvalid)
    );
    assert_eq!(request("Login", &json!("{}")), Err(Code::Malformed));
    assert_eq!(
        request("Login", &json!(r#"{"ChanId":"a/b"}"#)),
        Err(Code::DeveloperInvalid)
    );
}

#[test]
fn what_cannot_be_read_is_malformed_and_never_a_panic() {
    for (cmd, content) in [
        ("Subscribe", json!("")),
        ("Subscribe", json!("{")),
        ("Subscribe", json!("[]")),
        ("Subscribe", json!({"UserId": "a", "Form": "hls"})),
        ("Subscribe", json!({"UserId": "a", "Form": 1})),
        ("Subscribe", json!(r#"{"UserId":true}"#)),
        ("SetRole", json!(r#"{"Role":"king"}"#)),
        ("SetRole", json!(r#"{"Role":1}"#)),
        ("MuteLocalStream", json!(r#"{"MuteAudio":1,"MuteVideo":0}"#)),
        (
            "MuteRemoteStream",
            json!(r#"{"UserId":"a","MuteAudio":true}"#),
        ),
        ("Publish", json!(r#"{"Target":7}"#)),
        ("Dance", json!("")),
        ("", json!("")),
    ] {
        assert_eq!(
            request(cmd, &content),
            Err(Code::Malformed),
            "{cmd} {content}"
        );
    }
    for junk in [
        "",
        "{",
        "null",
        "[]",
        "7",
        r#"{"Cmd":7}"#,
        r#"{"Content":""}"#,
    ] {
        assert!(Envelope::read(junk).is_none(), "{junk}");
    }
    let encrypted = r#"{"Cmd":"UnPublish","Encrypt":true,"Content":"abc"}"#;
    assert_eq!(
        Envelope::read(encrypted).unwrap().request(),
        Err(Code::Malformed)
    );
}

#[test]
fn the_content_of_what_is_sent_is_json_in_a_string() {
    let channel = ChannelName::parse("room #1?").unwrap();
    for (notice, cmd, content) in [
        (
            Notice::Added(uid("7")),
            "StreamAdded",
            json!({"ChanId": "room #1?", "UserId": "7"}),
        ),
        (
            Notice::Removed(uid("7")),
            "StreamRemove",
            json!({"ChanId": "room #1?", "UserId": "7"}),
        ),
        (
            Notice::Audio(uid("7"), false),
            "UserAudStatus",
            json!({"ChanId": "room #1?", "UserId": "7", "Audio": false}),
        ),
        (
            Notice::Video(uid("7"), true),
            "UserVidStatus",
            json!({"ChanId": "room #1?", "UserId": "7", "Video": true}),
        ),
    ] {
        assert_eq!(open(&notice.text(&channel)), (cmd.to_owned(), content));
    }
    let answer = Answer {
        push_url: Some("rtmp://h/live/p"),
        ..Answer::default()
    };
    assert_eq!(
        open(&answer.to("Publish")),
        (
            "Publish".to_owned(),
            json!({"Code": 0, "PushUrl": "rtmp://h/live/p"})
        )
    );
    assert_eq!(
        open(&Answer::default().to("Logout")),
        ("Logout".to_owned(), json!({"Code": 0}))
    );
    let (_, refusal) = open(&Answer::refusal(Code::NotJoined).to("Publish"));
    assert_eq!(refusal["Code"], 2003);
    assert!(refusal["Msg"].is_string());
}

/// What the client does with a frame.
fn open(text: &Text) -> (String, Value) {
    let envelope: Value = serde_json::from_str(text.as_str()).unwrap();
    let content = serde_json::from_str(envelope["Content"].as_str().unwrap()).unwrap();
    (envelope["Cmd"].as_str().unwrap().to_owned(), content)
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", cmd in "[A-Za-z]{0,20}", content in ".{0,100}") {
        if let Some(mut envelope) = Envelope::read(&text) {
            let _ = envelope.request();
        }
        let frame = json!({"Cmd": cmd, "Content": content}).to_string();
        let _ = Envelope::read(&frame).map(|mut envelope| (envelope.user(), envelope.request()));
    }
}
