//! The connections of a run: how they are made, served and lost.

use std::cmp::Reverse;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::Token;

use super::Run;
use crate::client::{Client, Role};
use crate::habit::Habit;
use crate::link::Link;
use crate::listener::Listener;
use crate::player::Player;
use crate::publisher::Publisher;
use crate::report::Progress;

/// A player that stalls gets a small receive buffer: it should be in the server's way within a
/// second, not when megabytes of the kernel's are full.
const STALLED_BUFFER: usize = 16 << 10;

impl<W: FnMut(&Progress) -> ControlFlow<()>> Run<'_, W> {
    pub(super) fn add_publisher(&mut self) -> anyhow::Result<()> {
        let (load, at) = (self.load, self.publishers.len());
        let (target, count) = (&load.target, load.publishers);
        let client = Client::new(Role::Publish, target, &target.stream(at, count));
        let link = Link::connect(client, target.address, None);
        let link = link.with_context(|| format!("connecting to {}", target.address))?;
        let frame = Duration::from_secs(1) / load.shape.frame_rate.max(1);
        let share = at as f64 / count.max(1) as f64;
        let phase = frame.mul_f64(share);
        let mut publisher = Publisher::new(link, load.shape, load.clip.clone(), phase);
        let registry = self.poll.registry();
        let watched = publisher.link.register(registry, Token(at));
        watched.context("watching a socket")?;
        self.publishers.push(Some(publisher));
        Ok(())
    }

    pub(super) fn add_player(&mut self) -> anyhow::Result<()> {
        let (load, at) = (self.load, self.players.len());
        let (target, count) = (load.played(), load.publishers.max(1));
        let habit = self.habits.get(at).copied().unwrap_or(Habit::Count);
        let buffer = (habit == Habit::Stall).then_some(STALLED_BUFFER);
        let listener = Listener::new(target, at % count, count);
        let link = Link::connect(listener, target.address, buffer);
        let link = link.with_context(|| format!("connecting to {}", target.address))?;
        let mut player = Player::new(link, habit);
        let place = self.load.publishers + at;
        let watched = player.register(self.poll.registry(), Token(place));
        watched.context("watching a socket")?;
        self.players.push(Some(player));
        self.waiting += 1;
        Ok(())
    }

    /// Waits for sockets and serves them; whether there were any.
    pub(super) fn serve(&mut self, time: Duration) -> anyhow::Result<bool> {
        match self.poll.poll(&mut self.events, Some(time)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other.context("waiting for sockets")?,
        }
        let mut ready = std::mem::take(&mut self.ready);
        let events = self.events.iter();
        ready.extend(events.map(|event| (event.token().0, event.is_read_closed())));
        let found = !ready.is_empty();
        for (place, closed) in ready.drain(..) {
            match place.checked_sub(self.load.publishers) {
                None => self.serve_publisher(place),
                Some(player) => self.serve_player(player, closed),
            }
        }
        self.ready = ready;
        Ok(found)
    }

    fn serve_publisher(&mut self, place: usize) {
        let Some(Some(publisher)) = self.publishers.get_mut(place) else {
            return;
        };
        let before = publisher.due();
        match publisher.on_ready(&mut self.scratch.read) {
            Ok(()) => {
                if let (None, Some(due)) = (before, publisher.due()) {
                    self.due.push(Reverse((due, place)));
                }
            }
            Err(error) => self.lose_publisher(place, &error),
        }
    }

    fn serve_player(&mut self, place: usize, closed: bool) {
        let Some(slot) = self.players.get_mut(place) else {
            return;
        };
        let Some(player) = slot else {
            return;
        };
        let waited = !player.has_joined();
        let (scratch, clock, tally) = (&mut self.scratch, &self.clock, &mut self.tally);
        let mut served = player.on_ready(scratch, closed, clock, tally);
        if waited && (player.has_joined() || served.is_err()) {
            self.waiting -= 1;
        }
        if served.is_ok() && player.habit() == Habit::Stall && player.has_joined() {
            served = player.deregister(self.poll.registry()).map_err(Into::into);
        }
        if let Err(error) = served {
            *slot = None;
            self.ended += 1;
            self.failed("a player", &error);
        }
    }

    /// Sends what publishers owe at `now`.
    pub(super) fn send(&mut self, now: Instant) {
        while let Some(&Reverse((due, place))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            let Some(Some(publisher)) = self.publishers.get_mut(place) else {
                continue;
            };
            match publisher.send(now, &self.clock) {
                Ok(late) => {
                    self.late = self.late.max(late);
                    self.due
                        .extend(publisher.due().map(|due| Reverse((due, place))));
                }
                Err(error) => self.lose_publisher(place, &error.into()),
            }
        }
    }

    fn lose_publisher(&mut self, place: usize, error: &anyhow::Error) {
        if let Some(slot) = self.publishers.get_mut(place) {
            *slot = None;
        }
        self.failed("a publisher", error);
    }

    fn failed(&mut self, who: &str, error: &anyhow::Error) {
        self.failure
            .get_or_insert_with(|| format!("{who}: {error:#}"));
    }
}
