//! The ring: a stream's newest packets, written once and read by every player.
//!
//! Invariants: bounded by time, bytes and packets; sequence numbers only grow; the packets from
//! `newest_key` on decode with the headers held beside the ring. Readers never hold the ring's
//! lock while they send: each fan-out task reads a [`View`], which shares the packets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use lockgate_media::{Class, Packet, Track};

use crate::config::RingLimits;

/// Most headers kept beside a ring: those of every track of a multitrack stream fit.
const MAX_HEADERS: usize = 32;
/// Longest header kept: they stay for as long as the stream, beside what its bounds count, and
/// every player that joins is sent all of them. Those of real encoders are a few KB at most.
const MAX_HEADER_BYTES: usize = 256 * 1024;

/// A header and where in the ring it stood.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its sequence number.
    pub seq: u64,
    /// The packet.
    pub packet: Arc<Packet>,
}

/// What a reader sees of a ring: shares the packets, owns the order.
#[derive(Debug, Clone, Default)]
pub struct View {
    packets: VecDeque<Arc<Packet>>,
    first: u64,
    newest_key: Option<u64>,
    headers: Arc<Vec<Header>>,
    last_timestamp: [u64; 3],
}

impl View {
    /// The oldest sequence number held.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number that the next packet will get.
    pub fn head(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// The packet of a sequence number, if it is held.
    pub fn get(&self, seq: u64) -> Option<&Arc<Packet>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.packets.get(index)
    }

    /// Where the current GOP starts, if all of it is held and it decodes with the newest header.
    pub fn newest_key(&self) -> Option<u64> {
        self.newest_key.filter(|&key| key >= self.first)
    }

    /// The newest header of each number on each track.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// When the newest packet was read.
    pub fn newest_received(&self) -> Option<Instant> {
        self.packets.back().map(|packet| packet.received())
    }

    /// The newest time on a track, in milliseconds.
    pub fn last_timestamp(&self, track: Track) -> u64 {
        let [audio, video, data] = self.last_timestamp;
        match track {
            Track::Audio => audio,
            Track::Video => video,
            Track::Data => data,
        }
    }

    fn push(&mut self, packet: Arc<Packet>) {
        let [audio, video, data] = &mut self.last_timestamp;
        *match packet.track() {
            Track::Audio => audio,
            Track::Video => video,
            Track::Data => data,
        } = packet.timestamp();
        self.packets.push_back(packet);
    }

    /// Drops the oldest packet.
    fn pop(&mut self) -> Option<Arc<Packet>> {
        let packet = self.packets.pop_front()?;
        self.first += 1;
        Some(packet)
    }
}

/// The writer's side of a ring.
#[derive(Debug)]
pub struct Ring {
    view: View,
    limits: RingLimits,
    bytes: usize,
    /// Whether the packets hold a keyframe that is still the current GOP's.
    gop_lost: bool,
}

impl Ring {
    /// An empty ring.
    pub fn new(limits: RingLimits) -> Self {
        Self {
            view: View::default(),
            limits,
            bytes: 0,
            gop_lost: false,
        }
    }

    /// Appends a packet and drops what the bounds no longer allow.
    pub fn push(&mut self, packet: Arc<Packet>) {
        let seq = self.view.head();
        match packet.class() {
            Class::Header(number) => self.keep_header(seq, number, &packet),
            Class::Keyframe => {
                self.view.newest_key = Some(seq);
                self.gop_lost = false;
            }
            Class::Frame | Class::Notice => {}
        }
        self.bytes += packet.cost();
        let now = packet.received();
        self.view.push(packet);
        self.evict(now);
    }

    /// The publisher changed: what it will send does not continue the GOP held, and who joins from
    /// now on must not wait for a track that only the old one had.
    pub fn change_publisher(&mut self) {
        self.view.newest_key = None;
        self.view.headers = Arc::default();
    }

    /// What readers see.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Bytes held, packets' own size included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets held.
    pub fn len(&self) -> usize {
        self.view.packets.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.view.packets.is_empty()
    }

    /// Whether the current GOP outgrew the ring, so that who joins waits for the next keyframe.
    pub fn gop_lost(&self) -> bool {
        self.gop_lost
    }

    /// Brings a reader's view up to date; costs what is new and what was dropped.
    pub fn refresh(&self, view: &mut View) {
        let mine = &self.view;
        if view.head() < mine.first {
            view.packets.clear();
            view.first = mine.first;
        }
        while view.first < mine.first && view.pop().is_some() {}
        let known = view.packets.len();
        view.packets
            .extend(mine.packets.iter().skip(known).cloned());
        view.newest_key = mine.newest_key;
        view.last_timestamp = mine.last_timestamp;
        if !Arc::ptr_eq(&view.headers, &mine.headers) {
            view.headers = Arc::clone(&mine.headers);
        }
    }

    fn keep_header(&mut self, seq: u64, number: u16, packet: &Arc<Packet>) {
        if packet.payload().len() > MAX_HEADER_BYTES {
            return;
        }
        let headers = Arc::make_mut(&mut self.view.headers);
        let room = headers.len() < MAX_HEADERS;
        let same = headers.iter_mut().find(|held| {
            held.packet.track() == packet.track() && held.packet.class() == Class::Header(number)
        });
        let header = Header {
            seq,
            packet: Arc::clone(packet),
        };
        let changed = match same {
            Some(held) => {
                let changed = held.packet.payload() != packet.payload();
                *held = header;
                changed
            }
            None if room => {
                headers.push(header);
                true
            }
            None => false,
        };
        // Frames from before a new video header do not decode with it.
        if changed && packet.track() == Track::Video {
            self.view.newest_key = None;
        }
    }

