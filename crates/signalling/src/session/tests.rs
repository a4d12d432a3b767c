//! Sessions from first frame to last, over a WebSocket that is two queues, with time paused.

mod ends;
mod rights;

use std::net::IpAddr;

use bytes::Bytes;
use lockgate_media::Track;
use lockgate_routing::{
    Admission, ConnectionId, Grant, Origin, Publication, Refusal, Router, StreamId,
};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::code::Code;
use crate::config::{App, Config};
use crate::hooks::{Hooks, NoHooks};
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
