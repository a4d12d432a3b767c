//! What carries a request: its connection, as far as media that goes out on it needs to know.

use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::plain::Handover;

/// What goes on on a connection once HTTP is over.
pub(super) type After = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection, shared with the requests on it.
#[derive(Clone)]
pub(super) struct Carrier(Arc<Inner>);

struct Inner {
    /// Its socket, where media may go straight to it.
    handover: Option<Handover>,
    /// Its place among HTTP connections, until it is among those of media.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    after: Mutex<Option<After>>,
    media: TaskTracker,
    cut: CancellationToken,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}

impl Carrier {
    pub(super) fn new(permit: OwnedSemaphorePermit, handover: Option<Handover>) -> Self {
        Self(Arc::new(Inner {
            handover,
            permit: Mutex::new(Some(permit)),
            after: Mutex::default(),
            media: TaskTracker::new(),
            cut: CancellationToken::new(),
        }))
    }

    /// The socket, where media may go straight to it.
    pub(super) fn handover(&self) -> Option<&Handover> {
        self.0.handover.as_ref()
    }

    /// The connection carries media and nothing else from here on: it has a seat for that, and its
    /// place is another's.
    pub(super) fn give_up_place(&self) {
        self.0.permit.lock().take();
    }

    /// Media goes out until the token drops; so long the connection is not too old.
    pub(super) fn media(&self) -> TaskTrackerToken {
        self.0.media.token()
    }

    /// Waits until no media goes out.
    pub(super) async fn idle(&self) {
        self.0.media.close();
        self.0.media.wait().await;
    }

    /// Has `after` run once HTTP is over.
    pub(super) fn then(&self, after: After) {
        *self.0.after.lock() = Some(after);
    }

    /// What is to run now that HTTP is over.
    pub(super) fn after(&self) -> Option<After> {
        self.0.after.lock().take()
    }

    /// Ends the connection.
    pub(super) fn cut(&self) {
        self.0.cut.cancel();
    }

    /// Waits until somebody ends the connection.
    pub(super) async fn is_cut(&self) {
        self.0.cut.cancelled().await;
    }
}
