//! What the node runs on: a config whose keys also fit each other.
//!
//! Made before any socket opens. From here on nothing asks whether a value is allowed.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::HeaderValue;
use lockgate_routing::config::RingLimits;
use lockgate_rtmp::chunk::Limits;
use lockgate_rtmp::connection::ConnectionConfig;
use lockgate_signalling::token::Certificate;
use lockgate_signalling::webhook::Endpoint;
use tracing_subscriber::EnvFilter;

use super::{App, AppAccess, AppSignalling, Config, Conflict, MutedAudio, Tls};
use crate::secret::Secret;
use crate::tls::Pair;

/// A config that was checked as a whole.
#[derive(Debug)]
pub struct Settings {
    /// The config itself.
    pub config: Config,
    /// The API's bearer token; `None` keeps the API to loopback.
    pub(crate) token: Option<Secret>,
    /// The certificate and its key, as the files hold them now.
    pub(crate) pair: Option<Pair>,
    /// Where WebRTC's media goes; `None` when it is off.
    pub(crate) webrtc: Option<lockgate_rtc::Settings>,
    /// The `Link` headers of WebRTC's answers.
    pub(crate) ice_servers: Vec<HeaderValue>,
}

/// A key whose value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key, as in `apps[0].name`.
    pub key: String,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

/// Letters, digits and these need no escaping in a URL, whichever client writes it.
const URL_SAFE: &str = "letters, digits, '-', '_', '.' and '~'";

/// The longest name of an app.
const APP_NAME_MAX: usize = 64;

/// The longest key of an app, well below what clients allow a URL to be.
const KEY_MAX: usize = 256;

impl TryFrom<&Config> for Settings {
    type Error = Invalid;

    fn try_from(config: &Config) -> Result<Self, Invalid> {
        check_times(config)?;
        check_sizes(config)?;
        check_http("http.listen", config.http.listen, &config.api.token)?;
        if let Some(listen) = config.tls.https {
            check_http("tls.https", listen, &config.api.token)?;
        }
        check_origins(&config.http.cors_origins)?;
        EnvFilter::try_new(&config.log.filter).map_err(|error| {
            invalid(
                "log.filter",
                format!(
                    "expected a filter such as \"info\" or \"info,lockgate_rtmp=debug\": {error}"
                ),
            )
        })?;
        check_apps(&config.apps)?;
        check_signalling(&config.signalling)?;
        check_webhooks(&config.webhooks)?;
        let pair = load_pair(&config.tls)?;
        Ok(Self {
            pair,
            webrtc: super::webrtc::port(&config.webrtc)?,
            ice_servers: super::webrtc::links(&config.webrtc.ice_servers)?,
            token: Some(&config.api.token)
                .filter(|t| !t.is_empty())
                .map(|t| Secret::new(t)),
            config: config.clone(),
        })
    }
}

impl Settings {
    /// What every RTMP connection is set to.
    pub(crate) fn connection(&self) -> ConnectionConfig {
        let message_size = self.config.rtmp.max_message_size;
        ConnectionConfig {
            handshake_timeout: self.config.rtmp.handshake_timeout,
            limits: Limits {
                message_size,
                // A video and an audio message under way at once, each as large as may be.
                partial_bytes: 2 * message_size,
                ..Limits::default()
            },
            ..ConnectionConfig::default()
        }
    }

    /// What signalling is told; `rtmp_port` is where RTMP listens.
    pub(crate) fn signalling(&self, rtmp_port: u16) -> lockgate_signalling::Config {
        let config = &self.config.signalling;
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let apps = self.config.apps.iter().map(|app| lockgate_signalling::App {
            id: app.name.clone(),
            certificate: Certificate::new(&app.certificate),
            closed: app.signalling == AppSignalling::Closed,
            max_members: count(app.max_members),
            max_channels: count(app.max_channels),
        });
        lockgate_signalling::Config {
            apps: apps.collect(),
            public_host: text(&config.public_host),
            public_port: Some(config.public_port).filter(|port| *port != 0),
            public_rtmp: text(&config.public_rtmp),
            rtmp_port,
            session_grace: config.session_grace,
            max_message: config.max_message,
            messages_per_second: config.messages_per_second.get(),
            sessions: count(config.sessions),
            sessions_per_ip: count(config.sessions_per_ip),
            send_queue: count(config.send_queue),
            ..lockgate_signalling::Config::default()
        }
    }

    /// Who hears of what happens in channels, and who is asked.
    pub(crate) fn webhooks(&self) -> lockgate_signalling::webhook::Config {
        let config = &self.config.webhooks;
        // They were read once already, by the check.
        lockgate_signalling::webhook::Config {
            url: Endpoint::parse(&config.url).ok(),
            auth_url: Endpoint::parse(&config.auth_url).ok(),
            secret: config.secret.clone(),
            timeout: config.timeout,
            auth_timeout: config.auth_timeout,
            queue: count(config.queue),
        }
    }

