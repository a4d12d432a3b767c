//! The port: one UDP socket and one TCP listener of the same number for all peers.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use prometheus::Registry;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use str0m::config::DtlsCert;
use tokio::io::Interest;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::candidates::Candidates;
use crate::metrics::Metrics;
use crate::routes::{Datagram, Path, Registration, Routed, Routes};
use crate::tcp;

/// Buffers of one read, each for as many datagrams of one peer as the kernel joins.
const BUFFERS: usize = 8;
const BUFFER: usize = 64 * 1024;
/// What the kernel holds for the port, each way: a crowd that joins gets a GOP each.
const SOCKET_BUFFER: usize = 4 << 20;
/// Longest datagram that is taken in: no path of WebRTC carries more than its MTU, and what waits for
/// a session is bounded by number.
const DATAGRAM: usize = 2048;
/// How often a port is sought that is free for UDP and TCP both.
const ATTEMPTS: usize = 16;

/// Where the port listens, and under which addresses peers reach it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens. With port 0 the system picks one.
    pub listen: SocketAddr,
    /// Addresses that peers are told instead of that, with another port where one is forwarded.
    pub public: Vec<(IpAddr, Option<u16>)>,
}

/// What sessions see of the port.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    routes: Arc<Routes>,
    pub(crate) connections: DashMap<SocketAddr, mpsc::Sender<Bytes>>,
    pub(crate) candidates: Candidates,
    pub(crate) certificate: DtlsCert,
    metrics: Metrics,
}

/// The port's driver.
#[derive(Debug)]
pub struct Listener {
    port: Arc<Port>,
    tcp: TcpListener,
}

impl Listener {
    /// Binds both sockets, within a runtime.
    ///
    /// # Errors
    /// The address cannot be listened on, or no certificate can be made.
    pub fn bind(settings: &Settings, registry: &Registry) -> io::Result<Self> {
        let metrics = Metrics::new(registry).map_err(io::Error::other)?;
        let (udp, tcp) = bind(settings.listen)?;
        let local = udp.local_addr()?;
        let socket = UdpSocket::from_std(udp)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // What the system's limit does not allow is no reason not to start.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate();
        let certificate =
            certificate.ok_or_else(|| io::Error::other("no certificate can be made for DTLS"))?;
        let port = Port {
            socket,
            state,
            local,
            routes: Arc::default(),
            connections: DashMap::new(),
            candidates: Candidates::new(local, &settings.public),
            certificate,
            metrics,
        };
        Ok(Self {
            port: Arc::new(port),
            tcp: TcpListener::from_std(tcp)?,
        })
    }

    /// The port, for sessions.
    pub fn port(&self) -> Arc<Port> {
        Arc::clone(&self.port)
    }

    /// Takes datagrams in until `stop`.
    ///
    /// # Errors
    /// A broken socket.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            broken = self.port.receive() => broken,
            broken = tcp::accept(&self.tcp, &self.port) => broken,
        }
    }
}

/// Both sockets on one port.
fn bind(listen: SocketAddr) -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let udp = std::net::UdpSocket::bind(listen)?;
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(listen),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        // A node that restarts takes its port up again at once.
        socket.set_reuse_address(true)?;
        let bound = socket
            .bind(&udp.local_addr()?.into())
            .and_then(|()| socket.listen(1024));
        match bound {
            // The system picked a port that something else has for TCP.
            Err(_) if listen.port() == 0 && attempt < ATTEMPTS => continue,
            bound => bound?,
        }
        let tcp = std::net::TcpListener::from(socket);
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        return Ok((udp, tcp));
    }
}

impl Port {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Gives a session the datagrams that name it.
    pub(crate) fn register(
        &self,
        name: String,
        inbox: mpsc::Sender<Datagram>,
        peer: u64,
    ) -> Registration {
        self.routes.register(name, inbox, peer)
    }

    /// Whether a session has proved a path to be its own.
    pub(crate) fn has_path(&self, path: Path) -> bool {
        self.routes.has(path)
    }

    pub(crate) fn deliver(&self, path: Path, bytes: &[u8]) {
        self.metrics.received.inc();
        if bytes.len() > DATAGRAM {
            self.metrics.unknown.inc();
            return;
        }
        match self.routes.deliver(path, bytes) {
            Routed::Delivered => {}
            Routed::Unknown => self.metrics.unknown.inc(),
            Routed::Full => self.metrics.full.inc(),
        }
    }

    async fn receive(&self) -> io::Result<()> {
        let mut buffers = vec![0; BUFFERS * BUFFER];
        let mut metas = [RecvMeta::default(); BUFFERS];
        loop {
            self.socket.readable().await?;
            let mut slices: Vec<_> = buffers.chunks_mut(BUFFER).map(IoSliceMut::new).collect();
            let received = self.socket.try_io(Interest::READABLE, || {
                self.state
                    .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
            });
            drop(slices);
            // A peer that is gone says so by ICMP, and that is no fault of the socket.
            let Ok(count) = received else { continue };
            for (meta, buffer) in metas.iter().take(count).zip(buffers.chunks(BUFFER)) {
                let path = Path {
                    tcp: false,
                    source: SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port()),
                };
                let bytes = buffer.get(..meta.len).unwrap_or_default();
                for datagram in bytes.chunks(meta.stride.max(1)) {
                    self.deliver(path, datagram);
                }
            }
            // A flood must not keep others on this thread from running.
            tokio::task::consume_budget().await;
        }
    }

    /// Waits until the system has said that the socket can be written to.
    #[cfg(test)]
    pub(crate) async fn writable(&self) {
        self.socket.writable().await.unwrap();
    }

    pub(crate) fn most_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(crate) fn send(&self, transmit: &Transmit<'_>, count: usize) {
        let mapped;
        let transmit = match (transmit.destination, self.local) {
            // A socket of IPv6 reaches IPv4 under mapped addresses.
            (SocketAddr::V4(to), SocketAddr::V6(_)) => {
                mapped = Transmit {
                    destination: (to.ip().to_ipv6_mapped(), to.port()).into(),
                    ..transmit.clone()
                };
                &mapped
            }
            _ => transmit,
        };
        let sent = self.socket.try_io(Interest::WRITABLE, || {
            self.state
                .try_send(UdpSockRef::from(&self.socket), transmit)
        });
        let counter = match sent {
            Ok(()) => &self.metrics.sent,
            Err(_) => &self.metrics.unsent,
        };
        counter.inc_by(count as u64);
    }

    pub(crate) fn send_by_tcp(&self, destination: SocketAddr, datagram: &[u8]) {
        let connection = self.connections.get(&destination);
        let sent = connection.is_some_and(|connection| {
            tcp::frame(datagram).is_some_and(|framed| connection.try_send(framed).is_ok())
        });
        let counter = if sent {
            &self.metrics.sent
        } else {
            &self.metrics.unsent
        };
        counter.inc();
    }
}
