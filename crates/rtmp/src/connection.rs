//! One peer's socket, its chunk reader and its session.
//!
//! Reads into a buffer that all connections of a thread share and turns every byte it gets into
//! events at once, so an idle connection holds nothing but incomplete messages.

mod error;
mod gather;
mod scratch;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use gather::Gather;

use crate::chunk::{Limits, Message, Reader};
use crate::handshake::ServerHandshake;
use crate::session::{self, Event, Session};
pub use error::{AcceptError, ConnectionError};
pub use socket::Socket;

/// While more replies than this wait, nothing more is read: a peer that asks and does not read
/// the answers waits for itself.
const REPLIES_BEFORE_PAUSE: usize = 16 << 10;
/// Lent replies beyond this mean that their player does not read.
const LONGEST_LENT: usize = 256 << 10;
/// What peers that publish nothing may make the reader hold: strangers and players send commands
/// only. Enough for what a publisher may send along with `publish`, which is one read at most.
const PARTIAL_BYTES_UNPUBLISHED: usize = 256 << 10;
/// Bytes that a connection reads before it lets others run: some frames of a large stream.
const TURN: usize = 64 << 10;
/// An empty queue keeps no more room than this; what a read brings is bounded by its buffer.
const KEPT_EVENTS: usize = 64;
/// How long a closing connection waits for the peer to close its side.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What a connection is set to.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionConfig {
    /// How long a handshake may take, from the accepted socket on.
    pub handshake_timeout: Duration,
    /// How long replies may wait for a peer that has to read them.
    pub write_timeout: Duration,
    /// Bounds on what the peer may make the reader hold. Until it publishes, the bound on
    /// incomplete messages is 256 KiB at most.
    pub limits: Limits,
    /// The session's settings.
    pub session: session::Config,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            session: session::Config::default(),
        }
    }
}

/// When a read took what it brought.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it was read.
    pub read: Instant,
    /// Since when it may have been there: the same, unless bytes are [gathered](Connection::gather).
    pub since: Instant,
    /// Whether less had come than bytes are gathered to.
    pub early: bool,
}

impl Arrival {
    fn at(read: Instant) -> Self {
        Self {
            read,
            since: read,
            early: false,
        }
    }
}

/// A peer after its handshake.
#[derive(Debug)]
pub struct Connection {
    socket: Arc<Socket>,
    reader: Reader,
    session: Session,
    events: VecDeque<Event>,
    /// Messages behind a request, kept until it is answered.
    backlog: VecDeque<Message>,
    /// What went wrong behind the events and messages above.
    failed: Option<ConnectionError>,
    over: bool,
    bytes_in: u64,
    /// Bytes read since others were last let run.
    taken_in: usize,
    /// The last read left nothing behind.
    drained: bool,
    arrived: Arrival,
    gather: Option<Box<Gather>>,
    /// [`Limits::partial_bytes`] of a publisher.
    partial_bytes: usize,
    write_timeout: Duration,
    /// When the replies at hand must be written.
    write_deadline: Option<Instant>,
    lent: bool,
    /// The owner was told of lent output that it has not taken yet.
    told_output: bool,
}

impl Connection {
    /// Shakes hands on a socket that was just accepted. Turns Nagle's algorithm off.
    pub async fn accept(
        socket: impl Into<Socket>,
        config: &ConnectionConfig,
    ) -> Result<Self, AcceptError> {
        let socket = socket.into();
        socket.send_at_once()?;
        timeout(config.handshake_timeout, Self::shake_hands(socket, config))
            .await
            .unwrap_or(Err(AcceptError::Timeout))
    }

