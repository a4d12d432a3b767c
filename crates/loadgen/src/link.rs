//! One TCP socket and the session it carries.
//!
//! Sockets are registered edge-triggered: after an event, reading goes on until the socket is empty.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::client::Client;
use crate::http::Post;

/// `MSG_TRUNC` of Linux: bytes of a stream are taken from the socket and copied nowhere (tcp(7)).
/// Systems without that meaning copy them into the buffer, which costs time and changes nothing.
const DISCARD: i32 = 0x20;

/// A session that has something to say.
pub(crate) trait Speak {
    /// What is to be written.
    fn output(&mut self) -> &mut Vec<u8>;
}

impl Speak for Client {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }
}

impl Speak for Post {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }
}

/// A connection that is being made, or is made.
#[derive(Debug)]
pub(crate) struct Link<C> {
    pub(crate) client: C,
    socket: TcpStream,
}

impl<C: Speak> Link<C> {
    /// Starts to connect. `receive_buffer` is in bytes; without one the kernel grows it as it
    /// likes.
    pub(crate) fn connect(
        client: C,
        address: SocketAddr,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !is_under_way(&error) => return Err(error),
            _ => {}
        }
        Ok(Self {
            client,
            socket: TcpStream::from_std(socket.into()),
        })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.socket, token, both)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Reads once; `Ok(None)` when nothing is there, nothing of the buffer at the end.
    pub(crate) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            return match self.socket.read(buffer) {
                Ok(count) => Ok(buffer.get(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// Takes what is there, up to the size of `room`, without looking at it; `Ok(None)` when nothing
    /// is there, 0 at the end.
    pub(crate) fn discard(&mut self, room: &mut [MaybeUninit<u8>]) -> io::Result<Option<usize>> {
        loop {
            return match SockRef::from(&self.socket).recv_with_flags(room, DISCARD) {
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// Writes what the session has to say, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let output = self.client.output();
        while !output.is_empty() {
            match self.socket.write(output) {
                Ok(written) => drop(output.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_under_way(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Still connecting, or full.
fn is_under_way(error: &io::Error) -> bool {
    /// `EINPROGRESS` of Linux, which has no kind of its own.
    const IN_PROGRESS: i32 = 115;
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    ) || error.raw_os_error() == Some(IN_PROGRESS)
}
