//! WHIP (RFC 9725): an offer becomes a publisher, whose frames go into the ring as FLV tags.
//!
//! H.264 goes in as it came. Opus is made AAC, which RTMP and FLV players take, and stands beside
//! it for WebRTC's viewers. Whoever is answered has a stream and a place on the port, and both are
//! given back whichever way it ends.

mod clock;
mod pictures;
mod tags;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_routing::throttle::Throttles;
use lockgate_routing::{Admission, Cut, Origin, Publication, PublishError, Refusal, Router};
use lockgate_rtc::{
    Answered, Datagram, Happening, OfferError, Opened, Outbox, Peer, Port, Request, Role, Session,
    Sessions,
};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::metrics::{Counters, PublishMetrics};
use tags::{Tag, Tagger};

/// The protocol's name in metrics and reports.
pub const PROTOCOL: &str = "whip";

/// Datagrams that wait for a publisher: a keyframe of 4K, and some.
const INBOX: usize = 1024;
/// Datagrams taken in before what they brought goes on.
const BATCH: usize = 128;
/// Once in this time a publisher is asked for a keyframe: encoding one costs it several frames.
const KEYFRAME_EVERY: Duration = Duration::from_millis(500);
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Takes publishers in.
pub struct Whip {
    router: Arc<Router>,
    admission: Arc<dyn Admission>,
    idle_timeout: Duration,
    port: Arc<Port>,
    sessions: Arc<Sessions>,
    tasks: TaskTracker,
    metrics: PublishMetrics,
    refusals: Throttles,
}

impl fmt::Debug for Whip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whip").finish_non_exhaustive()
    }
}

/// Why a publisher was not let in. The text goes to the peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WhipError {
    /// The URL gives no right to it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream is taken, or there is no room.
    #[error(transparent)]
    Taken(#[from] PublishError),
    /// The offer cannot be answered.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

impl WhipError {
    /// A short name for metrics and for programs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::Taken(PublishError::Busy) => "busy",
            Self::Taken(PublishError::Draining) => "draining",
            Self::Taken(_) => "full",
            Self::Offer(error) => error.label(),
        }
    }
}

impl Whip {
    /// A publisher that sends no frame for `idle_timeout` is taken for dead.
    pub fn new(
        router: Arc<Router>,
        admission: Arc<dyn Admission>,
        idle_timeout: Duration,
        port: Arc<Port>,
        metrics: PublishMetrics,
    ) -> Self {
        Self {
            router,
            admission,
            idle_timeout,
            port,
            sessions: Arc::default(),
            tasks: TaskTracker::new(),
            metrics,
            refusals: Throttles::default(),
        }
    }

    /// Answers an offer. `seat` is held for as long as the session lasts.
    ///
    /// # Errors
    /// Why there is no session.
    pub fn open(
        &self,
        request: Request<'_>,
        origin: Origin,
        seat: Box<dyn Any + Send>,
    ) -> Result<Opened, WhipError> {
        let opened = self.admit(request, origin, seat);
        if let Err(error) = &opened {
            let label = error.label();
            self.metrics.refuse(label);
            if let Some(times) = self.refusals.note(label, Instant::now()) {
                warn!(reason = label, times, "publisher refused: {error}");
            }
        }
        opened
    }

    fn admit(
        &self,
        request: Request<'_>,
        origin: Origin,
        seat: Box<dyn Any + Send>,
    ) -> Result<Opened, WhipError> {
        let grant = self
            .admission
            .publish(request.app, request.name, request.query)?;
        // An offer that is none takes no stream from anybody.
        let answered = Answered::to(request.offer, Role::Receive, &self.port, Instant::now())?;
        let publication = self.router.publish(&grant, origin)?;
        let token = CancellationToken::new();
        let session = self.sessions.open(token.clone());
        let opened = Opened {
            session: session.id(),
            answer: answered.answer.clone(),
        };
        let span = info_span!("publisher", id = %origin.connection, peer = %origin.peer, stream = %publication.stream());
        let (send, inbox) = mpsc::channel(INBOX);
        let publisher = Publisher {
            peer: answered.register(send, origin.connection.get()),
            publication,
            inbox,
            out: Outbox::new(Arc::clone(&self.port)),
            tagger: Tagger::default(),
            counters: self.metrics.of(PROTOCOL),
            asked: None,
            broken: false,
            idle_timeout: self.idle_timeout,
            heard: Instant::now(),
        };
        info!(parent: &span, "publishing by WHIP");
        let held: (Session, Box<dyn Any + Send>) = (session, seat);
        self.tasks.spawn(
            async move {
                let why = publisher.run(token).await;
                info!(reason = why, "publisher gone");
                drop(held);
            }
            .instrument(span),
        );
        Ok(opened)
    }

