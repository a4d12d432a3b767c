//! ICE over TCP for networks without UDP: passive candidates (RFC 6544), datagrams behind their
//! lengths (RFC 4571).

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::port::Port;
use crate::routes::Path;
use crate::stun;

/// Most connections at a time: one a peer, and some that come to nothing.
const CONNECTIONS: usize = 4096;
/// Of these from one address: an office behind one has room, and nobody takes all.
const CONNECTIONS_OF_ONE: usize = 512;
/// Longest datagram: what a path's MTU allows, and some.
const DATAGRAM: usize = 4096;
/// Datagrams that wait for a slow connection; what comes beyond is lost, as it would be by UDP.
const WAITING: usize = 512;
/// Who says nothing for this long is gone: consent is asked for every few seconds (RFC 7675).
const SILENCE: Duration = Duration::from_secs(30);
/// A session has to have taken a connection for its own within this.
const FIRST: Duration = Duration::from_secs(5);
/// Wait after an `accept` that failed for want of files.
const PAUSE: Duration = Duration::from_millis(100);

/// A datagram behind its length; `None` when it is too long for one.
pub(crate) fn frame(datagram: &[u8]) -> Option<Bytes> {
    let length = u16::try_from(datagram.len()).ok()?;
    let mut framed = Vec::with_capacity(2 + datagram.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(datagram);
    Some(framed.into())
}

/// Takes the next datagram off a stream, if all of it is there.
///
/// # Errors
/// One that is longer than any may be.
fn take(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(length) = buffer.get(..2) else {
        return Ok(None);
    };
    let length = length
        .iter()
        .fold(0, |value, &byte| value << 8 | usize::from(byte));
    if length > DATAGRAM {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if buffer.len() < 2 + length {
        return Ok(None);
    }
    buffer.advance(2);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Who counts as one address: an IPv4 address, or the IPv6 /64 that one subscriber gets.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Accepts connections for ever.
pub(crate) async fn accept(listener: &TcpListener, port: &Arc<Port>) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let (socket, peer) = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            continue;
        };
        let source = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let from = network(source.ip());
        let held = port.connections.iter();
        if held.filter(|it| network(it.key().ip()) == from).count() >= CONNECTIONS_OF_ONE {
            continue;
        }
        let port = Arc::clone(port);
        let (outgoing, waiting) = mpsc::channel(WAITING);
        // At once, so that the next one counts it.
        port.connections.insert(source, outgoing);
        connections.spawn(async move {
            let served = serve(socket, source, &port, waiting).await;
            port.connections.remove(&source);
            debug!(%peer, ?served, "ICE over TCP ended");
            drop(seat);
        });
    }
}

async fn serve(
    mut socket: TcpStream,
    source: SocketAddr,
    port: &Port,
    mut waiting: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.split();
    let path = Path { tcp: true, source };
    let by = Instant::now() + FIRST;
    let read = async {
        let mut buffer = BytesMut::new();
        let mut first = true;
        let mut known = false;
        loop {
            while let Some(datagram) = take(&mut buffer)? {
                // Nobody has anything to say before the session knows whose connection this is.
                if first && !stun::is_stun(&datagram) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                first = false;
                port.deliver(path, &datagram);
            }
            let until = if known { Instant::now() + SILENCE } else { by };
            let read = timeout_at(until, reader.read_buf(&mut buffer)).await;
            let was_known = known;
            known = known || port.has_path(path);
            // Talking all the time buys no more of it.
            if !known && Instant::now() >= by {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match read {
                Ok(Ok(0)) => return Ok(()),
                Ok(read) => {
                    read?;
                }
                Err(_) if was_known => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    };
    let write = async {
        while let Some(framed) = waiting.recv().await {
            writer.write_all(&framed).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = read => ended,
        ended = write => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_out_however_the_stream_is_cut() {
        let stream = [
            frame(b"one").unwrap(),
            frame(b"").unwrap(),
            frame(b"two").unwrap(),
        ]
        .concat();
        let mut buffer = BytesMut::new();
        let mut out = Vec::new();
        for byte in stream {
            buffer.extend_from_slice(&[byte]);
            while let Some(datagram) = take(&mut buffer).unwrap() {
                out.push(datagram);
            }
        }
        assert_eq!(out, ["one", "", "two"]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_datagram_longer_than_any_is_refused_before_it_is_there() {
        let mut buffer = BytesMut::from(&b"\xff\xff"[..]);
        assert!(take(&mut buffer).is_err());
        assert!(frame(&[0; 70_000]).is_none());
    }
}
