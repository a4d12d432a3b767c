//! Channels, members and bans, with sessions whose WebSocket is a pair of queues.

use std::net::IpAddr;

use lockgate_signalling::Arrival;
use lockgate_signalling::transport::{Broken, Received, Text, Transport};
use tokio::sync::mpsc;

use super::*;

/// The node's end of a session.
struct NodeEnd {
    from: mpsc::UnboundedReceiver<String>,
    to: mpsc::UnboundedSender<String>,
}

impl Transport for NodeEnd {
    async fn receive(&mut self) -> Received {
        match self.from.recv().await {
            Some(text) => Received::Text(Text::from(text)),
            None => Received::Gone,
        }
    }

    async fn feed(&mut self, text: Text) -> Result<(), Broken> {
        self.to.send(text.as_str().to_owned()).map_err(|_| Broken)
    }

    async fn probe(&mut self, _: u32) -> Result<(), Broken> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let _ = self.to.send(format!("{code} {reason}"));
    }
}

/// A client's end.
struct Client {
    to: mpsc::UnboundedSender<String>,
    from: mpsc::UnboundedReceiver<String>,
}

impl Client {
    fn open(node: &Asked, ip: &str) -> Self {
        let (to, from_client) = mpsc::unbounded_channel();
        let (to_client, from) = mpsc::unbounded_channel();
        let end = NodeEnd {
            from: from_client,
            to: to_client,
        };
        let arrival = Arrival {
            peer: ip.parse::<IpAddr>().unwrap(),
            host: "example.com".to_owned(),
            port: None,
            secure: false,
        };
        let signalling = node.signalling.clone();
        tokio::spawn(async move { signalling.session(end, arrival).await });
        Self { to, from }
    }

    fn send(&self, command: &str, content: &Value) {
        let content = content.to_string();
        let message = json!({"Cmd": command, "AppId": "live", "Content": content});
        self.to.send(message.to_string()).unwrap();
    }

    /// The next answer to a command, whatever comes between; its Content.
    async fn answer(&mut self, command: &str) -> Value {
        loop {
            let text = self.from.recv().await.unwrap();
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["Cmd"] == command {
                return serde_json::from_str(message["Content"].as_str().unwrap()).unwrap();
            }
        }
    }

    async fn ask(&mut self, command: &str, content: Value) -> Value {
        self.send(command, &content);
        self.answer(command).await
    }

    async fn login(&mut self, channel: &str, uid: &str) -> Value {
        let login = json!({
            "ChanId": channel, "ChanSId": "s", "UserId": uid, "UserSId": format!("sid-{uid}"),
            "SdkVer": "1.2.3", "SessionId": "", "AcsToken": "", "Caps": ["reports"],
        });
        self.ask("Login", login).await
    }

    /// How the node ended it.
    async fn goodbye(&mut self) -> String {
        loop {
            let text = self.from.recv().await.unwrap();
            if !text.starts_with('{') {
                return text;
            }
        }
    }
}

async fn joined(node: &Asked, channel: &str, uid: &str) -> Client {
    let mut client = Client::open(node, "192.0.2.7");
    assert_eq!(client.login(channel, uid).await["Code"], 0);
    client
}

/// A channel's name with everything that a path has to carry encoded.
const CHANNEL: &str = "room 1?#&%";
const ENCODED: &str = "room%201%3F%23%26%25";

#[tokio::test]
async fn channels_are_listed_and_shown_whatever_they_are_called() {
    let node = node("");
    let _one = joined(&node, "a", "u1").await;
    let _two = joined(&node, CHANNEL, "u1").await;
    let _three = joined(&node, CHANNEL, "u2").await;
    let (status, list) = node.get("/api/v1/channels?app=live").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(list["total"], 2);
    assert_eq!(list["items"][1]["channel"], CHANNEL);
    assert_eq!(list["items"][1]["members"], 2);
    let (_, none) = node.get("/api/v1/channels?app=other").await;
    assert_eq!(none["total"], 0);
    let (status, shown) = node.get(&format!("/api/v1/channels/live/{ENCODED}")).await;
    assert_eq!((status, &shown["members"]), (StatusCode::OK, &json!(2)));
    let (status, error) = node.get("/api/v1/channels/live/b").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["code"], "channel_not_found");
}

