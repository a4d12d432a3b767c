//! One RTP stream to one viewer (RFC 3550 §5.1): its numbers, its headers, and what may be asked for
//! again (RFC 4588). Payloads are shared by all viewers; a viewer keeps a few words a frame.
//!
//! Invariant: a number is sealed once. Where a resend has no stream of its own it is the same packet
//! to the last bit, which tells nobody anything new.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{ntp, stamp};
use crate::header::{STAMP, Terms, template};
use crate::outbox::Outbox;
use crate::routes::Path;
use crate::rtcp::SenderReport;
use crate::srtp::{Body, MAX_HEADER, Sealer};
use crate::transit::Transit;

#[cfg(test)]
mod tests;

/// Packets kept to be sent again, and for how long.
const RESEND_PACKETS: usize = 512;
const RESEND_FOR: Duration = Duration::from_secs(2);
/// Packets that may be sent again before as many have been sent: behind a fifth of lost packets, most
/// of whose resends arrive, there is room for those that do not, and a viewer that asks for all again
/// and again gets twice its stream and no more.
const RESEND_CREDIT: usize = RESEND_PACKETS;

/// A viewer says in two ways that a packet is lost: it asks for it, and it reports what came. What it
/// asks for so soon after a report had it sent again is the same news.
const SAME_NEWS: Duration = Duration::from_millis(100);
/// Resends whose own loss is noticed.
const MAX_RESENDS: usize = 256;

/// A frame's last packet is padded to the size of the others when it lacks no more than this: the
/// kernel cuts one call's bytes into datagrams of one size, and so one more may follow.
const MAX_EVEN: usize = 64;

/// Payloads of one frame, in order.
pub type Payloads = Arc<[Arc<[u8]>]>;

/// What the packets of a frame have in common.
#[derive(Debug, Clone, Copy)]
pub struct Heading {
    /// Payload type.
    pub payload_type: u8,
    /// In units of the codec's clock.
    pub time: u32,
    /// When that was, by one clock for both lines: from which the peer works out how they belong
    /// together.
    pub wallclock: Instant,
}

/// A frame that may be asked for again.
#[derive(Debug)]
struct Kept {
    /// The number of its first packet.
    first: u64,
    payload_type: u8,
    time: u32,
    stamp: u32,
    /// The number of its first packet among all of the peer's.
    count: u16,
    sent: Instant,
    /// Which of its packets have been sent again, and which of those because of a report: a bit each,
    /// the 65th that of the first. And when a report last had one sent again.
    resent: u64,
    reported: u64,
    reported_at: Option<Instant>,
    payloads: Payloads,
}

/// A packet that was sent again.
#[derive(Debug)]
struct Resend {
    index: u64,
    /// The number of its first copy among all of the peer's, and how many copies are on their way.
    count: u16,
    copies: u16,
    lost: u16,
}

#[derive(Debug)]
pub(crate) struct Stream {
    terms: Terms,
    /// A header, but for what differs between packets.
    header: [u8; MAX_HEADER],
    length: usize,
    /// Numbers of the last packets, with their rollovers (RFC 3711 §3.3.1).
    index: u64,
    resend_index: u64,
    kept: VecDeque<Kept>,
    kept_packets: usize,
    resends: VecDeque<Resend>,
    credit: usize,
    /// Some RTP time and when that was.
    at: Option<(u32, Instant)>,
    packets: u32,
    octets: u32,
}

/// Where packets of a stream go, and how.
pub(crate) struct Way<'a> {
    pub(crate) sealer: &'a Sealer,
    pub(crate) to: Path,
    pub(crate) out: &'a mut Outbox,
    /// Numbers the packets of the peer, of all streams.
    pub(crate) transit: &'a mut Transit,
}

/// What differs between packets of a stream.
struct Fields {
    ssrc: u32,
    index: u64,
    payload_type: u8,
    marker: bool,
    time: u32,
    stamp: u32,
    count: u16,
}

