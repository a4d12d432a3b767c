//! Sessions from first frame to last, over a WebSocket that is two queues, with time paused.

use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use lockgate_media::Track;
use lockgate_routing::{
    Admission, ConnectionId, Grant, Origin, Publication, Refusal, Router, StreamId,
};
use prometheus::Registry;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;

use super::*;
use crate::code::Code;
use crate::config::{App, Config};
use crate::hooks::{Happened, Hooks, NoHooks, Who, Wish};
use crate::token::Certificate;
use crate::transport::Text;
use crate::{Signalling, gateway};

const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
const SECURED: &str = "0123456789abcdef0123456789abcdef";

struct Node {
    signalling: Signalling,
    admission: Arc<dyn Admission>,
    router: Arc<Router>,
}

struct Nobody;

impl Admission for Nobody {
    fn publish(&self, _: &str, _: &str, _: &str) -> Result<Grant, Refusal> {
        Err(Refusal::SignedOnly)
    }

    fn play(&self, _: &str, _: &str, _: &str) -> Result<Grant, Refusal> {
        Err(Refusal::SignedOnly)
    }
}

fn node_with(hooks: Arc<dyn Hooks>, change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config {
        apps: vec![
            App::open("live"),
            App {
                certificate: Certificate::new(CERTIFICATE),
                ..App::open(SECURED)
            },
            App {
                closed: true,
                ..App::open("shut")
            },
        ],
        ..Config::default()
    };
    change(&mut config);
    let registry = Registry::new();
    let router = Router::new(lockgate_routing::Config::default(), &registry).unwrap();
    let signalling = Signalling::new(config, hooks, Arc::clone(&router), &registry).unwrap();
    Node {
        admission: signalling.admission(Arc::new(Nobody)),
        signalling,
        router,
    }
}

fn node() -> Node {
    node_with(Arc::new(NoHooks), |_| ())
}

fn arrival() -> Arrival {
    Arrival {
        peer: IpAddr::from([192, 0, 2, 1]),
        host: "rtc.example".to_owned(),
        port: None,
        secure: false,
    }
}

/// What a client got: a command and its content, or the end.
#[derive(Debug, PartialEq)]
enum Got {
    Frame(String, Value),
    Close(u16, &'static str),
}

struct Wire {
    incoming: mpsc::UnboundedReceiver<Received>,
    outgoing: mpsc::UnboundedSender<Got>,
    /// It takes nothing: writes never end.
    stuck: bool,
}

impl Transport for Wire {
    async fn receive(&mut self) -> Received {
        self.incoming.recv().await.unwrap_or(Received::Gone)
    }

    async fn feed(&mut self, text: Text) -> Result<(), Broken> {
        if self.stuck {
            std::future::pending::<()>().await;
        }
        let frame: Value = serde_json::from_str(text.as_str()).unwrap();
        let content = serde_json::from_str(frame["Content"].as_str().unwrap()).unwrap();
        let cmd = frame["Cmd"].as_str().unwrap().to_owned();
        let _ = self.outgoing.send(Got::Frame(cmd, content));
        Ok(())
    }

    async fn probe(&mut self, _: u32) -> Result<(), Broken> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let _ = self.outgoing.send(Got::Close(code, reason));
    }
}

/// A client. Dropping it breaks its WebSocket.
struct Client {
    to: mpsc::UnboundedSender<Received>,
    from: mpsc::UnboundedReceiver<Got>,
}

impl Node {
    fn connect(&self) -> Client {
        self.connect_as(false)
    }

    fn connect_as(&self, stuck: bool) -> Client {
        let (to, incoming) = mpsc::unbounded_channel();
        let (outgoing, from) = mpsc::unbounded_channel();
        let wire = Wire {
            incoming,
            outgoing,
            stuck,
        };
        let signalling = self.signalling.clone();
        tokio::spawn(async move { signalling.session(wire, arrival()).await });
        Client { to, from }
    }

    async fn join(&self, uid: &str) -> Client {
        let mut client = self.connect();
        let answer = client.login("live", uid, &format!("sid-{uid}"), "").await;
        assert_eq!(answer, json!({"Code": 0, "UserId": uid}));
        client
    }

