//! Where the load goes: an RTMP URL, taken apart once.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use thiserror::Error;

/// The port of RTMP.
const PORT: u16 = 1935;

/// An RTMP URL whose host has been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    authority: String,
    app: String,
    name: String,
    /// What stands behind the name, from the question mark on: keys, say.
    query: String,
}

/// Why a URL is no target.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not `rtmp://host/app/name`.
    #[error("expected rtmp://host[:port]/app/name, as in rtmp://127.0.0.1/live/load")]
    Form,
    /// The host has no address.
    #[error("cannot find the host {0}")]
    Host(String),
}

impl Target {
    /// A stream of `app` at an address that is known.
    pub fn new(address: SocketAddr, app: &str, name: &str) -> Self {
        Self {
            address,
            authority: address.to_string(),
            app: app.to_owned(),
            name: name.to_owned(),
            query: String::new(),
        }
    }

    pub(crate) fn app(&self) -> &str {
        &self.app
    }

    pub(crate) fn app_url(&self) -> String {
        format!("rtmp://{}/{}", self.authority, self.app)
    }

    /// The name of stream `at` of `count`: one stream has the URL's own.
    pub(crate) fn stream(&self, at: usize, count: usize) -> String {
        let (name, query) = (&self.name, &self.query);
        if count > 1 {
            format!("{name}{at}{query}")
        } else {
            format!("{name}{query}")
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let rest = url.strip_prefix("rtmp://").ok_or(TargetError::Form)?;
        let (authority, path) = rest.split_once('/').ok_or(TargetError::Form)?;
        let (app, name) = path.split_once('/').ok_or(TargetError::Form)?;
        let (name, query) = name.split_at(name.find('?').unwrap_or(name.len()));
        if authority.is_empty() || app.is_empty() || name.is_empty() {
            return Err(TargetError::Form);
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let found = if has_port {
            authority.to_socket_addrs()
        } else {
            (authority, PORT).to_socket_addrs()
        };
        let address = found.ok().and_then(|mut addresses| addresses.next());
        Ok(Self {
            address: address.ok_or_else(|| TargetError::Host(authority.to_owned()))?,
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
        write!(f, "{}/{}", self.app_url(), self.name)
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
    fn what_is_no_target_is_told() {
        for url in [
            "http://127.0.0.1/live/a",
            "rtmp://127.0.0.1/live",
            "rtmp:///live/a",
            "rtmp://h/live/",
        ] {
            assert!(
                matches!(url.parse::<Target>(), Err(TargetError::Form)),
                "{url}"
            );
        }
    }
}
