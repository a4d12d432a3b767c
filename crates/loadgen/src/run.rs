//! The run: one thread, one epoll, every publisher and player in it.
//!
//! Publishers first, then players at the rate asked for, then the time that is measured. What goes
//! wrong with one connection ends that connection and is counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::{Events, Poll, Token};

use crate::client::Role;
use crate::clock::Clock;
use crate::link::Link;
use crate::load::Load;
use crate::player::{Habit, Player, Scratch};
use crate::publisher::Publisher;
use crate::report::{Counts, Measured, Progress, Report, Spread};
use crate::tally::Tally;
use crate::usage::Usage;

/// Connections served between two looks at what publishers must send.
const EVENTS: usize = 256;
/// How long a server may take to answer everybody who connects.
const PATIENCE: Duration = Duration::from_secs(15);
/// A player that stalls gets a small receive buffer: it should be in the server's way within a
/// second, not when megabytes of the kernel's are full.
const STALLED_BUFFER: usize = 16 << 10;

/// Carries out a load. `watch` is told how it goes every [`Load::tick`] and may break it off; what
/// was measured until then is reported.
///
/// # Errors
/// When sockets cannot be made or watched, or none of the publishers may publish. Any other
/// connection that fails is counted.
pub fn run(load: &Load, watch: impl FnMut(&Progress) -> ControlFlow<()>) -> anyhow::Result<Report> {
    let mut run = Run::new(load, watch)?;
    run.bring_publishers()?;
    run.bring_players()?;
    run.measure()?;
    Ok(run.report())
}

struct Run<'a, W> {
    load: &'a Load,
    watch: W,
    stopped: bool,
    started: Instant,
    next_tick: Instant,
    poll: Poll,
    events: Events,
    /// Places of connections that events are for; whether their server closed.
    ready: Vec<(usize, bool)>,
    scratch: Scratch,
    clock: Clock,
    publishers: Vec<Option<Publisher>>,
    players: Vec<Option<Player>>,
    /// What each player, in the order they join, is to do.
    habits: Vec<Habit>,
    /// When which publisher sends next.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    tally: Tally,
    ended: usize,
    failure: Option<String>,
    late: Duration,
    begun: Option<Begin>,
    rss_before: u64,
    ticked: (Instant, Usage),
}

/// How things stood when measuring began.
#[derive(Debug, Clone, Copy)]
struct Begin {
    at: Instant,
    server: Usage,
    own: Usage,
}

impl<'a, W: FnMut(&Progress) -> ControlFlow<()>> Run<'a, W> {
    fn new(load: &'a Load, watch: W) -> anyhow::Result<Self> {
        let now = Instant::now();
        let server = match load.server {
            Some(pid) => Usage::of(pid).with_context(|| format!("reading process {pid}"))?,
            None => Usage::default(),
        };
        Ok(Self {
            load,
            watch,
            stopped: false,
            started: now,
            next_tick: now + load.tick,
            poll: Poll::new().context("making an epoll")?,
            events: Events::with_capacity(EVENTS),
            ready: Vec::with_capacity(EVENTS),
            scratch: Scratch::new(),
            clock: Clock::new(),
            publishers: Vec::new(),
            players: Vec::new(),
            habits: Habit::spread(load.players, load.judges, load.stalled),
            due: BinaryHeap::new(),
            tally: Tally::default(),
            ended: 0,
            failure: None,
            late: Duration::ZERO,
            begun: None,
            rss_before: server.rss_kib,
            ticked: (now, server),
        })
    }

    fn bring_publishers(&mut self) -> anyhow::Result<()> {
        let count = self.load.publishers;
        self.at_join_rate(count, Self::add_publisher)?;
        let settled = |run: &Self| run.publishing() == run.publishers.iter().flatten().count();
        self.go_on(PATIENCE, settled)?;
        if count > 0 && self.publishing() == 0 {
            let why = self
                .failure
                .as_deref()
                .unwrap_or("the server does not answer");
            anyhow::bail!("nobody could publish to {}: {why}", self.load.target);
        }
        if count > 0 {
            self.go_on(self.load.lead, |_| false)?;
        }
        self.rss_before = self.server().rss_kib;
        Ok(())
    }

    fn bring_players(&mut self) -> anyhow::Result<()> {
        self.at_join_rate(self.load.players, Self::add_player)?;
        let settled = |run: &Self| run.players.iter().flatten().all(Player::has_joined);
        self.go_on(PATIENCE, settled)?;
        self.go_on(self.load.warmup, |_| false)
    }

    fn measure(&mut self) -> anyhow::Result<()> {
        self.tally.begin();
        self.late = Duration::ZERO;
        self.begun = Some(Begin {
            at: Instant::now(),
            server: self.server(),
            own: Usage::own(),
        });
        self.go_on(self.load.duration, |_| false)
    }

