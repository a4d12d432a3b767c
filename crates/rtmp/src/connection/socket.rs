//! The byte stream below a connection: a TCP socket, or one end of a pair whose other end is a
//! task that does TLS.
//!
//! Both kinds are written to and read from without a buffer in between, so what is written costs
//! the same system calls whichever it is.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use nix::libc;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetUsize;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// How many bytes have to be there before the socket counts as readable.
#[derive(Debug, Clone, Copy)]
struct ReadableFrom;
nix::setsockopt_impl!(
    ReadableFrom,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    usize,
    SetUsize
);

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// To the peer itself.
    Tcp(TcpStream),
    /// To a task that speaks to the peer.
    Unix(UnixStream),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Self::Unix(socket)
    }
}

/// The same call on either kind.
macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self {
            Self::Tcp($socket) => $call,
            Self::Unix($socket) => $call,
        }
    };
}

impl Socket {
    /// Waits until there may be something to read, in one task at a time: a wait is nothing but the
    /// task's waker, and thousands of connections wait. Cancel-safe.
    ///
    /// # Errors
    /// Those of the runtime.
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| self.poll_read_ready(cx))
    }

    /// Waits until there may be room to write, in one task at a time. Cancel-safe.
    ///
    /// # Errors
    /// Those of the runtime.
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| self.poll_write_ready(cx))
    }

    /// Room to write, for hand-written futures; one task may wait at a time.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_write_ready(cx),
            Self::Unix(socket) => socket.poll_write_ready(cx),
        }
    }

    /// Something to read, for hand-written futures; one task may wait at a time.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx),
            Self::Unix(socket) => socket.poll_read_ready(cx),
        }
    }

    /// Reads what is there. A read that leaves room in `buffer` has emptied the socket, which then
    /// counts as unreadable until more comes: the next wait needs no read to find that out.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and those of the socket.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut emptied = None;
        let room = buffer.len();
        let mut read = |socket: SockRef<'_>| match (&*socket).read(buffer)? {
            count if (1..room).contains(&count) => {
                emptied = Some(count);
                // What the runtime forgets on this is only what it knew before the read.
                Err(io::ErrorKind::WouldBlock.into())
            }
            count => Ok(count),
        };
        let result = either!(self, socket => {
            socket.try_io(Interest::READABLE, || read(SockRef::from(socket)))
        });
        emptied.map_or(result, Ok)
    }

    /// Reads what is there, whether the runtime knows of it or not: it is told of nothing less than
    /// [`Self::readable_from`].
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and those of the socket.
    pub(super) fn try_read_early(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, socket => (&*SockRef::from(socket)).read(buffer))
    }

    /// Calls the socket readable once `bytes` are there; `false` where there is no such thing.
    pub(super) fn readable_from(&self, bytes: usize) -> io::Result<bool> {
        let Self::Tcp(socket) = self else {
            return Ok(false);
        };
        setsockopt(socket, ReadableFrom, &bytes)?;
        Ok(true)
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when nothing does, and those of the socket.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, socket => socket.try_write(bytes))
    }

    /// Writes what fits of several slices, in one call. One slice costs the kernel less than many.
    ///
    /// # Errors
    /// `WouldBlock` when nothing does, and those of the socket.
    #[inline]
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (slices, self) {
            // Past the runtime, which would first look up whether it thinks that the socket takes
            // anything: only if it does not, the runtime has to hear of it.
            ([one], Self::Tcp(socket)) => {
                match SockRef::from(socket).send_with_flags(one, libc::MSG_NOSIGNAL) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        socket.try_write(one)
                    }
                    done => done,
                }
            }
            ([one], _) => self.try_write(one),
            _ => either!(self, socket => socket.try_write_vectored(slices)),
        }
    }

    /// Brings what a write needs into the CPU's cache.
    #[inline]
    pub fn prefetch(&self) {
        if let Self::Tcp(socket) = self {
            std::hint::black_box(socket.as_raw_fd());
        }
    }

    /// Bounds, in bytes, what the kernel holds that the peer's side has not begun to take.
    ///
    /// # Errors
    /// The system does not know the option.
    pub fn bound_unsent(&self, bytes: u32) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket).set_tcp_notsent_lowat(bytes),
            // Linux doubles what is asked for, to make up for its bookkeeping.
            Self::Unix(socket) => SockRef::from(socket)
                .set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX) / 2),
        }
    }

    /// Turns Nagle's algorithm off where there is one.
    pub(super) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Ends the stream of bytes to the peer.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn finish(&self) -> io::Result<()> {
        either!(self, socket => SockRef::from(socket).shutdown(Shutdown::Write))
    }
}
