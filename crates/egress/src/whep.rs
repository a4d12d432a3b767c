//! WHEP (draft-ietf-wish-whep): an offer becomes a viewer of a stream.
//!
//! Whoever is answered has a seat on the stream and a place on the port, and both are given back
//! whichever way it ends: by DELETE, by its peer's goodbye or silence, by its URL's end, by an
//! operator, or with the stream.

mod cut;
mod media;
mod network;
mod pictures;
mod sounds;
mod stage;
mod viewer;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_media::codec::VideoCodec;
use lockgate_routing::throttle::Throttles;
use lockgate_routing::{
    Admission, NotLive, Origin, Reader, Refusal, Router, StreamId, SubscribeError, Subscription,
};
use lockgate_rtc::{Answered, OfferError, Opened, Port, Request, Role, Sessions};
use parking_lot::Mutex;
use prometheus::{IntCounter, Registry};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::metrics::PlayMetrics;
use pictures::Cutter;
use stage::{Command, Handle, Join, Stage};

/// The protocol's name in metrics and reports.
pub const PROTOCOL: &str = "whep";

/// How long a stream that has just begun may take to say what it is.
const SETTLE: Duration = Duration::from_secs(2);

type Stages = Mutex<HashMap<StreamId, Handle>>;

/// Serves viewers.
pub struct Whep {
    router: Arc<Router>,
    admission: Arc<dyn Admission>,
    wait_for_publisher: Duration,
    port: Arc<Port>,
    sessions: Arc<Sessions>,
    stages: Arc<Stages>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
    refusals: Throttles,
}

/// What is counted beside what routing and the port count.
#[derive(Debug)]
pub(crate) struct Metrics {
    play: PlayMetrics,
    keyframes_wanted: IntCounter,
    turned: IntCounter,
}

impl fmt::Debug for Whep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whep").finish_non_exhaustive()
    }
}

/// Why a viewer was not let in. The text goes to the peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlayError {
    /// The URL gives no right to it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no room.
    #[error(transparent)]
    Full(#[from] SubscribeError),
    /// Nobody publishes the stream.
    #[error("nobody publishes {0}")]
    NotFound(StreamId),
    /// It was cut while it waited.
    #[error("an operator cut this player")]
    Kicked,
    /// The offer cannot be answered.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The stream's codec does not go by WebRTC here.
    #[error(
        "this stream is {0}, and WHEP carries H.264, HEVC, VP9 and AV1: play it by RTMP or FLV"
    )]
    Codec(VideoCodec),
    /// The offer has not the stream's codec.
    #[error("this stream is {0}, which the offer does not take, or not in its profile")]
    NotTaken(VideoCodec),
    /// The stream's frames are shown in another order than they come in.
    #[error(
        "this stream has B-frames, which WebRTC cannot carry: set the encoder to none (x264: \
         bframes=0, OBS: tune zerolatency), or play it by RTMP or FLV"
    )]
    BFrames,
}

impl PlayError {
    /// A short name for metrics and for programs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::Full(SubscribeError::StreamFull) => "stream_full",
            Self::Full(SubscribeError::Draining) => "draining",
            Self::Full(_) => "full",
            Self::NotFound(_) => "not_found",
            Self::Kicked => "kicked",
            Self::Offer(error) => error.label(),
            Self::Codec(_) | Self::NotTaken(_) => "codec",
            Self::BFrames => "b_frames",
        }
    }
}

