//! Publishers and players on rml_rtmp's client side, which shares no code with the node.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionError, ClientSessionEvent,
    ClientSessionResult, PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use crate::flv::{Kind, Tag};
use crate::node::PATIENCE;

/// A connection to a node, before or after it publishes or plays.
pub struct Peer {
    socket: TcpStream,
    session: ClientSession,
    events: VecDeque<ClientSessionEvent>,
    /// Messages written.
    sent: u64,
    /// Commands were sent that the session knows nothing of.
    commanded: bool,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// Shakes hands and connects to an app.
    ///
    /// # Errors
    /// When the node refuses or goes away.
    pub fn connect(node: SocketAddr, app: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(node)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut handshake = Handshake::new(PeerType::Client);
        let hello = handshake
            .generate_outbound_p0_and_p1()
            .context("handshake")?;
        socket.write_all(&hello)?;
        let mut buffer = vec![0; 8192];
        let rest = loop {
            let read = socket.read(&mut buffer)?;
            ensure!(read > 0, "the node closed during the handshake");
            match handshake
                .process_bytes(&buffer[..read])
                .context("handshake")?
            {
                HandshakeProcessResult::InProgress { response_bytes } => {
                    socket.write_all(&response_bytes)?;
                }
                HandshakeProcessResult::Completed {
                    response_bytes,
                    remaining_bytes,
                } => {
                    socket.write_all(&response_bytes)?;
                    break remaining_bytes;
                }
            }
        };
        let mut config = ClientSessionConfig::new();
        config.tc_url = Some(format!("rtmp://{node}/{app}"));
        let (session, first) = ClientSession::new(config).context("session")?;
        let mut peer = Self {
            socket,
            session,
            events: VecDeque::new(),
            sent: 0,
            commanded: false,
        };
        peer.take(first)?;
        peer.feed(&rest)?;
        let request = peer
            .session
            .request_connection(app.to_owned())
            .context("connect")?;
        peer.take(vec![request])?;
        match peer.next()? {
            Some(ClientSessionEvent::ConnectionRequestAccepted) => Ok(peer),
            Some(other) => bail!("connect was answered with {other:?}"),
            None => bail!("the node closed instead of answering connect"),
        }
    }

