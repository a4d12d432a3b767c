//! A member of a channel as deployed clients speak, written from the protocol page alone.
//!
//! It breaks where such a client would: on a `Content` that does not parse, on a stream announced
//! twice, on a status about a user it was never told of.

use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::node::PATIENCE;

/// What a client needs to join.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The app.
    pub app: String,
    /// The channel.
    pub channel: String,
    /// The user, or "" to be given one.
    pub uid: String,
    /// The token, or "".
    pub token: String,
    /// 32 hex characters, one per join.
    pub sid: String,
}

impl Ticket {
    /// A ticket for an open app.
    pub fn new(channel: &str, uid: &str) -> Self {
        Self {
            app: "live".to_owned(),
            channel: channel.to_owned(),
            uid: uid.to_owned(),
            token: String::new(),
            sid: format!("{:032x}", u128::from(std::process::id()) << 64 | fresh()),
        }
    }
}

fn fresh() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).into()
}

/// How a session ended, as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The close code; 1006 where there was none.
    pub code: u16,
    /// The close reason.
    pub reason: String,
}

/// A joined client.
#[derive(Debug)]
pub struct Member {
    socket: WebSocket<TcpStream>,
    ticket: Ticket,
    /// The user id, as Login was answered.
    pub uid: String,
    known: HashSet<String>,
    notices: VecDeque<(String, Value)>,
    answers: VecDeque<(String, Value)>,
    closed: Option<Closed>,
}

/// Asks the gateway; its answer as it came.
///
/// # Errors
/// When there is no HTTP answer.
pub fn gateway(http: SocketAddr, ticket: &Ticket) -> Result<Value> {
    let body = json!({
        "sid": ticket.sid, "appId": ticket.app, "cname": ticket.channel, "uid": ticket.uid,
        "token": ticket.token, "extend": "", "wss": false,
    });
    let url = format!("http://{http}/arapi/v1?action=wapp_gateway");
    Ok(ureq::post(&url).send_json(body)?.body_mut().read_json()?)
}

impl Member {
    /// Joins: the gateway, the WebSocket it names, Login, the first KeepAlive.
    ///
    /// # Errors
    /// When one of them refuses, with the code in the message.
    pub fn join(http: SocketAddr, ticket: &Ticket) -> Result<Self> {
        let welcome = gateway(http, ticket)?;
        ensure!(welcome["code"] == 0, "gateway: {welcome}");
        let addresses = welcome["addresses"].as_array().context("addresses")?;
        let address = addresses
            .iter()
            .find(|it| it["type"] == 0)
            .context("an address of type 0")?;
        let (host, port) = (address["addr"].as_str(), address["port"].as_u64());
        let (host, port) = (host.context("addr")?, port.context("port")?);
        let stream = TcpStream::connect((host, u16::try_from(port)?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(format!("ws://{host}:{port}/"), stream)
            .map_err(|error| anyhow::anyhow!("the WebSocket handshake: {error}"))?;
        let mut member = Self {
            socket,
            ticket: ticket.clone(),
            uid: String::new(),
            known: HashSet::new(),
            notices: VecDeque::new(),
            answers: VecDeque::new(),
            closed: None,
        };
        let session = welcome["session_id"].as_str().context("session_id")?;
        let login = json!({
            "ChanId": ticket.channel, "ChanSId": session, "UserId": ticket.uid,
            "UserSId": ticket.sid, "SdkVer": "1.0.0", "SessionId": "", "AcsToken": ticket.token,
        });
        member.send_with_app("Login", &login.to_string())?;
        let answer = member.answer("Login")?;
        ensure!(answer["Code"] == 0, "Login: {answer}");
        member.uid = answer["UserId"]
            .as_str()
            .context("UserId is text")?
            .to_owned();
        member.send("KeepAlive", &json!({"time": "1700000000000"}))?;
        Ok(member)
    }

    /// Sends one command with JSON in its Content.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn send(&mut self, command: &str, content: &Value) -> Result<()> {
        self.send_raw(command, &content.to_string())
    }

    /// Sends one command with any text in its Content.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn send_raw(&mut self, command: &str, content: &str) -> Result<()> {
        self.send_frame(&json!({"Cmd": command, "Encrypt": false, "Content": content}).to_string())
    }

    fn send_with_app(&mut self, command: &str, content: &str) -> Result<()> {
        let app = &self.ticket.app;
        self.send_frame(&json!({"Cmd": command, "AppId": app, "Content": content}).to_string())
    }

