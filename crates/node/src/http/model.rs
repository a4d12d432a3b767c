//! What the API says about streams: the shapes of its JSON. Seconds, bytes, bits a second.

use lockgate_media::sequence::{AudioFormat, VideoFormat};
use lockgate_routing::{GateReport, PlayerReport, PublisherReport, StreamReport, StreamState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The longest page.
const LIMIT_MAX: usize = 1000;

/// The page of who does not say.
const LIMIT_DEFAULT: usize = 100;

/// Which part of a list to send.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// How many items, at most 1000.
    #[serde(default = "default_limit")]
    #[param(default = 100, maximum = 1000)]
    limit: usize,
    /// How many to leave out before the first.
    #[serde(default)]
    #[param(default = 0)]
    offset: usize,
}

fn default_limit() -> usize {
    LIMIT_DEFAULT
}

/// Which streams, or players of which streams, to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only those of this app.
    app: Option<String>,
    /// Only those of this stream name.
    name: Option<String>,
}

impl Filter {
    pub(super) fn takes(&self, stream: &StreamReport) -> bool {
        self.app.as_ref().is_none_or(|app| *app == stream.app)
            && self.name.as_ref().is_none_or(|name| *name == stream.name)
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items.
    items: Vec<T>,
    /// How many there are in all.
    total: usize,
    /// The limit that was applied.
    limit: usize,
    /// How many were left out before the first.
    offset: usize,
}

impl<T> Page<T> {
    /// Cuts the asked-for page out of everything there is.
    pub(super) fn of(all: Vec<T>, paging: Paging) -> Self {
        let limit = paging.limit.min(LIMIT_MAX);
        Self {
            total: all.len(),
            items: all.into_iter().skip(paging.offset).take(limit).collect(),
            limit,
            offset: paging.offset,
        }
    }

    /// The same page of something else: only what is sent is converted.
    pub(super) fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            total: self.total,
            limit: self.limit,
            offset: self.offset,
        }
    }
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stream {
    /// Its app.
    app: String,
    /// Its name in the app.
    name: String,
    /// Whether somebody publishes it.
    state: State,
    /// How long it has been known.
    age_seconds: f64,
    /// Who publishes it.
    publisher: Option<Publisher>,
    /// How many players it has; `/api/v1/players` lists them.
    players: usize,
    /// Its video.
    video: Option<Video>,
    /// Its audio.
    audio: Option<Audio>,
    /// What its ring holds.
    ring: Ring,
    /// How often its publisher's clock jumped and was rebased.
    timeline_jumps: u64,
}

/// Whether somebody publishes a stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Somebody does.
    Live,
    /// Its publisher broke off and may come back.
    Grace,
    /// Players wait for its publisher.
    Waiting,
}

/// A video format.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Video {
    /// The codec, such as `H.264`.
    codec: String,
    /// Pixels, where the stream tells.
    width: Option<u32>,
    /// Pixels, where the stream tells.
    height: Option<u32>,
}

/// An audio format.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audio {
    /// The codec, such as `AAC`.
    codec: String,
    /// Samples a second, where the stream tells.
    sample_rate: Option<u32>,
    /// Channels, where the stream tells.
    channels: Option<u8>,
}

/// What a ring holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ring {
    /// Bytes of payload.
    bytes: u64,
    /// Packets.
    packets: u64,
    /// Packets since the newest keyframe.
    gop_packets: u64,
}

/// A publisher.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Publisher {
    /// Its connection's number: what `DELETE /api/v1/connections/{id}` takes.
    connection: u64,
    /// The stream's app.
    app: String,
    /// The stream's name.
    name: String,
    /// How it publishes.
    protocol: &'static str,
    /// Its address.
    peer: String,
    /// How long it has been publishing.
    age_seconds: f64,
    /// Bytes of payload it sent.
    bytes: u64,
    /// Packets it sent.
    packets: u64,
    /// Its rate of late.
    bits_per_second: u64,
    /// Video frames a second of late.
    frames_per_second: f64,
    /// Its video.
    video: Option<Video>,
    /// Its audio.
    audio: Option<Audio>,
}

