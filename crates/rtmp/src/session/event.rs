//! What a session tells its owner. `Debug` shows no queries: they carry keys.

use std::fmt;

use bytes::Bytes;
use lockgate_media::Track;

/// Something a peer wants or sends.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Answer with `accept_connect` or `reject_connect`.
    Connect(Box<ConnectRequest>),
    /// Answer with `accept_publish` or `reject_publish`.
    Publish(Box<PublishRequest>),
    /// Answer with `accept_play` or `reject_play`.
    Play(Box<PlayRequest>),
    /// A packet of the stream the peer publishes.
    Media {
        /// Its track.
        track: Track,
        /// Milliseconds modulo 2^32, on the peer's own clock.
        timestamp: u32,
        /// An FLV tag body, never empty. Data starts with an AMF0 string, `@setDataFrame`
        /// removed.
        payload: Bytes,
    },
    /// A player wants audio, or none.
    ReceiveAudio(bool),
    /// A player wants video, or none.
    ReceiveVideo(bool),
    /// A player wants to pause, or to go on; answer with `accept_pause`.
    Pause(bool),
    /// The peer ends its stream, or withdraws its request; the connection stays.
    Ended,
    /// Replies wait in the session's output while writes are lent; only
    /// [`Connection`](crate::connection::Connection) says so.
    Output,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(request) => f.debug_tuple("Connect").field(request).finish(),
            Self::Publish(request) => f.debug_tuple("Publish").field(request).finish(),
            Self::Play(request) => f.debug_tuple("Play").field(request).finish(),
            Self::Media {
                track,
                timestamp,
                payload,
            } => f
                .debug_struct("Media")
                .field("track", track)
                .field("timestamp", timestamp)
                .field("bytes", &payload.len())
                .finish(),
            Self::ReceiveAudio(wanted) => f.debug_tuple("ReceiveAudio").field(wanted).finish(),
            Self::ReceiveVideo(wanted) => f.debug_tuple("ReceiveVideo").field(wanted).finish(),
            Self::Pause(paused) => f.debug_tuple("Pause").field(paused).finish(),
            Self::Ended => f.write_str("Ended"),
            Self::Output => f.write_str("Output"),
        }
    }
}

/// `connect` (§7.2.1.1).
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The app: the first segment of the URL's path. May be empty.
    pub app: String,
    /// The app's query, without `?`; holds secrets.
    pub query: String,
    /// The URL the peer connects to, without query and user.
    pub tc_url: String,
    /// The client's name and version, as it tells.
    pub flash_version: String,
    /// The page or program the client runs in, as it tells, without query.
    pub page_url: String,
    /// The client speaks enhanced RTMP.
    pub enhanced: bool,
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("app", &self.app)
            .field("tc_url", &self.tc_url)
            .field("flash_version", &self.flash_version)
            .field("enhanced", &self.enhanced)
            .finish_non_exhaustive()
    }
}

/// `publish` (§7.2.2.6).
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct PublishRequest {
    /// The app.
    pub app: String,
    /// The stream: the rest of the URL's path.
    pub name: String,
    /// The queries of stream and app, in this order, joined by `&`; holds secrets.
    pub query: String,
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("app", &self.app)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `play` (§7.2.2.1).
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct PlayRequest {
    /// The app.
    pub app: String,
    /// The stream: the rest of the URL's path.
    pub name: String,
    /// The queries of stream and app, in this order, joined by `&`; holds secrets.
    pub query: String,
    /// Where to start, as sent: -2 live or recorded, -1 live, else seconds into a recording;
    /// librtmp and ffmpeg send it times 1000. -2 if left out.
    pub start: f64,
    /// How long to play in seconds, as sent; -1, which is also used if left out, is to the end.
    pub duration: f64,
    /// End what plays before; true if left out.
    pub reset: bool,
}

impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayRequest")
            .field("app", &self.app)
            .field("name", &self.name)
            .field("start", &self.start)
            .field("duration", &self.duration)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}
