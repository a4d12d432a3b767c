//! HTTP by hand: requests as bytes, and FLV as it comes, over HTTP and over WebSocket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::flv::{self, Tag};
use crate::node::{PATIENCE, TestNode};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body, as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Connects, and waits no longer than a test may.
///
/// # Errors
/// Nobody listens.
pub fn connect(to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(to)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Sends one request by HTTP/1.1, with these lines in its head, and reads the answer to its end.
///
/// # Errors
/// No answer.
pub fn ask(node: &TestNode, method: &str, path: &str, lines: &str) -> Result<Answer> {
    let mut socket = connect(node.addresses().http)?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    socket.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    answer(&bytes)
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn answer(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.with_context(|| String::from_utf8_lossy(bytes).into_owned())?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    let body = bytes[end + 4..].to_vec();
    Ok(Answer { status, head, body })
}

/// A player that reads tags as they come.
pub struct Watcher {
    source: Source,
    bytes: Vec<u8>,
}

enum Source {
    /// HTTP/1.0, whose body is the stream and nothing else.
    Http(TcpStream),
    Messages(Box<WebSocket<MaybeTlsStream<TcpStream>>>),
}

impl Watcher {
    /// Watches over HTTP.
    ///
    /// # Errors
    /// Anything but 200.
    pub fn http(node: &TestNode, name: &str) -> Result<Self> {
        let mut socket = connect(node.addresses().http)?;
        write!(socket, "GET /live/{name}.flv HTTP/1.0\r\n\r\n")?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            ensure!(socket.read(&mut byte)? == 1, "the node closed");
            head.push(byte[0]);
        }
        let answer = answer(&head)?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(Self {
            source: Source::Http(socket),
            bytes: Vec::new(),
        })
    }

    /// Watches over WebSocket.
    ///
    /// # Errors
    /// The handshake is refused.
    pub fn messages(url: &str) -> Result<Self> {
        let (socket, _) = tungstenite::connect(url)?;
        if let MaybeTlsStream::Plain(socket) = socket.get_ref() {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        Ok(Self {
            source: Source::Messages(Box::new(socket)),
            bytes: Vec::new(),
        })
    }

    /// Reads some more; `false` at the end.
    fn read(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::Http(socket) => {
                let mut buffer = [0; 16 * 1024];
                let count = socket.read(&mut buffer)?;
                self.bytes.extend_from_slice(&buffer[..count]);
                Ok(count > 0)
            }
            Source::Messages(socket) => match socket.read()? {
                Message::Binary(message) => {
                    // Each message is the header or one tag.
                    let is_header = self.bytes.is_empty() && message.len() == 13;
                    let size = message.last_chunk::<4>().map(|it| u32::from_be_bytes(*it));
                    let is_tag = size == u32::try_from(message.len()).ok().map(|it| it - 4);
                    ensure!(is_header || is_tag, "a message of {} bytes", message.len());
                    self.bytes.extend_from_slice(&message);
                    Ok(true)
                }
                Message::Close(_) => Ok(false),
                Message::Pong(_) => Ok(true),
                other => bail!("{other:?}"),
            },
        }
    }

    /// Everything that has come, as FLV.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sends a message.
    ///
    /// # Errors
    /// This is not a WebSocket, or the node has closed.
    pub fn say(&mut self, message: Message) -> Result<()> {
        match &mut self.source {
            Source::Messages(socket) => Ok(socket.send(message)?),
            Source::Http(_) => bail!("not a WebSocket"),
        }
    }

    /// Waits for a message that is no tag.
    ///
    /// # Errors
    /// This is not a WebSocket, or the node has closed.
    pub fn hear(&mut self) -> Result<Message> {
        let Source::Messages(socket) = &mut self.source else {
            bail!("not a WebSocket")
        };
        loop {
            let message = socket.read()?;
            if !message.is_binary() {
                return Ok(message);
            }
        }
    }

    /// Reads until what came satisfies a condition, and gives all of it.
    ///
    /// # Errors
    /// The stream ends before.
    pub fn until(&mut self, condition: impl Fn(&[Tag]) -> bool) -> Result<Vec<Tag>> {
        let start = Instant::now();
        loop {
            if self.bytes.len() >= 13 {
                let tags = flv::parse(Bytes::copy_from_slice(&self.bytes))?;
                if condition(&tags) {
                    return Ok(tags);
                }
            }
            ensure!(start.elapsed() < PATIENCE, "it did not come");
            ensure!(self.read()?, "the stream ended");
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// The stream breaks off.
    pub fn to_end(mut self) -> Result<Vec<Tag>> {
        while self.read()? {}
        flv::parse(Bytes::from(self.bytes))
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}
