//! The `webrtc` section, checked: where media goes, and which servers clients are told of.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderValue;

use super::settings::{Invalid, invalid};
use super::{IceServer, Webrtc};

/// Most servers: each is a header of every answer.
const ICE_SERVERS: usize = 16;

/// What the port is set to; `None` when WebRTC is off.
pub(super) fn port(config: &Webrtc) -> Result<Option<lockgate_rtc::Settings>, Invalid> {
    let mut public = Vec::new();
    for (at, text) in config.public_addresses.iter().enumerate() {
        let address = address(text).filter(|(ip, _)| !ip.is_unspecified() && !ip.is_multicast());
        public.push(address.ok_or_else(|| {
            invalid(
                format!("webrtc.public_addresses[{at}]"),
                "expected an address that peers reach, such as \"203.0.113.7\", with or without a port",
            )
        })?);
    }
    let Some(listen) = config.listen else {
        return Ok(None);
    };
    if listen.ip().is_unspecified() && public.is_empty() {
        return Err(invalid(
            "webrtc.public_addresses",
            "expected the addresses that peers reach, because webrtc.listen names none",
        ));
    }
    Ok(Some(lockgate_rtc::Settings { listen, public }))
}

fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let whole = text.parse::<SocketAddr>();
    match whole {
        Ok(address) if address.port() != 0 => Some((address.ip(), Some(address.port()))),
        Ok(_) => None,
        Err(_) => text.parse().ok().map(|ip| (ip, None)),
    }
}

/// The servers as `Link` headers put them (RFC 9725 §4.6).
pub(super) fn links(servers: &[IceServer]) -> Result<Vec<HeaderValue>, Invalid> {
    if servers.len() > ICE_SERVERS {
        let problem = format!("expected at most {ICE_SERVERS}");
        return Err(invalid("webrtc.ice_servers", problem));
    }
    servers
        .iter()
        .enumerate()
        .map(|(at, server)| {
            link(server).ok_or_else(|| {
                let key = format!("webrtc.ice_servers[{at}]");
                let problem = "expected a url such as \"stun:stun.example.com:3478\" or \"turn:turn.example.com\", \
                               with a username and a credential of printable ASCII for turn";
                invalid(key, problem)
            })
        })
        .collect()
}

fn link(server: &IceServer) -> Option<HeaderValue> {
    let IceServer {
        url,
        username,
        credential,
    } = server;
    let (scheme, host) = url.split_once(':')?;
    let plain = |text: &str, also: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || also.as_bytes().contains(&byte))
    };
    if !["stun", "stuns", "turn", "turns"].contains(&scheme)
        || host.is_empty()
        || !plain(host, "-.:[]?=_")
    {
        return None;
    }
    let quotable = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    };
    if !quotable(username) || !quotable(credential) {
        return None;
    }
    let mut text = format!("<{url}>; rel=\"ice-server\"");
    if !username.is_empty() {
        text.push_str(&format!(
            "; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\""
        ));
    } else if scheme.starts_with("turn") {
        return None;
    }
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webrtc(listen: &str, public: &[&str]) -> Webrtc {
        Webrtc {
            listen: listen.parse().ok(),
            public_addresses: public.iter().map(|&text| text.to_owned()).collect(),
            ice_servers: Vec::new(),
        }
    }

    #[test]
    fn a_port_on_every_address_needs_one_that_peers_reach() {
        assert!(port(&webrtc("", &[])).unwrap().is_none());
        assert!(port(&webrtc("127.0.0.1:0", &[])).is_ok());
        let error = port(&webrtc("0.0.0.0:8189", &[])).unwrap_err();
        assert_eq!(error.key, "webrtc.public_addresses");
        let public = [
            "203.0.113.7",
            "203.0.113.7:9000",
            "2001:db8::1",
            "[2001:db8::1]:9",
        ];
        let settings = port(&webrtc("0.0.0.0:8189", &public)).unwrap().unwrap();
        let ports: Vec<_> = settings.public.iter().map(|(_, port)| *port).collect();
        assert_eq!(ports, [None, Some(9000), None, Some(9)]);
        for odd in [
            "",
            "example.com",
            "0.0.0.0",
            "203.0.113.7:0",
            "203.0.113.7:70000",
        ] {
            let error = port(&webrtc("0.0.0.0:8189", &["203.0.113.7", odd])).unwrap_err();
            assert_eq!(error.key, "webrtc.public_addresses[1]", "{odd}");
        }
    }

    #[test]
    fn servers_become_headers_and_nothing_breaks_out_of_them() {
        let server = |url: &str, username: &str, credential: &str| IceServer {
            url: url.to_owned(),
            username: username.to_owned(),
            credential: credential.to_owned(),
        };
        let links = links(&[
            server("stun:stun.example.com", "", ""),
            server("turn:turn.example.com?transport=udp", "u", "c d"),
        ])
        .unwrap();
        assert_eq!(links[0], "<stun:stun.example.com>; rel=\"ice-server\"");
        assert_eq!(
            links[1],
            "<turn:turn.example.com?transport=udp>; rel=\"ice-server\"; username=\"u\"; \
             credential=\"c d\"; credential-type=\"password\""
        );
        for odd in [
            server("http://example.com", "", ""),
            server("stun:", "", ""),
            server("stun:a>b", "", ""),
            server("turn:a", "", ""),
            server("turn:a", "u\"", "c"),
            server("turn:a", "u", "c\n"),
        ] {
            assert!(link(&odd).is_none(), "{odd:?}");
        }
    }
}
