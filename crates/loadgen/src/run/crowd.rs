//! The connections of a run: how they are made, served and lost.

use std::cmp::Reverse;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::Token;
use str0m::media::Direction;

use super::Run;
use crate::client::{Client, Role};
use crate::clock::Clock;
use crate::habit::Habit;
use crate::link::Link;
use crate::listener::Listener;
use crate::player::{self, Player, Scratch};
use crate::publisher::{self, Publisher};
use crate::report::Progress;
use crate::rtc::Session;
use crate::tally::Tally;
use crate::target::Protocol;
use crate::viewer::Viewer;

/// A player that stalls gets a small receive buffer: it should be in the server's way within a
/// second, not when megabytes of the kernel's are full.
const STALLED_BUFFER: usize = 16 << 10;

/// A connection that always has something to do is left alone for so long.
const BREATH: Duration = Duration::from_millis(1);

/// What a player needs of the run.
struct With<'a> {
    scratch: &'a mut Scratch,
    clock: &'a Clock,
    tally: &'a mut Tally,
}

impl<W: FnMut(&Progress) -> ControlFlow<()>> Run<'_, W> {
    pub(super) fn add_publisher(&mut self) -> anyhow::Result<()> {
        let (load, at) = (self.load, self.publishers.len());
        let (target, count) = (&load.target, load.publishers);
        let made = if target.protocol() == Protocol::Whip {
            let sends = (Direction::SendOnly, load.shape.audio_bitrate > 0);
            let session = Session::ask(target, at, count, sends, &self.certificate);
            session.map(|session| publisher::Way::Whip(Box::new(session)))
        } else {
            let client = Client::new(Role::Publish, target, &target.stream(at, count));
            let link = Link::connect(client, target.address, None);
            let way = |link| publisher::Way::Rtmp(Box::new(link));
            link.map(way).map_err(Into::into)
        };
        let way = made.with_context(|| format!("connecting to {}", target.address))?;
        let frame = Duration::from_secs(1) / load.shape.frame_rate.max(1);
        let share = at as f64 / count.max(1) as f64;
        let phase = frame.mul_f64(share);
        let mut publisher = Publisher::new(way, load.shape, load.clip.clone(), phase);
        let registry = self.poll.registry();
        let watched = publisher.register(registry, Token(at));
        watched.context("watching a socket")?;
        self.publishers.push(Some(publisher));
        Ok(())
    }

    pub(super) fn add_player(&mut self) -> anyhow::Result<()> {
        let (load, at) = (self.load, self.players.len());
        let (target, count) = (load.played(), load.publishers.max(1));
        let habit = self.habits.get(at).copied().unwrap_or(Habit::Count);
        let made = if target.protocol() == Protocol::Whep {
            let receives = (Direction::RecvOnly, true);
            let session = Session::ask(target, at % count, count, receives, &self.certificate);
            session.map(|session| player::Way::Whep(Box::new(Viewer::new(session))))
        } else {
            let buffer = (habit == Habit::Stall).then_some(STALLED_BUFFER);
            let listener = Listener::new(target, at % count, count);
            let link = Link::connect(listener, target.address, buffer);
            link.map(player::Way::Tcp).map_err(Into::into)
        };
        let way = made.with_context(|| format!("connecting to {}", target.address))?;
        let mut player = Player::new(way, habit);
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
                if let Some(at) = publisher.deadline() {
                    self.timers.arm(place, at);
                }
            }
            Err(error) => self.lose_publisher(place, &error),
        }
    }

    fn serve_player(&mut self, place: usize, closed: bool) {
        self.with_player(place, |player, run| {
            player.on_ready(run.scratch, closed, run.clock, run.tally)
        });
        let player = self.players.get(place).and_then(Option::as_ref);
        if let Some(at) = player.and_then(Player::deadline) {
            self.timers.arm(self.load.publishers + place, at);
        }
    }

    /// Does something with a player, and keeps the books of what becomes of it.
    fn with_player(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Player, With<'_>) -> anyhow::Result<()>,
    ) {
        let Some(slot) = self.players.get_mut(place) else {
            return;
        };
        let Some(player) = slot else {
            return;
        };
        let waited = !player.has_joined();
        let with = With {
            scratch: &mut self.scratch,
            clock: &self.clock,
            tally: &mut self.tally,
        };
        let mut acted = act(player, with);
        let joins = waited && player.has_joined();
        if waited && (joins || acted.is_err()) {
            self.waiting -= 1;
        }
        if acted.is_ok() && joins && player.habit() == Habit::Stall {
            acted = player.deregister(self.poll.registry()).map_err(Into::into);
        }
        if let Err(error) = acted {
            *slot = None;
            self.ended += 1;
            self.failed("a player", &error);
        }
    }

    /// Does what connections have to do at `now` that nobody asks for.
    pub(super) fn drive(&mut self, now: Instant) {
        while let Some(place) = self.timers.pop(now) {
            let deadline = match place.checked_sub(self.load.publishers) {
                None => self.drive_publisher(place, now),
                Some(player) => self.drive_player(player, now),
            };
            if let Some(at) = deadline {
                self.timers.arm(place, at.max(now + BREATH));
            }
        }
    }

    fn drive_publisher(&mut self, place: usize, now: Instant) -> Option<Instant> {
        let publisher = self.publishers.get_mut(place)?.as_mut()?;
        if publisher.deadline().is_some_and(|at| at <= now)
            && let Err(error) = publisher.drive(now)
        {
            self.lose_publisher(place, &error);
            return None;
        }
        self.publishers.get(place)?.as_ref()?.deadline()
    }

    fn drive_player(&mut self, place: usize, now: Instant) -> Option<Instant> {
        let player = self.players.get(place)?.as_ref()?;
        if player.deadline().is_some_and(|at| at <= now) {
            self.with_player(place, |player, run| player.drive(now, run.clock, run.tally));
        }
        self.players.get(place)?.as_ref()?.deadline()
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
                Err(error) => self.lose_publisher(place, &error),
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