#[tokio::test]
async fn a_member_is_seen_from_both_ends() {
    let node = node("");
    let mut one = joined(&node, CHANNEL, "u1").await;
    let url = one.ask("Publish", json!("")).await["PushUrl"].clone();
    assert!(url.is_string());
    one.send(
        "Report",
        &json!({
            "Pusher": {"States": [{"Code": 1002, "Message": "pushing"}], "Net": {"videoFPS": 15}},
            "Players": [{"UserId": "u2", "States": [{"Code": 2007, "Message": "loading"}]}],
            "Log": ["a line"],
        }),
    );
    // Answers come in order, so the report was taken when this is here.
    one.ask("KeepAlive", json!({"time": "1"})).await;
    let path = format!("/api/v1/channels/live/{ENCODED}/members");
    let (status, list) = node.get(&path).await;
    assert_eq!((status, &list["total"]), (StatusCode::OK, &json!(1)));
    assert_eq!(list["items"][0]["uid"], "u1");
    assert!(list["items"][0].get("log").is_none());
    let (_, member) = node.get(&format!("{path}/u1")).await;
    assert_eq!(member["ip"], "192.0.2.7");
    assert_eq!(member["sdk"], "1.2.3");
    assert_eq!(
        (&member["role"], &member["connected"]),
        (&json!("host"), &json!(true))
    );
    let publication = &member["publication"];
    assert_eq!(publication["stream"], format!("{CHANNEL}/u1"));
    assert_eq!(
        (&publication["live"], &publication["publisher"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(publication["reported"]["code"], 1002);
    assert_eq!(publication["reported"]["net"]["videoFPS"], 15.0);
    assert_eq!(member["log"], json!(["a line"]));
    assert!(member["report_age_seconds"].is_number());
    let (status, error) = node.get(&format!("{path}/u9")).await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::NOT_FOUND, &json!("member_not_found"))
    );
}

#[tokio::test]
async fn a_subscription_shows_the_player_that_its_url_was_opened_by() {
    let node = node("");
    let direct = Arc::new(crate::access::Access::new(&Config::default().apps));
    let admission = node.signalling.admission(direct);
    let name = |url: &Value| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned();

    let mut one = joined(&node, "c", "u1").await;
    let mut two = joined(&node, "c", "u2").await;
    let push = one.ask("Publish", json!("")).await["PushUrl"].clone();
    let grant = admission.publish("live", &name(&push), "").unwrap();
    let mut publication = node.router.publish(&grant, origin()).unwrap();
    for audio in [&[0xaf, 0x00, 0x12, 0x10][..], &[0xaf, 0x01, 0x21, 0x00]] {
        publication
            .push(Track::Audio, 0, bytes(audio), Instant::now())
            .unwrap();
    }
    publication.flush();
    assert_eq!(two.answer("StreamAdded").await["UserId"], "u1");
    let (_other, _held) = node.subscribe("live", "c/u1");
    let member = "/api/v1/channels/live/c/members/u2";
    let subscribe = json!({"UserId": "u1", "ChanId": "c"});
    let pull = two.ask("Subscribe", subscribe).await["PullUrl"].clone();
    let (_, shown) = node.get(member).await;
    assert_eq!(shown["subscriptions"][0]["uid"], "u1");
    assert_eq!(shown["subscriptions"][0]["player"], json!(null));

    let grant = admission.play("live", &name(&pull), "").unwrap();
    let origin = origin();
    let player = node.router.subscribe(&grant, origin).unwrap();
    let mute = json!({"UserId": "u1", "MuteAudio": true, "MuteVideo": false});
    two.send("MuteRemoteStream", &mute);
    two.ask("KeepAlive", json!({"time": "1"})).await;
    let (_, shown) = node.get(member).await;
    let subscription = &shown["subscriptions"][0];
    assert_eq!(
        subscription["player"]["connection"],
        origin.connection.get()
    );
    assert_eq!(
        subscription["player"]["gate"]["audio_closed_by"],
        json!(["subscriber"])
    );
    assert_eq!(
        (&subscription["audio"], &subscription["video"]),
        (&json!("closed"), &json!("open"))
    );
    drop(player);
    let (_, shown) = node.get(member).await;
    assert_eq!(shown["subscriptions"][0]["player"], json!(null));
}

#[tokio::test]
async fn an_operator_mutes_a_member_for_everybody() {
    let node = node("");
    let mut one = joined(&node, "c", "u1").await;
    one.ask("Publish", json!("")).await;
    let path = "/api/v1/channels/live/c/members/u1/gate";
    let (status, member) = node.ask("PATCH", path, r#"{"audio":"closed"}"#).await;
    assert_eq!(status, StatusCode::OK);
    let publication = &member["publication"];
    assert_eq!(publication["operator_audio"], "closed");
    assert_eq!(
        (&publication["audio"], &publication["video"]),
        (&json!("closed"), &json!("open"))
    );
    let (_, member) = node.ask("PATCH", path, r#"{"audio":"open"}"#).await;
    assert_eq!(member["publication"]["audio"], "open");
    let (status, _) = node.ask("PATCH", path, "{}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let path = path.replace("u1", "u2");
    let (status, _) = node.ask("PATCH", &path, r#"{"audio":"open"}"#).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_kicked_member_is_gone_and_may_come_back() {
    let node = node("");
    let mut one = joined(&node, "c", "u1").await;
    let path = "/api/v1/channels/live/c/members/u1/kick";
    assert_eq!(node.ask("POST", path, "").await.0, StatusCode::NO_CONTENT);
    assert!(one.goodbye().await.starts_with("1000 "));
    assert_eq!(node.ask("POST", path, "").await.0, StatusCode::NOT_FOUND);
    let _again = joined(&node, "c", "u1").await;
}

#[tokio::test]
async fn a_ban_removes_its_members_and_keeps_them_out_until_it_is_lifted() {
    let node = node("");
    for (body, code) in [
        (
            r#"{"app":"live","uid":"u1","seconds":60,"reason":"spam"}"#,
            14,
        ),
        (r#"{"ip":"192.0.2.7"}"#, 15),
        (r#"{"app":"live","channel":"c"}"#, 16),
    ] {
        let mut one = joined(&node, "c", "u1").await;
        let mut other = Client::open(&node, "192.0.2.8");
        assert_eq!(other.login("d", "u2").await["Code"], 0);
        let (status, ban) = node.ask("POST", "/api/v1/bans", body).await;
        assert_eq!(
            (status, &ban["removed"]),
            (StatusCode::CREATED, &json!(1)),
            "{body}"
        );
        assert_eq!(one.goodbye().await, "1000 UID_BANNED");
        let mut back = Client::open(&node, "192.0.2.7");
        assert_eq!(back.login("c", "u1").await["Code"], code);
        // Others stay as they were.
        other.ask("KeepAlive", json!({"time": "1"})).await;

        let (_, list) = node.get("/api/v1/bans").await;
        assert_eq!(list["items"][0]["id"], ban["id"]);
        let path = format!("/api/v1/bans/{}", ban["id"]);
        assert_eq!(
            node.ask("DELETE", &path, "").await.0,
            StatusCode::NO_CONTENT
        );
        assert_eq!(node.ask("DELETE", &path, "").await.0, StatusCode::NOT_FOUND);
        let again = joined(&node, "c", "u1").await;
        node.ask("POST", "/api/v1/channels/live/c/members/u1/kick", "")
            .await;
        drop(again);
    }
}

#[tokio::test]
async fn a_ban_of_nobody_is_told_what_is_wrong() {
    let node = node("");
    for body in [
        "{}",
        r#"{"uid":"u1"}"#,
        r#"{"app":"live"}"#,
        r#"{"app":"live","uid":"a b"}"#,
        r#"{"app":"live","channel":"a/b"}"#,
        r#"{"app":"live","uid":"u1","ip":"10.0.0.1"}"#,
        r#"{"ip":"10.0.0.1","seconds":0}"#,
    ] {
        let (status, error) = node.ask("POST", "/api/v1/bans", body).await;
        assert_eq!(
            (status, &error["code"]),
            (StatusCode::BAD_REQUEST, &json!("bad_target")),
            "{body}"
        );
    }
    let (status, error) = node.ask("POST", "/api/v1/bans", r#"{"ip":"x"}"#).await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad_body"))
    );
    let away = node.send(AWAY, request("GET", "/api/v1/bans", "")).await;
    assert_eq!(away.0, StatusCode::UNAUTHORIZED);
}
