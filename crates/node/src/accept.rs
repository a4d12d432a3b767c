//! Accepting connections: errors that pass are waited out, errors that stay end the listener.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;

use lockgate_routing::throttle::Throttle;

/// What the system queues while the node is busy; a crowd that reconnects comes at once. Linux
/// lowers it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// After an error, so that a lack of file descriptors does not become a busy loop.
const BACKOFF: Duration = Duration::from_millis(100);

/// A listening socket that outlives errors of single connections.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    name: &'static str,
    errors: IntCounter,
    throttle: Throttle,
}

/// Binds a listener.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A node that restarts may take its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, name: &'static str, errors: IntCounter) -> Self {
        Self {
            listener,
            name,
            errors,
            throttle: Throttle::default(),
        }
    }

    /// Breaks the listener, as nothing in a node does.
    #[cfg(test)]
    pub(crate) fn break_down(&self) {
        let both = std::net::Shutdown::Both;
        socket2::SockRef::from(&self.listener)
            .shutdown(both)
            .unwrap();
    }

    /// The next connection. Cancel-safe.
    ///
    /// # Errors
    /// Only if the listener itself is broken: no later call would succeed.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => return Ok(accepted),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => error,
            };
            self.errors.inc();
            if let Some(times) = self.throttle.note(Instant::now()) {
                warn!(listener = self.name, %error, times, "cannot accept a connection; trying on");
            }
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

/// Errors about the listening socket, not about a connection or about resources (accept(2)):
/// EBADF, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP.
fn is_fatal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(9 | 14 | 22 | 88 | 95))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_passes_and_a_closed_listener_does_not() {
        for (code, fatal) in [
            (24, false),
            (23, false),
            (103, false),
            (12, false),
            (9, true),
            (22, true),
        ] {
            assert_eq!(
                is_fatal(&io::Error::from_raw_os_error(code)),
                fatal,
                "errno {code}"
            );
        }
    }
}
