//! The default of every key, with the reason for its value.
//!
//! `config/lockgate.toml` repeats them for operators; a test holds the two equal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Api, App, AppAccess, Config, Conflict, Egress, Http, Ingest, Limits, Log, LogFormat,
    MutedAudio, Routing, Rtmp, Shutdown, Signalling, Tls, Webhooks, Webrtc,
};

/// Loopback only: a node that nobody has configured yet has one open app, so it must not be
/// reachable from elsewhere. 1935 is the port of RTMP, so URLs need none.
pub const RTMP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1935);

/// Long enough for a phone on a bad network to send 3 KiB, short enough that idle sockets go.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A keyframe of 4K video at 50 Mbit/s stays below 4 MiB; twice that is a bug or an attack.
pub const MAX_MESSAGE_SIZE: usize = 8 * 1024 * 1024;

/// Loopback only: the API needs no token there.
pub const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Every origin: media asks for its URL alone.
pub const CORS_ORIGINS: &str = "*";

/// Loopback only, like the others. 8189 is what the field uses for one port for all peers.
pub const WEBRTC_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8189);

/// One line a connection and the warnings; `debug` adds what a protocol says.
pub const LOG_FILTER: &str = "info";

/// About what one machine of a few cores can feed; each connection is one file descriptor.
pub const CONNECTIONS: NonZeroU32 = count(16_000);

/// An office or a mobile carrier puts many viewers behind one address, an attacker puts all.
pub const CONNECTIONS_PER_IP: NonZeroU32 = count(2_000);

/// Ten seconds of a hundred newcomers a second that all stall.
pub const PENDING_HANDSHAKES: NonZeroU32 = count(1_000);

/// Reading costs more than writing, and every publisher has a ring.
pub const PUBLISHERS: NonZeroU32 = count(2_000);

/// As many as connections: most connections watch.
pub const PLAYERS: NonZeroU32 = count(16_000);

/// One popular stream may not take the whole node.
pub const PLAYERS_PER_STREAM: NonZeroU32 = count(10_000);

/// Live streams, streams in grace and names that players wait for.
pub const STREAMS: NonZeroU32 = count(4_000);

/// Three keyframe intervals of a usual encoder pass before a silent publisher is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A phone that changes networks or an encoder that restarts is back within ten seconds.
pub const PUBLISHER_GRACE: Duration = Duration::from_secs(10);

/// Two GOPs of two seconds, and some: a slow player finds a keyframe to skip to.
pub const RING_DURATION: Duration = Duration::from_secs(5);

/// A GOP of ten seconds at 25 Mbit/s: the current GOP is kept whole as long as it fits.
pub const RING_BYTES: u64 = 32 * 1024 * 1024;

/// The same GOP at 120 frames and a hundred audio packets a second, several times over.
pub const RING_PACKETS: NonZeroU32 = count(8_192);

/// Audio that waits this long for a video frame saves a write and is not heard as late.
pub const MAX_HOLD: Duration = Duration::from_millis(40);

/// A page that opens a little before its publisher should not fail.
pub const WAIT_FOR_PUBLISHER: Duration = Duration::from_secs(10);

/// A viewer three seconds behind is better served by the newest keyframe.
pub const SKIP_AFTER: Duration = Duration::from_secs(3);

/// A socket that takes nothing for ten seconds has nobody behind it.
pub const CUT_AFTER: Duration = Duration::from_secs(10);

/// A lift, a tunnel, a call: a member that is back within half a minute has not left.
pub const SESSION_GRACE: Duration = Duration::from_secs(30);

/// A Login with the longest token takes 10 KiB.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A client that mutes a whole page of others at once takes no second for it.
pub const MESSAGES_PER_SECOND: NonZeroU32 = count(50);

/// Ten kilobytes each, and a file descriptor.
pub const SESSIONS: NonZeroU32 = count(20_000);

/// The same crowd behind one address as for RTMP.
pub const SESSIONS_PER_IP: NonZeroU32 = count(2_000);

/// A burst of joins in a channel; who reads nothing for longer is gone.
pub const SEND_QUEUE: NonZeroU32 = count(256);

/// A service that has not taken a hundred events by then is in trouble.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Somebody looks at a spinner meanwhile.
pub const AUTH_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// A thousand members who join and publish while the service restarts; 5 MB.
pub const WEBHOOK_QUEUE: NonZeroU32 = count(10_000);

/// Everybody in a channel is told of everybody who publishes.
pub const MAX_MEMBERS: NonZeroU32 = count(2_000);

/// A channel costs little: this is against a script that makes them.
pub const MAX_CHANNELS: NonZeroU32 = count(10_000);

/// Below the ten seconds that container runtimes give between the two signals.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The app of the default config, the name that most guides use.
pub const APP: &str = "live";

const fn count(value: u32) -> NonZeroU32 {
    match NonZeroU32::new(value) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

pub(super) fn max_members() -> NonZeroU32 {
    MAX_MEMBERS
}

pub(super) fn max_channels() -> NonZeroU32 {
    MAX_CHANNELS
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rtmp: Rtmp::default(),
            http: Http::default(),
            webrtc: Webrtc::default(),
            tls: Tls::default(),
            api: Api::default(),
            log: Log::default(),
            limits: Limits::default(),
            ingest: Ingest::default(),
            routing: Routing::default(),
            egress: Egress::default(),
            signalling: Signalling::default(),
            webhooks: Webhooks::default(),
            shutdown: Shutdown::default(),
            apps: vec![App::new(APP, AppAccess::Open)],
        }
    }
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: RTMP_LISTEN,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            max_message_size: MAX_MESSAGE_SIZE,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: HTTP_LISTEN,
            cors_origins: vec![CORS_ORIGINS.to_owned()],
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Webrtc {
    fn default() -> Self {
        Self {
            listen: Some(WEBRTC_LISTEN),
            public_addresses: Vec::new(),
            ice_servers: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            filter: LOG_FILTER.to_owned(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_ip: CONNECTIONS_PER_IP,
            pending_handshakes: PENDING_HANDSHAKES,
            publishers: PUBLISHERS,
            players: PLAYERS,
            players_per_stream: PLAYERS_PER_STREAM,
            streams: STREAMS,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            conflict: Conflict::default(),
            idle_timeout: IDLE_TIMEOUT,
        }
    }
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            publisher_grace: PUBLISHER_GRACE,
            muted_audio: MutedAudio::default(),
            ring_duration: RING_DURATION,
            ring_bytes: RING_BYTES,
            ring_packets: RING_PACKETS,
        }
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            max_hold: MAX_HOLD,
            wait_for_publisher: WAIT_FOR_PUBLISHER,
            skip_after: SKIP_AFTER,
            cut_after: CUT_AFTER,
        }
    }
}

impl Default for Signalling {
    fn default() -> Self {
        Self {
            public_host: String::new(),
            public_port: 0,
            public_rtmp: String::new(),
            session_grace: SESSION_GRACE,
            max_message: MAX_MESSAGE,
            messages_per_second: MESSAGES_PER_SECOND,
            sessions: SESSIONS,
            sessions_per_ip: SESSIONS_PER_IP,
            send_queue: SEND_QUEUE,
            store: PathBuf::new(),
        }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            url: String::new(),
            auth_url: String::new(),
            secret: String::new(),
            timeout: WEBHOOK_TIMEOUT,
            auth_timeout: AUTH_WEBHOOK_TIMEOUT,
            queue: WEBHOOK_QUEUE,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            grace: SHUTDOWN_GRACE,
        }
    }
}
