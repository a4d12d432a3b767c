//! FLV over a WebSocket: a fan-out task writes messages straight to the socket; this side reads what
//! the player says, and its answers go between two messages.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use lockgate_media::tag::{Framing, frame_header};
use lockgate_routing::End;
use lockgate_rtmp::connection::Socket;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use crate::flv::{Viewer, part};
use crate::rtmp::{FAREWELL, write_all};

/// Bytes read at once, and of the largest message that is read: players have nothing to say beside
/// pings, pongs and a goodbye.
const READ: usize = 1024;
/// How long a player has to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// Close codes (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;

impl Viewer {
    /// Sends the stream as messages over a socket whose handshake is done, until either ends.
    /// `read` is what was read behind the handshake.
    ///
    /// # Errors
    /// The player took too little or its socket failed.
    pub async fn play_messages(self, socket: Arc<Socket>, read: Vec<u8>) -> io::Result<()> {
        let header = self.header();
        let (frame, length) = frame_header(header.len());
        let frame = frame.get(..usize::from(length)).unwrap_or_default();
        let first = [frame, &header].concat();
        tokio::time::timeout(FAREWELL, write_all(&socket, &first)).await??;

        let (mut player, mut hold) = self.attach(&socket, Framing::Message);
        let mut ear = Ear::new(Arc::clone(&socket), read);
        let ended = loop {
            let heard = tokio::select! {
                ended = player.ended() => break ended,
                () = hold.lost() => break player.leave().await,
                heard = ear.hear() => heard,
            };
            if !heard.answer.is_empty() {
                player.control(heard.answer);
            }
            if heard.is_last {
                // A goodbye was answered, if it was one; there is nobody to say another to.
                return part(&socket, player.leave().await).await.map(drop);
            }
        };
        let code = match ended.why {
            End::Shutdown => GOING_AWAY,
            End::Kicked => POLICY,
            _ => NORMAL,
        };
        part(&socket, ended).await?;
        let [high, low] = code.to_be_bytes();
        let goodbye = [0x88, 2, high, low];
        tokio::time::timeout(FAREWELL, write_all(&socket, &goodbye)).await??;
        // A socket that is closed with something unread takes the goodbye with it.
        let _ = tokio::time::timeout(LINGER, ear.drain()).await;
        Ok(())
    }
}

/// The reading half.
struct Ear(WebSocket<Half>);

impl Ear {
    fn new(socket: Arc<Socket>, read: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * READ)
            .max_message_size(Some(READ))
            .max_frame_size(Some(READ));
        let half = Half {
            socket,
            said: Vec::new(),
        };
        Self(WebSocket::from_partially_read(
            half,
            read,
            Role::Server,
            Some(config),
        ))
    }

    /// Waits for something that is to be answered, or for the end. Cancel safe.
    async fn hear(&mut self) -> Heard {
        loop {
            let (is_last, is_drained) = match self.0.read() {
                // What a player sends means nothing here; its pings are answered by themselves.
                Ok(_) => (false, false),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => (false, true),
                Err(_) => (true, false),
            };
            let answer = std::mem::take(&mut self.0.get_mut().said);
            if is_last || !answer.is_empty() {
                return Heard { answer, is_last };
            }
            if is_drained {
                // An error comes again, from the next read.
                let _ = self.0.get_ref().socket.readable().await;
            }
            // Messages without end must not keep others from running.
            tokio::task::consume_budget().await;
        }
    }

    /// Reads until the player has closed its side.
    async fn drain(&mut self) -> io::Result<()> {
        let socket = &self.0.get_ref().socket;
        let mut buffer = [0; READ];
        loop {
            socket.readable().await?;
            match socket.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a player said.
struct Heard {
    /// What is to be sent for it.
    answer: Vec<u8>,
    /// It says nothing more.
    is_last: bool,
}

/// A socket to read from; what is written to it is kept, for the fan-out task writes.
struct Half {
    socket: Arc<Socket>,
    said: Vec<u8>,
}

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
