//! Webhooks: an app's service hears of what happens, and may have a say in who joins and publishes.
//!
//! Events wait in a bounded queue and go out in order, many in one request, signed, and again with
//! back-off until the service takes them. A service that is slow or gone costs memory up to the
//! queue's bound and nothing else: what does not fit is dropped and counted.

mod metrics;
mod post;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use prometheus::Registry;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::code::Code;
use crate::hooks::{Happened, Who, Wish};
use metrics::Metrics;
use post::Poster;
pub use post::{BadUrl, Endpoint};

/// Events of one request. More of them wait for the next, so that a burst takes few round trips.
const BATCH: usize = 100;

/// How often a batch is sent before it is given up: for some three minutes.
const ATTEMPTS: u32 = 10;

/// The wait after the first failed attempt; it doubles up to the longest.
const BACK_OFF: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Questions that wait for the service at once. More wait for their turn, inside their timeout.
const QUESTIONS: usize = 256;

/// What is told where.
#[derive(Clone)]
pub struct Config {
    /// Who hears of events.
    pub url: Option<Endpoint>,
    /// Who is asked about joins and publishes.
    pub auth_url: Option<Endpoint>,
    /// What requests are signed with.
    pub secret: String,
    /// How long the service has to take events.
    pub timeout: Duration,
    /// How long it has to answer a question: a client waits for it.
    pub auth_timeout: Duration,
    /// Events that wait at most.
    pub queue: usize,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url)
            .field("auth_url", &self.auth_url)
            .finish_non_exhaustive()
    }
}