    /// Starts publishing.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn publish(mut self, name: &str) -> Result<Publisher> {
        let request = self
            .session
            .request_publishing(name.to_owned(), PublishRequestType::Live)
            .context("publish")?;
        self.take(vec![request])?;
        match self.wait(|event| !is_noise(event))? {
            Some(ClientSessionEvent::PublishRequestAccepted) => Ok(Publisher { peer: self }),
            other => bail!("publish was answered with {other:?}"),
        }
    }

    /// Starts playing; the answer comes when there is a publisher.
    ///
    /// # Errors
    /// When the node goes away.
    pub fn play(mut self, name: &str) -> Result<Player> {
        let request = self
            .session
            .request_playback(name.to_owned())
            .context("play")?;
        self.take(vec![request])?;
        // That was createStream: the play itself follows on its answer.
        let sent = self.sent;
        while self.sent == sent {
            ensure!(
                self.read()?,
                "the node closed instead of answering createStream"
            );
        }
        Ok(Player {
            peer: self,
            statuses: Vec::new(),
        })
    }

    /// Writes raw bytes, as a hostile peer would.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// The next event; `None` when the node closed.
    ///
    /// # Errors
    /// When nothing comes for [`PATIENCE`], or what comes is malformed.
    pub fn next(&mut self) -> Result<Option<ClientSessionEvent>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Takes in what the node sent; `false` when it closed.
    fn read(&mut self) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        let read = match self.socket.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error).context("reading from the node"),
        };
        self.feed(&buffer[..read])?;
        Ok(read > 0)
    }

    fn wait(
        &mut self,
        wanted: impl Fn(&ClientSessionEvent) -> bool,
    ) -> Result<Option<ClientSessionEvent>> {
        loop {
            match self.next()? {
                Some(event) if wanted(&event) => return Ok(Some(event)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let step = if self.commanded {
            1
        } else {
            bytes.len().max(1)
        };
        for piece in bytes.chunks(step) {
            match self.session.handle_input(piece) {
                Ok(results) => self.take(results)?,
                // Another start while playing, which answers receiveAudio and receiveVideo (RTMP 1.0
                // §7.2.2.4), is an error to this client. Byte by byte, nothing else is lost with it.
                Err(ClientSessionError::SessionInInvalidState { .. }) if self.commanded => {
                    let code = "NetStream.Play.Start".to_owned();
                    self.events
                        .push_back(ClientSessionEvent::UnhandleableOnStatusCode { code });
                }
                Err(error) => return Err(error).context("what the node sent"),
            }
        }
        Ok(())
    }

    fn take(&mut self, results: Vec<ClientSessionResult>) -> Result<()> {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.sent += 1;
                    // A node that has closed is noticed when reading.
                    let _ = self.socket.write_all(&packet.bytes);
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push_back(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        Ok(())
    }
}

fn is_noise(event: &ClientSessionEvent) -> bool {
    let is_reset = matches!(event, ClientSessionEvent::UnhandleableOnStatusCode { code } if code.ends_with(".Reset"));
    is_reset
        || matches!(
            event,
            ClientSessionEvent::UnhandleableAmf0Command { .. }
                | ClientSessionEvent::UnknownTransactionResultReceived { .. }
                | ClientSessionEvent::AcknowledgementReceived { .. }
                | ClientSessionEvent::PingResponseReceived { .. }
        )
}

/// A publisher.
#[derive(Debug)]
pub struct Publisher {
    peer: Peer,
}

impl Publisher {
    /// Connects and publishes in the app `live`.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn start(node: SocketAddr, name: &str) -> Result<Self> {
        Peer::connect(node, "live")?.publish(name)
    }

    /// Sends one tag.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn send(&mut self, tag: &Tag) -> Result<()> {
        let timestamp = RtmpTimestamp::new(tag.timestamp);
        let body = tag.body.clone();
        let session = &mut self.peer.session;
        let result = match tag.kind {
            Kind::Audio => session.publish_audio_data(body, timestamp, false),
            Kind::Video => session.publish_video_data(body, timestamp, false),
            Kind::Script => session.publish_metadata(&StreamMetadata::new()),
        };
        let ClientSessionResult::OutboundResponse(packet) = result.context("publishing")? else {
            return Ok(());
        };
        Ok(self.peer.socket.write_all(&packet.bytes)?)
    }

    /// Waits until the node closes, and gives what it said before.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_closed(mut self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        while let Some(event) = self.peer.next()? {
            said.push(format!("{event:?}"));
        }
        Ok(said)
    }
}

/// A player.
#[derive(Debug)]
pub struct Player {
    peer: Peer,
    /// What else than media the node said.
    pub statuses: Vec<String>,
}

