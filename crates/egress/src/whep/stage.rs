//! A stream's stage: the one task that cuts its packets and sends them to all its WebRTC viewers.
//!
//! Invariants: one wake-up a batch of packets, not one a viewer; what one viewer says or does not
//! take keeps nobody waiting; the task ends with its stream, or with its last viewer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_routing::Subscription;
use lockgate_routing::{Reader, StreamRef};
use lockgate_rtc::{Answered, Datagram, Format, Happening, Outbox, Port};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::DropGuard;

use super::media::Media;
use super::viewer::{Clock, Pass, Viewer};
use super::{Metrics, Stages};

/// Datagrams that wait for a stage; of each viewer the port lets a part of these wait.
const INBOX: usize = 4096;
/// Joins and ends that wait.
const COMMANDS: usize = 256;
/// Datagrams taken in before others are served.
const BATCH: usize = 256;
/// Sound waits for a picture this many times as long as it last took to send to all: so a stage of a
/// few viewers waits for nothing, and one of many makes fewer calls of more packets.
const HOLD: u32 = 8;
/// And no longer than nobody hears.
const MAX_HOLD: Duration = Duration::from_millis(40);
/// How often rates are worked out.
const TICK: Duration = Duration::from_secs(1);
/// How long goodbyes may take when the stream is over.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a stage is told.
pub(super) enum Command {
    Join(Box<Join>),
    /// A viewer is to go.
    End(u64),
}

/// A viewer that joins.
pub(super) struct Join {
    pub(super) number: u64,
    pub(super) answered: Answered,
    pub(super) subscription: Subscription,
    /// Tells whoever watches over it that it is gone.
    pub(super) ended: DropGuard,
}

/// A stage's handle.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) stream: StreamRef,
    pub(super) commands: mpsc::Sender<Command>,
}

/// Sound that waits for a picture.
#[derive(Debug, Default)]
struct Hold {
    /// The newest picture that has gone out.
    picture: Option<u64>,
    until: Option<Instant>,
    /// How long it last took to send to everybody.
    took: Duration,
}

pub(super) struct Stage {
    reader: Reader,
    media: Media,
    clock: Clock,
    viewers: HashMap<u64, Viewer>,
    /// When each of them is due: a turn is for a few of many, and looks at no others.
    due: BTreeSet<(Instant, u64)>,
    inbox: mpsc::Receiver<Datagram>,
    deliver: mpsc::Sender<Datagram>,
    commands: mpsc::Receiver<Command>,
    out: Outbox,
    stages: Arc<Stages>,
    handle: Handle,
    metrics: Arc<Metrics>,
    /// Whom to look at beside those who are due.
    touched: Vec<u64>,
    /// What all viewers are known to take.
    format: Option<Format>,
}