impl Whep {
    /// A viewer of a name that nobody publishes waits for `wait_for_publisher`.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(
        router: Arc<Router>,
        admission: Arc<dyn Admission>,
        wait_for_publisher: Duration,
        port: Arc<Port>,
        play: PlayMetrics,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let metrics = Metrics {
            play,
            keyframes_wanted: counter(
                "lockgate_webrtc_keyframe_requests_total",
                "Keyframes that WebRTC viewers asked for because their picture was broken",
            )?,
            turned: counter(
                "lockgate_webrtc_streams_turned_total",
                "WebRTC viewers ended because their stream turned into one with B-frames or of another codec",
            )?,
        };
        Ok(Self {
            router,
            admission,
            wait_for_publisher,
            port,
            sessions: Arc::default(),
            stages: Arc::default(),
            tasks: TaskTracker::new(),
            metrics: Arc::new(metrics),
            refusals: Throttles::default(),
        })
    }

    /// Answers an offer. `seat` is held for as long as the session lasts.
    ///
    /// # Errors
    /// Why there is no session.
    pub async fn open(
        &self,
        request: Request<'_>,
        origin: Origin,
        seat: Box<dyn Any + Send>,
    ) -> Result<Opened, PlayError> {
        let opened = self.admit(request, origin, seat).await;
        if let Err(error) = &opened {
            let label = error.label();
            self.metrics.play.refuse(label);
            if let Some(times) = self.refusals.note(label, Instant::now()) {
                warn!(reason = label, times, "viewer refused: {error}");
            }
        }
        opened
    }

    async fn admit(
        &self,
        request: Request<'_>,
        origin: Origin,
        seat: Box<dyn Any + Send>,
    ) -> Result<Opened, PlayError> {
        let grant = self
            .admission
            .play(request.app, request.name, request.query)?;
        // An offer that is none costs nobody a place, nor a wait.
        let answered = Answered::to(request.offer, Role::Send, &self.port, Instant::now())?;
        // Whoever used this URL before is cut: a player that reconnects has lost its old session.
        let mut holder = match &grant.lease {
            Some(lease) => Some(lease.take().ok_or(Refusal::UrlDead)?),
            None => None,
        };
        let subscription = self.router.subscribe(&grant, origin)?;
        subscription
            .wait_live(self.wait_for_publisher)
            .await
            .map_err(|why| match why {
                NotLive::Kicked => PlayError::Kicked,
                _ => PlayError::NotFound(subscription.stream().clone()),
            })?;
        let reader = self.look(&subscription, &answered).await?;

        let token = CancellationToken::new();
        let session = self.sessions.open(token.clone());
        let id = session.id();
        let answer = answered.answer.clone();
        let kicked = subscription.kicked();
        let ended = CancellationToken::new();
        let span = info_span!("viewer", id = %origin.connection, peer = %origin.peer, stream = %subscription.stream());
        let number = origin.connection.get();
        let join = Join {
            number,
            answered,
            subscription,
            ended: ended.clone().drop_guard(),
        };
        let handle = self.join(join, reader).await;
        info!(parent: &span, "playing by WHEP");
        self.tasks.spawn(
            async move {
                let lost = async {
                    match &mut holder {
                        Some(holder) => holder.lost().await,
                        None => std::future::pending().await,
                    }
                };
                let why = tokio::select! {
                    () = ended.cancelled() => "gone",
                    () = kicked => "kicked",
                    () = lost => "its URL has ended",
                    () = token.cancelled() => "left",
                };
                info!(reason = why, "viewer done");
                // A stage that is gone has no viewers either.
                if handle.commands.send(Command::End(number)).await.is_ok() {
                    ended.cancelled().await;
                }
                debug!("session closed");
                drop((seat, session));
            }
            .instrument(span),
        );
        Ok(Opened {
            session: id,
            answer,
        })
    }

    /// Looks at a stream before anybody is promised it.
    async fn look(
        &self,
        subscription: &Subscription,
        answered: &Answered,
    ) -> Result<Reader, PlayError> {
        let mut reader = subscription.reader();
        let settled = async {
            while reader.view().newest_received().is_none() && reader.ended().is_none() {
                reader.changed().await;
                reader.refresh();
            }
        };
        // A stream that says nothing for so long may still begin.
        let _ = tokio::time::timeout(SETTLE, settled).await;
        let seen = Cutter::looked(reader.view());
        if seen.is_reordered() && answered.has_video() {
            return Err(PlayError::BFrames);
        }
        if !answered.has_video() {
            return Ok(reader);
        }
        match (seen.foreign(), seen.carried()) {
            (Some(codec), _) => Err(PlayError::Codec(codec)),
            (_, Some((codec, format))) if !answered.takes(format) => {
                Err(PlayError::NotTaken(codec))
            }
            _ => Ok(reader),
        }
    }

    /// Hands a viewer to its stream's stage, which is made when there is none.
    async fn join(&self, join: Join, reader: Reader) -> Handle {
        let stream = join.subscription.stream_ref();
        let id = join.subscription.stream().clone();
        let permit = {
            let mut stages = self.stages.lock();
            // One whose stage died without a word is of no use to anybody.
            let held = stages
                .get(&id)
                .filter(|held| held.stream == stream && !held.commands.is_closed());
            let handle = match held {
                Some(handle) => handle.clone(),
                None => {
                    let (stage, handle) = Stage::new(
                        reader,
                        stream,
                        Arc::clone(&self.port),
                        Arc::clone(&self.stages),
                        Arc::clone(&self.metrics),
                    );
                    self.tasks.spawn(stage.run());
                    stages.insert(id, handle.clone());
                    handle
                }
            };
            // Sent under the lock: a stage that retires has seen it, or is not here any more.
            handle
                .commands
                .try_send(Command::Join(Box::new(join)))
                .map(|()| handle.clone())
                .map_err(|error| (error.into_inner(), handle))
        };
        match permit {
            Ok(handle) => handle,
            // Hundreds join at once: this one waits its turn, as the stage has viewers and stays.
            Err((command, handle)) => {
                let _ = handle.commands.send(command).await;
                handle
            }
        }
    }

    /// Its sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Waits until all viewers are gone, once their streams have ended.
    pub async fn shutdown(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
