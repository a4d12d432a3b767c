//! Which session a datagram is for: by the name in its STUN message, or by the path that a session
//! has proved to be its own. No IO.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::stun;

/// Most paths of one session: a client with many interfaces checks some of each.
const MAX_PATHS: usize = 16;

/// Most datagrams of one session that wait: sessions may share an inbox, and none may fill it.
const MAX_WAITING: usize = 256;

/// Where a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// It came by a TCP connection (RFC 6544), not by UDP.
    pub tcp: bool,
    /// The peer's address.
    pub source: SocketAddr,
}

/// A datagram for a session.
#[derive(Debug)]
pub struct Datagram {
    /// The number under which the session registered.
    pub peer: u64,
    /// Where it came from.
    pub path: Path,
    /// What it holds.
    pub bytes: Bytes,
    _waiting: Waiting,
}

/// One of the datagrams that wait for a session.
#[derive(Debug)]
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn take(count: &Arc<AtomicUsize>) -> Option<Self> {
        let room = count.fetch_add(1, Ordering::Relaxed) < MAX_WAITING;
        let waiting = Self(Arc::clone(count));
        room.then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Route {
    inbox: mpsc::Sender<Datagram>,
    peer: u64,
    paths: Mutex<Vec<Path>>,
    waiting: Arc<AtomicUsize>,
}

/// Every session's ways in.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: DashMap<String, Arc<Route>>,
    by_path: DashMap<Path, Arc<Route>>,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routed {
    Delivered,
    /// No session has this name or path.
    Unknown,
    /// The session does not keep up.
    Full,
}

impl Routes {
    /// Hands a datagram to its session.
    pub(crate) fn deliver(&self, path: Path, bytes: &[u8]) -> Routed {
        let known = self.by_path.get(&path).map(|route| Arc::clone(&route));
        // A name says more than a path: an address may have come to another session.
        let named = stun::is_stun(bytes)
            .then(|| stun::receiver(bytes))
            .flatten()
            .and_then(|name| self.by_name.get(name).map(|route| Arc::clone(&route)));
        let Some(route) = named.or(known) else {
            return Routed::Unknown;
        };
        let Some(waiting) = Waiting::take(&route.waiting) else {
            return Routed::Full;
        };
        let datagram = Datagram {
            _waiting: waiting,
            peer: route.peer,
            path,
            bytes: Bytes::copy_from_slice(bytes),
        };
        match route.inbox.try_send(datagram) {
            Ok(()) => Routed::Delivered,
            Err(mpsc::error::TrySendError::Full(_)) => Routed::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Routed::Unknown,
        }
    }

    /// Whether a session has proved a path to be its own.
    pub(crate) fn has(&self, path: Path) -> bool {
        self.by_path.contains_key(&path)
    }

    /// Gives a session the datagrams that name it.
    pub(crate) fn register(
        self: &Arc<Self>,
        name: String,
        inbox: mpsc::Sender<Datagram>,
        peer: u64,
    ) -> Registration {
        let route = Arc::new(Route {
            inbox,
            peer,
            paths: Mutex::default(),
            waiting: Arc::default(),
        });
        self.by_name.insert(name.clone(), Arc::clone(&route));
        Registration {
            routes: Arc::clone(self),
            name,
            route,
        }
    }
}

/// A session's place on the port, for as long as it is held.
#[derive(Debug)]
pub struct Registration {
    routes: Arc<Routes>,
    name: String,
    route: Arc<Route>,
}

impl Registration {
    /// Takes what comes by a path from now on: its sender knew the session's password.
    pub fn learn(&self, path: Path) {
        if self.knows(path) {
            return;
        }
        let mut paths = self.route.paths.lock();
        // One that went to another session and is proved again is here still.
        if !paths.contains(&path) {
            if paths.len() >= MAX_PATHS {
                let oldest = paths.remove(0);
                self.forget(oldest);
            }
            paths.push(path);
        }
        self.routes.by_path.insert(path, Arc::clone(&self.route));
    }

    /// Whether what comes by a path comes here.
    pub fn knows(&self, path: Path) -> bool {
        let held = self.routes.by_path.get(&path);
        held.is_some_and(|held| Arc::ptr_eq(&held, &self.route))
    }

    fn forget(&self, path: Path) {
        let mine = |_: &Path, held: &Arc<Route>| Arc::ptr_eq(held, &self.route);
        self.routes.by_path.remove_if(&path, mine);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mine = |_: &String, held: &Arc<Route>| Arc::ptr_eq(held, &self.route);
        self.routes.by_name.remove_if(&self.name, mine);
        for path in std::mem::take(&mut *self.route.paths.lock()) {
            self.forget(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            tcp: false,
            source: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// A binding request to `receiver`.
    fn request(receiver: &str) -> Vec<u8> {
        let name = format!("{receiver}:peer");
        let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        message.extend_from_slice(&[0; 12]);
        message.extend_from_slice(&[0, 6, 0, u8::try_from(name.len()).unwrap()]);
        message.extend_from_slice(name.as_bytes());
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    /// Two sessions that share an inbox. Both have proved the same path, the second one last.
    fn rivals() -> (Arc<Routes>, [Registration; 2], mpsc::Receiver<Datagram>) {
        let routes = Arc::new(Routes::default());
        let (inbox, received) = mpsc::channel(8);
        let first = routes.register("one".into(), inbox.clone(), 1);
        let second = routes.register("two".into(), inbox, 2);
        first.learn(path(1));
        second.learn(path(1));
        (routes, [first, second], received)
    }

    const MEDIA: &[u8] = &[0x80, 0x60, 0, 1];

    #[test]
    fn a_name_finds_its_session_and_a_path_does_once_it_is_learnt() {
        let routes = Arc::new(Routes::default());
        let (inbox, mut received) = mpsc::channel(8);
        let session = routes.register("abcd".into(), inbox, 7);
        assert_eq!(routes.deliver(path(1), MEDIA), Routed::Unknown);
        assert_eq!(routes.deliver(path(1), &request("abcd")), Routed::Delivered);
        assert_eq!(
            routes.deliver(path(1), MEDIA),
            Routed::Unknown,
            "a name alone proves nothing"
        );
        session.learn(path(1));
        assert_eq!(routes.deliver(path(1), MEDIA), Routed::Delivered);
        assert_eq!(routes.deliver(path(2), MEDIA), Routed::Unknown);
        assert_eq!(received.try_recv().unwrap().peer, 7);
        drop(session);
        assert_eq!(routes.deliver(path(1), MEDIA), Routed::Unknown);
        assert_eq!(routes.deliver(path(1), &request("abcd")), Routed::Unknown);
        assert!(routes.by_name.is_empty() && routes.by_path.is_empty());
    }

    #[test]
    fn a_path_that_another_session_proved_is_no_longer_the_first_ones() {
        let (routes, [first, _second], mut received) = rivals();
        routes.deliver(path(1), MEDIA);
        drop(first);
        routes.deliver(path(1), MEDIA);
        let peers = [0; 2].map(|_| received.try_recv().unwrap().peer);
        assert_eq!(peers, [2, 2]);
    }

    #[test]
    fn a_path_that_was_taken_away_comes_back_once_it_is_proved_again() {
        let (routes, [first, second], mut received) = rivals();
        assert!(!first.knows(path(1)) && second.knows(path(1)));
        first.learn(path(1));
        assert!(first.knows(path(1)) && !second.knows(path(1)));
        drop(second);
        routes.deliver(path(1), MEDIA);
        assert_eq!(received.try_recv().unwrap().peer, 1);
        drop(first);
        assert!(routes.by_path.is_empty());
    }

    #[test]
    fn neither_paths_nor_waiting_datagrams_grow_without_bound() {
        let routes = Arc::new(Routes::default());
        let (inbox, _received) = mpsc::channel(2);
        let session = routes.register("abcd".into(), inbox, 1);
        for port in 0..100 {
            session.learn(path(port));
        }
        assert_eq!(routes.by_path.len(), MAX_PATHS);
        let became = [0; 3].map(|_| routes.deliver(path(99), MEDIA));
        assert_eq!(became, [Routed::Delivered, Routed::Delivered, Routed::Full]);
    }
}
