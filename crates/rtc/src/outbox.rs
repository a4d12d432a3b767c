//! Where sessions' datagrams go out: many to one peer in one call, where the kernel cuts them.
//!
//! This is the seam between the sessions and the socket. A datagram that the kernel does not take
//! now is lost, as it may be anywhere on its way, and asked for again by who misses it.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn_udp::Transmit;
use str0m::net::{Protocol, Transmit as Outgoing};

use crate::port::Port;
use crate::routes::Path;

/// Most bytes of one call: what an IPv4 datagram may hold, which is what the kernel cuts.
const MAX_BATCH: usize = 60_000;

/// Longest datagram that another may follow in a call: what any path of IPv6 carries whole, less the
/// headers. One call with longer ones, sound of a publisher's say, fails where the path carries less,
/// and the system is then taken for one that cuts nothing.
const MAX_SEGMENT: usize = 1232;

/// Collects datagrams for one peer at a time.
#[derive(Debug)]
pub struct Outbox {
    port: Arc<Port>,
    batch: Batch,
}

#[derive(Debug)]
struct Batch {
    destination: Option<SocketAddr>,
    /// Room for all of it, and how much of that is taken.
    bytes: Vec<u8>,
    used: usize,
    /// The size of all datagrams but the last, which may be smaller.
    segment: usize,
    count: usize,
    /// The last one was smaller: nothing may follow it.
    closed: bool,
}

impl Batch {
    fn new() -> Self {
        Self {
            destination: None,
            bytes: vec![0; MAX_BATCH],
            used: 0,
            segment: 0,
            count: 0,
            closed: false,
        }
    }

    fn takes(&self, destination: SocketAddr, length: usize, most: usize) -> bool {
        self.destination == Some(destination)
            && !self.closed
            && length <= self.segment
            && self.segment <= MAX_SEGMENT
            && self.count < most
            && self.used + length <= MAX_BATCH
    }

    /// Adds a datagram of this length, if it could be written.
    fn add(
        &mut self,
        destination: SocketAddr,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> bool,
    ) {
        let room = self.bytes.get_mut(self.used..self.used + length);
        if !room.is_some_and(write) {
            return;
        }
        if self.count == 0 {
            self.destination = Some(destination);
            self.segment = length;
        }
        self.used += length;
        self.closed = length < self.segment;
        self.count += 1;
    }

    fn clear(&mut self) {
        self.destination = None;
        self.used = 0;
        self.segment = 0;
        self.count = 0;
        self.closed = false;
    }
}

impl Outbox {
    /// One for a task that owns sessions.
    pub fn new(port: Arc<Port>) -> Self {
        Self {
            port,
            batch: Batch::new(),
        }
    }

    /// Sends a datagram of str0m's, at the latest with the next [`Self::flush`].
    pub(crate) fn push(&mut self, outgoing: &Outgoing) {
        let datagram: &[u8] = &outgoing.contents;
        let to = Path {
            tcp: outgoing.proto != Protocol::Udp,
            source: outgoing.destination,
        };
        self.write(to, datagram.len(), |room| {
            room.copy_from_slice(datagram);
            true
        });
    }

    /// Sends a datagram of this length that `write` makes where it goes out from, at the latest with
    /// the next [`Self::flush`]; none when `write` says so.
    pub(crate) fn write(&mut self, to: Path, length: usize, write: impl FnOnce(&mut [u8]) -> bool) {
        let destination = to.source;
        let most = if to.tcp { 1 } else { self.port.most_segments() };
        if !self.batch.takes(destination, length, most) {
            self.flush();
        }
        self.batch.add(destination, length, write);
        if to.tcp {
            let framed = self.batch.bytes.get(..self.batch.used);
            if let Some(datagram) = framed.filter(|it| !it.is_empty()) {
                self.port.send_by_tcp(destination, datagram);
            }
            self.batch.clear();
        }
    }

    /// Forgets what was collected, as a network would that loses it.
    pub fn discard(&mut self) {
        self.batch.clear();
    }

    /// Sends what was collected.
    pub fn flush(&mut self) {
        if let Some(destination) = self.batch.destination {
            let transmit = Transmit {
                destination,
                ecn: None,
                contents: self.batch.bytes.get(..self.batch.used).unwrap_or_default(),
                segment_size: (self.batch.count > 1).then_some(self.batch.segment),
                src_ip: None,
            };
            self.port.send(&transmit, self.batch.count);
            self.batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(batch: &mut Batch, destination: SocketAddr, length: usize) {
        batch.add(destination, length, |room| room.len() == length);
    }

    #[test]
    fn a_batch_is_of_one_peer_and_one_size_but_for_its_last() {
        let one = SocketAddr::from(([127, 0, 0, 1], 1));
        let two = SocketAddr::from(([127, 0, 0, 1], 2));
        let mut batch = Batch::new();
        assert!(!batch.takes(one, 10, 64), "an empty one starts anew");
        add(&mut batch, one, 10);
        assert!(batch.takes(one, 10, 64) && batch.takes(one, 9, 64));
        assert!(!batch.takes(one, 11, 64) && !batch.takes(two, 10, 64));
        assert!(!batch.takes(one, 10, 1));
        add(&mut batch, one, 9);
        assert!(!batch.takes(one, 9, 64));
        batch.clear();
        add(&mut batch, two, MAX_SEGMENT);
        assert!(batch.takes(two, 6, 64));
        while batch.takes(two, MAX_SEGMENT, 64) {
            add(&mut batch, two, MAX_SEGMENT);
        }
        assert!(batch.used <= MAX_BATCH && batch.used > MAX_BATCH - MAX_SEGMENT);
    }

    #[test]
    fn what_a_path_may_not_carry_whole_goes_by_itself() {
        let one = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut batch = Batch::new();
        add(&mut batch, one, MAX_SEGMENT + 1);
        assert!(!batch.takes(one, MAX_SEGMENT + 1, 64) && !batch.takes(one, 10, 64));
    }
}
