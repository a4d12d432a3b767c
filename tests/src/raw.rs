//! A peer that says what no client would: raw bytes on a socket, with the polite part of an RTMP
//! session done by hand where one is wanted.
//!
//! Shares no code with the node. Reading always has a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

use anyhow::{Context, Result, bail, ensure};

use crate::node::PATIENCE;

/// Bytes of C1, C2, S1 and S2.
const BLOCK: usize = 1536;
/// Payload bytes of a chunk, as long as nobody sets another size.
const CHUNK: usize = 128;

/// A connection whose every byte the test decides on.
#[derive(Debug)]
pub struct RawPeer {
    socket: TcpStream,
    /// What the node said and the test has not looked for yet.
    heard: Vec<u8>,
}

impl RawPeer {
    /// A connection that has said nothing.
    ///
    /// # Errors
    /// When the node does not listen.
    pub fn open(node: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(node)?)
    }

    /// The same from another address of this machine, such as 127.0.0.2.
    ///
    /// # Errors
    /// When the node does not listen.
    pub fn open_from(source: IpAddr, node: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(source, 0))?;
            socket.connect(node).await?.into_std()
        })?;
        socket.set_nonblocking(false)?;
        Self::over(socket)
    }

    fn over(socket: TcpStream) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            heard: Vec::new(),
        })
    }

    /// A connection after its handshake.
    ///
    /// # Errors
    /// When the node goes away.
    pub fn greeted(node: SocketAddr) -> Result<Self> {
        let mut peer = Self::open(node)?;
        peer.greet()?;
        Ok(peer)
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the node goes away.
    pub fn greet(&mut self) -> Result<()> {
        self.say(&[&[3][..], &[0; BLOCK]].concat())?;
        let mut answer = [0; 1 + 2 * BLOCK];
        self.socket.read_exact(&mut answer).context("S0, S1, S2")?;
        self.say(&[0; BLOCK])
    }

    /// A connection to an app.
    ///
    /// # Errors
    /// When the node refuses or goes away.
    pub fn connected(node: SocketAddr, app: &str) -> Result<Self> {
        let mut peer = Self::greeted(node)?;
        peer.say(&connect(app))?;
        peer.until_said(b"NetConnection.Connect.Success")?;
        Ok(peer)
    }

    /// A publisher in the app `live`.
    ///
    /// # Errors
    /// When the node refuses or goes away.
    pub fn publishing(node: SocketAddr, name: &str) -> Result<Self> {
        let mut peer = Self::connected(node, "live")?;
        peer.say(&publish(name))?;
        peer.until_said(b"NetStream.Publish.Start")?;
        Ok(peer)
    }

    /// A player in the app `live`, of a stream that is published.
    ///
    /// # Errors
    /// When the node refuses or goes away.
    pub fn playing(node: SocketAddr, name: &str) -> Result<Self> {
        let mut peer = Self::connected(node, "live")?;
        peer.say(&play(name))?;
        peer.until_said(b"NetStream.Play.Start")?;
        Ok(peer)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the node has closed, or reads nothing for [`PATIENCE`].
    pub fn say(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// A second hand on the same connection, to read with while the first writes.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn second(&self) -> Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            heard: Vec::new(),
        })
    }

    /// Reads until the connection ends, and keeps nothing.
    pub fn read_away(&mut self) {
        while matches!(self.read(), Ok(true)) {
            self.heard.clear();
        }
    }

    /// Sends no more.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn hang_up(&mut self) -> Result<()> {
        Ok(self.socket.shutdown(Shutdown::Write)?)
    }

    /// Reads until the node has said `wanted`, and forgets everything up to its end.
    ///
    /// # Errors
    /// When the node closes before.
    pub fn until_said(&mut self, wanted: &[u8]) -> Result<()> {
        loop {
            let found = self.heard.windows(wanted.len()).position(|it| it == wanted);
            if let Some(at) = found {
                self.heard.drain(..at + wanted.len());
                return Ok(());
            }
            ensure!(
                self.read()?,
                "the node closed before it said {:?}, after {:?}",
                String::from_utf8_lossy(wanted),
                String::from_utf8_lossy(&self.heard)
            );
        }
    }

    /// Pings and reads the answer: what was sent before is dealt with, and the connection lives.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&mut self, number: u32) -> Result<()> {
        self.say(&ping(number))?;
        self.until_said(&[&[0, 7][..], &number.to_be_bytes()].concat())
    }

    /// Reads until the node closes, and gives what it said and was not looked for.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_closed(&mut self) -> Result<String> {
        while self.read()? {}
        Ok(String::from_utf8_lossy(&self.heard).into_owned())
    }

    /// Takes in what the node sent; false once it has closed.
    fn read(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(read) => {
                self.heard
                    .extend_from_slice(buffer.get(..read).unwrap_or_default());
                Ok(read > 0)
            }
            // Closing with unread bytes is a reset.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => bail!("the node neither answers nor closes: {error}"),
        }
    }
}

/// A message with a type 0 header, cut into chunks of 128 bytes.
pub fn message(csid: u8, kind: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(csid, body.len(), kind, stream);
    let mut chunks = body.chunks(CHUNK);
    bytes.extend(chunks.next().unwrap_or_default());
    for chunk in chunks {
        bytes.push(0xc0 | csid);
        bytes.extend(chunk);
    }
    bytes
}

/// A type 0 header at time 0. `csid` is 2 to 63.
pub fn header(csid: u8, length: usize, kind: u8, stream: u8) -> Vec<u8> {
    let [.., a, b, c] = length.to_be_bytes();
    vec![csid, 0, 0, 0, a, b, c, kind, stream, 0, 0, 0]
}

/// A Set Chunk Size message.
pub fn chunk_size(size: u32) -> Vec<u8> {
    message(2, 1, 0, &size.to_be_bytes())
}

/// A ping request.
pub fn ping(number: u32) -> Vec<u8> {
    message(2, 4, 0, &[&[0, 6][..], &number.to_be_bytes()].concat())
}

/// A command: its name, its transaction id, and arguments as AMF0 bytes.
pub fn command(name: &str, transaction: f64, arguments: &[&[u8]]) -> Vec<u8> {
    let body = [text(name), amf_number(transaction), arguments.concat()].concat();
    message(3, 20, u8::from(matches!(name, "publish" | "play")), &body)
}

/// `connect`.
pub fn connect(app: &str) -> Vec<u8> {
    let object = [&[3, 0, 3][..], b"app", &text(app), &[0, 0, 9]].concat();
    command("connect", 1.0, &[&object])
}

/// `createStream` and `publish`.
pub fn publish(name: &str) -> Vec<u8> {
    let publish = command("publish", 3.0, &[NULL, &text(name), &text("live")]);
    [create_stream(), publish].concat()
}

/// `createStream` and `play`.
pub fn play(name: &str) -> Vec<u8> {
    [create_stream(), command("play", 3.0, &[NULL, &text(name)])].concat()
}

/// `createStream`.
pub fn create_stream() -> Vec<u8> {
    command("createStream", 2.0, &[NULL])
}

/// AMF0's null.
pub const NULL: &[u8] = &[5];

/// An AMF0 string of less than 64 KiB.
pub fn text(text: &str) -> Vec<u8> {
    let [.., a, b] = text.len().to_be_bytes();
    [&[2, a, b], text.as_bytes()].concat()
}

fn amf_number(number: f64) -> Vec<u8> {
    [&[0][..], &number.to_be_bytes()].concat()
}