    async fn shake_hands(socket: Socket, config: &ConnectionConfig) -> Result<Self, AcceptError> {
        let mut connection = Self {
            socket: Arc::new(socket),
            reader: Reader::new(config.limits),
            session: Session::new(config.session),
            events: VecDeque::new(),
            backlog: VecDeque::new(),
            failed: None,
            over: false,
            bytes_in: 0,
            taken_in: 0,
            drained: false,
            arrived: Arrival::at(Instant::now()),
            gather: None,
            partial_bytes: config.limits.partial_bytes,
            write_timeout: config.write_timeout,
            write_deadline: None,
            lent: false,
            told_output: false,
        };
        let mut handshake = ServerHandshake::new();
        let mut output = Vec::new();
        loop {
            connection.socket.readable().await?;
            let socket = Arc::clone(&connection.socket);
            let done = scratch::read(&socket, |mut input| -> Result<bool, AcceptError> {
                if input.is_empty() {
                    return Err(AcceptError::Closed);
                }
                let before = input.len();
                let done = handshake.feed(&mut input, &mut output)?;
                connection.bytes_in += u64::try_from(before - input.len()).unwrap_or(0);
                if done {
                    connection.take_in(input);
                }
                Ok(done)
            })?;
            let done = done.transpose()?.unwrap_or(false);
            while !output.is_empty() {
                connection.socket.writable().await?;
                match connection.socket.try_write(&output) {
                    Ok(written) => drop(output.drain(..written)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if done {
                return Ok(connection);
            }
        }
    }

    /// The next event; `Ok(None)` once the peer has closed or reset the connection, or after an
    /// error.
    ///
    /// Writes the replies that wait before it waits itself, unless writes are lent. Cancel-safe:
    /// what is read is kept in the connection. Answer a request before asking for the next event.
    pub async fn next(&mut self) -> Result<Option<Event>, ConnectionError> {
        loop {
            if let Some(event) = self.pop() {
                return Ok(Some(event));
            }
            if let Some(error) = self.failed.take() {
                self.over = true;
                return Err(error);
            }
            if self.over {
                return Ok(None);
            }
            // A peer that always has more to send would otherwise never let go of its thread: its
            // task would not end its turn, and on an idle runtime nobody else looks for events.
            if self.taken_in >= TURN {
                self.taken_in = 0;
                tokio::task::yield_now().await;
            }
            self.readable().await?;
            let socket = Arc::clone(&self.socket);
            let early = self.gather.as_mut().is_some_and(|gather| gather.is_over());
            let read = |buffer: &mut [u8]| match early {
                true => socket.try_read_early(buffer),
                false => socket.try_read(buffer),
            };
            let open = scratch::read_by(read, |input| {
                self.take_in(input);
                !input.is_empty()
            });
            self.arrived = Arrival::at(Instant::now());
            if let Some(gather) = &mut self.gather {
                self.arrived.since = gather.begin(self.arrived.read);
                self.arrived.early = early;
            }
            if early && matches!(open, Ok(None)) {
                // Nobody sends: what comes next is news.
                self.gather(1, Duration::ZERO)?;
            }
            self.over = match open {
                Ok(open) => open == Some(false),
                // A player that is ended while packets come to it resets: that is its goodbye.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
                Err(error) => return Err(error.into()),
            };
        }
    }

    /// True while events that are read already wait: a publisher's batch goes on.
    pub fn has_queued(&self) -> bool {
        !self.events.is_empty() || !self.backlog.is_empty()
    }

    /// True if nothing is queued and the last read left nothing in the socket.
    pub fn is_drained(&self) -> bool {
        self.drained && !self.has_queued()
    }

    /// When what is at hand was read.
    pub fn arrived(&self) -> Arrival {
        self.arrived
    }

    /// Lets small messages wait for others, so that one read takes several: from now on it is read
    /// once `bytes` are there, or `within` the last read. `false` for one byte, and for a socket that
    /// is no plain TCP one: it is read as it comes.
    ///
    /// What waits is not acknowledged to a peer whose Nagle's algorithm may hold its next message
    /// back for that.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn gather(&mut self, bytes: usize, within: Duration) -> io::Result<bool> {
        match &mut self.gather {
            Some(gather) if gather.bytes == bytes => gather.within = within,
            None if bytes <= 1 => {}
            _ => {
                let gathers = self.socket.readable_from(bytes)? && bytes > 1;
                let begun = self.arrived.read;
                self.gather = gathers.then(|| Box::new(Gather::new(bytes, within, begun)));
            }
        }
        Ok(self.gather.is_some())
    }

    /// Writes all replies that wait, within the write timeout.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        while !self.try_flush()? {
            let deadline = self.write_deadline();
            timeout_at(deadline, self.socket.writable())
                .await
                .map_err(|_| ConnectionError::WriteTimeout)??;
        }
        Ok(())
    }