    /// What routing is told.
    pub(crate) fn routing(&self) -> lockgate_routing::Config {
        let config = &self.config;
        lockgate_routing::Config {
            publisher_grace: config.routing.publisher_grace,
            muted_audio: match config.routing.muted_audio {
                MutedAudio::Silence => lockgate_routing::MutedAudio::Silence,
                MutedAudio::Drop => lockgate_routing::MutedAudio::Drop,
            },
            conflict: match config.ingest.conflict {
                Conflict::Replace => lockgate_routing::Conflict::Replace,
                Conflict::Reject => lockgate_routing::Conflict::Reject,
            },
            ring: RingLimits {
                duration: config.routing.ring_duration,
                bytes: usize::try_from(config.routing.ring_bytes).unwrap_or(usize::MAX),
                packets: count(config.routing.ring_packets),
            },
            max_hold: config.egress.max_hold,
            skip_after: config.egress.skip_after,
            cut_after: config.egress.cut_after,
            limits: lockgate_routing::config::Limits {
                streams: count(config.limits.streams),
                publishers: count(config.limits.publishers),
                players: count(config.limits.players),
                players_per_stream: count(config.limits.players_per_stream),
            },
            ..lockgate_routing::Config::default()
        }
    }
}

fn check_signalling(signalling: &super::Signalling) -> Result<(), Invalid> {
    if !(1024..=16 << 20).contains(&signalling.max_message) {
        return Err(invalid(
            "signalling.max_message",
            "expected between 1KiB and 16MiB",
        ));
    }
    for (key, text, port) in [
        ("signalling.public_host", &signalling.public_host, false),
        ("signalling.public_rtmp", &signalling.public_rtmp, true),
    ] {
        let authority = text.parse::<axum::http::uri::Authority>();
        let fits = |it: &axum::http::uri::Authority| {
            !it.as_str().contains('@') && (port || it.port().is_none())
        };
        if !text.is_empty() && !authority.is_ok_and(|it| fits(&it)) {
            let problem = if port {
                "expected a host such as \"rtmp.example.com\" or \"203.0.113.7:1935\""
            } else {
                "expected a host without a port, such as \"rtc.example.com\""
            };
            return Err(invalid(key, problem));
        }
    }
    Ok(())
}

fn check_webhooks(webhooks: &super::Webhooks) -> Result<(), Invalid> {
    let urls = [
        ("webhooks.url", &webhooks.url),
        ("webhooks.auth_url", &webhooks.auth_url),
    ];
    for (key, url) in urls.into_iter().filter(|(_, url)| !url.is_empty()) {
        Endpoint::parse(url).map_err(|error| invalid(key, format!("expected {error}")))?;
        if webhooks.secret.is_empty() {
            let problem = format!("expected a secret to sign with, because {key} is set");
            return Err(invalid("webhooks.secret", problem));
        }
    }
    Ok(())
}

fn count(count: NonZeroU32) -> usize {
    usize::try_from(count.get()).unwrap_or(usize::MAX)
}

pub(super) fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Invalid {
    Invalid {
        key: key.into(),
        problem: problem.into(),
    }
}

fn check_times(config: &Config) -> Result<(), Invalid> {
    let millis = Duration::from_millis;
    let hour = Duration::from_secs(3600);
    let bounds = [
        (
            "rtmp.handshake_timeout",
            config.rtmp.handshake_timeout,
            millis(100),
            hour,
        ),
        (
            "ingest.idle_timeout",
            config.ingest.idle_timeout,
            millis(100),
            hour,
        ),
        (
            "routing.publisher_grace",
            config.routing.publisher_grace,
            millis(0),
            hour,
        ),
        (
            "routing.ring_duration",
            config.routing.ring_duration,
            millis(100),
            hour,
        ),
        (
            "egress.max_hold",
            config.egress.max_hold,
            millis(0),
            millis(1000),
        ),
        (
            "egress.wait_for_publisher",
            config.egress.wait_for_publisher,
            millis(0),
            hour,
        ),
        (
            "egress.skip_after",
            config.egress.skip_after,
            millis(100),
            hour,
        ),
        (
            "egress.cut_after",
            config.egress.cut_after,
            millis(100),
            hour,
        ),
        (
            "signalling.session_grace",
            config.signalling.session_grace,
            millis(0),
            hour,
        ),
        (
            "webhooks.timeout",
            config.webhooks.timeout,
            millis(100),
            hour,
        ),
        (
            "webhooks.auth_timeout",
            config.webhooks.auth_timeout,
            millis(10),
            hour,
        ),
        ("shutdown.grace", config.shutdown.grace, millis(0), hour),
    ];
    for (key, value, least, most) in bounds {
        if value < least || value > most {
            let least = super::text::show_duration(least);
            let most = super::text::show_duration(most);
            return Err(invalid(key, format!("expected between {least} and {most}")));
        }
    }
    Ok(())
}

