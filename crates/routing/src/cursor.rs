//! A player's place in the ring and what its gate makes of each packet. Synchronous and pure.
//!
//! Audio and video have a position each, and what is sent goes in the ring's order: opening video
//! moves its position back to the keyframe, a slow player's moves on to the next, and the other
//! track is not touched. Invariants: never a delta frame whose references the player lacks; no
//! track's timestamps go back; headers and metadata pass whatever is closed.
//!
//! A [`Cursor`] is a small value. Players whose cursors and switches are equal get equal bytes,
//! which is what lets a fan-out task work them out once for all.

use std::sync::Arc;
use std::time::Duration;

use lockgate_media::{Class, Packet, Track};

use crate::config::MutedAudio;
use crate::gate::{AudioGate, Switches};
use crate::ring::View;

/// Whether the next delta frame decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Picture {
    /// The player has the references.
    Flowing,
    /// Nothing decodes before a keyframe.
    AwaitKey,
    /// The video gate is closed.
    Shut,
}

/// A player's place in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The next sequence number to look at for audio and data.
    audio: u64,
    /// The next sequence number to look at for video.
    video: u64,
    picture: Picture,
    /// One past the last video frame sent; 0 for none.
    pictured: u64,
    /// The time of the last video header sent, until a frame reaches it: frames of a GOP gone back
    /// to are not earlier.
    floor: u64,
    /// Which headers of the view, by index, must be sent before anything else.
    owed: u32,
}

/// What is sent next.
#[derive(Debug, Clone)]
pub struct Step {
    /// The packet: from the ring, its stand-in, or a header at the player's time.
    pub packet: Arc<Packet>,
    /// Its place in the ring; `None` for a header sent out of turn.
    pub seq: Option<u64>,
}

/// Packets that a player's gate or place kept from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Frames of a closed track.
    pub muted: u64,
    /// Audio replaced by silence.
    pub silenced: u64,
    /// Video frames that do not decode before a keyframe.
    pub await_keyframe: u64,
}

/// Tracks on which a slow player skipped ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skips {
    /// Video went to the newest keyframe.
    pub video: bool,
    /// Audio was no longer held.
    pub audio: bool,
}

impl Cursor {
    /// The place of a player that joins now: the current GOP's keyframe, or the newest packet
    /// where there is none to decode from.
    pub fn join(view: &View, switches: Switches) -> Self {
        let start = view.newest_key().unwrap_or(view.head());
        let mut cursor = Self {
            audio: start.max(newest_header(view, Track::Audio)),
            video: start,
            picture: match (switches.video_open(), view.newest_key()) {
                (false, _) => Picture::Shut,
                (true, Some(_)) => Picture::Flowing,
                (true, None) => Picture::AwaitKey,
            },
            pictured: 0,
            floor: 0,
            owed: 0,
        };
        cursor.owe(view, |_| true, 0);
        cursor
    }

    /// Whether everything there is was looked at.
    pub fn is_at_head(&self, view: &View) -> bool {
        self.owed == 0 && self.audio == view.head() && self.video == view.head()
    }

    /// The next sequence number to look at for video.
    pub fn video_place(&self) -> u64 {
        self.video
    }

    /// How long the oldest packet this player has not looked at was there before the newest.
    pub fn behind(&self, view: &View) -> Duration {
        let place = self.audio.min(self.video).max(view.first());
        match (view.newest_received(), view.get(place)) {
            (Some(newest), Some(next)) => newest.saturating_duration_since(next.received()),
            _ => Duration::ZERO,
        }
    }

    /// Takes note of turned switches: opening video goes back to a frame that decodes.
    pub fn turn(&mut self, view: &View, switches: Switches) {
        match (self.picture, switches.video_open()) {
            (Picture::Shut, true) => self.open_video(view),
            (Picture::Flowing | Picture::AwaitKey, false) => self.picture = Picture::Shut,
            _ => {}
        }
    }

    fn open_video(&mut self, view: &View) {
        match view.newest_key() {
            // It stopped inside this GOP: the frames since the last it got are all it lacks.
            Some(key) if self.pictured > key => {
                self.video = self.pictured;
                self.picture = Picture::Flowing;
            }
            Some(key) => self.jump_to(view, key, 0),
            None => {
                self.video = self.video.max(view.head());
                self.picture = Picture::AwaitKey;
            }
        }
    }

    /// Gives up the rest of a GOP that the player's network does not carry; `false` when no picture
    /// was flowing.
    pub fn await_keyframe(&mut self) -> bool {
        let flowing = self.picture == Picture::Flowing;
        if flowing {
            self.picture = Picture::AwaitKey;
        }
        flowing
    }

    /// Goes back to the current GOP's keyframe, for a player that lost what it was sent; `false`
    /// when there is none, or it has yet to be sent.
    pub fn replay(&mut self, view: &View) -> bool {
        match view.newest_key() {
            Some(key) if self.picture == Picture::Flowing && self.video > key => {
                self.jump_to(view, key, 0);
                true
            }
            _ => false,
        }
    }

    /// Goes on from a keyframe; the headers from `unseen` on are sent before it.
    fn jump_to(&mut self, view: &View, key: u64, unseen: u64) {
        self.video = key;
        self.picture = Picture::Flowing;
        self.owe(view, |track| track == Track::Video, unseen);
    }

