//! The handle of a fan-out task: what it is told, and when it is woken.
//!
//! Invariant: whatever is raised is seen by the next pass; a task is woken once for it, not once a
//! packet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::pace::Waiting;
use crate::id::ConnectionId;
use crate::player::{End, Ended, Protocol, Seat, Sink};

/// What a fan-out task is told.
pub(crate) enum Command {
    /// A player joins.
    Join {
        seat: Arc<Seat>,
        sink: Box<dyn Sink>,
        ended: oneshot::Sender<Ended>,
    },
    /// A player's switches turned.
    Look(ConnectionId),
    /// Bytes for one player, between two packets.
    Control(ConnectionId, Vec<u8>),
    /// A player ends.
    End(ConnectionId, End),
    /// All of them end.
    EndAll(fn() -> End),
}

/// The handle of a fan-out task.
pub(crate) struct Link {
    pub(crate) protocol: &'static Protocol,
    players: AtomicUsize,
    inbox: Mutex<Vec<Command>>,
    pub(super) notify: Notify,
    /// Packets wait that go out at once.
    urgent: AtomicBool,
    /// Packets wait that may be held for others.
    held: AtomicBool,
    /// A switch turned for all players.
    turned: AtomicBool,
    /// The task looks by itself whether anything is held, before that has waited for too long.
    watching: AtomicBool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("players", &self.players)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(protocol: &'static Protocol) -> Self {
        Self {
            protocol,
            players: AtomicUsize::new(0),
            inbox: Mutex::new(Vec::new()),
            notify: Notify::new(),
            urgent: AtomicBool::new(false),
            held: AtomicBool::new(false),
            turned: AtomicBool::new(false),
            watching: AtomicBool::new(false),
        }
    }

    pub(crate) fn players(&self) -> usize {
        self.players.load(Ordering::Relaxed)
    }

    pub(crate) fn add_player(&self) {
        self.players.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_player(&self) {
        self.players.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.inbox.lock())
    }

    /// Whether the task looks by itself for what may be held.
    pub(super) fn watch(&self, watching: bool) {
        self.watching.store(watching, Ordering::SeqCst);
    }

    pub(crate) fn send(&self, command: Command) {
        self.inbox.lock().push(command);
        self.notify.notify_one();
    }

    /// Packets are in the ring. Those that go out at once wake the task, once until its next pass;
    /// those that may be held wake it only where it does not look by itself.
    pub(crate) fn wake(&self, urgent: bool) {
        if urgent {
            self.raise(&self.urgent);
        } else if !self.held.swap(true, Ordering::SeqCst) && !self.watching.load(Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }

    /// A switch turned for all players: they are looked at without any hold.
    pub(crate) fn turn(&self) {
        self.raise(&self.turned);
    }

    fn raise(&self, flag: &AtomicBool) {
        if !flag.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    pub(super) fn waiting(&self) -> Waiting {
        if self.turned.load(Ordering::Acquire) {
            Waiting::Turn
        } else if self.urgent.load(Ordering::Acquire) {
            Waiting::Frame
        } else if !self.watching.load(Ordering::SeqCst) && self.held.load(Ordering::SeqCst) {
            Waiting::Audio
        } else {
            Waiting::Nothing
        }
    }

    /// What comes from here on needs another pass.
    pub(super) fn begin_pass(&self) {
        for flag in [&self.turned, &self.urgent, &self.held] {
            flag.store(false, Ordering::Release);
        }
    }
}
