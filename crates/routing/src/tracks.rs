//! Which tracks a stream has: known once they have come, or once one has and the other does not.

use std::time::{Duration, Instant};

use lockgate_media::Track;
use tokio::sync::watch;

/// The tracks that a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tracks {
    /// There is sound.
    pub audio: bool,
    /// There are pictures.
    pub video: bool,
}

impl Tracks {
    /// Takes note of a packet's track; `true` when it is the first of it.
    pub(crate) fn add(&mut self, track: Track) -> bool {
        let has = match track {
            Track::Audio => &mut self.audio,
            Track::Video => &mut self.video,
            Track::Data => return false,
        };
        !std::mem::replace(has, true)
    }
}

/// The tracks that a publication has sent, and since when it sends any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    tracks: Tracks,
    since: Option<Instant>,
}

impl Seen {
    pub(crate) fn are(&mut self, tracks: Tracks, now: Instant) {
        self.tracks = tracks;
        self.since.get_or_insert(now);
    }
}

/// The tracks once both have come, or `settle` after the first did. Cancel safe.
pub(crate) async fn settled(seen: &mut watch::Receiver<Seen>, settle: Duration) -> Tracks {
    loop {
        let Seen { tracks, since } = *seen.borrow_and_update();
        let until = match since {
            _ if tracks.audio && tracks.video => return tracks,
            Some(since) => (since + settle).into(),
            None => match seen.changed().await {
                Ok(()) => continue,
                Err(_) => return tracks,
            },
        };
        match tokio::time::timeout_at(until, seen.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return tracks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(500);

    fn tracks(audio: bool, video: bool) -> Tracks {
        Tracks { audio, video }
    }

    #[test]
    fn data_is_no_track_to_wait_for() {
        let mut tracks = Tracks::default();
        assert!(!tracks.add(Track::Data));
        assert!(tracks.add(Track::Audio) && !tracks.add(Track::Audio));
        assert_eq!(tracks, self::tracks(true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn both_are_known_at_once_and_one_after_a_while() {
        let (sender, mut receiver) = watch::channel(Seen::default());
        let start = tokio::time::Instant::now();
        let first = start.into_std();
        sender.send_modify(|seen| seen.are(tracks(false, true), first));
        assert_eq!(settled(&mut receiver, SETTLE).await, tracks(false, true));
        assert_eq!(start.elapsed(), SETTLE);
        sender.send_modify(|seen| seen.are(tracks(true, true), first));
        assert_eq!(settled(&mut receiver, SETTLE).await, tracks(true, true));
        assert_eq!(start.elapsed(), SETTLE);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_until_something_comes() {
        let (sender, mut receiver) = watch::channel(Seen::default());
        let waiting = settled(&mut receiver, SETTLE);
        tokio::pin!(waiting);
        assert!(
            tokio::time::timeout(SETTLE * 9, &mut waiting)
                .await
                .is_err()
        );
        let now = tokio::time::Instant::now().into_std();
        sender.send_modify(|seen| seen.are(tracks(true, true), now));
        assert_eq!(waiting.await, tracks(true, true));
    }
}
