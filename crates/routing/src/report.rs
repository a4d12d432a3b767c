//! What an operator sees of streams, publishers and players: plain values, taken at one moment.

use std::time::Duration;

use lockgate_media::Track;
use lockgate_media::sequence::{AudioFormat, VideoFormat};

use crate::gate::Switches;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It has a publisher.
    Live,
    /// Its publisher broke off and may come back.
    Grace,
    /// Players wait for its publisher.
    Waiting,
}

/// A stream.
#[derive(Debug, Clone)]
pub struct StreamReport {
    /// Its app.
    pub app: String,
    /// Its name in the app.
    pub name: String,
    /// Where it stands.
    pub state: StreamState,
    /// Since when it is known.
    pub age: Duration,
    /// Its publisher, while there is one.
    pub publisher: Option<PublisherReport>,
    /// Its players.
    pub players: Vec<PlayerReport>,
    /// The format of its video, once known.
    pub video: Option<VideoFormat>,
    /// The format of its audio, once known.
    pub audio: Option<AudioFormat>,
    /// Bytes its ring holds.
    pub ring_bytes: u64,
    /// Packets its ring holds.
    pub ring_packets: u64,
    /// Packets of the current GOP; 0 when who joins must wait for the next keyframe.
    pub gop_packets: u64,
    /// How often its publishers' clocks jumped.
    pub timeline_jumps: u64,
}

/// A publisher.
#[derive(Debug, Clone)]
pub struct PublisherReport {
    /// Its connection.
    pub connection: u64,
    /// The protocol it speaks.
    pub protocol: &'static str,
    /// Its address.
    pub peer: String,
    /// How long it has been publishing.
    pub since: Duration,
    /// Bytes of media it sent.
    pub bytes: u64,
    /// Packets it sent.
    pub packets: u64,
    /// Bits a second, over the last full second.
    pub bitrate: u64,
    /// Video frames a second, over the last full second.
    pub frame_rate: f64,
}

/// A player.
#[derive(Debug, Clone)]
pub struct PlayerReport {
    /// Its connection.
    pub connection: u64,
    /// The protocol it speaks.
    pub protocol: &'static str,
    /// Its address.
    pub peer: String,
    /// How long it has been here.
    pub since: Duration,
    /// Bytes of media sent to it, as of the last second.
    pub bytes: u64,
    /// Packets sent to it, likewise.
    pub packets: u64,
    /// Bits a second, over the last full second.
    pub bitrate: u64,
    /// How far it is behind the newest packet.
    pub delay: Duration,
    /// How often it skipped ahead.
    pub skips: u64,
    /// Its gate.
    pub gate: GateReport,
}

/// A player's gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReport {
    /// Whether audio flows.
    pub audio_open: bool,
    /// Whether video flows.
    pub video_open: bool,
    /// Who closed audio.
    pub audio_closed_by: Vec<&'static str>,
    /// Who closed video.
    pub video_closed_by: Vec<&'static str>,
}

impl GateReport {
    pub(crate) fn new(switches: Switches) -> Self {
        let names = |track| {
            switches
                .closed_by(track)
                .map(crate::gate::Source::name)
                .collect()
        };
        Self {
            audio_open: switches.audio_open(),
            video_open: switches.video_open(),
            audio_closed_by: names(Track::Audio),
            video_closed_by: names(Track::Video),
        }
    }
}