    /// Sends one text frame, whatever is in it.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn send_frame(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.send(Message::text(text))?)
    }

    /// The next answer that was not taken yet; it must be to `command`.
    ///
    /// # Errors
    /// When another command's answer comes, or none.
    pub fn answer(&mut self, command: &str) -> Result<Value> {
        loop {
            while let Some((answered, content)) = self.answers.pop_front() {
                if answered == "KeepAlive" && command != "KeepAlive" {
                    continue;
                }
                ensure!(
                    answered == command,
                    "{command} was answered by {answered}: {content}"
                );
                return Ok(content);
            }
            ensure!(
                self.read()?,
                "closed instead of answering {command}: {:?}",
                self.closed
            );
        }
    }

    /// Sends a command and takes its answer.
    ///
    /// # Errors
    /// When another command's answer comes, or none.
    pub fn ask(&mut self, command: &str, content: &Value) -> Result<Value> {
        self.send(command, content)?;
        self.answer(command)
    }

    /// Asks for a push URL.
    ///
    /// # Errors
    /// When it is refused.
    pub fn publish(&mut self) -> Result<String> {
        self.send_raw("Publish", "")?;
        let answer = self.answer("Publish")?;
        ensure!(answer["Code"] == 0, "Publish: {answer}");
        Ok(answer["PushUrl"].as_str().context("PushUrl")?.to_owned())
    }

    /// Asks for a pull URL.
    ///
    /// # Errors
    /// When it is refused.
    pub fn subscribe(&mut self, uid: &str) -> Result<String> {
        let content = json!({"UserId": uid, "ChanId": self.ticket.channel});
        let answer = self.ask("Subscribe", &content)?;
        ensure!(
            answer["Code"] == 0 && answer["UserId"] == uid,
            "Subscribe: {answer}"
        );
        Ok(answer["PullUrl"].as_str().context("PullUrl")?.to_owned())
    }

    /// Asks for a pull URL of a form.
    ///
    /// # Errors
    /// When it is refused.
    pub fn subscribe_as(&mut self, uid: &str, form: &str) -> Result<String> {
        let answer = self.ask("Subscribe", &json!({"UserId": uid, "Form": form}))?;
        let url = answer["PullUrl"].as_str();
        Ok(url.with_context(|| answer.to_string())?.to_owned())
    }

    /// Mutes or unmutes what comes from a user.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn mute(&mut self, uid: &str, audio: bool, video: bool) -> Result<()> {
        self.send(
            "MuteRemoteStream",
            &json!({"UserId": uid, "MuteAudio": audio, "MuteVideo": video}),
        )
    }

    /// Mutes or unmutes what goes to everybody.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn mute_local(&mut self, audio: bool, video: bool) -> Result<()> {
        let uid = self.uid.clone();
        self.send(
            "MuteLocalStream",
            &json!({"UserId": uid, "MuteAudio": audio, "MuteVideo": video}),
        )
    }

    /// Waits for a notice of this name about this user.
    ///
    /// # Errors
    /// When it does not come.
    pub fn notice(&mut self, command: &str, uid: &str) -> Result<Value> {
        let start = Instant::now();
        loop {
            let found = self
                .notices
                .iter()
                .position(|(name, content)| name == command && content["UserId"] == uid);
            if let Some(content) = found.and_then(|at| self.notices.remove(at)) {
                return Ok(content.1);
            }
            ensure!(start.elapsed() < PATIENCE, "no {command} about {uid}");
            ensure!(
                self.read()?,
                "closed instead of {command}: {:?}",
                self.closed
            );
        }
    }

    /// Notices that came and were not waited for, after a round trip: whatever was sent before it
    /// has arrived.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn settle(&mut self) -> Result<Vec<(String, Value)>> {
        self.answers.retain(|(command, _)| command != "KeepAlive");
        self.send("KeepAlive", &json!({"time": "1700000000000"}))?;
        while !self
            .answers
            .iter()
            .any(|(command, _)| command == "KeepAlive")
        {
            ensure!(self.read()?, "closed: {:?}", self.closed);
        }
        Ok(self.notices.drain(..).collect())
    }

    /// Waits until the node closes the session.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_closed(mut self) -> Result<Closed> {
        while self.read()? {}
        self.closed.context("closed")
    }

    /// Breaks the connection without a word.
    pub fn vanish(self) {
        // Dropping the socket closes it: the node sees an end with no close frame.
        drop(self);
    }

    /// How long nothing may come before a read fails.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn patience(&self, patience: Duration) -> Result<()> {
        Ok(self.socket.get_ref().set_read_timeout(Some(patience))?)
    }

    /// Takes in one frame; `false` when the session is closed.
    fn read(&mut self) -> Result<bool> {
        if self.closed.is_some() {
            return Ok(false);
        }
        let text = match self.socket.read() {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(frame)) => {
                self.closed = Some(frame.map_or(
                    Closed {
                        code: 1005,
                        reason: String::new(),
                    },
                    |it| Closed {
                        code: it.code.into(),
                        reason: it.reason.to_string(),
                    },
                ));
                return Ok(false);
            }
            Ok(_) => return Ok(true),
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                bail!("nothing came in time")
            }
            Err(_) => {
                self.closed = Some(Closed {
                    code: 1006,
                    reason: String::new(),
                });
                return Ok(false);
            }
        };
        let envelope: Value = serde_json::from_str(&text).context("an envelope")?;
        let command = envelope["Cmd"].as_str().context("Cmd")?.to_owned();
        let content = envelope["Content"].as_str().context("Content is text")?;
        // The client parses it before it looks at Cmd.
        let content: Value =
            serde_json::from_str(content).with_context(|| format!("Content of {command}"))?;
        let user = content["UserId"].as_str().unwrap_or_default().to_owned();
        match command.as_str() {
            "StreamAdded" => {
                ensure!(user != self.uid, "announced to itself");
                ensure!(
                    self.known.insert(user.clone()),
                    "{user} was announced twice"
                );
                self.notices.push_back((command, content));
            }
            "StreamRemove" => {
                ensure!(
                    self.known.remove(&user),
                    "{user} went, and was never announced"
                );
                self.notices.push_back((command, content));
            }
            "UserAudStatus" | "UserVidStatus" => {
                ensure!(
                    self.known.contains(&user),
                    "{command} about the unknown {user}"
                );
                self.notices.push_back((command, content));
            }
            _ => self.answers.push_back((command, content)),
        }
        Ok(true)
    }
}
