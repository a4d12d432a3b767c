//! Under which addresses peers reach the port.

use std::net::{IpAddr, SocketAddr};

/// The port's addresses, as candidates name them: never empty.
#[derive(Debug, Clone)]
pub(crate) struct Candidates(Vec<SocketAddr>);

impl Candidates {
    /// What the config names, each with the port where it names none, or where the port listens.
    pub(crate) fn new(local: SocketAddr, public: &[(IpAddr, Option<u16>)]) -> Self {
        let named = public
            .iter()
            .map(|&(ip, port)| SocketAddr::new(ip, port.unwrap_or(local.port())));
        let mut addresses: Vec<_> = named.collect();
        if addresses.is_empty() {
            addresses.push(local);
        }
        Self(addresses)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().copied()
    }

    /// The candidate that a peer at this address has used, as far as it makes a difference: behind
    /// a NAT nobody can tell, and whatever answers is the same port.
    pub(crate) fn towards(&self, source: SocketAddr) -> Option<SocketAddr> {
        let kin = |it: &&SocketAddr| it.is_ipv4() == source.is_ipv4();
        self.0.iter().find(kin).or(self.0.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_config_stand_in_for_the_local_one() {
        let local = SocketAddr::from(([127, 0, 0, 1], 8189));
        let own: Vec<_> = Candidates::new(local, &[]).iter().collect();
        assert_eq!(own, [local]);
        let public = [
            ("203.0.113.7".parse().unwrap(), None),
            ("2001:db8::7".parse().unwrap(), Some(9000)),
        ];
        let candidates = Candidates::new(local, &public);
        let named: Vec<_> = candidates.iter().map(|it| it.to_string()).collect();
        assert_eq!(named, ["203.0.113.7:8189", "[2001:db8::7]:9000"]);
        let towards = |source: &str| candidates.towards(source.parse().unwrap()).unwrap();
        assert_eq!(towards("10.0.0.1:5"), candidates.0[0]);
        assert_eq!(towards("[::2]:5"), candidates.0[1]);
    }
}