    /// Opens a URL as a pusher does, and sends a frame.
    fn push(&self, url: &str) -> Publication {
        let (app, name) = parts(url);
        let grant = self.admission.publish(app, name, "").unwrap();
        let origin = Origin {
            connection: ConnectionId::next(),
            protocol: "rtmp",
            peer: ([127, 0, 0, 1], 9).into(),
        };
        let mut publication = self.router.publish(&grant, origin).unwrap();
        for frame in [&[0xaf, 0, 0x12, 0x10][..], &[0xaf, 1, 0x21, 0x10]] {
            let frame = Bytes::from_static(frame);
            let now = std::time::Instant::now();
            publication.push(Track::Audio, 0, frame, now).unwrap();
        }
        publication.flush();
        publication
    }

    fn is_dead(&self, url: &str) -> bool {
        let (app, name) = parts(url);
        let pushes = self.admission.publish(app, name, "").is_ok();
        !(pushes || self.admission.play(app, name, "").is_ok())
    }

    fn gateway(&self, body: &Value) -> gateway::Reply {
        self.signalling
            .gateway(body.to_string().as_bytes(), &arrival())
    }
}

fn parts(url: &str) -> (&str, &str) {
    let path = url.strip_prefix("rtmp://rtc.example/").unwrap();
    path.split_once('/').unwrap()
}

impl Client {
    fn send(&self, cmd: &str, content: &Value) {
        let content = match content {
            Value::Null => String::new(),
            content => content.to_string(),
        };
        self.send_frame(&json!({"Cmd": cmd, "Content": content}).to_string());
    }

    fn send_frame(&self, frame: &str) {
        let text = Text::from(frame.to_owned());
        self.to.send(Received::Text(text)).unwrap();
    }

    async fn got(&mut self) -> Got {
        self.from.recv().await.unwrap()
    }

    async fn frame(&mut self) -> (String, Value) {
        match self.got().await {
            Got::Frame(cmd, content) => (cmd, content),
            close @ Got::Close(..) => panic!("{close:?}"),
        }
    }

    async fn ask(&mut self, cmd: &str, content: Value) -> Value {
        self.send(cmd, &content);
        let (answered, content) = self.frame().await;
        assert_eq!(answered, cmd, "{content}");
        content
    }

    async fn login(&mut self, app: &str, uid: &str, sid: &str, token: &str) -> Value {
        let content = json!({"ChanId": "c", "ChanSId": "", "UserId": uid, "UserSId": sid,
            "SdkVer": "1", "SessionId": "", "AcsToken": token, "Caps": ["token-events"]});
        let frame = json!({"Cmd": "Login", "AppId": app, "Content": content.to_string()});
        self.send_frame(&frame.to_string());
        let (cmd, answer) = self.frame().await;
        assert_eq!(cmd, "Login");
        answer
    }

    async fn publish(&mut self) -> String {
        let answer = self.ask("Publish", Value::Null).await;
        answer["PushUrl"].as_str().unwrap().to_owned()
    }

    async fn subscribe(&mut self, of: &str) -> String {
        let answer = self
            .ask("Subscribe", json!({"UserId": of, "ChanId": "c"}))
            .await;
        assert_eq!(answer["UserId"], of);
        answer["PullUrl"].as_str().unwrap().to_owned()
    }
}