/// A player.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Player {
    /// Its connection's number: what the paths that control it take.
    connection: u64,
    /// The stream's app.
    app: String,
    /// The stream's name.
    name: String,
    /// How it plays.
    protocol: &'static str,
    /// Its address.
    peer: String,
    /// How long it has been playing.
    age_seconds: f64,
    /// Bytes sent to it.
    bytes: u64,
    /// Packets sent to it, as of the last second.
    packets: u64,
    /// Its rate of late.
    bits_per_second: u64,
    /// How far it is behind the stream.
    delay_seconds: f64,
    /// How often it fell too far behind and skipped.
    skips: u64,
    /// What it is given.
    gate: Gate,
}

/// What a player is given.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Gate {
    /// Audio, all switches taken together.
    audio: Switch,
    /// Video, all switches taken together.
    video: Switch,
    /// Who closed audio: the subscriber, the publisher, the operator.
    audio_closed_by: Vec<&'static str>,
    /// Who closed video.
    video_closed_by: Vec<&'static str>,
}

/// One track of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Switch {
    /// Packets pass.
    Open,
    /// Packets do not pass.
    Closed,
}

/// What to do to a player's gate. A track that is not named stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GateChange {
    /// The operator's switch for audio.
    pub(super) audio: Option<Switch>,
    /// The operator's switch for video.
    pub(super) video: Option<Switch>,
}

/// What lets an operator watch a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ticket {
    /// What goes behind the `?` of the stream's URL.
    pub(super) query: String,
    /// How long it can be used to join.
    pub(super) seconds: u64,
}

impl From<&StreamReport> for Stream {
    fn from(report: &StreamReport) -> Self {
        Self {
            app: report.app.clone(),
            name: report.name.clone(),
            state: match report.state {
                StreamState::Live => State::Live,
                StreamState::Grace => State::Grace,
                StreamState::Waiting => State::Waiting,
            },
            age_seconds: report.age.as_secs_f64(),
            publisher: Publisher::of(report),
            players: report.players.len(),
            video: report.video.as_ref().map(Video::from),
            audio: report.audio.as_ref().map(Audio::from),
            ring: Ring {
                bytes: report.ring_bytes,
                packets: report.ring_packets,
                gop_packets: report.gop_packets,
            },
            timeline_jumps: report.timeline_jumps,
        }
    }
}

impl Publisher {
    /// The publisher of a stream, if it has one now.
    pub(super) fn of(stream: &StreamReport) -> Option<Self> {
        let publisher: &PublisherReport = stream.publisher.as_ref()?;
        Some(Self {
            connection: publisher.connection,
            app: stream.app.clone(),
            name: stream.name.clone(),
            protocol: publisher.protocol,
            peer: publisher.peer.clone(),
            age_seconds: publisher.since.as_secs_f64(),
            bytes: publisher.bytes,
            packets: publisher.packets,
            bits_per_second: publisher.bitrate,
            frames_per_second: publisher.frame_rate,
            video: stream.video.as_ref().map(Video::from),
            audio: stream.audio.as_ref().map(Audio::from),
        })
    }

    pub(super) fn connection(&self) -> u64 {
        self.connection
    }
}

impl Player {
    pub(super) fn new(stream: &StreamReport, player: &PlayerReport) -> Self {
        Self {
            connection: player.connection,
            app: stream.app.clone(),
            name: stream.name.clone(),
            protocol: player.protocol,
            peer: player.peer.clone(),
            age_seconds: player.since.as_secs_f64(),
            bytes: player.bytes,
            packets: player.packets,
            bits_per_second: player.bitrate,
            delay_seconds: player.delay.as_secs_f64(),
            skips: player.skips,
            gate: Gate::from(&player.gate),
        }
    }
}

impl From<&GateReport> for Gate {
    fn from(report: &GateReport) -> Self {
        let switch = |open| if open { Switch::Open } else { Switch::Closed };
        Self {
            audio: switch(report.audio_open),
            video: switch(report.video_open),
            audio_closed_by: report.audio_closed_by.clone(),
            video_closed_by: report.video_closed_by.clone(),
        }
    }
}

impl From<&VideoFormat> for Video {
    fn from(format: &VideoFormat) -> Self {
        Self {
            codec: format.codec.to_string(),
            width: format.size.map(|(width, _)| width),
            height: format.size.map(|(_, height)| height),
        }
    }
}

impl From<&AudioFormat> for Audio {
    fn from(format: &AudioFormat) -> Self {
        Self {
            codec: format.codec.to_string(),
            sample_rate: format.sample_rate,
            channels: format.channels,
        }
    }
}
