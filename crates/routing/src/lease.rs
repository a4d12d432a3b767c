//! Leases: what a URL is bound to, one publication or one subscription.
//!
//! A lease outlives connections: players and publishers reconnect to their URL, and find the gate
//! as it was left. One connection holds a subscription's lease at a time, the newest; when the
//! lease is revoked, whoever holds it learns it at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockgate_media::Track;
use tokio::sync::watch;

use crate::gate::Gate;
use crate::id::ConnectionId;

/// Hears of a publication's media. Called from the media path: it must not block, nor call back.
pub trait Watcher: Send + Sync + 'static {
    /// The first frame has arrived.
    fn began(&self);

    /// The stream is over: its grace has passed, or it was ended.
    fn ended(&self);
}

/// What a URL is bound to.
pub struct Lease {
    gate: Arc<Gate>,
    only: Option<Track>,
    watcher: Option<Box<dyn Watcher>>,
    /// How many connections have taken it; `REVOKED` is the end.
    holder: watch::Sender<u64>,
    /// The connection that took it last, 0 before the first.
    connection: AtomicU64,
}

const REVOKED: u64 = u64::MAX;

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("gate", &self.gate)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// A subscription's lease.
    pub fn subscription() -> Arc<Self> {
        Arc::new(Self::build(None, None))
    }

    /// A publication's lease. With `only`, packets of the other track are dropped.
    pub fn publication(only: Option<Track>, watcher: Box<dyn Watcher>) -> Arc<Self> {
        Arc::new(Self::build(only, Some(watcher)))
    }

    fn build(only: Option<Track>, watcher: Option<Box<dyn Watcher>>) -> Self {
        Self {
            gate: Arc::new(Gate::new()),
            only,
            watcher,
            holder: watch::Sender::new(0),
            connection: AtomicU64::new(0),
        }
    }

    /// The gate: the player's own for a subscription, everybody's for a publication.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether a publisher may send this track.
    pub fn allows(&self, track: Track) -> bool {
        self.only
            .is_none_or(|only| track == only || track == Track::Data)
    }

    /// Takes it for a connection: whoever had it has lost it. `None` when it was revoked.
    pub fn take(&self) -> Option<Holder> {
        let mut mine = REVOKED;
        self.holder.send_if_modified(|holder| {
            let open = *holder != REVOKED;
            if open {
                *holder += 1;
                mine = *holder;
            }
            open
        });
        (mine != REVOKED).then(|| Holder {
            mine,
            now: self.holder.subscribe(),
        })
    }

    /// Ends it for good.
    pub fn revoke(&self) {
        self.holder.send_replace(REVOKED);
    }

    /// The connection that came by it last, as reports number it; it may be gone by now.
    pub fn connection(&self) -> Option<u64> {
        let connection = self.connection.load(Ordering::Relaxed);
        (connection != 0).then_some(connection)
    }

    pub(crate) fn came(&self, connection: ConnectionId) {
        self.connection.store(connection.get(), Ordering::Relaxed);
    }

    pub(crate) fn began(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.began();
        }
    }

    pub(crate) fn ended(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.ended();
        }
    }
}

/// A connection's hold on a lease.
#[derive(Debug)]
pub struct Holder {
    mine: u64,
    now: watch::Receiver<u64>,
}

impl Holder {
    /// Waits until another connection has taken the lease, or it was revoked. Cancel safe.
    pub async fn lost(&mut self) {
        let mine = self.mine;
        // A lease that nobody keeps any more is lost too.
        let _ = self.now.wait_for(|holder| *holder != mine).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_connection_holds_a_lease_until_it_is_revoked() {
        let lease = Lease::subscription();
        let mut first = lease.take().expect("it stands");
        let mut second = lease.take().expect("it stands");
        first.lost().await;
        lease.revoke();
        second.lost().await;
        assert!(lease.take().is_none());
    }
}