    fn evict(&mut self, now: Instant) {
        while self.view.packets.len() > 1 {
            let Some(oldest) = self.view.packets.front() else {
                return;
            };
            let over = self.bytes > self.limits.bytes || self.len() > self.limits.packets;
            let in_gop = self
                .view
                .newest_key
                .is_some_and(|key| self.view.first >= key);
            let age = now.saturating_duration_since(oldest.received());
            if !over && (in_gop || age <= self.limits.duration) {
                return;
            }
            if self.view.newest_key == Some(self.view.first) {
                self.gop_lost = true;
                self.view.newest_key = None;
            }
            if let Some(packet) = self.view.pop() {
                self.bytes -= packet.cost();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 1];
    const DELTA: &[u8] = &[0x27, 1, 0, 0, 0, 1];
    const HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1];
    const OTHER_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 2];

    struct Writer {
        ring: Ring,
        start: Instant,
    }

    impl Writer {
        fn new(limits: RingLimits) -> Self {
            Self {
                ring: Ring::new(limits),
                start: Instant::now(),
            }
        }

        fn push(&mut self, payload: &'static [u8], at_ms: u64) {
            let received = self.start + Duration::from_millis(at_ms);
            let packet = Packet::new(Track::Video, at_ms, Bytes::from_static(payload), received);
            self.ring.push(Arc::new(packet));
        }
    }

    fn limits(ms: u64, bytes: usize, packets: usize) -> RingLimits {
        RingLimits {
            duration: Duration::from_millis(ms),
            bytes,
            packets,
        }
    }

    #[test]
    fn old_packets_go_but_the_current_gop_stays() {
        let mut writer = Writer::new(limits(100, 1 << 20, 1000));
        writer.push(KEY, 0);
        for at in 1..10 {
            writer.push(DELTA, at * 50);
        }
        assert_eq!(
            writer.ring.view().first(),
            0,
            "450 ms of one GOP are kept past 100 ms"
        );
        writer.push(KEY, 500);
        assert_eq!(
            writer.ring.view().first(),
            8,
            "400 ms is the oldest within 100 ms"
        );
        assert_eq!(writer.ring.view().newest_key(), Some(10));
    }

    #[test]
    fn a_gop_that_outgrows_the_ring_is_given_up() {
        let mut writer = Writer::new(limits(100, 1 << 20, 4));
        writer.push(KEY, 0);
        for at in 1..6 {
            writer.push(DELTA, at);
        }
        assert_eq!((writer.ring.len(), writer.ring.gop_lost()), (4, true));
        assert_eq!(writer.ring.view().newest_key(), None);
        writer.push(KEY, 9);
        assert!(!writer.ring.gop_lost());
    }

    #[test]
    fn bytes_are_bounded_and_accounted() {
        let mut writer = Writer::new(limits(1_000_000, 2_000, 1000));
        for at in 0..100 {
            writer.push(KEY, at);
        }
        assert!(writer.ring.bytes() <= 2_000);
        let held: usize = (writer.ring.view().first()..writer.ring.view().head())
            .map(|seq| writer.ring.view().get(seq).unwrap().cost())
            .sum();
        assert_eq!(held, writer.ring.bytes());
    }

    #[test]
    fn a_new_header_ends_the_gop_and_the_same_header_does_not() {
        let mut writer = Writer::new(limits(1000, 1 << 20, 1000));
        writer.push(HEADER, 0);
        writer.push(KEY, 1);
        writer.push(HEADER, 2);
        assert_eq!(writer.ring.view().newest_key(), Some(1));
        writer.push(OTHER_HEADER, 3);
        assert_eq!(writer.ring.view().newest_key(), None);
        assert_eq!(writer.ring.view().headers().len(), 1);
        assert_eq!(writer.ring.view().headers()[0].seq, 3);
    }

    #[test]
    fn headers_are_kept_within_bounds_and_as_long_as_their_publisher() {
        let mut writer = Writer::new(limits(1000, 1 << 30, 1000));
        writer.push(HEADER, 0);
        let long = [OTHER_HEADER, &[0; MAX_HEADER_BYTES]].concat();
        writer.push(Box::leak(long.into()), 1);
        let numbers = (1..100u8).map(|track| [b"\x96\x00hvc1", &[track][..]].concat());
        for header in numbers {
            writer.push(Box::leak(header.into()), 2);
        }
        let kept = writer.ring.view().headers();
        assert_eq!(kept[0].packet.payload(), HEADER, "not the long one");
        assert_eq!(kept.len(), MAX_HEADERS);
        writer.ring.change_publisher();
        assert!(writer.ring.view().headers().is_empty());
    }

    #[test]
    fn a_view_follows_its_ring_however_seldom_it_looks() {
        let mut writer = Writer::new(limits(50, 1 << 20, 1000));
        let mut view = View::default();
        for at in 0..300 {
            writer.push(if at % 7 == 0 { KEY } else { DELTA }, at);
            if at % 11 == 0 || at > 290 {
                writer.ring.refresh(&mut view);
                assert_eq!(
                    (view.first(), view.head()),
                    (writer.ring.view().first(), at + 1)
                );
                for seq in view.first()..view.head() {
                    assert!(Arc::ptr_eq(
                        view.get(seq).unwrap(),
                        writer.ring.view().get(seq).unwrap()
                    ));
                }
            }
            if at == 150 {
                for at in 151..250 {
                    writer.push(KEY, at * 2);
                }
                break;
            }
        }
        writer.ring.refresh(&mut view);
        assert_eq!(view.head(), writer.ring.view().head());
        assert_eq!(view.packets.len(), writer.ring.len());
    }
}
