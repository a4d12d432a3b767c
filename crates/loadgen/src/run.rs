//! The run: one thread, one epoll, every publisher and player in it, whatever protocol it speaks.
//!
//! Publishers first, then players at the rate asked for, then the time that is measured, and last
//! what joins while the load is on. What goes wrong with one connection ends that connection and is
//! counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::{Events, Poll};
use str0m::config::DtlsCert;

use crate::clock::Clock;
use crate::dwell::Buckets;
use crate::habit::Habit;
use crate::load::{Load, Ramp};
use crate::mutes;
use crate::player::{Player, Scratch};
use crate::publisher::Publisher;
use crate::report::{Counts, Late, Measured, Progress, Report, Spread, Step};
use crate::rtc;
use crate::tally::Tally;
use crate::timers::Timers;
use crate::usage::{Thread, Usage};

mod crowd;

/// Connections served between two looks at what publishers must send.
const EVENTS: usize = 256;
/// How long a server may take to answer everybody who connects.
const PATIENCE: Duration = Duration::from_secs(15);

/// Carries out a load. `watch` is told how it goes every [`Load::tick`] and may break it off; what
/// was measured until then is reported.
///
/// # Errors
/// When the URLs do not fit the load, sockets cannot be made or watched, none of the publishers may publish, or players cannot be
/// muted. Any other connection that fails is counted.
pub fn run(load: &Load, watch: impl FnMut(&Progress) -> ControlFlow<()>) -> anyhow::Result<Report> {
    load.check()?;
    let mut run = Run::new(load, watch)?;
    run.bring_publishers()?;
    run.join(load.players, load.join_rate)?;
    run.mute()?;
    run.go_on(load.warmup, |_| false)?;
    let mut report = run.measure()?;
    if let Some(ramp) = load.ramp {
        report = run.climb(ramp, report)?;
    }
    if load.late > 0 && !run.stopped {
        report.late = Some(run.bring_late()?);
    }
    Ok(report)
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
    /// When which connection has something to do that nobody asks for.
    timers: Timers,
    /// What sessions of WebRTC present.
    certificate: DtlsCert,
    tally: Tally,
    /// Players that wait for their first keyframe.
    waiting: usize,
    ended: usize,
    failure: Option<String>,
    late: Duration,
    /// Time in which a load that spins found nothing to do.
    idle: Duration,
    begun: Option<Begin>,
    rss_at_start: u64,
    rss_before: u64,
    ticked: (Instant, Usage),
}

/// How things stood when measuring began.
#[derive(Debug, Clone)]
struct Begin {
    at: Instant,
    server: Usage,
    threads: Vec<Thread>,
    own: Usage,
}

