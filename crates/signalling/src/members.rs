//! What an operator sees of channels and their members: plain values, taken at one moment.

use std::net::IpAddr;
use std::time::Duration;

use lockgate_routing::StreamId;

use crate::names::{AppId, ChannelName, Uid};

/// A channel.
#[derive(Debug, Clone)]
pub struct ChannelReport {
    /// Its app.
    pub app: AppId,
    /// Its name.
    pub channel: ChannelName,
    /// How long there has been somebody in it.
    pub age: Duration,
    /// How many are in it, those in their grace included.
    pub members: usize,
    /// How many of them publish.
    pub publications: usize,
}

/// A member.
#[derive(Debug, Clone)]
pub struct MemberReport {
    /// Who.
    pub uid: Uid,
    /// Where from.
    pub ip: IpAddr,
    /// What its SDK calls itself; cut at 64 bytes.
    pub sdk: String,
    /// How long it has been in the channel.
    pub since: Duration,
    /// False while its WebSocket is broken and its grace runs.
    pub connected: bool,
    /// `host` or `audience`.
    pub role: &'static str,
    /// What it publishes.
    pub publication: Option<PublicationReport>,
    /// What it subscribes to.
    pub subscriptions: Vec<SubscriptionReport>,
}

/// What a member publishes.
#[derive(Debug, Clone)]
pub struct PublicationReport {
    /// The stream, as the router knows it.
    pub stream: StreamId,
    /// Its media is here: the others were told.
    pub begun: bool,
    /// The others hear it.
    pub audio: bool,
    /// The others see it.
    pub video: bool,
    /// Muted by an operator: audio, video.
    pub muted_by_operator: (bool, bool),
}

/// A subscription of a member.
#[derive(Debug, Clone)]
pub struct SubscriptionReport {
    /// To whom.
    pub uid: Uid,
    /// It has muted the audio.
    pub audio_muted: bool,
    /// It has muted the video.
    pub video_muted: bool,
    /// The player that its URL was last opened by, as the router numbers it; it may be gone.
    pub player: Option<u64>,
}
