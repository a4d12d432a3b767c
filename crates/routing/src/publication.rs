//! A publisher's hold on a stream. Dropping it starts the grace in which players stay attached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lockgate_media::{Companion, Packet, Track};
use tokio::sync::watch;

use crate::gate::Source;
use crate::id::StreamId;
use crate::lease::Lease;
use crate::router::Seats;
use crate::stream::Stream;

/// To more players than this a pass takes so long that sound which comes meanwhile is sent along to
/// those who are still to be served: it has to be read by then.
const FEW: usize = 64;

/// Why a publisher lost its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// A newer publisher took the name.
    Replaced,
    /// An operator cut it.
    Kicked,
    /// What its URL was bound to has ended.
    Ended,
    /// The node stops.
    Shutdown,
}

/// The right to push packets into a stream.
#[derive(Debug)]
pub struct Publication {
    pub(crate) stream: Arc<Stream>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) epoch: u64,
    pub(crate) cut: watch::Receiver<Option<Cut>>,
    /// What was pushed and not yet announced to the fan-out.
    pub(crate) waiting: Waiting,
    pub(crate) protocol: &'static str,
    pub(crate) lease: Option<Arc<Lease>>,
}

/// What waits to be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    Nothing,
    /// Audio alone: it may be held for a video frame.
    Audio,
    /// Something that goes out at once.
    Urgent,
}

impl Publication {
    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream.id
    }

    /// Appends one packet: an FLV tag body with the publisher's timestamp in milliseconds, and
    /// when its last byte was read. Call [`Self::flush`] when nothing more is at hand.
    ///
    /// # Errors
    /// Why the stream is no longer this publisher's.
    pub fn push(
        &mut self,
        track: Track,
        timestamp: u32,
        payload: Bytes,
        received: Instant,
    ) -> Result<(), Cut> {
        self.push_with(track, timestamp, payload, received, Vec::new())
    }

    /// The same with what the packet was made of, for players of that.
    ///
    /// # Errors
    /// Why the stream is no longer this publisher's.
    pub fn push_with(
        &mut self,
        track: Track,
        timestamp: u32,
        payload: Bytes,
        received: Instant,
        companions: Vec<Companion>,
    ) -> Result<(), Cut> {
        let allowed = self.lease.as_ref().is_none_or(|lease| lease.allows(track));
        if payload.is_empty() || !allowed {
            return Ok(());
        }
        let packet = Packet::new(track, 0, payload, received).with_companions(companions);
        if !self.stream.push(self.epoch, timestamp, packet) {
            return Err((*self.cut.borrow()).unwrap_or(Cut::Replaced));
        }
        let waiting = if track == Track::Audio {
            Waiting::Audio
        } else {
            Waiting::Urgent
        };
        self.waiting = self.waiting.max(waiting);
        Ok(())
    }

    /// Lets the fan-out see what was pushed.
    pub fn flush(&mut self) {
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => {}
            Waiting::Audio => self.stream.wake(self.stream.config.max_hold.is_zero()),
            Waiting::Urgent => self.stream.wake(true),
        }
    }

    /// The same where it has been held already.
    pub fn flush_held(&mut self) {
        if std::mem::replace(&mut self.waiting, Waiting::Nothing) != Waiting::Nothing {
            self.stream.wake(true);
        }
    }

    /// Closes or opens a track for all players: `muteLocal`.
    pub fn turn(&self, track: Track, closed: bool) {
        self.stream.turn_all(Source::Publisher, track, closed);
    }

    /// Completes when a player cannot go on without a keyframe.
    pub fn keyframe_wanted(&self) -> impl Future<Output = ()> + Send + use<> {
        let stream = Arc::clone(&self.stream);
        stream.make_askable(self.epoch);
        async move { stream.keyframe.notified().await }
    }

    /// Whether anybody plays the stream.
    pub fn is_watched(&self) -> bool {
        self.stream.is_watched()
    }

    /// How long sound may wait before it is pushed: as long as the fan-out would hold it, if that is
    /// all that sends it on, and to so few that reading it costs as much as sending it.
    pub fn patience(&self) -> Duration {
        if self.stream.is_tapped() || self.stream.player_count() > FEW {
            Duration::ZERO
        } else {
            self.stream.config.max_hold
        }
    }

    /// Waits until the stream is taken from this publisher. It holds nothing of the publication, so
    /// that one wait can last as long as that.
    pub fn cut(&self) -> impl Future<Output = Cut> + Send + 'static {
        let mut cut = self.cut.clone();
        async move {
            match cut.wait_for(Option::is_some).await {
                Ok(cut) => (*cut).unwrap_or(Cut::Replaced),
                Err(_) => Cut::Shutdown,
            }
        }
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.flush();
        self.seats
            .publisher_left(&self.stream, self.epoch, self.protocol);
    }
}
