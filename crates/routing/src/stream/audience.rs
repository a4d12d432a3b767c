//! Who sends a stream's packets on: its fan-out tasks, and readers that send by themselves.
//!
//! Invariant: a task with no players and none that joins is let go under the lock under which
//! players are handed out, so nobody is given to a task that has ended.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::fanout::{Command, Link};
use crate::id::ConnectionId;
use crate::player::{End, Protocol};
use crate::reader::Tap;

/// Players that one fan-out task takes before a stream gets another.
const PLAYERS_PER_TASK: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Audience {
    links: Mutex<Vec<Arc<Link>>>,
    taps: Mutex<Vec<Arc<Tap>>>,
}

impl Audience {
    /// Packets came in.
    pub(super) fn wake(&self, urgent: bool) {
        for link in self.links.lock().iter() {
            link.wake(urgent);
        }
        self.wake_taps();
    }

    /// A switch turned for all players.
    pub(super) fn turn(&self) {
        for link in self.links.lock().iter() {
            link.turn();
        }
        self.wake_taps();
    }

    /// One player's switches turned.
    pub(super) fn look(&self, player: ConnectionId) {
        for link in self.links.lock().iter() {
            link.send(Command::Look(player));
        }
        self.wake_taps();
    }

    /// The stream is over.
    pub(super) fn end(&self, why: fn() -> End) {
        for link in self.links.lock().iter() {
            link.send(Command::EndAll(why));
        }
        for tap in self.taps.lock().iter() {
            tap.end(why);
        }
    }

    fn wake_taps(&self) {
        for tap in self.taps.lock().iter() {
            tap.wake();
        }
    }

    pub(super) fn tap(&self, tap: &Arc<Tap>) {
        self.taps.lock().push(Arc::clone(tap));
    }

    pub(super) fn is_tapped(&self) -> bool {
        !self.taps.lock().is_empty()
    }

    pub(super) fn untap(&self, tap: &Arc<Tap>) {
        self.taps.lock().retain(|other| !Arc::ptr_eq(other, tap));
    }

    /// Hands a player to the task of its protocol with the fewest, or to a new one while there are
    /// fewer than `most`; `start` starts that.
    pub(super) fn join(
        &self,
        protocol: &'static Protocol,
        command: Command,
        most: usize,
        start: impl FnOnce(&Arc<Link>),
    ) -> Arc<Link> {
        let mut links = self.links.lock();
        let mut mine = links
            .iter()
            .filter(|link| std::ptr::eq(link.protocol, protocol));
        let count = mine.clone().count();
        let emptiest = mine.by_ref().min_by_key(|link| link.players());
        let link = match emptiest {
            Some(link) if link.players() < PLAYERS_PER_TASK || count >= most => Arc::clone(link),
            _ => {
                let link = Arc::new(Link::new(protocol));
                links.push(Arc::clone(&link));
                start(&link);
                link
            }
        };
        link.add_player();
        link.send(command);
        link
    }

    /// Lets a task go whose last player left; `false` when one is joining.
    pub(super) fn retire(&self, link: &Arc<Link>) -> bool {
        let mut links = self.links.lock();
        if link.players() > 0 {
            return false;
        }
        links.retain(|other| !Arc::ptr_eq(other, link));
        true
    }
}