fn check_sizes(config: &Config) -> Result<(), Invalid> {
    // RTMP gives a message's length 24 bits (RTMP 1.0 §5.3.1.2.1).
    let message = config.rtmp.max_message_size;
    if !(4096..=0xff_ffff).contains(&message) {
        return Err(invalid(
            "rtmp.max_message_size",
            "expected between 4096 and 16777215 bytes",
        ));
    }
    if config.routing.ring_bytes < message as u64 {
        let problem = format!(
            "expected at least rtmp.max_message_size, which is {message}: a ring holds any packet"
        );
        return Err(invalid("routing.ring_bytes", problem));
    }
    if config.routing.ring_packets.get() < 16 {
        return Err(invalid("routing.ring_packets", "expected at least 16"));
    }
    Ok(())
}

fn check_http(key: &str, listen: SocketAddr, token: &str) -> Result<(), Invalid> {
    if token.is_empty() && !listen.ip().to_canonical().is_loopback() {
        return Err(invalid(
            key,
            "off loopback the API needs a bearer token: set api.token (LOCKGATE_API__TOKEN), or listen on 127.0.0.1",
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            "api.token",
            "expected printable ASCII without spaces",
        ));
    }
    Ok(())
}

/// An origin is compared as browsers send it: without a path, and in lower case.
fn check_origins(origins: &[String]) -> Result<(), Invalid> {
    let is_origin = |origin: &str| {
        let host = origin.split_once("://").map(|(_, host)| host);
        let is_host = |host: &str| {
            !host.is_empty() && host.bytes().all(|it| it.is_ascii_graphic() && it != b'/')
        };
        origin == "*" || host.is_some_and(is_host) && *origin == origin.to_ascii_lowercase()
    };
    match origins.iter().position(|origin| !is_origin(origin)) {
        None => Ok(()),
        Some(index) => Err(invalid(
            format!("http.cors_origins[{index}]"),
            "expected \"*\" or an origin such as \"https://example.com\" or \"http://localhost:8000\"",
        )),
    }
}

/// Reads the certificate, where there is one; listeners need one.
fn load_pair(tls: &Tls) -> Result<Option<Pair>, Invalid> {
    let listener = match (tls.https, tls.rtmps) {
        (Some(_), _) => Some("tls.https"),
        (None, Some(_)) => Some("tls.rtmps"),
        (None, None) => None,
    };
    let files = [("tls.cert", &tls.cert), ("tls.key", &tls.key)];
    let missing = files.iter().find(|(_, file)| file.as_os_str().is_empty());
    match (missing, listener) {
        (None, _) => {
            let pair = Pair::load(&tls.cert, &tls.key);
            pair.map(Some)
                .map_err(|error| invalid(error.key(), error.to_string()))
        }
        (Some((key, _)), Some(listener)) => {
            let problem = format!("expected a PEM file, because {listener} is set");
            Err(invalid(*key, problem))
        }
        (Some((key, _)), None) if files.iter().any(|(_, file)| !file.as_os_str().is_empty()) => {
            let problem = "expected a PEM file: a certificate and its key go together";
            Err(invalid(*key, problem))
        }
        (Some(_), None) => Ok(None),
    }
}

fn check_apps(apps: &[App]) -> Result<(), Invalid> {
    let mut names = HashSet::new();
    for (index, app) in apps.iter().enumerate() {
        let key = |name: &str| format!("apps[{index}].{name}");
        if app.name.is_empty() || app.name.len() > APP_NAME_MAX || !is_url_safe(&app.name) {
            let problem = format!("expected 1 to {APP_NAME_MAX} of {URL_SAFE}");
            return Err(invalid(key("name"), problem));
        }
        if !names.insert(app.name.as_str()) {
            return Err(invalid(
                key("name"),
                "expected a name that no other app has",
            ));
        }
        let keys = [
            ("publish_keys", &app.publish_keys),
            ("play_keys", &app.play_keys),
        ];
        if app.access == AppAccess::Keys && keys.iter().all(|(_, keys)| keys.is_empty()) {
            return Err(invalid(
                key("access"),
                "expected publish_keys or play_keys beside it; with neither, write \"signed\"",
            ));
        }
        for (name, keys) in keys {
            if app.access != AppAccess::Keys && !keys.is_empty() {
                return Err(invalid(key(name), "expected only beside access = \"keys\""));
            }
            let allowed = |key: &String| (1..=KEY_MAX).contains(&key.len()) && is_url_safe(key);
            if let Some(at) = keys.iter().position(|key| !allowed(key)) {
                let problem = format!("expected 1 to {KEY_MAX} of {URL_SAFE}");
                return Err(invalid(format!("{}[{at}]", key(name)), problem));
            }
        }
    }
    if names.is_empty() {
        return Err(invalid("apps", "expected at least one app"));
    }
    Ok(())
}

fn is_url_safe(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}
