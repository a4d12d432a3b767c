//! A task between an encrypted stream and one end of a local socket pair, so that what serves the
//! other end is written for plain sockets alone.
//!
//! Holds at most one buffer's worth of bytes each way: nothing more is read until what was read has
//! been passed on. The end of one direction is passed on as well, and leaves the other open.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::UNSENT;

/// Bytes of one read: two TLS records (RFC 8446 §5.1).
const SIZE: usize = 32 << 10;

/// How long the last bytes may take to reach a peer once nobody serves it any more.
const LINGER: Duration = Duration::from_secs(3);

thread_local! {
    /// Shared by all bridges of a thread: none keeps bytes in it.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// A running bridge; it ends when this drops.
#[derive(Debug)]
pub(crate) struct Bridge(AbortOnDropHandle<io::Result<()>>);

impl Bridge {
    /// Starts it. Returns the end to serve.
    ///
    /// # Errors
    /// The system has no more sockets.
    pub(crate) fn start(peer: TlsStream<TcpStream>) -> io::Result<(UnixStream, Self)> {
        let (served, near) = UnixStream::pair()?;
        socket2::SockRef::from(peer.get_ref().0).set_tcp_notsent_lowat(UNSENT)?;
        let mut pump = Pump {
            peer,
            near,
            up: Flow::Open,
            down: Flow::Open,
            held_up: Vec::new(),
            held_down: Vec::new(),
        };
        let task = tokio::spawn(async move { poll_fn(|cx| pump.poll(cx)).await });
        Ok((served, Self(AbortOnDropHandle::new(task))))
    }

    /// Waits for the last bytes to go out, once the served end has been dropped.
    pub(crate) async fn finish(self) {
        // A peer that is gone, or that does not take them, changes nothing any more.
        let _ = tokio::time::timeout(LINGER, self.0).await;
    }
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Closing,
    Closed,
}

struct Pump {
    peer: TlsStream<TcpStream>,
    near: UnixStream,
    up: Flow,
    down: Flow,
    /// Bytes that the near socket did not take.
    held_up: Vec<u8>,
    /// Bytes that the TLS session did not take, as it may when it changes its keys.
    held_down: Vec<u8>,
}

impl Pump {
    /// Both directions, until both are over or one breaks.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let up = self.poll_up(cx)?;
        let down = self.poll_down(cx)?;
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// From the peer.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.up != Flow::Closed {
            while !self.held_up.is_empty() {
                match ready!(Pin::new(&mut self.near).poll_write(cx, &self.held_up)) {
                    Ok(count) => drop(self.held_up.drain(..count)),
                    // Nobody serves it any more; what is on its way to the peer still is.
                    Err(_) => {
                        self.up = Flow::Closed;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            self.held_up = Vec::new();
            let Self {
                peer,
                near,
                held_up,
                ..
            } = self;
            let open: Poll<io::Result<bool>> = BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match ready!(Pin::new(peer).poll_read(cx, &mut buffer)) {
                    Ok(()) => {}
                    // Many clients leave without TLS's goodbye; RTMP has its own.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                let bytes = buffer.filled();
                if bytes.is_empty() {
                    return Poll::Ready(Ok(false));
                }
                let taken = match Pin::new(near).poll_write(cx, bytes) {
                    Poll::Ready(Ok(taken)) => taken,
                    // The error comes again.
                    Poll::Ready(Err(_)) | Poll::Pending => 0,
                };
                held_up.extend_from_slice(bytes.get(taken..).unwrap_or_default());
                Poll::Ready(Ok(true))
            });
            if !ready!(open)? {
                // It fails only if that end is gone.
                let _ = ready!(Pin::new(&mut self.near).poll_shutdown(cx));
                self.up = Flow::Closed;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// To the peer. What the peer's socket does not take waits in the TLS session, encrypted.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.down == Flow::Open {
            ready!(Pin::new(&mut self.peer).poll_flush(cx))?;
            if !self.held_down.is_empty() {
                let count = ready!(Pin::new(&mut self.peer).poll_write(cx, &self.held_down))?;
                self.held_down.drain(..count);
                continue;
            }
            self.held_down = Vec::new();
            let Self {
                peer,
                near,
                held_down,
                ..
            } = self;
            let open: Poll<io::Result<bool>> = BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(near).poll_read(cx, &mut buffer))?;
                let bytes = buffer.filled();
                if bytes.is_empty() {
                    return Poll::Ready(Ok(false));
                }
                let taken = match Pin::new(peer).poll_write(cx, bytes)? {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => 0,
                };
                held_down.extend_from_slice(bytes.get(taken..).unwrap_or_default());
                Poll::Ready(Ok(true))
            });
            if !ready!(open)? {
                self.down = Flow::Closing;
            }
        }
        if self.down == Flow::Closing {
            ready!(Pin::new(&mut self.peer).poll_shutdown(cx))?;
            self.down = Flow::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
