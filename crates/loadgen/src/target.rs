//! Where the load goes: a URL, taken apart once.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use thiserror::Error;

/// How a stream is published or played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Publishes and plays.
    Rtmp,
    /// FLV by HTTP; plays.
    HttpFlv,
    /// FLV by a WebSocket; plays.
    WsFlv,
    /// WebRTC; plays (draft-ietf-wish-whep).
    Whep,
    /// WebRTC; publishes (RFC 9725).
    Whip,
}

impl Protocol {
    /// Whether publishers speak it.
    pub fn publishes(self) -> bool {
        matches!(self, Self::Rtmp | Self::Whip)
    }

    /// Whether players speak it.
    pub fn plays(self) -> bool {
        self != Self::Whip
    }

    /// What its URL starts with.
    fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::WsFlv => "ws",
            Self::HttpFlv | Self::Whep | Self::Whip => "http",
        }
    }

    /// What stands behind the name in its URL.
    fn suffix(self) -> &'static str {
        match self {
            Self::Rtmp => "",
            Self::HttpFlv | Self::WsFlv => ".flv",
            Self::Whep => "/whep",
            Self::Whip => "/whip",
        }
    }

    /// The port of a URL that names none.
    fn port(self) -> u16 {
        match self {
            Self::Rtmp => 1935,
            _ => 80,
        }
    }
}

/// A URL whose host has been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    protocol: Protocol,
    authority: String,
    app: String,
    name: String,
    /// What stands behind the path, from the question mark on: keys, say.
    query: String,
}

/// Why a URL is no target.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// None of the forms.
    #[error(
        "expected rtmp://host[:port]/app/name, http://host[:port]/app/name.flv (or ws://), \
         http://host[:port]/app/name/whep or http://host[:port]/app/name/whip"
    )]
    Form,
    /// The host has no address.
    #[error("cannot find the host {0}")]
    Host(String),
}

impl Target {
    /// A stream of `app` by RTMP, at an address that is known.
    pub fn new(address: SocketAddr, app: &str, name: &str) -> Self {
        Self::by(Protocol::Rtmp, address, app, name)
    }

    /// The same by another protocol.
    pub fn by(protocol: Protocol, address: SocketAddr, app: &str, name: &str) -> Self {
        Self {
            address,
            protocol,
            authority: address.to_string(),
            app: app.to_owned(),
            name: name.to_owned(),
            query: String::new(),
        }
    }

    /// How its streams are published or played.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn app(&self) -> &str {
        &self.app
    }

    pub(crate) fn app_url(&self) -> String {
        let scheme = self.protocol.scheme();
        format!("{scheme}://{}/{}", self.authority, self.app)
    }

    /// Host and port as the URL has them.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The name of stream `at` of `count`, with the query; one stream has the URL's own.
    pub(crate) fn stream(&self, at: usize, count: usize) -> String {
        format!("{}{}", self.numbered(at, count), self.query)
    }

    /// The path of stream `at` of `count` for a request of HTTP, with the query.
    pub(crate) fn path(&self, at: usize, count: usize) -> String {
        let (name, suffix) = (self.numbered(at, count), self.protocol.suffix());
        format!("/{}/{name}{suffix}{}", self.app, self.query)
    }

    fn numbered(&self, at: usize, count: usize) -> String {
        if count > 1 {
            format!("{}{at}", self.name)
        } else {
            self.name.clone()
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::Form)?;
        let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let known = [
            Protocol::Whep,
            Protocol::Whip,
            Protocol::HttpFlv,
            Protocol::WsFlv,
            Protocol::Rtmp,
        ];
        let mut found = known.into_iter().filter_map(|protocol| {
            let path = rest.strip_suffix(protocol.suffix())?;
            (protocol.scheme() == scheme).then_some((protocol, path))
        });
        let (protocol, rest) = found.next().ok_or(TargetError::Form)?;
        let (authority, path) = rest.split_once('/').ok_or(TargetError::Form)?;
        let (app, name) = path.split_once('/').ok_or(TargetError::Form)?;
        if authority.is_empty() || app.is_empty() || name.is_empty() {
            return Err(TargetError::Form);
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let found = if has_port {
            authority.to_socket_addrs()
        } else {
            (authority, protocol.port()).to_socket_addrs()
        };
        let address = found.ok().and_then(|mut addresses| addresses.next());
        Ok(Self {
            address: address.ok_or_else(|| TargetError::Host(authority.to_owned()))?,
            protocol,
            authority: authority.to_owned(),
            app: app.to_owned(),
            name: name.to_owned(),
            query: query.to_owned(),
        })
    }
}

/// Without its query, which may hold keys.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = self.protocol.suffix();
        write!(f, "{}/{}{suffix}", self.app_url(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_key_is_not_shown() {
        let target: Target = "rtmp://127.0.0.1/live/a?key=s".parse().unwrap();
        assert_eq!(target.address, ([127, 0, 0, 1], 1935).into());
        assert_eq!(target.stream(3, 5), "a3?key=s");
        assert_eq!(target.stream(0, 1), "a?key=s");
        assert_eq!(target.to_string(), "rtmp://127.0.0.1/live/a");
        let target: Target = "rtmp://[::1]:1936/live/a".parse().unwrap();
        assert_eq!(target.address.port(), 1936);
    }

    #[test]
    fn the_url_tells_the_protocol_and_streams_are_numbered_behind_their_name() {
        for (url, protocol, path) in [
            (
                "http://127.0.0.1/live/a.flv?key=s",
                Protocol::HttpFlv,
                "/live/a3.flv?key=s",
            ),
            (
                "ws://127.0.0.1:8080/live/a.flv",
                Protocol::WsFlv,
                "/live/a3.flv",
            ),
            (
                "http://127.0.0.1/live/a/whep?key=a/whip",
                Protocol::Whep,
                "/live/a3/whep?key=a/whip",
            ),
            (
                "http://127.0.0.1/live/a/whip",
                Protocol::Whip,
                "/live/a3/whip",
            ),
            (
                "rtmp://127.0.0.1/live/a.flv",
                Protocol::Rtmp,
                "/live/a.flv3",
            ),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(target.protocol(), protocol, "{url}");
            assert_eq!(target.path(3, 5), path);
            let shown = url.split('?').next().unwrap();
            assert_eq!(target.to_string(), shown);
        }
        let target: Target = "http://127.0.0.1/live/a.flv".parse().unwrap();
        assert_eq!(target.address.port(), 80);
    }

    #[test]
    fn what_is_no_target_is_told() {
        for url in [
            "http://127.0.0.1/live/a",
            "https://127.0.0.1/live/a.flv",
            "ws://127.0.0.1/live/a/whep",
            "http://127.0.0.1/live/whep",
            "http://127.0.0.1/live/.flv",
            "rtmp://127.0.0.1/live",
            "rtmp:///live/a",
            "rtmp://h/live/",
            "a.flv",
        ] {
            assert!(
                matches!(url.parse::<Target>(), Err(TargetError::Form)),
                "{url}"
            );
        }
    }
}
