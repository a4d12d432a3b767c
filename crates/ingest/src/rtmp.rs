//! RTMP publish: one connection's packets into one publication.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_routing::throttle::Throttles;
use lockgate_routing::{Admission, Cut, Origin, Publication, PublishError, Router};
use lockgate_rtmp::connection::Connection;
use lockgate_rtmp::session::{Event, PublishRequest};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::gather::Gather;
use crate::metrics::PublishMetrics;

/// The protocol's name in metrics and reports.
pub const PROTOCOL: &str = "rtmp";

/// Takes publishers in.
pub struct Ingest {
    router: Arc<Router>,
    admission: Arc<dyn Admission>,
    idle_timeout: Duration,
    metrics: PublishMetrics,
    refusals: Throttles,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl Ingest {
    /// A publisher that sends nothing at all for `idle_timeout` is taken for dead.
    pub fn new(
        router: Arc<Router>,
        admission: Arc<dyn Admission>,
        idle_timeout: Duration,
        metrics: PublishMetrics,
    ) -> Self {
        // Zero is told from the start.
        metrics.of(PROTOCOL);
        Self {
            router,
            admission,
            idle_timeout,
            metrics,
            refusals: Throttles::default(),
        }
    }

    /// Serves a `publish` until its stream ends; the connection goes on, or breaks off and is to be
    /// closed.
    pub async fn serve(
        &self,
        connection: &mut Connection,
        request: &PublishRequest,
        origin: Origin,
    ) -> ControlFlow<()> {
        let mut publication = match self.admit(request, origin) {
            Ok(publication) => publication,
            Err(refused) => {
                self.metrics.refuse(refused.label);
                if let Some(times) = self.refusals.note(refused.label, Instant::now()) {
                    warn!(
                        reason = refused.label,
                        times, "publisher refused: {}", refused.text
                    );
                }
                connection
                    .session()
                    .reject_publish(refused.code, &refused.text);
                return ControlFlow::Break(());
            }
        };
        connection.session().accept_publish();
        info!("publishing");
        let next = self
            .pump(connection, &mut publication, origin.protocol)
            .await;
        // What it sends from here on is commands.
        if let Err(error) = connection.gather(1, Duration::ZERO) {
            debug!(%error, "the socket is still read a frame at a time");
        }
        info!(bytes = connection.bytes_in(), "publisher gone");
        next
    }

    fn admit(&self, request: &PublishRequest, origin: Origin) -> Result<Publication, Refused> {
        let grant = self
            .admission
            .publish(&request.app, &request.name, &request.query)
            .map_err(|refusal| Refused {
                label: refusal.label(),
                code: "NetStream.Publish.BadName",
                text: refusal.to_string(),
            })?;
        self.router.publish(&grant, origin).map_err(|error| {
            let (label, code) = match error {
                PublishError::Busy => ("busy", "NetStream.Publish.BadName"),
                PublishError::Draining => ("draining", "NetStream.Publish.Failed"),
                _ => ("full", "NetStream.Publish.Failed"),
            };
            Refused {
                label,
                code,
                text: error.to_string(),
            }
        })
    }

    async fn pump(
        &self,
        connection: &mut Connection,
        publication: &mut Publication,
        protocol: &str,
    ) -> ControlFlow<()> {
        let metrics = self.metrics.of(protocol);
        // One timer for the whole connection: a deadline a packet would cost more than the packet.
        let mut idle = tokio::time::interval(self.idle_timeout.max(Duration::from_millis(1)));
        idle.tick().await;
        let mut heard = connection.bytes_in();
        let mut cut = pin!(publication.cut());
        let mut gather = Gather::default();
        loop {
            let event = tokio::select! {
                // In this order: while packets come, nothing else is looked at.
                biased;
                event = connection.next() => event,
                cut = &mut cut => return tell(connection, cut),
                _ = idle.tick() => {
                    if std::mem::replace(&mut heard, connection.bytes_in()) == heard {
                        self.metrics.refuse("idle");
                        warn!(timeout = ?self.idle_timeout, "publisher sent nothing: cut");
                        return ControlFlow::Break(());
                    }
                    continue;
                }
            };
            // Everything that one read brought goes into the ring before players are woken.
            let arrived = connection.arrived();
            let mut event = event;
            loop {
                match event {
                    Ok(Some(Event::Media {
                        track,
                        timestamp,
                        payload,
                    })) => {
                        metrics.packet(track, payload.len());
                        let received = gather.note(track, timestamp, &payload, arrived);
                        if let Err(cut) = publication.push(track, timestamp, payload, received) {
                            return tell(connection, cut);
                        }
                    }
                    Ok(Some(Event::Ended)) => return ControlFlow::Continue(()),
                    Ok(Some(_)) => {}
                    Ok(None) => return ControlFlow::Break(()),
                    Err(error) => {
                        info!(%error, "publisher's connection failed");
                        return ControlFlow::Break(());
                    }
                }
                if !connection.has_queued() {
                    break;
                }
                event = connection.next().await;
            }
            if arrived.early {
                // It has waited for as long as it may.
                publication.flush_held();
            } else {
                publication.flush();
            }
            let patience = publication.is_watched().then(|| publication.patience());
            let (bytes, within) = gather.next(patience);
            match connection.gather(bytes, within) {
                // What cannot gather is not read meanwhile.
                Ok(false) if patience.is_none() && connection.is_drained() => sleep(within).await,
                Ok(_) => {}
                Err(error) => {
                    info!(%error, "publisher's connection failed");
                    return ControlFlow::Break(());
                }
            }
        }
    }
}

struct Refused {
    label: &'static str,
    code: &'static str,
    text: String,
}

/// Tells a publisher why its stream is no longer its own.
fn tell(connection: &mut Connection, cut: Cut) -> ControlFlow<()> {
    let text = match cut {
        Cut::Replaced => "a newer publisher took this stream",
        Cut::Kicked => "an operator cut this stream",
        Cut::Ended => "this publication has ended: ask for a new URL",
        _ => "this node is stopping",
    };
    info!(reason = ?cut, "publisher cut: {text}");
    connection
        .session()
        .end_publish("NetStream.Publish.Failed", text);
    ControlFlow::Break(())
}