impl Stage {
    pub(super) fn new(
        reader: Reader,
        stream: StreamRef,
        port: Arc<Port>,
        stages: Arc<Stages>,
        metrics: Arc<Metrics>,
    ) -> (Self, Handle) {
        let (deliver, inbox) = mpsc::channel(INBOX);
        let (send, commands) = mpsc::channel(COMMANDS);
        let handle = Handle {
            stream,
            commands: send,
        };
        let stage = Self {
            reader,
            media: Media::default(),
            clock: Clock::new(Instant::now()),
            viewers: HashMap::new(),
            due: BTreeSet::new(),
            inbox,
            deliver,
            commands,
            out: Outbox::new(port),
            stages,
            handle: handle.clone(),
            metrics,
            touched: Vec::new(),
            format: None,
        };
        (stage, handle)
    }

    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_tick = Instant::now();
        let mut datagrams = Vec::with_capacity(BATCH);
        let mut farewell: Option<Instant> = None;
        let mut hold = Hold::default();
        loop {
            let due = self.due.first().map(|&(at, _)| at);
            let due = due.unwrap_or_else(|| Instant::now() + TICK);
            let due = farewell.map_or(due, |until| until.min(due));
            let due = hold.until.map_or(due, |until| until.min(due));
            let mut changed = false;
            tokio::select! {
                () = self.reader.changed() => changed = true,
                _ = self.inbox.recv_many(&mut datagrams, BATCH) => {}
                Some(command) = self.commands.recv() => self.obey(command),
                () = sleep_until(due.into()) => {}
                _ = tick.tick() => {
                    let passed = std::mem::replace(&mut last_tick, Instant::now()).elapsed();
                    for viewer in self.viewers.values_mut() {
                        viewer.rate(&self.reader, passed);
                    }
                }
            }
            // Hundreds join at once: one a turn would leave the others' datagrams to nobody.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            let now = Instant::now();
            for datagram in datagrams.drain(..) {
                if let Some(viewer) = self.viewers.get_mut(&datagram.peer) {
                    viewer.peer.receive(&datagram, now);
                    self.touched.push(datagram.peer);
                }
            }
            // Who asks for an answer has it before pictures are cut and sound is coded, which may
            // take long where there is much of it: a client gives up after two seconds.
            if !self.touched.is_empty() {
                self.serve(false, now);
            }
            self.reader.refresh();
            self.media.follow(self.reader.view());
            self.refuse();
            let everybody = self.is_time(&mut hold, changed, now);
            self.serve(everybody, now);
            if everybody {
                hold.took = now.elapsed();
            }
            if farewell.is_none() && self.reader.ended().is_some() {
                farewell = Some(now + FAREWELL);
                for viewer in self.viewers.values_mut() {
                    viewer.close();
                }
                self.serve(true, now);
            }
            if farewell.is_some_and(|until| now >= until) {
                self.retire(true);
                return;
            }
            if self.viewers.is_empty() && self.retire(farewell.is_some()) {
                return;
            }
            // A flood must not keep others on this thread from running.
            tokio::task::consume_budget().await;
        }
    }

    /// Whether what came is to go out to everybody now.
    fn is_time(&self, hold: &mut Hold, changed: bool, now: Instant) -> bool {
        let picture = self.media.newest_picture().map(|picture| picture.number);
        if hold.picture != picture || picture.is_none() || self.reader.ended().is_some() {
            hold.picture = picture;
            let held = hold.until.take().is_some();
            return changed || held;
        }
        if changed {
            let most = (hold.took * HOLD).min(self.reader.max_hold().min(MAX_HOLD));
            hold.until.get_or_insert(now + most);
        }
        let is_over = hold.until.is_some_and(|until| now >= until);
        if is_over {
            hold.until = None;
        }
        is_over
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join(join) => {
                let peer = join.answered.register(self.deliver.clone(), join.number);
                let viewer = Viewer::new(peer, join.subscription, join.ended, Instant::now());
                self.due.insert((viewer.due, join.number));
                self.viewers.insert(join.number, viewer);
                self.format = None;
                self.touched.push(join.number);
            }
            Command::End(number) => {
                if let Some(viewer) = self.viewers.get_mut(&number) {
                    viewer.close();
                    self.touched.push(number);
                }
            }
        }
    }

    /// Ends those to whom the stream, or what it has become, cannot be sent.
    fn refuse(&mut self) {
        let none = self.media.is_reordered() || self.media.foreign().is_some();
        let format = self.media.carried().map(|(_, format)| format);
        // Whom it can be sent to changes with it alone.
        if !none && std::mem::replace(&mut self.format, format) == format {
            return;
        }
        for (&number, viewer) in &mut self.viewers {
            let some = !none && format.is_none_or(|format| viewer.takes(format));
            if !some && !viewer.closing {
                self.metrics.turned.inc();
                viewer.close();
                self.touched.push(number);
            }
        }
    }

    /// Serves everybody, or who is due or touched.
    fn serve(&mut self, everybody: bool, now: Instant) {
        if everybody {
            self.touched.clear();
            self.touched.extend(self.viewers.keys());
        } else {
            let due = self.due.range(..=(now, u64::MAX));
            self.touched.extend(due.map(|&(_, number)| number));
            self.touched.sort_unstable();
            self.touched.dedup();
        }
        let mut gone = Vec::new();
        let mut pass = Pass {
            reader: &mut self.reader,
            media: &self.media,
            clock: &mut self.clock,
            out: &mut self.out,
            now,
        };
        for number in std::mem::take(&mut self.touched) {
            let Some(viewer) = self.viewers.get_mut(&number) else {
                continue;
            };
            viewer.send(&mut pass);
            if drive(viewer, &mut pass, &self.metrics) {
                gone.push(number);
            }
            let at = viewer.deadline();
            if at != viewer.due {
                self.due.remove(&(viewer.due, number));
                viewer.due = at;
                self.due.insert((at, number));
            }
        }
        self.out.flush();
        self.reader.settle();
        for number in gone {
            if let Some(viewer) = self.viewers.remove(&number) {
                self.due.remove(&(viewer.due, number));
            }
        }
    }

    /// Leaves the register, unless somebody is joining.
    fn retire(&mut self, ended: bool) -> bool {
        let mut stages = self.stages.lock();
        if !ended && !self.commands.is_empty() {
            return false;
        }
        stages.retain(|_, held| held.stream != self.handle.stream);
        true
    }
}

/// Drives a viewer's protocol; `true` when it is gone.
fn drive(viewer: &mut Viewer, pass: &mut Pass<'_>, metrics: &Metrics) -> bool {
    // What happened may call for more to be sent, and that for another turn; no more than that.
    for _ in 0..2 {
        let mut happened = Vec::new();
        viewer.drive(pass.now, pass.out, |happening| happened.push(happening));
        let mut again = false;
        for happening in happened {
            match happening {
                Happening::Connected => {
                    viewer.connected(pass);
                    again = true;
                }
                Happening::KeyframeWanted => {
                    metrics.keyframes_wanted.inc();
                    viewer.mend(pass);
                    again = true;
                }
                Happening::Capacity(bits) => viewer.capacity(bits, pass.now),
                Happening::Full(time) => viewer.full(time, pass.now),
                Happening::Closed => return true,
                _ => {}
            }
        }
        if !again {
            break;
        }
        viewer.send(pass);
    }
    false
}
