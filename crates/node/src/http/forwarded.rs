//! Who is behind a proxy: the client's address, as proxies that are trusted tell it.
//!
//! A client writes into `X-Forwarded-For` what it likes, and each proxy appends whom it was asked by.
//! So the header is read from its end, and only as far as a trusted proxy vouches for it. RFC 7239's
//! `Forwarded` is not read: of two headers a proxy writes one, and the other would be the client's.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Network;

const HEADER: &str = "x-forwarded-for";

/// The address of the client of a request that `peer` sent.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|it| it.contains(address));
    let mut client = peer.to_canonical();
    // Several headers of one name are one list (RFC 9110 §5.3).
    let lists = headers.get_all(HEADER).iter().rev();
    let mut hops = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
    while is_trusted(client) {
        // What is no address says that the proxy does not know: it is the last known one then.
        let Some(hop) = hops.next().and_then(address) else {
            break;
        };
        client = hop;
    }
    client
}

/// `192.0.2.1` or `2001:db8::1`; some proxies add a port, and brackets for it.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    alone.or_else(with_port).map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, lists: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(HEADER, list.parse().unwrap());
        }
        let trusted = trusted.iter().map(|it| it.parse().unwrap());
        let trusted: Vec<Network> = trusted.collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(told("10.0.0.1", &["203.0.113.9"], &[]), "10.0.0.1");
        assert_eq!(told("::ffff:10.0.0.1", &[], &[]), "10.0.0.1");
    }

    #[test]
    fn a_stranger_is_not_believed_about_itself() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(told("192.0.2.1", &["203.0.113.9"], trusted), "192.0.2.1");
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy_of_ours() {
        let trusted = &["10.0.0.0/8", "fd00::1"];
        for (peer, lists, client) in [
            ("10.0.0.1", &["203.0.113.9"][..], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            // What the client wrote itself stands in front of what the proxy saw.
            (
                "10.0.0.1",
                &["10.9.9.9, 198.51.100.1,203.0.113.9"],
                "203.0.113.9",
            ),
            ("10.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
            // Proxies behind one another.
            (
                "10.0.0.1",
                &["203.0.113.9, 10.0.0.2, fd00::1"],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                &["203.0.113.9 , 10.0.0.2", "10.0.0.3"],
                "203.0.113.9",
            ),
            // With a port, as some write it.
            ("10.0.0.1", &["203.0.113.9:51000"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::7]:51000"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            // Somebody within: the farthest that is known.
            ("10.0.0.1", &["10.0.0.7"], "10.0.0.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // A hop that is none ends what is known.
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(told(peer, lists, trusted), client, "{peer} {lists:?}");
        }
    }
}