impl<'a, W: FnMut(&Progress) -> ControlFlow<()>> Run<'a, W> {
    fn new(load: &'a Load, watch: W) -> anyhow::Result<Self> {
        let now = Instant::now();
        let server = match load.server {
            Some(pid) => Usage::of(pid).with_context(|| format!("reading process {pid}"))?,
            None => Usage::default(),
        };
        let mut habits = Habit::spread(load.players, load.judges, load.stalled);
        habits.extend(std::iter::repeat_n(Habit::Count, load.late));
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
            habits,
            due: BinaryHeap::new(),
            timers: Timers::default(),
            certificate: rtc::certificate()?,
            tally: Tally::default(),
            waiting: 0,
            ended: 0,
            failure: None,
            late: Duration::ZERO,
            idle: Duration::ZERO,
            begun: None,
            rss_at_start: server.rss_kib,
            rss_before: server.rss_kib,
            ticked: (now, server),
        })
    }

    fn bring_publishers(&mut self) -> anyhow::Result<()> {
        let count = self.load.publishers;
        self.at_rate(count, self.load.join_rate, Self::add_publisher)?;
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

    /// Brings `count` more players, and waits until each of them has got a keyframe or is gone.
    fn join(&mut self, count: usize, rate: u32) -> anyhow::Result<()> {
        self.at_rate(count, rate, Self::add_player)?;
        self.go_on(PATIENCE, |run| run.waiting == 0)
    }

    /// Mutes players through the node's API.
    fn mute(&mut self) -> anyhow::Result<()> {
        match self.load.mutes {
            Some(mutes) => self.ask(move || mutes::mute(&mutes).context("muting players")),
            None => Ok(()),
        }
    }

    /// Asks the node something, from a thread of its own: whoever waits for an answer reads no media
    /// meanwhile.
    fn ask<T: Send>(
        &mut self,
        question: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let asking = scope.spawn(question);
            self.go_on(PATIENCE, |_| asking.is_finished())?;
            let gave_up = |_| Err(anyhow::anyhow!("the thread that asks gave up"));
            asking.join().unwrap_or_else(gave_up)
        })
    }

    /// How long packets have stayed in the node until now, where it is to be asked.
    fn dwelt(&mut self) -> anyhow::Result<Option<Buckets>> {
        let Some(api) = self.load.api else {
            return Ok(None);
        };
        let asked = self.ask(move || Buckets::ask(api));
        asked.context("asking the node for its metrics").map(Some)
    }

    fn measure(&mut self) -> anyhow::Result<Report> {
        let dwelt = self.dwelt()?;
        self.tally.begin();
        for player in self.players.iter_mut().flatten() {
            player.begin();
        }
        (self.late, self.idle) = (Duration::ZERO, Duration::ZERO);
        self.begun = Some(self.begin());
        self.go_on(self.load.duration, |_| false)?;
        let mut report = self.report();
        if let (Some(after), Some(before)) = (self.dwelt()?, dwelt) {
            report.dwell_ms = Some(after.since(&before));
        }
        Ok(report)
    }

    /// Brings more players step by step, until delay passes the bound or somebody loses something.
    /// The report is that of the last step that held.
    fn climb(&mut self, ramp: Ramp, first: Report) -> anyhow::Result<Report> {
        let mut steps = vec![Step::new(&first, ramp.bound)];
        let mut held = first;
        while steps.last().is_some_and(|step| step.held) && !self.stopped {
            let more = ramp.more(self.players.len());
            if more == 0 {
                break;
            }
            let judges = more * self.load.judges / self.load.players.max(1);
            self.habits.extend(Habit::spread(more, judges, 0));
            self.join(more, self.load.join_rate)?;
            self.go_on(self.load.warmup, |_| false)?;
            let report = self.measure()?;
            let step = Step::new(&report, ramp.bound);
            if step.held {
                held = report;
            }
            steps.push(step);
        }
        held.ramp = steps;
        Ok(held)
    }

    /// Brings players while the load is on, to see how they join and what it does to the others.
    fn bring_late(&mut self) -> anyhow::Result<Late> {
        let (lost, ended) = (self.tally.lost(), self.ended);
        self.tally.begin();
        self.tally.first_frame.clear();
        self.join(self.load.late, self.load.late_rate)?;
        let mut late = Late {
            players: self.load.late,
            first_frame_ms: Spread::of(&self.tally.first_frame),
            video_delay_ms: Spread::of(&self.tally.video_delay),
            later_delay_ms: Spread::default(),
            lost: self.tally.lost() - lost,
            ended: self.ended - ended,
        };
        self.tally.begin();
        self.go_on(self.load.duration, |_| false)?;
        late.later_delay_ms = Spread::of(&self.tally.video_delay);
        Ok(late)
    }

    /// Adds `count` connections, spread over time.
    fn at_rate(
        &mut self,
        count: usize,
        rate: u32,
        add: fn(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let gap = Duration::from_secs(1) / rate.max(1);
        let mut next = Instant::now();
        for _ in 0..count {
            self.go_on(next.saturating_duration_since(Instant::now()), |_| false)?;
            if self.stopped {
                break;
            }
            add(self)?;
            next += gap;
        }
        Ok(())
    }

    /// Serves everybody for `time`, or until `done` holds or the run is broken off.
    fn go_on(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let now = Instant::now();
            self.send(now);
            self.drive(now);
            if now >= self.next_tick {
                self.tell(now);
            }
            if now >= end || self.stopped || done(self) {
                return Ok(());
            }
            if self.load.spin {
                if !self.serve(Duration::ZERO)? {
                    self.idle += now.elapsed();
                }
                continue;
            }
            let next = self.due.peek().map_or(end, |Reverse((due, _))| *due);
            let timer = self.timers.next().unwrap_or(end);
            let wake = end.min(next).min(timer).min(self.next_tick);
            self.serve(wake.saturating_duration_since(now))?;
        }
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
            frames_lost: self.tally.lost(),
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

    /// Players that got less than nine tenths of the bytes that the one in the middle got since
    /// measuring began. Judges tell which frames they lost; this tells it of those who count.
    fn behind(&self) -> usize {
        if self.load.mutes.is_some() {
            // They are to get less.
            return 0;
        }
        let counting = self.players.iter().flatten();
        let counting = counting.filter(|player| player.habit() != Habit::Stall);
        let mut got: Vec<_> = counting.map(Player::got).collect();
        got.sort_unstable();
        let middle = got.get(got.len() / 2).copied().unwrap_or(0);
        got.partition_point(|&bytes| u64::from(bytes) * 10 < u64::from(middle) * 9)
    }

    /// The server's usage now; its last one when it is gone.
    fn server(&self) -> Usage {
        let pid = self.load.server;
        pid.and_then(|pid| Usage::of(pid).ok())
            .unwrap_or(self.ticked.1)
    }

    fn begin(&self) -> Begin {
        let pid = self.load.server;
        Begin {
            at: Instant::now(),
            server: self.server(),
            threads: pid.map(Thread::all).unwrap_or_default(),
            own: Usage::own(),
        }
    }

    fn report(&self) -> Report {
        let now = self.begin();
        let begun = self.begun.clone().unwrap_or_else(|| now.clone());
        let counts = Counts {
            publishing: self.publishing(),
            players: self.players.len().max(self.load.players),
            judges: self.judges(),
            playing: self.playing(),
            behind: self.behind(),
            ended: self.ended,
        };
        let measured = Measured {
            time: now.at.saturating_duration_since(begun.at),
            server: (begun.server, now.server),
            threads: Thread::spent(&begun.threads, &now.threads),
            own: (begun.own, now.own),
            rss_at_start: self.rss_at_start,
            rss_before: self.rss_before,
            late: self.late,
            idle: self.load.spin.then_some(self.idle),
        };
        Report::new(
            self.load,
            &self.tally,
            counts,
            measured,
            self.failure.clone(),
        )
    }

    fn judges(&self) -> usize {
        let judges = self.habits.iter();
        judges.filter(|habit| **habit == Habit::Judge).count()
    }
}
