//! A fan-out task: walks its share of a stream's players and writes straight to their sockets.
//!
//! Invariants: one wake-up a batch of packets, not one a player; nothing is allocated for a
//! packet and a player; players whose cursors and switches are equal share one [`Plan`]; a
//! socket that takes nothing is left until it does, and costs the others nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::cursor::Cursor;
use crate::gate::{Gate, Switches};
use crate::id::ConnectionId;
use crate::player::{End, Ended, Protocol, Seat, Sink};
use crate::ring::View;
use crate::stream::Stream;

mod link;
mod pace;
mod plan;
mod tally;

pub(crate) use link::{Command, Link};
use pace::{Pace, Waiting};
use plan::{Pending, Plan};
use tally::Tally;

/// Players served before the task lets others run: a fraction of a millisecond of writes.
const SLICE: usize = 128;
/// Plans of more bytes than this are written from their packets: such a write costs the kernel far
/// more than its slices do.
const FLAT_MAX: usize = 256 * 1024;
/// Plans of no more bytes than this are copied for one player too: the copy costs less than what the
/// kernel takes for slices.
const FLAT_AT_ONCE: usize = 16 * 1024;
/// Most bytes of protocol messages that may wait for a player.
const MAX_CONTROL: usize = 64 * 1024;

thread_local! {
    /// A plan's bytes in one piece: one buffer for all tasks of a thread, so that a pass allocates
    /// nothing and streams with few players do not each hold a cold one.
    static FLAT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How often counts reach the metrics: a page that asks every two seconds still tells rates by them.
const PUBLISH: Duration = Duration::from_millis(100);
/// How often rates are worked out and slow players looked at.
const TICK: Duration = Duration::from_secs(1);

/// What a pass reads and writes of a player is here: a line of memory that is looked up elsewhere for
/// each of thousands of players costs as much as the rest of the work.
struct Player {
    sink: Box<dyn Sink>,
    cursor: Cursor,
    /// Its own gate's, as of this many turns of gates on its stream.
    own: Switches,
    turns: u64,
    /// Those and the publisher's.
    switches: Switches,
    /// The rest of a packet that a write cut.
    pending: Option<Pending>,
    /// Protocol messages, written when no packet is cut.
    control: Vec<u8>,
    /// Since when its socket has taken nothing, while it should.
    blocked: Option<Instant>,
    /// Packets before this were there before it joined or opened its gate: no measure of delay.
    backlog: u64,
    seen_frame: bool,
    /// Told to its seat at every tick, and at its end.
    bytes: u64,
    packets: u64,
    over: Option<End>,
    seat: Arc<Seat>,
    ended: Option<oneshot::Sender<Ended>>,
}

pub(crate) struct Fanout {
    stream: Arc<Stream>,
    link: Arc<Link>,
    protocol: &'static Protocol,
    view: View,
    /// The publisher's gate, which every player obeys too.
    gate: Arc<Gate>,
    players: Vec<Player>,
    places: HashMap<ConnectionId, usize>,
    /// Places of players whose sockets take nothing.
    blocked: Vec<usize>,
    /// Places of players that must be looked at outside a full pass.
    look: Vec<usize>,
    tally: Tally,
    deaths: bool,
}

impl Fanout {
    pub(crate) fn new(stream: Arc<Stream>, link: Arc<Link>, protocol: &'static Protocol) -> Self {
        let tally = Tally::new(&stream.metrics, protocol.name);
        Self {
            stream,
            link,
            protocol,
            view: View::default(),
            gate: Arc::new(Gate::new()),
            players: Vec::new(),
            places: HashMap::new(),
            blocked: Vec::new(),
            look: Vec::new(),
            tally,
            deaths: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let link = Arc::clone(&self.link);
        let mut now = Instant::now();
        let mut timer = Box::pin(sleep_until(now + TICK));
        let mut pace = Pace::new(self.stream.config.max_hold, now);
        let (mut last_tick, mut published) = (now, now);
        // Until when nobody needs to say that audio came, and what the last pass did not see.
        let (mut watch, mut passed) = (None, 0);
        loop {
            self.obey();
            now = Instant::now();
            if now >= last_tick + TICK {
                self.tick(now - last_tick);
                last_tick = now;
            }
            if now >= published + PUBLISH {
                self.tally.publish(&self.stream.metrics);
                published = now;
            }
            if watch.is_some_and(|until| until <= now) {
                watch = None;
                link.watch(false);
            }
            match link.waiting() {
                // Held since it came, not since it was seen.
                Waiting::Audio => {
                    self.stream.refresh(&mut self.view, &mut self.gate);
                    let oldest = self.view.get(passed);
                    let since = oldest.map_or(now, |oldest| Instant::from_std(oldest.received()));
                    pace.note(Waiting::Audio, since);
                }
                waiting => pace.note(waiting, now),
            }
            if let Some(widened) = pace.start(now) {
                if !widened.is_zero() {
                    let seconds = widened.as_secs_f64();
                    self.stream.metrics.hold_widened.observe(seconds);
                }
                link.begin_pass();
                let started = now;
                let busy;
                (passed, now, busy) = self.pass(started).await;
                pace.passed(started, now, busy);
                let hold = self.stream.config.max_hold;
                watch = (!hold.is_zero()).then_some(started + hold);
                link.watch(watch.is_some());
                pace.note(link.waiting(), now);
                // A publisher that floods must not keep this task from ever ending its turn.
                if pace.due().is_some_and(|due| due <= now) {
                    tokio::task::yield_now().await;
                }
            }
            self.serve_some();
            self.bury();
            if self.players.is_empty() && self.stream.retire(&link) {
                return;
            }
            let tick = last_tick + TICK;
            let wake = tick
                .min(pace.due().unwrap_or(tick))
                .min(watch.unwrap_or(tick));
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            let notified = link.notify.notified();
            tokio::pin!(notified);
            poll_fn(|cx| {
                let woken = self.poll_blocked(cx)
                    || notified.as_mut().poll(cx).is_ready()
                    || timer.as_mut().poll(cx).is_ready();
                if woken {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Carries out what was asked.
    fn obey(&mut self) {
        let commands = self.link.take_commands();
        if commands.is_empty() {
            return;
        }
        self.stream.refresh(&mut self.view, &mut self.gate);
        for command in commands {
            match command {
                Command::Join { seat, sink, ended } => self.join(seat, sink, ended),
                Command::Look(id) => self.look.extend(self.places.get(&id)),
                Command::Control(id, bytes) => {
                    let Some(&place) = self.places.get(&id) else {
                        continue;
                    };
                    let Some(player) = self.players.get_mut(place) else {
                        continue;
                    };
                    player.control.extend_from_slice(&bytes);
                    if player.control.len() > MAX_CONTROL {
                        self.over(place, End::TooSlow);
                    } else {
                        self.look.push(place);
                    }
                }
                Command::End(id, why) => {
                    if let Some(&place) = self.places.get(&id) {
                        self.over(place, why);
                    }
                }
                Command::EndAll(why) => {
                    // The last packets may not have been sent yet.
                    let mut all = (0..self.players.len()).collect();
                    self.serve(&mut all, Instant::now());
                    for place in 0..self.players.len() {
                        self.over(place, why());
                    }
                }
            }
        }
    }

    fn join(&mut self, seat: Arc<Seat>, sink: Box<dyn Sink>, ended: oneshot::Sender<Ended>) {
        let turns = self.stream.turns();
        let own = seat.gate.switches();
        let switches = own.and(self.gate.switches());
        let place = self.players.len();
        self.places.insert(seat.origin.connection, place);
        self.look.push(place);
        self.players.push(Player {
            cursor: Cursor::join(&self.view, switches),
            seat,
            sink,
            ended: Some(ended),
            own,
            turns,
            switches,
            pending: None,
            control: Vec::new(),
            blocked: None,
            backlog: self.view.head(),
            seen_frame: false,
            bytes: 0,
            packets: 0,
            over: None,
        });
    }

    fn over(&mut self, place: usize, why: End) {
        if let Some(player) = self.players.get_mut(place)
            && player.over.is_none()
        {
            player.over = Some(why);
            self.deaths = true;
        }
    }

    /// Serves every player, a slice at a time; up to where in the ring all of them were, when it was
    /// done, and how long it took without what others did between slices.
    async fn pass(&mut self, started: Instant) -> (u64, Instant, Duration) {
        let (mut from, mut seen) = (0, None);
        let (mut begun, mut busy) = (started, Duration::ZERO);
        loop {
            // Looked at anew for each slice: who comes later gets what came meanwhile.
            self.stream.refresh(&mut self.view, &mut self.gate);
            let seen = *seen.get_or_insert(self.view.head());
            let to = self.players.len().min(from + SLICE);
            let mut todo: Vec<usize> = std::mem::take(&mut self.tally.todo);
            todo.clear();
            todo.extend(from..to);
            self.serve(&mut todo, begun);
            self.tally.todo = todo;
            from = to;
            let ended = Instant::now();
            busy += ended - begun;
            if from >= self.players.len() {
                return (seen, ended, busy);
            }
            tokio::task::yield_now().await;
            begun = Instant::now();
        }
    }

    /// Serves the players that must be looked at on their own account.
    fn serve_some(&mut self) {
        if self.look.is_empty() {
            return;
        }
        self.stream.refresh(&mut self.view, &mut self.gate);
        let mut todo = std::mem::take(&mut self.look);
        self.serve(&mut todo, Instant::now());
        todo.clear();
        self.look = todo;
    }

    /// Writes to the players at `todo` until each has everything or takes nothing more.
    fn serve(&mut self, todo: &mut Vec<usize>, now: Instant) {
        FLAT.with_borrow_mut(|flat| self.serve_with(flat, todo, now));
    }

    fn serve_with(&mut self, flat: &mut Vec<u8>, todo: &mut Vec<usize>, now: Instant) {
        let (turns, publisher) = (self.stream.turns(), self.gate.switches());
        todo.retain(|&place| self.prepare(place, now, turns, publisher));
        while let Some(&first) = todo.first() {
            let Some(model) = self.players.get(first) else {
                return;
            };
            let (cursor, switches) = (model.cursor, model.switches);
            let plan = Plan::new(&self.view, cursor, switches, self.stream.config.muted_audio);
            let slices = plan.slices(self.protocol);
            let total = slices.iter().map(|slice| slice.len()).sum();
            // The kernel takes one slice for less than many. What is long is copied for the second
            // player who gets it: what nobody shares is written from the packets themselves.
            let mut writes = 0;
            flat.clear();
            todo.retain(|&place| {
                let Some(player) = self.players.get_mut(place) else {
                    return false;
                };
                // A player may be named twice: what its socket did not take must go out first.
                if player.blocked.is_some() || player.over.is_some() {
                    return false;
                }
                if player.cursor != cursor || player.switches != switches {
                    return true;
                }
                if flat.is_empty() && total <= if writes == 0 { FLAT_AT_ONCE } else { FLAT_MAX } {
                    for slice in &slices {
                        flat.extend_from_slice(slice);
                    }
                }
                writes += 1;
                let one = [IoSlice::new(flat)];
                let offered = if flat.is_empty() { &*slices } else { &one };
                match plan.write(offered, total, player, &mut self.tally) {
                    Ok(true) => total > 0 && !player.cursor.is_at_head(&self.view),
                    Ok(false) => {
                        player.blocked = Some(now);
                        self.blocked.push(place);
                        false
                    }
                    Err(error) => {
                        player.over = Some(End::Io(error));
                        self.deaths = true;
                        false
                    }
                }
            });
        }
    }

    /// Whether a player has something to be sent and a socket that takes it.
    fn prepare(&mut self, place: usize, now: Instant, turns: u64, publisher: Switches) -> bool {
        let Some(player) = self.players.get_mut(place) else {
            return false;
        };
        if player.blocked.is_some() || player.over.is_some() {
            return false;
        }
        player.sink.prefetch();
        if player.turns != turns {
            (player.turns, player.own) = (turns, player.seat.gate.switches());
        }
        let switches = player.own.and(publisher);
        if switches != player.switches {
            player.turn(&self.view, switches);
            let gate = if player.seat.gate.since_turn() < self.gate.since_turn() {
                &player.seat.gate
            } else {
                &self.gate
            };
            self.stream
                .metrics
                .mute_effect
                .observe(gate.since_turn().as_secs_f64());
        }
        let skips = player
            .cursor
            .catch_up(&self.view, self.stream.config.skip_after);
        self.tally.skip(&player.seat, skips);
        match player.flush() {
            Ok(true) => !player.cursor.is_at_head(&self.view),
            Ok(false) => {
                player.blocked = Some(now);
                self.blocked.push(place);
                false
            }
            Err(error) => {
                player.over = Some(End::Io(error));
                self.deaths = true;
                false
            }
        }
    }

    /// Moves players whose sockets take bytes again to those to be looked at; `true` if any.
    fn poll_blocked(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        let (players, look) = (&mut self.players, &mut self.look);
        self.blocked.retain(|&place| {
            let Some(player) = players.get_mut(place) else {
                return false;
            };
            if player.over.is_some() {
                return false;
            }
            match player.sink.poll_writable(cx) {
                Poll::Pending => true,
                Poll::Ready(_) => {
                    player.blocked = None;
                    look.push(place);
                    false
                }
            }
        });
        !self.look.is_empty()
    }

    /// Takes ended players out and tells their connections.
    fn bury(&mut self) {
        if !std::mem::take(&mut self.deaths) {
            return;
        }
        self.tally.publish(&self.stream.metrics);
        let mut place = 0;
        while let Some(player) = self.players.get_mut(place) {
            let Some(why) = player.over.take() else {
                place += 1;
                continue;
            };
            if matches!(why, End::TooSlow) {
                self.stream
                    .metrics
                    .cut
                    .with_label_values(&["too_slow"])
                    .inc();
            }
            let mut player = self.players.swap_remove(place);
            self.places.remove(&player.seat.origin.connection);
            self.link.remove_player();
            player.tell_seat();
            if let Some(ended) = player.ended.take() {
                // Nobody listens when the connection's task is gone, and then nobody need.
                let _ = ended.send(Ended {
                    why,
                    residue: player.residue(self.protocol),
                });
            }
        }
        // Places moved: who is where, and who is blocked, is worked out again.
        self.places.clear();
        self.blocked.clear();
        self.look.clear();
        for (place, player) in self.players.iter().enumerate() {
            self.places.insert(player.seat.origin.connection, place);
            if player.blocked.is_some() {
                self.blocked.push(place);
            }
        }
    }

    /// Once a second: rates, delays, and players that have taken nothing for too long.
    fn tick(&mut self, passed: Duration) {
        self.stream.refresh(&mut self.view, &mut self.gate);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        for player in &mut self.players {
            let sent = player.tell_seat();
            let seat = &player.seat;
            seat.bitrate
                .store(sent.saturating_mul(8000) / millis, Ordering::Relaxed);
            let behind = player.cursor.behind(&self.view).as_millis();
            seat.delay_ms
                .store(u64::try_from(behind).unwrap_or(u64::MAX), Ordering::Relaxed);
            let stuck = player
                .blocked
                .is_some_and(|since| since.elapsed() > self.stream.config.cut_after);
            if stuck && player.over.is_none() {
                player.over = Some(End::TooSlow);
                self.deaths = true;
            }
        }
    }
}

impl Player {
    /// Tells its seat what was sent; how many bytes more than the last time.
    fn tell_seat(&self) -> u64 {
        let before = self.seat.bytes.swap(self.bytes, Ordering::Relaxed);
        self.seat.packets.store(self.packets, Ordering::Relaxed);
        self.bytes - before
    }

    fn turn(&mut self, view: &View, switches: Switches) {
        self.switches = switches;
        self.cursor.turn(view, switches);
        self.backlog = view.head();
    }

    /// Writes what a write cut and what the protocol has to say; `false` when the socket is full.
    fn flush(&mut self) -> io::Result<bool> {
        if let Some(pending) = &mut self.pending {
            if !pending.write(self.sink.as_ref())? {
                return Ok(false);
            }
            self.pending = None;
        }
        while !self.control.is_empty() {
            match plan::attempt(self.sink.as_ref(), &[io::IoSlice::new(&self.control)])? {
                0 => return Ok(false),
                written => drop(self.control.drain(..written.min(self.control.len()))),
            }
            if self.control.is_empty() {
                self.control = Vec::new();
            }
        }
        Ok(true)
    }

    /// What must be written before anything else on the connection.
    fn residue(&mut self, protocol: &Protocol) -> Vec<u8> {
        let mut residue = self
            .pending
            .take()
            .map_or_else(Vec::new, |it| it.rest(protocol));
        residue.append(&mut self.control);
        residue
    }
}

#[cfg(test)]
mod tests;