/// Why webhooks do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The registry has metrics of these names already.
    #[error("registering the metrics of webhooks: {0}")]
    Metrics(#[from] prometheus::Error),
    /// TLS cannot be set up.
    #[error("setting up TLS for webhooks: {0}")]
    Tls(#[from] rustls::Error),
}

/// One event, as it is sent.
#[derive(Debug, Clone, Serialize)]
struct Event {
    /// Its own; the same when it is sent again.
    id: String,
    /// Milliseconds after 1970.
    time: u64,
    event: &'static str,
    app: String,
    channel: String,
    uid: Option<String>,
    ip: String,
    #[serde(flatten)]
    details: Map<String, Value>,
}

/// The webhooks of a node.
#[derive(Debug)]
pub struct Webhooks {
    queue: Option<mpsc::Sender<Event>>,
    auth: Option<Endpoint>,
    auth_timeout: Duration,
    questions: Semaphore,
    poster: Arc<Poster>,
    metrics: Metrics,
    /// Different after each start, so that ids are too.
    start: u64,
    count: AtomicU64,
    stop: CancellationToken,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Webhooks {
    /// Starts to deliver, in a task of the current runtime. [`Webhooks::shutdown`] ends it.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(config: Config, registry: &Registry) -> Result<Self, StartError> {
        let metrics = Metrics::new(registry)?;
        let endpoints = [&config.url, &config.auth_url];
        let https = endpoints.into_iter().flatten().any(Endpoint::is_https);
        let poster = Arc::new(Poster::new(&config.secret, https)?);
        let stop = CancellationToken::new();
        let mut worker = None;
        let queue = config.url.map(|endpoint| {
            let (queue, events) = mpsc::channel(config.queue.max(1));
            let courier = Courier {
                endpoint,
                events,
                timeout: config.timeout,
                poster: Arc::clone(&poster),
                metrics: metrics.clone(),
                stop: stop.clone(),
                down: false,
            };
            worker = Some(tokio::spawn(courier.run()));
            queue
        });
        Ok(Self {
            queue,
            auth: config.auth_url,
            auth_timeout: config.auth_timeout,
            questions: Semaphore::new(QUESTIONS),
            poster,
            metrics,
            start: rand::random(),
            count: AtomicU64::new(0),
            stop,
            worker: Mutex::new(worker),
        })
    }

    /// Whether joins and publishes are asked about.
    pub fn asks(&self) -> bool {
        self.auth.is_some()
    }

    /// Tells of an event. Never waits.
    pub fn tell(&self, who: &Who, what: &Happened) {
        let Some(queue) = &self.queue else { return };
        let (event, details) = describe(what);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let event = Event {
            id: format!("{:016x}{number:08x}", self.start),
            time: milliseconds(),
            event,
            app: who.app.as_str().to_owned(),
            channel: who.channel.as_str().to_owned(),
            uid: who.uid.as_ref().map(|uid| uid.as_str().to_owned()),
            ip: who.ip.to_canonical().to_string(),
            details,
        };
        if queue.try_send(event).is_err() {
            self.metrics.dropped(1);
        }
    }

    /// Asks whether somebody may join or publish.
    ///
    /// # Errors
    /// [`Code::Refused`] when the service says no; [`Code::TryAgain`] when it says nothing, or
    /// nothing that can be understood: who guards a door and is gone leaves it shut.
    pub async fn ask(&self, who: &Who, wish: Wish) -> Result<(), Code> {
        let Some(endpoint) = &self.auth else {
            return Ok(());
        };
        let question = json!({
            "event": match wish { Wish::Join => "join", Wish::Publish => "publish" },
            "time": milliseconds(),
            "app": who.app,
            "channel": who.channel,
            "uid": who.uid,
            "ip": who.ip.to_canonical(),
        });
        let asked = Instant::now();
        let answer = tokio::time::timeout(self.auth_timeout, async {
            // The semaphore is never closed; if it were, asking unbounded beats refusing everyone.
            let _turn = self.questions.acquire().await;
            self.poster
                .post(endpoint, question.to_string(), self.auth_timeout)
                .await
        })
        .await
        .unwrap_or(Err(post::Failed::Timeout));
        let verdict = judge(answer);
        self.metrics.answered(verdict, asked.elapsed());
        verdict
    }

    /// Sends what waits, once more and no longer than `grace`, and ends.
    pub async fn shutdown(&self, grace: Duration) {
        self.stop.cancel();
        let worker = self.worker.lock().take();
        let Some(mut worker) = worker else { return };
        if tokio::time::timeout(grace, &mut worker).await.is_err() {
            worker.abort();
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.get_mut().take() {
            worker.abort();
        }
    }
}

/// What an answer to a question means: 2xx is yes unless it says `{"allow": false}`; 401 and 403
/// are no.
fn judge(answer: Result<post::Answer, post::Failed>) -> Result<(), Code> {
    let Ok(answer) = answer else {
        return Err(Code::TryAgain);
    };
    if matches!(answer.status, 401 | 403) {
        return Err(Code::Refused);
    }
    if !answer.is_success() {
        return Err(Code::TryAgain);
    }
    if answer.body.is_empty() {
        return Ok(());
    }
    let allow = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| body.get("allow")?.as_bool());
    match allow {
        Some(true) => Ok(()),
        Some(false) => Err(Code::Refused),
        None => Err(Code::TryAgain),
    }
}

fn describe(what: &Happened) -> (&'static str, Map<String, Value>) {
    let mut details = Map::new();
    let event = match what {
        Happened::Joined => "joined",
        Happened::Left(why) => {
            details.insert("reason".into(), why.label().into());
            "left"
        }
        Happened::Published => "published",
        Happened::Unpublished => "unpublished",
        Happened::Muted { of, audio, video } => {
            let of = of.as_ref().map(crate::names::Uid::as_str);
            details.insert("of".into(), of.into());
            details.insert("audio_muted".into(), (*audio).into());
            details.insert("video_muted".into(), (*video).into());
            "muted"
        }
        Happened::TokenRefused(why) => {
            details.insert("reason".into(), (*why).into());
            "token_refused"
        }
    };
    (event, details)
}

/// The one task that delivers events.
struct Courier {
    endpoint: Endpoint,
    events: mpsc::Receiver<Event>,
    timeout: Duration,
    poster: Arc<Poster>,
    metrics: Metrics,
    stop: CancellationToken,
    /// The last attempt failed; for the log to say what changes, once.
    down: bool,
}

impl Courier {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                taken = self.events.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                // What waits is still received after this.
                () = stop.cancelled(), if !self.events.is_closed() => {
                    self.events.close();
                    continue;
                }
            }
            self.deliver(&batch).await;
            batch.clear();
        }
    }

    async fn deliver(&mut self, batch: &[Event]) {
        let body = json!({ "events": batch }).to_string();
        for attempt in 0..ATTEMPTS {
            let answer = self
                .poster
                .post(&self.endpoint, body.clone(), self.timeout)
                .await;
            let outcome = match answer {
                Ok(answer) if answer.is_success() => Ok(()),
                Ok(answer) => Err(post::Failed::Status(answer.status)),
                Err(failed) => Err(failed),
            };
            self.metrics.attempted(&outcome);
            match outcome {
                Ok(()) => {
                    if std::mem::take(&mut self.down) {
                        tracing::info!(webhook = %self.endpoint, "webhooks are taken again");
                    }
                    self.metrics.delivered(batch.len());
                    return;
                }
                Err(failed) if !self.down => {
                    self.down = true;
                    tracing::warn!(webhook = %self.endpoint, %failed, "webhooks are not taken; trying again");
                }
                Err(_) => {}
            }
            if self.stop.is_cancelled() || attempt + 1 == ATTEMPTS {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(back_off(attempt)) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.metrics.failed(batch.len());
        tracing::warn!(webhook = %self.endpoint, events = batch.len(), "events were given up");
    }
}

/// Half of the wait is chance, so that nodes that lost one service do not come back as one.
fn back_off(attempt: u32) -> Duration {
    let full = BACK_OFF
        .saturating_mul(1 << attempt.min(16))
        .min(BACK_OFF_MAX);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

fn milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| since.as_millis().try_into().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
