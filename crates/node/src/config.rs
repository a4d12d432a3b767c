//! The config: its keys, their defaults, and where their values come from.
//!
//! A [`Config`] has the shape of `config/lockgate.toml` and holds parsed values; what can only be
//! judged with several keys in view is checked by [`Settings`], which the node runs on.

pub mod defaults;
mod error;
mod layers;
mod network;
mod settings;
mod show;
pub mod text;
mod webrtc;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::{ConfigError, Origin};
pub use network::Network;
pub use settings::{Invalid, Settings};

/// Everything an operator can set. `Config::default()` is a node on loopback with one open app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `rtmp.*`
    pub rtmp: Rtmp,
    /// `http.*`
    pub http: Http,
    /// `webrtc.*`
    pub webrtc: Webrtc,
    /// `tls.*`
    pub tls: Tls,
    /// `api.*`
    pub api: Api,
    /// `log.*`
    pub log: Log,
    /// `limits.*`
    pub limits: Limits,
    /// `ingest.*`
    pub ingest: Ingest,
    /// `routing.*`
    pub routing: Routing,
    /// `egress.*`
    pub egress: Egress,
    /// `signalling.*`
    pub signalling: Signalling,
    /// `webhooks.*`
    pub webhooks: Webhooks,
    /// `shutdown.*`
    pub shutdown: Shutdown,
    /// `[[apps]]`: the first part of a stream's path, and who may use it.
    pub apps: Vec<App>,
}

impl Config {
    /// Reads the effective config: defaults, then `file`, then `env` (`LOCKGATE_RTMP__LISTEN`),
    /// then `sets` (`rtmp.listen=127.0.0.1:0`), each over the one before.
    ///
    /// # Errors
    /// Names the key, the value, what is allowed and where the value came from.
    pub fn load<S: AsRef<str>>(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        sets: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let mut layers = layers::Layers::new();
        if let Some(path) = file {
            layers.file(path)?;
        }
        layers.env(env)?;
        for set in sets {
            layers.set(set.as_ref())?;
        }
        layers.finish()
    }

    /// The config as TOML, keys and tokens replaced by `…`.
    pub fn redacted_toml(&self) -> String {
        show::redacted_toml(self)
    }
}

/// The RTMP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rtmp {
    /// Where publishers and players connect; port 0 picks a free one.
    #[serde(with = "text::address")]
    pub listen: SocketAddr,
    /// How long a peer has for the handshake, and again from there to its publish or play.
    #[serde(with = "text::duration")]
    pub handshake_timeout: Duration,
    /// Bytes of the largest message a peer may send.
    #[serde(with = "text::bytes_usize")]
    pub max_message_size: usize,
}

