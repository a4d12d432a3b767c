//! What signalling runs on: apps and bounds, checked where the node reads its config.

use std::time::Duration;

use crate::token::Certificate;

/// The settings of [`Signalling`](crate::Signalling).
#[derive(Debug, Clone)]
pub struct Config {
    /// The apps.
    pub apps: Vec<App>,
    /// The host that the gateway hands out; `None`: the one that the request came in by.
    pub public_host: Option<String>,
    /// The port that the gateway hands out; `None`: the one that the request came in by.
    pub public_port: Option<u16>,
    /// `host[:port]` of media URLs; `None`: the host that the client used, and `rtmp_port`.
    pub public_rtmp: Option<String>,
    /// Where RTMP listens.
    pub rtmp_port: u16,
    /// How long a member stays when its WebSocket breaks.
    pub session_grace: Duration,
    /// A session that sends nothing for this long is broken; clients send every 10 s.
    pub keepalive_timeout: Duration,
    /// How long a session may take to log in.
    pub login_timeout: Duration,
    /// How long a write to a session may take.
    pub write_timeout: Duration,
    /// Bytes of the largest message; for the transport to hold.
    pub max_message: usize,
    /// Messages that are read from a session in a second; more wait in its socket.
    pub messages_per_second: u32,
    /// Sessions.
    pub sessions: usize,
    /// Sessions from one address.
    pub sessions_per_ip: usize,
    /// Messages that wait for a session that does not read.
    pub send_queue: usize,
}

/// An app.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id, which is its name in media URLs too.
    pub id: String,
    /// With one, tokens are asked for.
    pub certificate: Option<Certificate>,
    /// Nobody may join.
    pub closed: bool,
    /// Members of one channel.
    pub max_members: usize,
    /// Channels of the app.
    pub max_channels: usize,
}

impl App {
    /// An open app.
    pub fn open(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            certificate: None,
            closed: false,
            max_members: 2000,
            max_channels: 10_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            apps: Vec::new(),
            public_host: None,
            public_port: None,
            public_rtmp: None,
            rtmp_port: 1935,
            session_grace: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            max_message: 64 * 1024,
            messages_per_second: 50,
            sessions: 20_000,
            sessions_per_ip: 2000,
            send_queue: 256,
        }
    }
}
