//! The run: everybody joins, then streams, players and mutes as planned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::books::Books;
use super::member::{Desk, Member, News, Order};
use super::report::{Buckets, Mutes, Report, Server};
use super::{Plan, http, media};
use crate::report::Spread;
use crate::usage::Usage;

/// How long nothing may happen before a step is given up.
const PATIENCE: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_secs(1);
/// What is heard of a mute's effect.
const EFFECT: &str = "lockgate_mute_effect_seconds";

/// Carries out a plan; `tell` gets a line of progress every second.
///
/// # Errors
/// When the server's process or metrics cannot be read. Members that fail are counted.
pub fn run(plan: &Plan, tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting a runtime")?;
    runtime.block_on(Run::new(plan, tell)?.carry_out())
}

struct Run<'a, T> {
    plan: &'a Plan,
    tell: T,
    started: Instant,
    next_tick: Instant,
    stage: &'static str,
    books: Books,
    desk: Desk,
    news: UnboundedReceiver<(usize, News)>,
    orders: Vec<UnboundedSender<Order>>,
    tasks: JoinSet<()>,
    before: Usage,
}

impl<'a, T: FnMut(&str)> Run<'a, T> {
    fn new(plan: &'a Plan, tell: T) -> anyhow::Result<Self> {
        let now = Instant::now();
        let (desk, news) = unbounded_channel();
        let before = match plan.server {
            Some(pid) => Usage::of(pid).with_context(|| format!("reading process {pid}"))?,
            None => Usage::default(),
        };
        Ok(Self {
            plan,
            tell,
            started: now,
            next_tick: now + TICK,
            stage: "joining",
            books: Books::new(plan.members),
            desk,
            news,
            orders: Vec::with_capacity(plan.members),
            tasks: JoinSet::new(),
            before,
        })
    }

    async fn carry_out(mut self) -> anyhow::Result<Report> {
        let plan = self.plan;
        let begun = Instant::now();
        self.join();
        self.until(|books| books.joined + books.failed >= plan.members)
            .await;
        let joined = self.books.joined;
        let joining = self.books.last_join.unwrap_or(begun) - begun;
        let cpu_joining = self.server().cpu.saturating_sub(self.before.cpu);
        self.stage = "settling";
        self.stay(plan.settle).await;
        let settled = self.server();

        self.publish().await;
        self.play().await;
        let mutes = self.mute().await?;

        let seconds = joining.as_secs_f64();
        let books = &self.books;
        Ok(Report {
            node: plan.node.to_string(),
            channels: plan.channels,
            members: plan.members,
            joined,
            failed: books.failed,
            join_seconds: seconds,
            joins_per_second: joined as f64 / seconds.max(f64::MIN_POSITIVE),
            join_ms: Spread::of(&books.join),
            streams: books.sending,
            expected_added: self.audience(),
            stream_added_ms: Spread::of(&books.added),
            players: plan.players * plan.publishers * plan.channels,
            playing: books.playing,
            mutes,
            server: plan.server.map(|_| Server {
                rss_before_kib: self.before.rss_kib,
                rss_kib: settled.rss_kib,
                rss_kib_per_session: (settled.rss_kib as f64 - self.before.rss_kib as f64)
                    / joined.max(1) as f64,
                cpu_us_per_join: cpu_joining.as_secs_f64() * 1e6 / joined.max(1) as f64,
            }),
            own_cpu_seconds: Usage::own().cpu.as_secs_f64(),
            failure: books.failure.clone(),
        })
    }

    fn join(&mut self) {
        let turns = Arc::new(Semaphore::new(self.plan.at_once.max(1)));
        let app: Arc<str> = self.plan.app.as_str().into();
        for place in 0..self.plan.members {
            let (sender, orders) = unbounded_channel();
            self.orders.push(sender);
            let member = Member {
                place,
                node: self.plan.node,
                app: Arc::clone(&app),
                channel: format!("load{}", place % self.plan.channels.max(1)),
                desk: self.desk.clone(),
                orders,
                turns: Arc::clone(&turns),
            };
            self.tasks.spawn(member.run());
        }
    }

    /// Members of `channel`, by place, from its `first` on and around.
    fn member(&self, channel: usize, nth: usize) -> usize {
        let channels = self.plan.channels.max(1);
        let all = (self.plan.members.saturating_sub(channel)).div_ceil(channels);
        channel + nth % all.max(1) * channels
    }

    /// Every publisher, with its channel and its number there.
    fn publishers(&self) -> Vec<(usize, usize)> {
        let (channels, each) = (self.plan.channels, self.plan.publishers);
        let of = |channel| (0..each).map(move |nth| (channel, nth));
        (0..channels).flat_map(of).collect()
    }

    /// Announcements that are due when every member hears of every stream of its channel.
    fn audience(&self) -> u64 {
        let each = self.plan.members / self.plan.channels.max(1);
        let streams = self.plan.publishers * self.plan.channels;
        (streams * each.saturating_sub(1)) as u64
    }

