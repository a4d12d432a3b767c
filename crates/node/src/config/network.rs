//! A network of addresses, as configs write it: `10.0.0.0/8`, `fd00::/8`, or one address alone.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const EXPECTED: &str = "an IP address or a network such as \"10.0.0.0/8\" or \"fd00::/8\"";

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// True for an address in it; an IPv4 address that IPv6 carries is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    /// What is allowed, to follow the key and the value.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().ok();
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = network.or_else(address);
        network
            .and_then(canonical)
            .map(|it| Self(it.trunc()))
            .ok_or_else(|| format!("expected {EXPECTED}"))
    }
}

/// A network of IPv4 addresses that IPv6 carries is one of IPv4, as its addresses are. `None` where it
/// holds others as well, which would never be met.
fn canonical(network: IpNet) -> Option<IpNet> {
    const CARRIED: u8 = 96;
    match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(it)) => {
            let length = it.prefix_len().checked_sub(CARRIED)?;
            IpNet::new(IpAddr::V4(address), length).ok()
        }
        _ => Some(network),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_ipv4_in_either_form() {
        for (text, network) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("fd00::1/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            let parsed: Network = text.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
        }
        let ten: Network = "::ffff:10.0.0.0/104".parse().unwrap();
        assert!(ten.contains("10.9.9.9".parse().unwrap()));
        assert!(ten.contains("::ffff:10.9.9.9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "x", "10.0.0.0/33", "10.0.0", "::ffff:10.0.0.0/90"] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(EXPECTED), "{text}");
        }
    }
}
