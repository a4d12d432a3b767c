//! A member of a channel: gateway, WebSocket, Login, KeepAlive, and what it is told to ask.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::http;

/// How often clients say that they are there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long a join may take once its turn has come.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of a WebSocket's buffers: thousands of them stand here.
const BUFFER: usize = 4096;

/// What a member is told to ask.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Publish,
    /// The stream of a member, by that one's place.
    Subscribe(usize),
    /// Mutes (or no longer) the audio of a member's stream.
    Mute(usize, bool),
}

/// What happened to the member at a place.
#[derive(Debug)]
pub(crate) enum News {
    Joined {
        asked: Instant,
    },
    Failed(anyhow::Error),
    PushUrl(String),
    /// Where the stream of a member is played.
    PullUrl {
        of: usize,
        url: String,
    },
    /// A member's stream was announced.
    Added {
        of: usize,
        at: Instant,
    },
    /// The first media of its stream is about to be written.
    Sent(Instant),
    /// The first bytes of a stream have come.
    Playing,
}

/// Where members tell what happens.
pub(crate) type Desk = UnboundedSender<(usize, News)>;

/// Who a member is; its place in the plan is its uid, counted from 1.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) place: usize,
    pub(crate) node: SocketAddr,
    pub(crate) app: Arc<str>,
    pub(crate) channel: String,
    pub(crate) desk: Desk,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) turns: Arc<Semaphore>,
}

type Socket = WebSocketStream<TcpStream>;

impl Member {
    /// Joins and stays until the run drops its orders.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.stay().await {
            let _ = self.desk.send((self.place, News::Failed(error)));
        }
    }

    async fn stay(&mut self) -> anyhow::Result<()> {
        let mut socket = {
            let turns = Arc::clone(&self.turns);
            let _turn = turns.acquire().await?;
            let asked = Instant::now();
            let socket = tokio::time::timeout(PATIENCE, self.join())
                .await
                .context("joining takes too long")??;
            self.tell(News::Joined { asked });
            socket
        };
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        loop {
            tokio::select! {
                frame = socket.next() => {
                    let frame = frame.context("the node closed the session")??;
                    match frame {
                        Message::Text(text) => self.hear(&text)?,
                        Message::Close(why) => anyhow::bail!("the node closed the session: {why:?}"),
                        // The library queues the pong; it goes out with the next flush.
                        Message::Ping(_) => socket.flush().await?,
                        _ => {}
                    }
                }
                _ = alive.tick() => say(&mut socket, "KeepAlive", &json!({"time": "0"})).await?,
                order = self.orders.recv() => match order {
                    Some(order) => self.ask(&mut socket, &order).await?,
                    None => return Ok(say(&mut socket, "Logout", &Value::Null).await?),
                },
            }
        }
    }

    async fn join(&self) -> anyhow::Result<Socket> {
        let (app, channel) = (&*self.app, &*self.channel);
        let uid = uid(self.place);
        let sid = format!("{:032x}", self.place + 1);
        let body = json!({
            "sid": sid, "appId": app, "cname": channel, "uid": uid, "token": "", "extend": "", "wss": false,
        });
        let path = "/arapi/v1?action=wapp_gateway";
        let answer = http::post(self.node, path, &body.to_string()).await?;
        let answer: Value = serde_json::from_str(&answer).context("the gateway's answer")?;
        welcome(&answer, "code").context("the gateway")?;
        let address = answer.pointer("/addresses/0").context("no address")?;
        let host = text(address, "addr").parse::<IpAddr>();
        let port = address.get("port").and_then(Value::as_u64).unwrap_or(80);
        let to = SocketAddr::new(
            host.context("the gateway names no IP")?,
            u16::try_from(port)?,
        );

        let stream = TcpStream::connect(to).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(1 << 20);
        let url = format!("ws://{to}/");
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await;
        let (mut socket, _) = opened.context("opening the WebSocket")?;
        let login = json!({
            "ChanId": channel, "ChanSId": text(&answer, "session_id"), "UserId": uid, "UserSId": sid,
            "SdkVer": "loadgen", "SessionId": "", "AcsToken": "",
        });
        let login =
            json!({"Cmd": "Login", "AppId": app, "Encrypt": false, "Content": login.to_string()});
        socket.send(Message::text(login.to_string())).await?;
        loop {
            let frame = socket
                .next()
                .await
                .context("closed before Login's answer")??;
            if let Message::Text(frame) = frame {
                let (cmd, content) = open(&frame)?;
                if cmd == "Login" {
                    welcome(&content, "Code").context("Login")?;
                    return Ok(socket);
                }
            }
        }
    }

    async fn ask(&self, socket: &mut Socket, order: &Order) -> anyhow::Result<()> {
        let (cmd, content) = match *order {
            Order::Publish => ("Publish", Value::Null),
            Order::Subscribe(of) => (
                "Subscribe",
                json!({"UserId": uid(of), "ChanId": self.channel}),
            ),
            Order::Mute(of, mute) => (
                "MuteRemoteStream",
                json!({"UserId": uid(of), "MuteAudio": mute, "MuteVideo": false}),
            ),
        };
        Ok(say(socket, cmd, &content).await?)
    }

    fn hear(&self, frame: &str) -> anyhow::Result<()> {
        let now = Instant::now();
        let (cmd, content) = open(frame)?;
        let of = || {
            let uid: usize = text(&content, "UserId").parse().ok()?;
            uid.checked_sub(1)
        };
        match &*cmd {
            "StreamAdded" => {
                if let Some(of) = of() {
                    self.tell(News::Added { of, at: now });
                }
            }
            "Publish" => {
                welcome(&content, "Code").context("Publish")?;
                self.tell(News::PushUrl(text(&content, "PushUrl").to_owned()));
            }
            "Subscribe" => {
                welcome(&content, "Code").context("Subscribe")?;
                let of = of().context("Subscribe's answer names nobody")?;
                let url = text(&content, "PullUrl").to_owned();
                self.tell(News::PullUrl { of, url });
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&self, news: News) {
        let _ = self.desk.send((self.place, news));
    }
}

fn uid(place: usize) -> String {
    (place + 1).to_string()
}

async fn say(
    socket: &mut Socket,
    cmd: &str,
    content: &Value,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let content = if content.is_null() {
        String::new()
    } else {
        content.to_string()
    };
    let frame = json!({"Cmd": cmd, "Encrypt": false, "Content": content});
    socket.send(Message::text(frame.to_string())).await
}

/// The command and the content of a frame.
fn open(frame: &str) -> anyhow::Result<(String, Value)> {
    let frame: Value = serde_json::from_str(frame).context("a frame that is no JSON")?;
    let content =
        serde_json::from_str(text(&frame, "Content")).context("a Content that is none")?;
    Ok((text(&frame, "Cmd").to_owned(), content))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn welcome(answer: &Value, code: &str) -> anyhow::Result<()> {
    let code = answer.get(code).and_then(Value::as_i64);
    anyhow::ensure!(code == Some(0), "refused: {answer}");
    Ok(())
}