    /// Its sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Waits until all publishers are gone, once their streams have ended.
    pub async fn shutdown(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A publisher's task.
struct Publisher {
    peer: Peer,
    publication: Publication,
    inbox: mpsc::Receiver<Datagram>,
    out: Outbox,
    tagger: Tagger,
    counters: Counters,
    /// When it was last asked for a keyframe.
    asked: Option<Instant>,
    /// A keyframe is wanted, and the time to ask for it has not come.
    broken: bool,
    idle_timeout: Duration,
    heard: Instant,
}

impl Publisher {
    /// Serves it until it is gone; says why.
    async fn run(mut self, token: CancellationToken) -> &'static str {
        let mut datagrams = Vec::with_capacity(BATCH);
        let wanted = self.publication.keyframe_wanted();
        tokio::pin!(wanted);
        let mut farewell: Option<(Instant, &'static str)> = None;
        loop {
            let mut due = self.peer.deadline().min(self.heard + self.idle_timeout);
            if let (true, Some(asked)) = (self.broken, self.asked) {
                due = due.min(asked + KEYFRAME_EVERY);
            }
            if let Some((until, _)) = farewell {
                due = self.peer.deadline().min(until);
            }
            let leaving = farewell.is_some();
            let ends = tokio::select! {
                _ = self.inbox.recv_many(&mut datagrams, BATCH) => None,
                () = sleep_until(due.into()) => None,
                () = &mut wanted, if !leaving => {
                    self.broken = true;
                    wanted.set(self.publication.keyframe_wanted());
                    None
                }
                cut = self.publication.cut(), if !leaving => Some(match cut {
                    Cut::Replaced => "a newer publisher took this stream",
                    Cut::Kicked => "kicked",
                    Cut::Ended => "its URL has ended",
                    _ => "this node is stopping",
                }),
                () = token.cancelled(), if !leaving => Some("left"),
            };
            let now = Instant::now();
            for datagram in datagrams.drain(..) {
                self.peer.receive(&datagram, now);
            }
            let idle = now.saturating_duration_since(self.heard) >= self.idle_timeout;
            let ends = ends.or((idle && !leaving).then_some("it sent nothing for too long"));
            if let Some(why) = ends {
                farewell = Some((now + FAREWELL, why));
                self.peer.close();
            }
            let gone = self.serve(now);
            match farewell {
                Some((until, why)) if gone || now >= until => return why,
                None if gone => return "its peer is gone",
                _ => {}
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Takes in what came and sends what is due; `true` when it is over.
    fn serve(&mut self, now: Instant) -> bool {
        let mut happened = Vec::new();
        let mut gone = false;
        self.ask(now);
        self.peer
            .drive(now, &mut self.out, |happening| happened.push(happening));
        for happening in happened {
            match happening {
                Happening::Connected => self.broken = true,
                Happening::Frame(frame) => {
                    self.heard = now;
                    let mut tags = Vec::new();
                    self.broken |= self.tagger.push(&frame, &mut tags);
                    for tag in tags {
                        gone |= !self.push(tag, now);
                    }
                }
                Happening::Closed => gone = true,
                _ => {}
            }
        }
        self.publication.flush();
        // What it just showed to lack is asked for in the same turn.
        if self.ask(now) {
            self.peer.drive(now, &mut self.out, |happening| {
                gone |= matches!(happening, Happening::Closed);
            });
        }
        self.out.flush();
        gone
    }

    fn push(&mut self, tag: Tag, now: Instant) -> bool {
        self.counters.packet(tag.track, tag.body.len());
        // A stream that was lost is told by `cut`.
        let pushed = self
            .publication
            .push_with(tag.track, tag.ms, tag.body, now, tag.companions);
        pushed.is_ok()
    }

    /// Asks for a keyframe where one is wanted, not too often.
    fn ask(&mut self, now: Instant) -> bool {
        let recently = |at: Instant| now.saturating_duration_since(at) < KEYFRAME_EVERY;
        if !self.broken || !self.peer.is_connected() || self.asked.is_some_and(recently) {
            return false;
        }
        self.broken = false;
        self.asked = Some(now);
        self.peer.request_keyframe();
        true
    }
}