    async fn publish(&mut self) {
        self.stage = "publishing";
        for (channel, nth) in self.publishers() {
            let place = self.member(channel, nth);
            self.order(place, Order::Publish);
        }
        let audience = self.audience();
        self.until(|books| books.added.count() >= audience).await;
    }

    async fn play(&mut self) {
        self.stage = "subscribing";
        let mut wanted = 0;
        for (place, of) in self.pairs() {
            self.order(place, Order::Subscribe(of));
            wanted += 1;
        }
        self.until(|books| books.playing >= wanted).await;
    }

    /// Who plays whom.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let players = self.plan.players;
        let pairs = self.publishers().into_iter().flat_map(|(channel, nth)| {
            let of = self.member(channel, nth);
            (1..=players).map(move |next| (channel, nth + next, of))
        });
        pairs
            .map(|(channel, nth, of)| (self.member(channel, nth), of))
            .collect()
    }

    async fn mute(&mut self) -> anyhow::Result<Option<Mutes>> {
        let pairs = self.pairs();
        if self.plan.mutes == 0 || pairs.is_empty() {
            self.stage = "staying";
            if self.plan.publishers > 0 {
                self.stay(self.plan.duration).await;
            }
            return Ok(None);
        }
        self.stage = "muting";
        let before = self.effects().await?;
        let cpu = self.server().cpu;
        let gap = Duration::from_secs(1) / self.plan.mutes;
        let begun = Instant::now();
        let mut asked: u32 = 0;
        // Everybody's audio is muted in one round and heard again in the next.
        let rounds = [true, false].into_iter().cycle();
        let turns = rounds.flat_map(|mute| pairs.iter().map(move |pair| (pair, mute)));
        for (&(place, of), mute) in turns {
            let due = gap * asked;
            if due >= self.plan.duration {
                break;
            }
            self.stay(due.saturating_sub(begun.elapsed())).await;
            self.order(place, Order::Mute(of, mute));
            asked += 1;
        }
        self.stay(TICK).await;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = self.server().cpu.saturating_sub(cpu).as_secs_f64();
        let effects = self.effects().await?.since(&before);
        Ok(Some(Mutes {
            asked,
            counted: effects.count(),
            p50_ms: effects.quantile(0.5) * 1e3,
            p99_ms: effects.quantile(0.99) * 1e3,
            server_cpu_percent: 100.0 * cpu / seconds,
        }))
    }

    async fn effects(&self) -> anyhow::Result<Buckets> {
        let metrics = http::get(self.plan.node, "/metrics").await?;
        Ok(Buckets::read(&metrics, EFFECT))
    }

    fn order(&self, place: usize, order: Order) {
        if let Some(member) = self.orders.get(place) {
            let _ = member.send(order);
        }
    }

    async fn stay(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.serve(end).await;
        }
    }

    /// Serves until `done` holds, or nothing has happened for long.
    async fn until(&mut self, done: impl Fn(&Books) -> bool) {
        let mut quiet = Instant::now();
        while !done(&self.books) && quiet.elapsed() < PATIENCE {
            if self.serve(Instant::now() + TICK).await {
                quiet = Instant::now();
            }
        }
    }

    /// Takes the news there is, or waits for some; whether there was any.
    async fn serve(&mut self, end: Instant) -> bool {
        let wake = end.min(self.next_tick);
        let news = tokio::time::timeout_at(wake.into(), self.news.recv()).await;
        let any = news.is_ok();
        if let Ok(Some((place, news))) = news {
            self.books.take(place, news);
        }
        let shape = self.plan.shape;
        for (place, url) in std::mem::take(&mut self.books.push) {
            let desk = self.desk.clone();
            self.tasks.spawn(async move {
                if let Err(error) = media::publish(place, &url, shape, &desk).await {
                    let _ = desk.send((place, News::Failed(error.context("a publisher"))));
                }
            });
        }
        for (place, url) in std::mem::take(&mut self.books.pull) {
            let desk = self.desk.clone();
            self.tasks.spawn(async move {
                if let Err(error) = media::play(place, &url, &desk).await {
                    let _ = desk.send((place, News::Failed(error.context("a player"))));
                }
            });
        }
        if Instant::now() >= self.next_tick {
            self.next_tick += TICK;
            self.tell_progress();
        }
        any
    }

    fn tell_progress(&mut self) {
        let (books, server) = (&self.books, self.server());
        let line = format!(
            "{:4.0} s  {}  members {}  failed {}  streams {}  announced {}  players {}  server {:.1} MiB",
            self.started.elapsed().as_secs_f64(),
            self.stage,
            books.joined,
            books.failed,
            books.sending,
            books.added.count(),
            books.playing,
            server.rss_kib as f64 / 1024.0,
        );
        (self.tell)(&line);
    }

    /// The server's usage now; its first one when it is gone.
    fn server(&self) -> Usage {
        let pid = self.plan.server;
        pid.and_then(|pid| Usage::of(pid).ok())
            .unwrap_or(self.before)
    }
}
