//! Where sessions' datagrams go out: many to one peer in one call, where the kernel cuts them.
//!
//! This is the seam between the sessions and the socket. A datagram that the kernel does not take
//! now is lost, as it may be anywhere on its way, and asked for again by who misses it.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn_udp::Transmit;
use str0m::net::{Protocol, Transmit as Outgoing};

use crate::port::Port;

/// Most bytes of one call: what an IPv4 datagram may hold, which is what the kernel cuts.
const MAX_BATCH: usize = 60_000;

/// Collects datagrams for one peer at a time.
#[derive(Debug)]
pub struct Outbox {
    port: Arc<Port>,
    batch: Batch,
}

#[derive(Debug)]
struct Batch {
    destination: Option<SocketAddr>,
    bytes: Vec<u8>,
    /// The size of all datagrams but the last, which may be smaller.
    segment: usize,
    count: usize,
    /// The last one was smaller: nothing may follow it.
    closed: bool,
}

impl Batch {
    fn takes(&self, destination: SocketAddr, length: usize, most: usize) -> bool {
        self.destination == Some(destination)
            && !self.closed
            && length <= self.segment
            && self.count < most
            && self.bytes.len() + length <= MAX_BATCH
    }

    fn add(&mut self, destination: SocketAddr, datagram: &[u8]) {
        if self.count == 0 {
            self.destination = Some(destination);
            self.segment = datagram.len();
        }
        self.bytes.extend_from_slice(datagram);
        self.closed = datagram.len() < self.segment;
        self.count += 1;
    }

    fn clear(&mut self) {
        self.destination = None;
        self.bytes.clear();
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
            batch: Batch {
                destination: None,
                bytes: Vec::with_capacity(MAX_BATCH),
                segment: 0,
                count: 0,
                closed: false,
            },
        }
    }

    /// Sends a datagram, at the latest with the next [`Self::flush`].
    pub fn push(&mut self, outgoing: &Outgoing) {
        let datagram: &[u8] = &outgoing.contents;
        if outgoing.proto != Protocol::Udp {
            self.port.send_by_tcp(outgoing.destination, datagram);
            return;
        }
        let most = self.port.most_segments();
        if !self.batch.takes(outgoing.destination, datagram.len(), most) {
            self.flush();
        }
        self.batch.add(outgoing.destination, datagram);
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
                contents: &self.batch.bytes,
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

    fn batch() -> Batch {
        Batch {
            destination: None,
            bytes: Vec::new(),
            segment: 0,
            count: 0,
            closed: false,
        }
    }

    #[test]
    fn a_batch_is_of_one_peer_and_one_size_but_for_its_last() {
        let one = SocketAddr::from(([127, 0, 0, 1], 1));
        let two = SocketAddr::from(([127, 0, 0, 1], 2));
        let mut batch = batch();
        assert!(!batch.takes(one, 10, 64), "an empty one starts anew");
        batch.add(one, &[0; 10]);
        assert!(batch.takes(one, 10, 64) && batch.takes(one, 9, 64));
        assert!(!batch.takes(one, 11, 64) && !batch.takes(two, 10, 64));
        assert!(!batch.takes(one, 10, 1));
        batch.add(one, &[0; 9]);
        assert!(!batch.takes(one, 9, 64));
        batch.clear();
        batch.add(two, &[0; MAX_BATCH - 5]);
        assert!(!batch.takes(two, 6, 64));
    }
}