impl Player {
    /// Connects and plays in the app `live`.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn start(node: SocketAddr, name: &str) -> Result<Self> {
        Peer::connect(node, "live")?.play(name)
    }

    /// The next packet of audio or video; `None` when the node closed.
    ///
    /// # Errors
    /// When nothing comes for [`PATIENCE`], or what comes is malformed.
    pub fn next(&mut self) -> Result<Option<Tag>> {
        loop {
            match self.step()? {
                Some(None) => {}
                Some(tag) => return Ok(tag),
                None => return Ok(None),
            }
        }
    }

    /// A packet, or `Some(None)` for a status that was taken note of; `None` when the node closed.
    fn step(&mut self) -> Result<Option<Option<Tag>>> {
        let (kind, timestamp, body) = match self.peer.next()? {
            Some(ClientSessionEvent::AudioDataReceived { timestamp, data }) => {
                (Kind::Audio, timestamp, data)
            }
            Some(ClientSessionEvent::VideoDataReceived { timestamp, data }) => {
                (Kind::Video, timestamp, data)
            }
            Some(other) => {
                self.statuses.push(format!("{other:?}"));
                return Ok(Some(None));
            }
            None => return Ok(None),
        };
        Ok(Some(Some(Tag {
            kind,
            timestamp: timestamp.value,
            body,
        })))
    }

    /// Packets until the node says something new that contains `status`.
    ///
    /// # Errors
    /// When it closes before.
    pub fn until_status(&mut self, status: &str) -> Result<Vec<Tag>> {
        let mut tags = Vec::new();
        let mut heard = self.statuses.len();
        while !self
            .statuses
            .iter()
            .skip(heard)
            .any(|it| it.contains(status))
        {
            heard = self.statuses.len();
            let step = self.step()?;
            tags.extend(step.with_context(|| format!("the node closed before it said {status}"))?);
        }
        Ok(tags)
    }

    /// Waits for the answer to `play`.
    ///
    /// # Errors
    /// When it is a refusal.
    pub fn wait_accepted(&mut self) -> Result<()> {
        match self.peer.wait(|event| !is_noise(event))? {
            Some(ClientSessionEvent::PlaybackRequestAccepted) => Ok(()),
            other => bail!("play was answered with {other:?}"),
        }
    }

    /// Packets until one satisfies `last`, that one included.
    ///
    /// # Errors
    /// When the stream ends before.
    pub fn until(&mut self, mut last: impl FnMut(&Tag) -> bool) -> Result<Vec<Tag>> {
        let start = Instant::now();
        let mut tags = Vec::new();
        loop {
            ensure!(
                start.elapsed() < PATIENCE,
                "no such packet among {}",
                tags.len()
            );
            let tag = self.next()?.context("the node closed")?;
            let done = last(&tag);
            tags.push(tag);
            if done {
                return Ok(tags);
            }
        }
    }

    /// All packets until the node closes.
    ///
    /// # Errors
    /// When it does not.
    pub fn to_end(&mut self) -> Result<Vec<Tag>> {
        let mut tags = Vec::new();
        while let Some(tag) = self.next()? {
            tags.push(tag);
        }
        Ok(tags)
    }

    /// Sends a raw command message on the play stream: name, transaction 0, null, then a flag.
    ///
    /// # Errors
    /// When the node has closed.
    pub fn command(&mut self, name: &str, flag: bool) -> Result<()> {
        let mut body = vec![2, 0, u8::try_from(name.len())?];
        body.extend(name.as_bytes());
        body.extend([0; 9]);
        body.push(5);
        body.extend([1, u8::from(flag)]);
        if name == "pause" {
            body.extend([0; 9]);
        }
        let mut message = vec![8, 0, 0, 0, 0, 0, u8::try_from(body.len())?, 20, 1, 0, 0, 0];
        message.extend(body);
        self.peer.commanded = true;
        self.peer.write_raw(&message)
    }

    /// How long a read may take before it fails.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn patience(&mut self, patience: Duration) -> Result<()> {
        Ok(self.peer.socket.set_read_timeout(Some(patience))?)
    }
}

/// The video tag body of an AVC sequence header, told apart by `number`.
pub fn avc_header(number: u8) -> Bytes {
    Bytes::from(vec![0x17, 0, 0, 0, 0, 1, number])
}

/// The video tag body of an AVC keyframe or delta frame.
pub fn avc_frame(keyframe: bool, number: u32) -> Bytes {
    let first = if keyframe { 0x17 } else { 0x27 };
    [&[first, 1, 0, 0, 0], &number.to_be_bytes()[..]]
        .concat()
        .into()
}

/// A tag of the given kind.
pub fn tag(kind: Kind, timestamp: u32, body: Bytes) -> Tag {
    Tag {
        kind,
        timestamp,
        body,
    }
}