    /// Adds `count` connections, spread over time.
    fn at_join_rate(
        &mut self,
        count: usize,
        add: fn(&mut Self, usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let gap = Duration::from_secs(1) / self.load.join_rate.max(1);
        let mut next = Instant::now();
        for at in 0..count {
            self.go_on(next.saturating_duration_since(Instant::now()), |_| false)?;
            if self.stopped {
                break;
            }
            add(self, at)?;
            next += gap;
        }
        Ok(())
    }

    fn add_publisher(&mut self, at: usize) -> anyhow::Result<()> {
        let load = self.load;
        let stream = load.target.stream(at, load.publishers);
        let link = self.link(Role::Publish, &stream, None, at)?;
        let frame = Duration::from_secs(1) / load.shape.frame_rate.max(1);
        let share = at as f64 / load.publishers.max(1) as f64;
        let publisher = Publisher::new(link, load.shape, frame.mul_f64(share));
        self.publishers.push(Some(publisher));
        Ok(())
    }

    fn add_player(&mut self, at: usize) -> anyhow::Result<()> {
        let load = self.load;
        let streams = load.publishers.max(1);
        let stream = load.target.stream(at % streams, streams);
        let habit = self.habits.get(at).copied().unwrap_or(Habit::Count);
        let buffer = (habit == Habit::Stall).then_some(STALLED_BUFFER);
        let link = self.link(Role::Play, &stream, buffer, self.publishers.len() + at)?;
        self.players.push(Some(Player::new(link, habit)));
        Ok(())
    }

    fn link(
        &mut self,
        role: Role,
        stream: &str,
        receive_buffer: Option<usize>,
        token: usize,
    ) -> anyhow::Result<Link> {
        let target = &self.load.target;
        let mut link = Link::connect(role, target, stream, receive_buffer)
            .with_context(|| format!("connecting to {}", target.address))?;
        link.register(self.poll.registry(), Token(token))
            .context("watching a socket")?;
        Ok(link)
    }

    /// Serves everybody for `time`, or until `done` holds or the run is broken off.
    fn go_on(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let now = Instant::now();
            self.send(now);
            if now >= self.next_tick {
                self.tell(now);
            }
            if now >= end || self.stopped || done(self) {
                return Ok(());
            }
            let next = self.due.peek().map_or(end, |Reverse((due, _))| *due);
            let wake = end.min(next).min(self.next_tick);
            self.serve(wake.saturating_duration_since(now))?;
        }
    }

    /// Waits for sockets and serves them.
    fn serve(&mut self, time: Duration) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(time)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.context("waiting for sockets")?,
        }
        let mut ready = std::mem::take(&mut self.ready);
        let events = self.events.iter();
        ready.extend(events.map(|event| (event.token().0, event.is_read_closed())));
        for (place, closed) in ready.drain(..) {
            match place.checked_sub(self.load.publishers) {
                None => self.serve_publisher(place),
                Some(player) => self.serve_player(player, closed),
            }
        }
        self.ready = ready;
        Ok(())
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
        let (scratch, clock, tally) = (&mut self.scratch, &self.clock, &mut self.tally);
        let mut served = player.on_ready(scratch, closed, clock, tally);
        if served.is_ok() && player.habit() == Habit::Stall && player.has_joined() {
            served = player
                .link
                .deregister(self.poll.registry())
                .map_err(Into::into);
        }
        if let Err(error) = served {
            *slot = None;
            self.ended += 1;
            self.failed("a player", &error);
        }
    }

    /// Sends what publishers owe at `now`.
    fn send(&mut self, now: Instant) {
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

    fn tell(&mut self, now: Instant) {
        self.next_tick = now + self.load.tick;
        let server = self.server();
        let (last, before) = std::mem::replace(&mut self.ticked, (now, server));
        let passed = now.saturating_duration_since(last).as_secs_f64();
        let cpu = server.cpu.saturating_sub(before.cpu).as_secs_f64();
        let progress = Progress {
            elapsed: now.saturating_duration_since(self.started),
            measuring: self.begun.is_some(),
            publishing: self.publishing(),
            playing: self.playing(),
            fewest_frames: self.fewest_frames(),
            bytes: self.tally.bytes,
            video_delay_ms: Spread::of(&self.tally.video_delay),
            frames_lost: self.tally.lost_video + self.tally.lost_audio,
            ran_back: self.tally.back,
            server: self
                .load
                .server
                .map(|_| (100.0 * cpu / passed, server.rss_kib)),
        };
        self.stopped = (self.watch)(&progress).is_break();
    }

    fn publishing(&self) -> usize {
        let publishers = self.publishers.iter().flatten();
        publishers
            .filter(|publisher| publisher.is_publishing())
            .count()
    }

    fn playing(&self) -> usize {
        let players = self.players.iter().flatten();
        players.filter(|player| player.has_joined()).count()
    }

    /// Video frames that the judge with the fewest has got; one that is gone has none.
    fn fewest_frames(&self) -> u64 {
        let players = self.players.iter().zip(&self.habits);
        let judges = players.filter(|(_, habit)| **habit == Habit::Judge);
        let frames = judges.map(|(slot, _)| slot.as_ref().map_or(0, Player::frames));
        frames.min().unwrap_or(0)
    }

    /// The server's usage now; its last one when it is gone.
    fn server(&self) -> Usage {
        let pid = self.load.server;
        pid.and_then(|pid| Usage::of(pid).ok())
            .unwrap_or(self.ticked.1)
    }

    fn report(&self) -> Report {
        let begun = self.begun.unwrap_or(Begin {
            at: Instant::now(),
            server: self.server(),
            own: Usage::own(),
        });
        let counts = Counts {
            publishing: self.publishing(),
            playing: self.playing(),
            ended: self.ended,
        };
        let measured = Measured {
            time: begun.at.elapsed(),
            server: (begun.server, self.server()),
            own: (begun.own, Usage::own()),
            rss_before: self.rss_before,
            late: self.late,
        };
        Report::new(
            self.load,
            &self.tally,
            counts,
            measured,
            self.failure.clone(),
        )
    }
}