    /// Moves a player that is too far behind: video to the newest keyframe, and audio to the
    /// oldest packet held when even that is gone.
    pub fn catch_up(&mut self, view: &View, skip_after: Duration) -> Skips {
        let mut skips = Skips::default();
        let lost = self.video < view.first();
        match view.newest_key() {
            Some(key)
                if key > self.video
                    && self.picture != Picture::Shut
                    && (lost || self.behind(view) > skip_after) =>
            {
                skips.video = true;
                self.jump_to(view, key, self.video);
            }
            _ if lost => {
                let unseen = std::mem::replace(&mut self.video, view.first());
                if self.picture == Picture::Flowing {
                    skips.video = true;
                    self.picture = Picture::AwaitKey;
                }
                self.owe(view, |track| track == Track::Video, unseen);
            }
            _ => {}
        }
        if self.audio < view.first() {
            skips.audio = true;
            let unseen = self.audio;
            self.audio = view.first().max(newest_header(view, Track::Audio));
            self.owe(view, |track| track != Track::Video, unseen);
        }
        skips
    }

    /// What is sent next, if anything is there.
    pub fn next(
        &mut self,
        view: &View,
        switches: Switches,
        muted: MutedAudio,
        dropped: &mut Dropped,
    ) -> Option<Step> {
        if self.owed != 0
            && let Some(step) = self.pay(view)
        {
            return Some(step);
        }
        loop {
            let seq = self.audio.min(self.video);
            let packet = view.get(seq)?;
            let is_video = packet.track() == Track::Video;
            let mine = if is_video {
                self.video == seq
            } else {
                self.audio == seq
            };
            self.audio = self.audio.max(seq + 1);
            self.video = self.video.max(seq + 1);
            if !mine {
                continue;
            }
            let passed = if is_video {
                self.decide_video(seq, packet, dropped)
            } else {
                decide_audio(packet, switches.audio(muted), dropped)
            };
            if let Some(packet) = passed {
                let packet = if is_video && packet.timestamp() < self.floor {
                    Arc::new(packet.restamped(self.floor))
                } else {
                    if is_video && packet.is_frame() {
                        // No later frame is earlier than this one, so who joined when is forgotten
                        // and players are equal again.
                        self.floor = 0;
                    }
                    Arc::clone(packet)
                };
                return Some(Step {
                    packet,
                    seq: Some(seq),
                });
            }
        }
    }

    fn decide_video<'a>(
        &mut self,
        seq: u64,
        packet: &'a Arc<Packet>,
        dropped: &mut Dropped,
    ) -> Option<&'a Arc<Packet>> {
        match (packet.class(), self.picture) {
            (Class::Header(_), _) => {
                self.floor = self.floor.max(packet.timestamp());
                return Some(packet);
            }
            (Class::Notice, _) => return Some(packet),
            (_, Picture::Shut) => {
                dropped.muted += 1;
                return None;
            }
            (Class::Frame, Picture::AwaitKey) => {
                dropped.await_keyframe += 1;
                return None;
            }
            (Class::Keyframe, _) | (Class::Frame, Picture::Flowing) => {}
        }
        self.picture = Picture::Flowing;
        self.pictured = seq + 1;
        Some(packet)
    }

    /// Owes the player the headers from `unseen` to its place, on the tracks chosen.
    fn owe(&mut self, view: &View, tracks: impl Fn(Track) -> bool, unseen: u64) {
        for (bit, header) in view.headers().iter().enumerate().take(32) {
            let track = header.packet.track();
            let place = if track == Track::Video {
                self.video
            } else {
                self.audio
            };
            if tracks(track) && (unseen..place).contains(&header.seq) {
                self.owed |= 1 << bit;
            }
        }
    }

    /// The next owed header, at the time of the next packet of its track.
    fn pay(&mut self, view: &View) -> Option<Step> {
        while self.owed != 0 {
            let bit = self.owed.trailing_zeros();
            self.owed &= self.owed - 1;
            let Some(header) = view.headers().get(bit as usize) else {
                continue;
            };
            let track = header.packet.track();
            let place = if track == Track::Video {
                self.video
            } else {
                self.audio
            };
            let next = (place..view.head())
                .filter_map(|seq| view.get(seq))
                .find(|packet| packet.track() == track);
            let time = match track {
                Track::Data => header.packet.timestamp(),
                _ => next.map_or(view.last_timestamp(track), |packet| packet.timestamp()),
            };
            if track == Track::Video {
                self.floor = self.floor.max(time);
            }
            return Some(Step {
                packet: Arc::new(header.packet.restamped(time)),
                seq: None,
            });
        }
        None
    }
}

fn decide_audio<'a>(
    packet: &'a Arc<Packet>,
    gate: AudioGate,
    dropped: &mut Dropped,
) -> Option<&'a Arc<Packet>> {
    if !packet.is_frame() || gate == AudioGate::Open {
        return Some(packet);
    }
    let stand_in = if gate == AudioGate::Silence {
        packet.stand_in()
    } else {
        None
    };
    match stand_in {
        Some(_) => dropped.silenced += 1,
        None => dropped.muted += 1,
    }
    stand_in
}

/// Where the newest decoder header of a track stands, 0 for none.
fn newest_header(view: &View, track: Track) -> u64 {
    let headers = view.headers().iter();
    headers
        .filter(|header| header.packet.track() == track)
        .map(|header| header.seq)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
