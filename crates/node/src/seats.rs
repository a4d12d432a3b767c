//! Seats: how many connections there may be, in all, from one address, and before they have said
//! what they want.
//!
//! A [`Seat`] is taken for a connection and given back when it drops, whichever way that ends.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Limits;

/// The seats of a listener.
#[derive(Debug)]
pub(crate) struct Seats {
    connections: u32,
    connections_per_ip: u32,
    pending_handshakes: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    pending: u32,
    by_source: HashMap<IpAddr, u32>,
}

/// Which limit a connection would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Connections,
    ConnectionsPerIp,
    PendingHandshakes,
}

impl Full {
    pub(crate) const ALL: [Self; 3] = [
        Self::Connections,
        Self::ConnectionsPerIp,
        Self::PendingHandshakes,
    ];

    /// The limit's name in the config, and the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerIp => "connections_per_ip",
            Self::PendingHandshakes => "pending_handshakes",
        }
    }
}

impl Seats {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connections: limits.connections.get(),
            connections_per_ip: limits.connections_per_ip.get(),
            pending_handshakes: limits.pending_handshakes.get(),
            taken: Mutex::default(),
        })
    }

    /// A seat for a connection from `peer`, pending until [`Seat::settle`].
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Seat, Full> {
        let source = source(peer);
        let mut taken = self.taken.lock();
        if taken.all >= self.connections {
            return Err(Full::Connections);
        }
        if taken.pending >= self.pending_handshakes {
            return Err(Full::PendingHandshakes);
        }
        let from_source = taken.by_source.get(&source).copied().unwrap_or(0);
        if from_source >= self.connections_per_ip {
            return Err(Full::ConnectionsPerIp);
        }
        taken.by_source.insert(source, from_source + 1);
        taken.all += 1;
        taken.pending += 1;
        Ok(Seat {
            seats: Arc::clone(self),
            source,
            pending: true,
        })
    }
}

/// One connection's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    source: IpAddr,
    pending: bool,
}

impl Seat {
    /// True once the connection has published or played.
    pub(crate) fn has_settled(&self) -> bool {
        !self.pending
    }

    /// The connection publishes or plays: it is no longer one of the pending.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.seats.taken.lock().pending -= 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.settle();
        let mut taken = self.seats.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.by_source.remove(&self.source);
            }
        }
    }
}

/// Who counts as one address: an IPv4 address, or the IPv6 /64 that one subscriber gets.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let prefix = ip.to_bits() & (u128::MAX << 64);
            Ipv6Addr::from_bits(prefix).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn seats(connections: u32, per_ip: u32, pending: u32) -> Arc<Seats> {
        let count = |n| NonZeroU32::new(n).unwrap();
        Seats::new(&Limits {
            connections: count(connections),
            connections_per_ip: count(per_ip),
            pending_handshakes: count(pending),
            ..Limits::default()
        })
    }

    fn take(seats: &Arc<Seats>, peer: &str) -> Result<Seat, Full> {
        seats.take(peer.parse().unwrap())
    }

    #[test]
    fn each_limit_refuses_by_its_name() {
        let all = seats(2, 9, 9);
        let _held = [take(&all, "10.0.0.1"), take(&all, "10.0.0.2")];
        assert_eq!(take(&all, "10.0.0.3").unwrap_err(), Full::Connections);

        let per_ip = seats(9, 1, 9);
        let _held = take(&per_ip, "10.0.0.1");
        assert_eq!(
            take(&per_ip, "10.0.0.1").unwrap_err(),
            Full::ConnectionsPerIp
        );
        assert!(take(&per_ip, "10.0.0.2").is_ok());

        let pending = seats(9, 9, 1);
        let mut settled = take(&pending, "10.0.0.1").unwrap();
        assert_eq!(
            take(&pending, "10.0.0.2").unwrap_err(),
            Full::PendingHandshakes
        );
        settled.settle();
        assert!(take(&pending, "10.0.0.2").is_ok());
    }

    #[test]
    fn a_dropped_seat_is_free_again_whether_it_settled_or_not() {
        let seats = seats(1, 1, 1);
        for settle in [true, false, true] {
            let mut seat = take(&seats, "10.0.0.1").unwrap();
            if settle {
                seat.settle();
                seat.settle();
            }
        }
        let taken = seats.taken.lock();
        assert_eq!((taken.all, taken.pending, taken.by_source.len()), (0, 0, 0));
    }

    #[test]
    fn one_ipv6_subscriber_is_one_address_and_mapped_ipv4_is_ipv4() {
        let seats = seats(9, 1, 9);
        let _held = [take(&seats, "2001:db8::1"), take(&seats, "10.0.0.1")];
        assert_eq!(
            take(&seats, "2001:db8::ffff").unwrap_err(),
            Full::ConnectionsPerIp
        );
        assert_eq!(
            take(&seats, "::ffff:10.0.0.1").unwrap_err(),
            Full::ConnectionsPerIp
        );
        assert!(take(&seats, "2001:db8:0:1::1").is_ok());
    }
}