    /// Writes the replies that wait, ends the stream of bytes, and waits up to a second for the
    /// peer to do the same: closing a socket with unread bytes would reset the connection and
    /// take the last reply, which says why, away from the peer.
    pub async fn close(mut self) -> Result<(), ConnectionError> {
        self.flush().await?;
        self.socket.finish()?;
        let until_closed = async {
            loop {
                self.socket.readable().await?;
                if scratch::read(&self.socket, <[u8]>::is_empty)? == Some(true) {
                    return Ok(());
                }
            }
        };
        timeout(CLOSE_GRACE, until_closed).await.unwrap_or(Ok(()))
    }

    /// The session, to answer requests with.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The socket; media may be written to it between whole messages while no reply is partly
    /// written, which is so after [`flush`](Self::flush) and while writes are lent.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// While lent, replies stay in the session's output for the owner to forward: take them when
    /// [`Event::Output`] comes and after each answer given. What a flush left half written is the
    /// first thing taken.
    pub fn lend_writes(&mut self, lent: bool) {
        self.lent = lent;
        self.told_output = false;
    }

    /// Bytes read from the peer, handshake included.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Waits until the socket may be read, and writes replies meanwhile.
    async fn readable(&mut self) -> Result<(), ConnectionError> {
        if !self.lent && self.session.output().pending().len() > REPLIES_BEFORE_PAUSE {
            // Boxed, so that who only reads does not hold the room for it.
            Box::pin(self.flush()).await?;
        }
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if self.lent {
            if self.session.output().pending().len() > LONGEST_LENT {
                return Poll::Ready(Err(ConnectionError::Unread));
            }
        } else {
            // A few replies may wait for ever: encoders exist that never read.
            while !self.try_flush()? {
                match self.socket.poll_write_ready(cx)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => break,
                }
            }
        }
        match (self.socket.poll_read_ready(cx)?, &mut self.gather) {
            (Poll::Pending, Some(gather)) => gather.poll_over(cx).map(Ok),
            (ready, _) => ready.map(Ok),
        }
    }

    /// Writes what can be written now; true if nothing is left.
    fn try_flush(&mut self) -> Result<bool, ConnectionError> {
        let output = self.session.output();
        while !output.is_empty() {
            match self.socket.try_write(output.pending()) {
                Ok(written) => output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.write_deadline = None;
        Ok(true)
    }

    /// Kept over cancelled calls, so that a caller that asks again and again does not extend it.
    fn write_deadline(&mut self) -> Instant {
        let timeout = self.write_timeout;
        *self
            .write_deadline
            .get_or_insert_with(|| Instant::now() + timeout)
    }

    /// Turns bytes into events. Only called with empty queues.
    fn take_in(&mut self, mut input: &[u8]) {
        let publishing = self.session.is_publishing();
        let most = if publishing {
            usize::MAX
        } else {
            PARTIAL_BYTES_UNPUBLISHED
        };
        self.reader
            .limit_partial_bytes(self.partial_bytes.min(most));
        self.bytes_in += u64::try_from(input.len()).unwrap_or(0);
        self.taken_in = self.taken_in.saturating_add(input.len());
        self.drained = input.len() < scratch::SIZE;
        self.session.received(input.len());
        while self.failed.is_none() {
            match self.reader.feed(&mut input) {
                Ok(Some(message)) if self.is_asked() || !self.backlog.is_empty() => {
                    self.backlog.push_back(message);
                }
                Ok(Some(message)) => self.handle(message),
                Ok(None) => break,
                Err(error) => self.failed = Some(error.into()),
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match self.session.handle(message) {
            Ok(event) => self.events.extend(event),
            Err(error) => {
                self.backlog.clear();
                self.failed = Some(error.into());
            }
        }
    }

    /// True if the newest event is a request: what follows it is handled once it is answered.
    fn is_asked(&self) -> bool {
        matches!(
            self.events.back(),
            Some(Event::Connect(_) | Event::Publish(_) | Event::Play(_))
        )
    }

    fn pop(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            while !self.is_asked()
                && let Some(message) = self.backlog.pop_front()
            {
                self.handle(message);
            }
        }
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.events.capacity() > KEPT_EVENTS {
            self.events = VecDeque::new();
        }
        if self.backlog.capacity() > 0 {
            self.backlog = VecDeque::new();
        }
        let tell = self.lent && self.session.has_output() && !self.told_output;
        self.told_output = self.lent && self.session.has_output();
        tell.then_some(Event::Output)
    }
}
