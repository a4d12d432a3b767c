//! A TCP socket that HTTP and a fan-out task share, one writing after the other.
//!
//! hyper writes an answer's head; from then on it has nothing to write until the answer's body ends,
//! and media goes straight to the socket. The turn passes when hyper has flushed all it had.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use lockgate_rtmp::connection::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// HTTP's end.
#[derive(Debug)]
pub(super) struct Plain {
    socket: Arc<Socket>,
    turn: Arc<Turn>,
}

/// The other end: the socket, once it is its turn.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    pub(super) socket: Arc<Socket>,
    turn: Arc<Turn>,
}

/// Whose turn it is.
#[derive(Debug, Default)]
struct Turn {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// Nobody waits for the socket.
const HTTP: u8 = 0;
/// Somebody does: the next flush hands it over.
const WANTED: u8 = 1;
/// It was handed over.
const MEDIA: u8 = 2;

impl Plain {
    pub(super) fn new(socket: impl Into<Socket>) -> (Self, Handover) {
        let socket = Arc::new(socket.into());
        let turn = Arc::<Turn>::default();
        let handover = Handover {
            socket: Arc::clone(&socket),
            turn: Arc::clone(&turn),
        };
        (Self { socket, turn }, handover)
    }

    /// The socket itself, once HTTP is over.
    pub(super) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }
}

impl Handover {
    /// Ready once everything that was written so far has been given to the socket. First polled
    /// where an answer's body is: hyper has written what goes before it, and flushes next.
    pub(super) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn.waker.register(cx.waker());
        let state = &self.turn.state;
        match state.compare_exchange(HTTP, WANTED, Ordering::AcqRel, Ordering::Acquire) {
            Err(MEDIA) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Gives the socket back to HTTP.
    pub(super) fn give_back(&self) {
        self.turn.state.store(HTTP, Ordering::Release);
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.socket.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.socket.poll_read_ready(cx))?;
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.socket.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(self.socket.poll_write_ready(cx))?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &self.turn.state;
        let handed = state.compare_exchange(WANTED, MEDIA, Ordering::AcqRel, Ordering::Relaxed);
        if handed.is_ok() {
            self.turn.waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.finish())
    }
}