impl Stream {
    pub(crate) fn new(terms: Terms) -> Self {
        let (header, length) = template(&terms);
        // Below 2^15, so that the first wrap is far enough away for the peer to see (RFC 3711 §3.3.1).
        let index = || u64::from(rand::random::<u16>() >> 1);
        Self {
            terms,
            header,
            length,
            index: index(),
            resend_index: index(),
            kept: VecDeque::new(),
            kept_packets: 0,
            resends: VecDeque::new(),
            credit: 0,
            at: None,
            packets: 0,
            octets: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn wind(&mut self, index: u64) {
        self.index = index;
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.terms.ssrc
    }

    /// Sends a frame; the last packet carries the marker.
    pub(crate) fn send_frame(
        &mut self,
        heading: Heading,
        payloads: &Payloads,
        now: Instant,
        way: &mut Way<'_>,
    ) {
        let stamp = stamp(ntp(now));
        let first = self.index + 1;
        let counted = way.transit.upcoming();
        let count = payloads.len();
        for (at, payload) in payloads.iter().enumerate() {
            let body = Body {
                prefix: &[],
                payload,
                padding: evened(payloads, at),
            };
            self.send(heading, at + 1 == count, stamp, &body, way);
        }
        self.credit = (self.credit + count).min(RESEND_CREDIT);
        self.kept_packets += count;
        self.kept.push_back(Kept {
            first,
            payload_type: heading.payload_type,
            time: heading.time,
            stamp,
            count: counted,
            sent: now,
            resent: 0,
            reported: 0,
            reported_at: None,
            payloads: Arc::clone(payloads),
        });
        self.forget(now);
    }

    /// Sends one packet that is not sent again, with this much padding.
    pub(crate) fn send_once(
        &mut self,
        heading: Heading,
        payload: &[u8],
        padding: u8,
        now: Instant,
        way: &mut Way<'_>,
    ) {
        let body = Body {
            prefix: &[],
            payload,
            padding,
        };
        self.send(heading, false, stamp(ntp(now)), &body, way);
    }

    /// Whether nothing has been sent yet.
    pub(crate) fn is_new(&self) -> bool {
        self.at.is_none()
    }

    fn send(
        &mut self,
        heading: Heading,
        marker: bool,
        stamp: u32,
        body: &Body<'_>,
        way: &mut Way<'_>,
    ) {
        self.index += 1;
        self.at = Some((heading.time, heading.wallclock));
        self.packets = self.packets.wrapping_add(1);
        let octets = u32::try_from(body.payload.len()).unwrap_or(0);
        self.octets = self.octets.wrapping_add(octets);
        let fields = Fields {
            ssrc: self.terms.ssrc,
            index: self.index,
            payload_type: heading.payload_type,
            marker,
            time: heading.time,
            stamp,
            count: self.count(way),
        };
        self.write(&fields, body, way);
    }

    /// The next number among all packets of the peer. One that is not told would seem to be lost.
    fn count(&self, way: &mut Way<'_>) -> u16 {
        if self.terms.count_extension.is_some() {
            way.transit.next()
        } else {
            0
        }
    }

    fn write(&self, fields: &Fields, body: &Body<'_>, way: &mut Way<'_>) {
        let mut header = self.header;
        let padded = if body.padding > 0 { 0x20 } else { 0 };
        let marker = if fields.marker { 0x80 } else { 0 };
        let [.., high, low] = fields.index.to_be_bytes();
        let front = [padded, marker | fields.payload_type & 0x7f, high, low];
        let words = [fields.time, fields.ssrc].map(u32::to_be_bytes);
        let fixed = front.iter().chain(words.as_flattened());
        for (to, from) in header.iter_mut().zip(fixed) {
            *to |= from;
        }
        if self.terms.stamp_extension.is_some() {
            let [_, stamp @ ..] = fields.stamp.to_be_bytes();
            for (to, from) in header.iter_mut().skip(STAMP).zip(stamp) {
                *to = from;
            }
        }
        if self.terms.count_extension.is_some() {
            let at = if self.terms.stamp_extension.is_some() {
                STAMP + 4
            } else {
                STAMP
            };
            for (to, from) in header.iter_mut().skip(at).zip(fields.count.to_be_bytes()) {
                *to = from;
            }
        }
        let header = header.get(..self.length).unwrap_or_default();
        let sealer = way.sealer;
        let length = header.len() + body.len() + sealer.tag();
        way.out.write(way.to, length, |packet| {
            sealer
                .rtp(packet, header, body, fields.ssrc, fields.index)
                .is_ok()
        });
    }

    /// Sends again what the viewer asks for, as far as it is there and allowed.
    pub(crate) fn resend(&mut self, first: u16, others: u16, now: Instant, way: &mut Way<'_>) {
        self.forget(now);
        self.asked(first, now, way);
        for bit in 0..16 {
            if others >> bit & 1 == 1 {
                self.asked(first.wrapping_add(bit + 1), now, way);
            }
        }
    }

    fn asked(&mut self, number: u16, now: Instant, way: &mut Way<'_>) -> Option<()> {
        let back = low(self.index).wrapping_sub(number);
        let index = self.index.checked_sub(back.into())?;
        let (kept, mark) = self.find(index)?;
        let is_new = |at| now.saturating_duration_since(at) < SAME_NEWS;
        if kept.reported & mark != 0 && kept.reported_at.is_some_and(is_new) {
            return None;
        }
        self.resend_one(index, way)
    }

    /// The viewer reports that a packet of this number, among all of the peer's, did not come: it is
    /// sent again, whether or not it gets through that it is asked for.
    pub(crate) fn lost(&mut self, count: u16, now: Instant, way: &mut Way<'_>) -> Option<()> {
        // What is sent again without a stream of its own has its old number.
        self.terms.count_extension.and(self.terms.resend_ssrc)?;
        if way.transit.is_full() {
            return None;
        }
        self.forget(now);
        let index = self.lost_first(count, way).or_else(|| {
            let of = |it: &Resend| count.wrapping_sub(it.count) < it.copies;
            let at = self.resends.iter().rposition(of)?;
            let resend = self.resends.get_mut(at)?;
            resend.lost += 1;
            (resend.lost == resend.copies).then_some(resend.index)
        })?;
        self.resend_one(index, way)?;
        let (kept, mark) = self.find(index)?;
        kept.reported |= mark;
        kept.reported_at = Some(now);
        Some(())
    }

    /// Which packet had this number when it was sent first, unless it has been sent again since.
    fn lost_first(&self, count: u16, way: &Way<'_>) -> Option<u64> {
        let upcoming = way.transit.upcoming();
        let back = upcoming.wrapping_sub(count);
        let earlier = |kept: &Kept| upcoming.wrapping_sub(kept.count) >= back;
        let at = self.kept.partition_point(earlier);
        let kept = self.kept.get(at.checked_sub(1)?)?;
        let at = usize::from(count.wrapping_sub(kept.count));
        let is_news = at < kept.payloads.len() && kept.resent & mark(at) == 0;
        is_news.then_some(kept.first + at as u64)
    }

    /// The frame of a packet, and its bit there.
    fn find(&mut self, index: u64) -> Option<(&mut Kept, u64)> {
        let at = self.kept.partition_point(|kept| kept.first <= index);
        let kept = self.kept.get_mut(at.checked_sub(1)?)?;
        let at = usize::try_from(index - kept.first).ok()?;
        (at < kept.payloads.len()).then_some((kept, mark(at)))
    }

    /// One that is sent again once more has been lost twice, and each time costs the viewer a round
    /// trip: it goes out twice, unless it is room that it lacks.
    fn resend_one(&mut self, index: u64, way: &mut Way<'_>) -> Option<()> {
        let (ssrc, credit) = (self.terms.ssrc, self.credit);
        let (kept, mark) = self.find(index)?;
        if credit == 0 {
            return None;
        }
        let again = kept.resent & mark != 0;
        kept.resent |= mark;
        let at = usize::try_from(index - kept.first).ok()?;
        let payload = Arc::clone(kept.payloads.get(at)?);
        let padding = evened(&kept.payloads, at);
        let fields = Fields {
            ssrc,
            index,
            payload_type: kept.payload_type,
            marker: at + 1 == kept.payloads.len(),
            time: kept.time,
            stamp: kept.stamp,
            count: kept.count.wrapping_add(low(at as u64)),
        };
        let twice = again && !way.transit.is_full() && credit > 1;
        let copies = if twice { 2 } else { 1 };
        self.credit -= copies;
        let count = way.transit.upcoming();
        for _ in 0..copies {
            self.write_again(&fields, &payload, padding, way);
        }
        self.resends.retain(|it| it.index != index);
        let copies = way.transit.upcoming().wrapping_sub(count);
        // What has no numbers of its own is not heard of.
        if copies > 0 {
            if self.resends.len() >= MAX_RESENDS {
                self.resends.pop_front();
            }
            self.resends.push_back(Resend {
                index,
                count,
                copies,
                lost: 0,
            });
        }
        Some(())
    }

    /// In the stream for resends (RFC 4588 §4), or as it was where there is none.
    fn write_again(&mut self, fields: &Fields, payload: &[u8], padding: u8, way: &mut Way<'_>) {
        let types = self.terms.resend_types.iter();
        let of = types.copied().find(|(of, _)| *of == fields.payload_type);
        let (Some(ssrc), Some((_, payload_type))) = (self.terms.resend_ssrc, of) else {
            let body = Body {
                prefix: &[],
                payload,
                padding,
            };
            self.write(fields, &body, way);
            return;
        };
        self.resend_index += 1;
        let number = low(fields.index);
        let fields = Fields {
            ssrc,
            index: self.resend_index,
            payload_type,
            count: self.count(way),
            ..*fields
        };
        let body = Body {
            prefix: &number.to_be_bytes(),
            payload,
            padding: 0,
        };
        self.write(&fields, &body, way);
    }

    /// Lets go of what is too old to be asked for.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.kept.front() {
            let old = now.saturating_duration_since(oldest.sent) > RESEND_FOR;
            if !old && (self.kept_packets <= RESEND_PACKETS || self.kept.len() == 1) {
                break;
            }
            self.kept_packets -= oldest.payloads.len();
            self.kept.pop_front();
        }
    }

    /// What it has sent, once it has sent anything.
    pub(crate) fn report(&self, now: Instant) -> Option<SenderReport> {
        let (time, at) = self.at?;
        let passed = now.saturating_duration_since(at).as_micros();
        let ticks = passed * u128::from(self.terms.rate) / 1_000_000;
        Some(SenderReport {
            ssrc: self.terms.ssrc,
            ntp: ntp(now),
            time: time.wrapping_add(low_word(ticks)),
            packets: self.packets,
            octets: self.octets,
        })
    }
}

/// The padding of a frame's packet.
fn evened(payloads: &Payloads, at: usize) -> u8 {
    let (Some(first), Some(this)) = (payloads.first(), payloads.get(at)) else {
        return 0;
    };
    let lacks = first.len().saturating_sub(this.len());
    if at + 1 == payloads.len() && lacks <= MAX_EVEN {
        u8::try_from(lacks).unwrap_or(0)
    } else {
        0
    }
}

/// The bit of a frame's packet.
fn mark(at: usize) -> u64 {
    1 << (at % 64)
}

#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low(index: u64) -> u16 {
    index as u16
}

#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low_word(ticks: u128) -> u32 {
    ticks as u32
}