/// The HTTP listener: streams as FLV, metrics, health, API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where HTTP listens; off loopback it needs `api.token`.
    #[serde(with = "text::address")]
    pub listen: SocketAddr,
    /// The origins of web pages that may read media; `*` is all of them.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// The port of WebRTC's media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webrtc {
    /// Where UDP and TCP listen; `None`, written as an empty string, turns WebRTC off.
    #[serde(with = "text::optional_address")]
    pub listen: Option<SocketAddr>,
    /// Addresses that peers are told, each an IP address with or without a port; empty: `listen`.
    pub public_addresses: Vec<String>,
    /// STUN and TURN servers that clients are told of.
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:host[:port]`, `turn:host[:port][?transport=…]` or `turns:…`.
    pub url: String,
    /// The user name of a TURN server.
    #[serde(default)]
    pub username: String,
    /// Its password.
    #[serde(default)]
    pub credential: String,
}

/// The listeners behind TLS, and what they prove themselves with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that vouch for it, in PEM; read again when the file changes.
    pub cert: PathBuf,
    /// The certificate's private key, in PEM; read again when the file changes.
    pub key: PathBuf,
    /// Where HTTPS listens; `None`, written as an empty string, is nowhere.
    #[serde(with = "text::optional_address")]
    pub https: Option<SocketAddr>,
    /// Where RTMPS listens; `None`, written as an empty string, is nowhere.
    #[serde(with = "text::optional_address")]
    pub rtmps: Option<SocketAddr>,
}

/// The admin API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The bearer token that peers off loopback must send; empty lets in loopback alone.
    pub token: String,
}

/// The log, written to stderr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Human-readable lines or JSON.
    pub format: LogFormat,
    /// What is logged, in the syntax of tracing's `EnvFilter`: `info,lockgate_rtmp=debug`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people, coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// What the node holds at most. Whatever passes a limit is refused, counted, and logged once an
/// interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// RTMP connections.
    pub connections: NonZeroU32,
    /// RTMP connections from one IPv4 address or one IPv6 /64.
    pub connections_per_ip: NonZeroU32,
    /// RTMP connections that have neither published nor played yet.
    pub pending_handshakes: NonZeroU32,
    /// Publishers.
    pub publishers: NonZeroU32,
    /// Players.
    pub players: NonZeroU32,
    /// Players of one stream.
    pub players_per_stream: NonZeroU32,
    /// Streams, those that players wait for included.
    pub streams: NonZeroU32,
}

/// Publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// Who stays when a name is published twice.
    pub conflict: Conflict,
    /// How long a publisher may send nothing.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
}

/// What happens to a publisher whose name is being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// The newest wins; the old connection is told and cut.
    #[default]
    Replace,
    /// The newest is refused.
    Reject,
}

/// Streams, between publishers and players.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// How long players stay attached to a publisher that broke off.
    #[serde(with = "text::duration")]
    pub publisher_grace: Duration,
    /// What a player with a closed audio gate gets.
    pub muted_audio: MutedAudio,
    /// How much of a stream its ring holds, in time.
    #[serde(with = "text::duration")]
    pub ring_duration: Duration,
    /// The same in bytes of payload.
    #[serde(with = "text::bytes_u64")]
    pub ring_bytes: u64,
    /// The same in packets.
    pub ring_packets: NonZeroU32,
}

/// What stands in for muted audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MutedAudio {
    /// Silent AAC frames: players that clock on audio keep going.
    #[default]
    Silence,
    /// Nothing.
    Drop,
}

/// Playing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// How long audio may wait for a video frame to share a write with; 0 turns it off.
    #[serde(with = "text::duration")]
    pub max_hold: Duration,
    /// How long a player waits for a stream that nobody publishes.
    #[serde(with = "text::duration")]
    pub wait_for_publisher: Duration,
    /// How far a player may fall behind before it skips to the newest keyframe.
    #[serde(with = "text::duration")]
    pub skip_after: Duration,
    /// How long a player's socket may take nothing before it is cut.
    #[serde(with = "text::duration")]
    pub cut_after: Duration,
}

/// The gateway and its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signalling {
    /// The host that the gateway hands out; empty: the one that the request came in by.
    pub public_host: String,
    /// The port that the gateway hands out; 0: the one that the request came in by.
    pub public_port: u16,
    /// `host[:port]` of media URLs; empty: the host that the client used and RTMP's port.
    pub public_rtmp: String,
    /// How long a member stays whose WebSocket broke.
    #[serde(with = "text::duration")]
    pub session_grace: Duration,
    /// Bytes of the largest message of a session.
    #[serde(with = "text::bytes_usize")]
    pub max_message: usize,
    /// Messages that are read from a session in a second.
    pub messages_per_second: NonZeroU32,
    /// Sessions.
    pub sessions: NonZeroU32,
    /// Sessions from one IPv4 address or one IPv6 /64.
    pub sessions_per_ip: NonZeroU32,
    /// Messages that wait for a session that does not read.
    pub send_queue: NonZeroU32,
    /// The file of bans; empty: they are gone with the process.
    pub store: PathBuf,
}

/// Who hears of what happens in channels, and who is asked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Where events are sent; empty: nowhere.
    pub url: String,
    /// Who is asked before somebody joins or publishes; empty: nobody.
    pub auth_url: String,
    /// What requests are signed with.
    pub secret: String,
    /// How long the service has to take events.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
    /// How long it has to answer a question.
    #[serde(with = "text::duration")]
    pub auth_timeout: Duration,
    /// Events that wait for the service.
    pub queue: NonZeroU32,
}

/// Stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long connections have to end once the node stops.
    #[serde(with = "text::duration")]
    pub grace: Duration,
}

/// An app: the first part of a stream's path.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its name, as in `rtmp://host/<name>/<stream>`.
    pub name: String,
    /// Who may use it.
    #[serde(default)]
    pub access: AppAccess,
    /// With `access = "keys"`: what a publisher sends as `?key=`. Empty: nobody publishes.
    #[serde(default)]
    pub publish_keys: Vec<String>,
    /// With `access = "keys"`: what a player sends as `?key=`. Empty: nobody plays.
    #[serde(default)]
    pub play_keys: Vec<String>,
    /// What its tokens are signed with; empty: it asks for none.
    #[serde(default)]
    pub certificate: String,
    /// Whether its channels can be joined.
    #[serde(default)]
    pub signalling: AppSignalling,
    /// Members of one channel.
    #[serde(default = "defaults::max_members")]
    pub max_members: NonZeroU32,
    /// Channels.
    #[serde(default = "defaults::max_channels")]
    pub max_channels: NonZeroU32,
}

impl App {
    /// An app of which nothing else is said.
    pub fn new(name: &str, access: AppAccess) -> Self {
        Self {
            name: name.to_owned(),
            access,
            publish_keys: Vec::new(),
            play_keys: Vec::new(),
            certificate: String::new(),
            signalling: AppSignalling::default(),
            max_members: defaults::MAX_MEMBERS,
            max_channels: defaults::MAX_CHANNELS,
        }
    }
}

/// Whether an app's channels can be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppSignalling {
    /// They can, with a token where the app has a certificate.
    #[default]
    Open,
    /// They cannot.
    Closed,
}

/// Who may use an app directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppAccess {
    /// Everyone who reaches the port.
    Open,
    /// Those who send one of the app's keys.
    Keys,
    /// Nobody: signed URLs only. An app that does not say is closed.
    #[default]
    Signed,
}