fn notice(cmd: &str, uid: &str) -> (String, Value) {
    (cmd.to_owned(), json!({"ChanId": "c", "UserId": uid}))
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_in_order_with_their_command() {
    let node = node();
    let mut client = node.join("a").await;
    let cmds = [
        "KeepAlive",
        "SetRole",
        "Publish",
        "UnPublish",
        "Dance",
        "UnSubscribe",
    ];
    for cmd in cmds {
        client.send(cmd, &json!({"Role": "Host", "UserId": "b"}));
    }
    for cmd in cmds {
        let (answered, content) = client.frame().await;
        assert_eq!(answered, cmd);
        assert_eq!(content["Code"], if cmd == "Dance" { 2006 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn before_login_there_is_nothing_to_be_had() {
    let node = node();
    let mut client = node.connect();
    for cmd in ["Publish", "UnPublish", "Logout", "SetRole"] {
        let answer = client.ask(cmd, json!({"Role": "Host"})).await;
        assert_eq!(answer["Code"], 2003, "{cmd}");
    }
    assert_eq!(
        client.ask("KeepAlive", json!({"time": "1"})).await["Code"],
        0
    );
    assert_eq!(client.login("none", "a", "s", "").await["Code"], 101);
    assert_eq!(client.login("shut", "a", "s", "").await["Code"], 102);
    assert_eq!(client.login("live", "a b", "s", "").await["Code"], 13);
    assert_eq!(client.login("live", "a", "s", "").await["Code"], 0);
    assert_eq!(client.login("live", "a", "s", "").await["Code"], 0);
    assert_eq!(client.login("live", "b", "s", "").await["Code"], 2008);
}

#[tokio::test(start_paused = true)]
async fn the_node_picks_a_uid_where_none_is_given_and_keeps_it_for_the_session() {
    let node = node();
    let mut client = node.connect();
    let answer = client.login("live", "", "s", "").await;
    let uid = answer["UserId"].as_str().unwrap().to_owned();
    assert!(uid.parse::<u32>().unwrap() > 0);
    drop(client);
    let again = node.connect().login("live", "", "s", "").await;
    assert_eq!(again["UserId"], uid);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_of_when_its_media_is_there() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let push = a.publish().await;
    let asked = b.ask("KeepAlive", json!({})).await;
    assert_eq!(asked["Code"], 0);
    let publication = node.push(&push);
    assert_eq!(b.frame().await, notice("StreamAdded", "a"));
    // A late joiner: its answer first, then the stream.
    let mut late = node.join("late").await;
    assert_eq!(late.frame().await, notice("StreamAdded", "a"));
    // A pusher that breaks off has the publisher's grace to come back, and nobody hears of it.
    drop(publication);
    let publication = node.push(&push);
    assert_eq!(b.ask("KeepAlive", json!({})).await["Code"], 0);
    drop(publication);
    assert_eq!(b.frame().await, notice("StreamRemove", "a"));
    let _back = node.push(&push);
    assert_eq!(b.frame().await, notice("StreamAdded", "a"));
}

#[tokio::test(start_paused = true)]
async fn a_pull_url_has_the_form_it_was_asked_for_and_is_where_the_client_came() {
    let hidden = |config: &mut Config| {
        config.public_host = Some("media.example".to_owned());
        config.public_port = Some(8443);
    };
    for (node, base) in [
        (node(), "rtc.example"),
        (node_with(Arc::new(NoHooks), hidden), "media.example:8443"),
    ] {
        let mut a = node.join("a").await;
        let mut b = node.join("b").await;
        let _pushed = node.push(&a.publish().await);
        assert_eq!(b.frame().await, notice("StreamAdded", "a"));
        let mut urls = Vec::new();
        for form in ["http-flv", "ws-flv", "whep", "rtmp"] {
            let content = json!({"UserId": "a", "Form": form});
            let answer = b.ask("Subscribe", content).await;
            urls.push(answer["PullUrl"].as_str().unwrap().to_owned());
        }
        let (_, name) = parts(&urls[3]);
        assert_eq!(urls[0], format!("http://{base}/live/{name}.flv"));
        assert_eq!(urls[1], format!("ws://{base}/live/{name}.flv"));
        assert_eq!(urls[2], format!("http://{base}/live/{name}/whep"));
        for form in ["hls", "whip"] {
            let answer = b
                .ask("Subscribe", json!({"UserId": "a", "Form": form}))
                .await;
            assert_eq!(answer["Code"], json!(Code::Malformed), "{form}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_url_has_the_form_it_was_asked_for_and_is_of_the_one_publication() {
    let node = node();
    let mut a = node.join("a").await;
    let rtmp = a.publish().await;
    let (_, name) = parts(&rtmp);
    let asked = a.ask("Publish", json!({"Form": "whip"})).await;
    assert_eq!(
        asked["PushUrl"],
        format!("http://rtc.example/live/{name}/whip")
    );
    for form in ["whep", "http-flv"] {
        let answer = a.ask("Publish", json!({"Form": form})).await;
        assert_eq!(answer["Code"], json!(Code::Malformed), "{form}");
    }
    assert!(!node.is_dead(&rtmp));
}

#[tokio::test(start_paused = true)]
async fn urls_die_with_what_they_are_bound_to() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let push = a.publish().await;
    let publication = node.push(&push);
    b.frame().await;
    let pull = b.subscribe("a").await;
    assert!(!node.is_dead(&push) && !node.is_dead(&pull));
    b.ask("UnSubscribe", json!({"UserId": "a"})).await;
    assert!(node.is_dead(&pull));
    let pull = b.subscribe("a").await;
    a.ask("SetRole", json!({"Role": "Audience"})).await;
    publication.cut().await;
    assert!(node.is_dead(&push) && node.is_dead(&pull));
    assert_eq!(b.frame().await, notice("StreamRemove", "a"));
    assert_eq!(a.ask("Publish", Value::Null).await["Code"], 2004);
}

#[tokio::test(start_paused = true)]
async fn a_mute_acts_on_the_gate_before_the_url_is_used() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    a.publish().await;
    b.send(
        "MuteRemoteStream",
        &json!({"UserId": "a", "MuteAudio": true, "MuteVideo": false}),
    );
    let pull = b.subscribe("a").await;
    let (app, name) = parts(&pull);
    let lease = node.admission.play(app, name, "").unwrap().lease.unwrap();
    let switches = || {
        (
            lease.gate().switches().audio_open(),
            lease.gate().switches().video_open(),
        )
    };
    assert_eq!(switches(), (false, true));
    b.send(
        "MuteRemoteStream",
        &json!({"UserId": "a", "MuteAudio": false, "MuteVideo": true}),
    );
    b.ask("KeepAlive", json!({})).await;
    assert_eq!(switches(), (true, false));
    // Whom nobody knows cannot be muted, and that is said.
    let answer = b
        .ask(
            "MuteRemoteStream",
            json!({"UserId": "x", "MuteAudio": true, "MuteVideo": true}),
        )
        .await;
    assert_eq!(answer["Code"], 2005);
}

#[tokio::test(start_paused = true)]
async fn logout_is_answered_and_then_the_session_ends() {
    let node = node();
    let mut client = node.join("a").await;
    assert_eq!(client.ask("Logout", Value::Null).await, json!({"Code": 0}));
    assert_eq!(client.got().await, Got::Close(1000, "LEAVE"));
    assert!(node.signalling.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_session_of_the_same_uid_ends_the_older() {
    let node = node();
    let mut old = node.join("a").await;
    let mut new = node.connect();
    new.login("live", "a", "another", "").await;
    assert_eq!(old.got().await, Got::Close(1000, "UID_REPLACED"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_websocket_leaves_the_media_its_grace() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let push = a.publish().await;
    let publication = node.push(&push);
    b.frame().await;
    drop(a);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(b.ask("KeepAlive", json!({})).await["Code"], 0);
    assert!(!node.is_dead(&push));
    // It comes back in time, and publishes to the same URL.
    let mut a = node.join("a").await;
    assert_eq!(a.publish().await, push);
    drop(a);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(b.ask("KeepAlive", json!({})).await["Code"], 0);
    // The second time it does not.
    publication.cut().await;
    assert_eq!(b.frame().await, notice("StreamRemove", "a"));
    assert!(node.is_dead(&push));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_says_nothing_is_closed_for_its_client_to_come_back() {
    let node = node();
    let started = Instant::now();
    let mut client = node.join("a").await;
    assert_eq!(client.got().await, Got::Close(1000, "NETWORK_ERROR"));
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    // One that never logs in is not waited for as long.
    let started = Instant::now();
    let mut client = node.connect();
    assert_eq!(client.got().await, Got::Close(1000, "NETWORK_ERROR"));
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    // One that was refused has nothing to come back for.
    let mut client = node.connect();
    client.login("none", "a", "s", "").await;
    assert_eq!(client.got().await, Got::Close(1000, "PROTOCOL_ERROR"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_alone() {
    let node = node();
    let mut reader = node.join("reader").await;
    let mut stuck = node.connect_as(true);
    stuck.send_frame(
        &json!({"Cmd": "Login", "AppId": "live", "Content":
            json!({"ChanId": "c", "UserId": "stuck", "UserSId": "s"}).to_string()})
        .to_string(),
    );
    tokio::time::sleep(Duration::from_secs(11)).await;
    let members = node.signalling.members("live", "c").unwrap();
    let stuck_one = members
        .iter()
        .find(|it| it.uid.as_str() == "stuck")
        .unwrap();
    assert!(!stuck_one.connected);
    assert_eq!(reader.ask("KeepAlive", json!({})).await["Code"], 0);
    assert!(stuck.from.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_at_its_rate_and_answered_to_the_last() {
    let node = node();
    let mut client = node.join("a").await;
    let started = Instant::now();
    for _ in 0..200 {
        client.send("UnPublish", &Value::Null);
    }
    for _ in 0..200 {
        assert_eq!(client.frame().await.0, "UnPublish");
    }
    let took = started.elapsed();
    assert!(took > Duration::from_millis(2900), "{took:?}");
    assert!(took < Duration::from_millis(3100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn junk_is_passed_over_until_it_is_too_much() {
    let node = node();
    let mut client = node.join("a").await;
    for junk in ["", "{", "7", "null", r#"{"Cmd":null}"#] {
        client.send_frame(junk);
    }
    assert_eq!(client.ask("KeepAlive", json!({})).await["Code"], 0);
    for _ in 0..20 {
        client.send_frame("junk");
    }
    assert_eq!(client.got().await, Got::Close(1000, "PROTOCOL_ERROR"));
}

#[tokio::test(start_paused = true)]
async fn an_address_has_only_so_many_sessions() {
    let node = node_with(Arc::new(NoHooks), |config| config.sessions_per_ip = 1);
    let first = node.join("a").await;
    assert!(matches!(node.connect().got().await, Got::Close(1013, _)));
    drop(first);
    tokio::task::yield_now().await;
    node.join("b").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_kicked_or_banned_is_told_which() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    assert!(node.signalling.kick("live", "c", "a"));
    assert_eq!(a.got().await, Got::Close(1000, "KICKED"));
    assert_eq!(node.signalling.expel(|who| who.uid.is_some()), 1);
    assert_eq!(b.got().await, Got::Close(1000, "UID_BANNED"));
    assert!(!node.signalling.kick("live", "c", "a"));
}

#[tokio::test(start_paused = true)]
async fn an_operator_mutes_for_everybody() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let _publication = node.push(&a.publish().await);
    b.frame().await;
    assert!(node.signalling.mute("live", "c", "a", Some(true), None));
    let (cmd, content) = b.frame().await;
    assert_eq!(
        (cmd.as_str(), &content["Audio"]),
        ("UserAudStatus", &json!(false))
    );
    let members = node.signalling.members("live", "c").unwrap();
    let a = members.iter().find(|it| it.uid.as_str() == "a").unwrap();
    let publication = a.publication.as_ref().unwrap();
    assert_eq!(publication.muted_by_operator, (true, false));
    assert_eq!(publication.stream, StreamId::new("live", "c/a").unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_sends_its_clients_to_come_back() {
    let node = node();
    let mut client = node.join("a").await;
    let (_, got) = tokio::join!(node.signalling.shutdown(), client.got());
    assert_eq!(got, Got::Close(1001, "SHUTDOWN"));
}

#[tokio::test(start_paused = true)]
async fn the_gateway_tells_where_to_connect_or_why_not() {
    let node = node();
    let ask = |app: &str, channel: &str, wss: bool| {
        node.gateway(
            &json!({"sid": "s", "appId": app, "cname": channel, "uid": "",
            "token": "", "extend": "", "wss": wss}),
        )
    };
    let reply = ask("live", "room #1?", true);
    assert_eq!(reply.code, Code::Ok);
    assert!(!reply.session_id.is_empty());
    let json = serde_json::to_value(&reply).unwrap();
    assert_eq!(
        json["addresses"],
        json!([{"type": 0, "addr": "rtc.example", "port": 443}])
    );
    assert_eq!(ask("live", "c", false).addresses[0].port, 80);
    for (app, channel, code) in [
        ("none", "c", Code::AppInvalid),
        ("shut", "c", Code::NotOpen),
        ("live", "a/b", Code::DeveloperInvalid),
        (SECURED, "c", Code::TokenInvalid),
    ] {
        assert_eq!(ask(app, channel, true).code, code, "{app} {channel}");
    }
    assert_eq!(node.gateway(&json!([])).code, Code::Malformed);
    assert_eq!(node.gateway(&json!({})).code, Code::AppInvalid);
    assert_eq!(
        node.signalling.gateway(b"{", &arrival()).code,
        Code::Malformed
    );
}

/// A token of version 006 for anybody in channel `c`, each privilege until so long from now.
fn token(privileges: &[(u16, u64)]) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = u32::try_from(now.unwrap().as_secs()).unwrap();
    let mut message = Vec::new();
    message.extend(7_u32.to_le_bytes());
    message.extend((now + 3600).to_le_bytes());
    message.extend(u16::try_from(privileges.len()).unwrap().to_le_bytes());
    for (privilege, seconds) in privileges {
        message.extend(privilege.to_le_bytes());
        message.extend((now + u32::try_from(*seconds).unwrap()).to_le_bytes());
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(CERTIFICATE.as_bytes()).unwrap();
    mac.update(SECURED.as_bytes());
    mac.update(b"c");
    mac.update(&message);
    let signature = mac.finalize().into_bytes();
    let text = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap();
        [&length.to_le_bytes(), bytes].concat()
    };
    let content = [
        text(&signature),
        crc32fast::hash(b"c").to_le_bytes().to_vec(),
        crc32fast::hash(b"").to_le_bytes().to_vec(),
        text(&message),
    ];
    format!("006{SECURED}{}", STANDARD.encode(content.concat()))
}

#[tokio::test(start_paused = true)]
async fn a_session_is_warned_of_its_tokens_end_and_renews_it_or_ends() {
    let node = node();
    let mut client = node.connect();
    let answer = client.login(SECURED, "a", "s", &token(&[(1, 45)])).await;
    assert_eq!(answer["Code"], 0);
    let (cmd, content) = client.frame().await;
    assert_eq!(cmd, "TokenWillExpire");
    assert!(
        content["Seconds"]
            .as_u64()
            .is_some_and(|it| (29..=30).contains(&it))
    );
    let refused = client.ask("RenewToken", json!({"AcsToken": "junk"})).await;
    assert_eq!(refused["Code"], 110);
    let renewed = client
        .ask("RenewToken", json!({"AcsToken": token(&[(1, 60)])}))
        .await;
    assert_eq!(renewed["Code"], 0);
    let started = Instant::now();
    client.to.send(Received::Alive).unwrap();
    assert_eq!(client.frame().await.0, "TokenWillExpire");
    client.to.send(Received::Alive).unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    client.to.send(Received::Alive).unwrap();
    assert_eq!(client.frame().await.0, "TokenExpired");
    assert!(started.elapsed() > Duration::from_secs(57));
    assert_eq!(client.got().await, Got::Close(1000, "TOKEN_EXPIRED"));
}

#[tokio::test(start_paused = true)]
async fn a_token_decides_what_may_be_published() {
    let node = node();
    let mut client = node.connect();
    client.login(SECURED, "a", "s", &token(&[(1, 600)])).await;
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 2009);
    let audio_alone = token(&[(1, 600), (2, 600)]);
    client
        .ask("RenewToken", json!({"AcsToken": audio_alone}))
        .await;
    assert_eq!(
        client.ask("Publish", json!({"Target": "video"})).await["Code"],
        2009
    );
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 0);
    let mut late = node.connect();
    assert_eq!(
        late.login(SECURED, "b", "s", &token(&[(1, 0)])).await["Code"],
        109
    );
}

/// Bans one uid, and lets nobody publish.
#[derive(Debug)]
struct Strict(parking_lot::Mutex<Vec<Happened>>);

impl Hooks for Strict {
    fn banned(&self, who: &Who) -> Option<Code> {
        let is_bad = who.uid.as_ref().is_some_and(|uid| uid.as_str() == "bad");
        is_bad.then_some(Code::UidBanned)
    }

    fn may(&self, _: &Who, wish: Wish) -> Option<crate::hooks::Answer<'_>> {
        (wish == Wish::Publish).then(|| -> crate::hooks::Answer<'_> {
            Box::pin(std::future::ready(Err(Code::Refused)))
        })
    }

    fn happened(&self, _: &Who, what: Happened) {
        self.0.lock().push(what);
    }

    fn report(&self, _: &Who, _: &Value) {}
}

#[tokio::test(start_paused = true)]
async fn hooks_refuse_and_hear() {
    let hooks = Arc::new(Strict(parking_lot::Mutex::default()));
    let node = node_with(hooks.clone(), |_| ());
    let mut client = node.connect();
    assert_eq!(client.login("live", "bad", "s", "").await["Code"], 14);
    assert_eq!(client.login(SECURED, "a", "s", "").await["Code"], 110);
    assert_eq!(client.login("live", "a", "s", "").await["Code"], 0);
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 2002);
    client.ask("Logout", Value::Null).await;
    assert_eq!(
        *hooks.0.lock(),
        [
            Happened::TokenRefused("missing"),
            Happened::Joined,
            Happened::Left(Leave::Logout)
        ]
    );
}
