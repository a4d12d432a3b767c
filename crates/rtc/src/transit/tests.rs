//! Viewers behind networks of every kind, in a time of their own: what is sent to them is starved as
//! a stage does it, and what comes is told as Chromium does.

use super::*;
use crate::rtcp::{self, Feedback};

const STEP: Duration = Duration::from_millis(5);
/// 30 packets of 1000 bytes a keyframe, 4 another frame, 25 frames a second: 1 Mbit/s.
const GOP: u64 = 25;
const KEYFRAME: u64 = 30;
const OTHER: u64 = 4;
const VIDEO: u64 = 1000;
/// Fifty packets of sound a second.
const SOUND: u64 = 150;

struct Link {
    /// Bits a millisecond, that is kbit/s.
    rate: u64,
    /// Bytes that wait at most.
    queue: u64,
    loss_percent: u64,
    delay: Duration,
}

/// What came of a stretch of time.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    starved: u64,
    longest: Duration,
    sounds: u64,
    sounds_sent: u64,
    full: bool,
}

struct Net {
    link: Link,
    transit: Transit,
    start: Instant,
    passed: Duration,
    /// Bits that wait.
    waiting: u64,
    /// When the last packet comes: none gets past another.
    last: Duration,
    dice: u64,
    /// Number and time of what has come; what has been told.
    came: Vec<(u16, Duration)>,
    told: u16,
    feedback: VecDeque<(Duration, Vec<u8>)>,
    full_until: Duration,
    awaits_keyframe: bool,
}

impl Net {
    fn new(link: Link) -> Self {
        Self {
            link,
            transit: Transit::default(),
            start: Instant::now(),
            passed: Duration::ZERO,
            waiting: 0,
            last: Duration::ZERO,
            dice: 1,
            came: Vec::new(),
            told: 0,
            feedback: VecDeque::new(),
            full_until: Duration::ZERO,
            awaits_keyframe: true,
        }
    }

    fn loses(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % 100 < self.link.loss_percent
    }

    /// One packet on its way: how long it takes, if it comes.
    fn send(&mut self, bytes: u64) -> Option<Duration> {
        let number = self.transit.next();
        if self.waiting / 8 + bytes > self.link.queue {
            return None;
        }
        self.waiting += bytes * 8;
        if self.loses() {
            return None;
        }
        let takes = Duration::from_micros(self.waiting * 1000 / self.link.rate) + self.link.delay;
        self.last = self.last.max(self.passed + takes);
        self.came.push((number, self.last));
        Some(self.last - self.passed)
    }

    fn run(&mut self, time: Duration) -> Seen {
        let mut seen = Seen::default();
        let until = self.passed + time;
        while self.passed < until {
            self.passed += STEP;
            self.waiting = self.waiting.saturating_sub(self.link.rate * 5);
            self.transit.turn(self.start + self.passed);
            let ms = u64::try_from(self.passed.as_millis()).unwrap();
            if ms.is_multiple_of(20) {
                seen.sounds_sent += 1;
                if let Some(takes) = self.send(SOUND) {
                    seen.sounds += 1;
                    seen.longest = seen.longest.max(takes);
                }
            }
            if ms.is_multiple_of(40) {
                self.picture(ms / 40, &mut seen);
            }
            if ms.is_multiple_of(100) {
                self.tell();
            }
            while let Some((_, bytes)) = self.feedback.pop_front_if(|(due, _)| *due <= self.passed)
            {
                let now = self.start + self.passed;
                rtcp::read(&bytes, |feedback| match feedback {
                    Feedback::Arrivals(arrivals) => self.transit.arrived(&arrivals, now),
                    other => panic!("{other:?}"),
                });
            }
            if let Some(time) = self.transit.full() {
                seen.full |= time > Duration::ZERO;
                self.full_until = self.passed + time;
            }
        }
        seen
    }

    fn picture(&mut self, number: u64, seen: &mut Seen) {
        let is_full = self.passed < self.full_until;
        self.awaits_keyframe |= is_full;
        let is_key = number.is_multiple_of(GOP);
        if self.awaits_keyframe && (is_full || !is_key) {
            seen.starved += 1;
            return;
        }
        self.awaits_keyframe = false;
        seen.frames += 1;
        for _ in 0..if is_key { KEYFRAME } else { OTHER } {
            let _ = self.send(VIDEO);
        }
    }

    /// What the viewer says of packets that it has not told of: large deltas all.
    fn tell(&mut self) {
        let told = self.told;
        let mut new: Vec<_> = self
            .came
            .extract_if(.., |(_, at)| *at <= self.passed)
            .collect();
        new.sort_unstable_by_key(|(number, _)| number.wrapping_sub(told));
        let Some(&(last, _)) = new.last() else { return };
        let count = last.wrapping_sub(told).wrapping_add(1);
        let ticks = |at: Duration| u32::try_from(at.as_micros() / 250).unwrap() + 77_777;
        let reference = ticks(new[0].1) >> 8;
        let (mut bits, mut deltas, mut before) = (Vec::new(), Vec::new(), reference << 8);
        for number in (0..count).map(|at| told.wrapping_add(at)) {
            let came = new.iter().find(|(it, _)| *it == number);
            bits.push(if came.is_some() { 2 } else { 0 });
            if let Some((_, at)) = came {
                let delta = ticks(*at).wrapping_sub(before).cast_signed();
                deltas.extend(i16::try_from(delta).unwrap().to_be_bytes());
                before = ticks(*at);
            }
        }
        let mut body = [told.to_be_bytes(), count.to_be_bytes()].concat();
        body.extend((reference << 8).to_be_bytes());
        for seven in bits.chunks(7) {
            let chunk = seven.iter().enumerate();
            let chunk = chunk.fold(3_u16 << 14, |chunk, (at, bits)| {
                chunk | bits << (12 - 2 * at)
            });
            body.extend(chunk.to_be_bytes());
        }
        body.extend(deltas);
        body.resize(body.len().next_multiple_of(4), 0);
        let words = u16::try_from(body.len() / 4 + 2).unwrap();
        let mut packet = [[0x8f, 205], words.to_be_bytes()].concat();
        packet.extend([0; 8]);
        packet.extend(body);
        self.told = last.wrapping_add(1);
        // One of five gets lost where packets are.
        if !self.loses() {
            self.feedback
                .push_back((self.passed + self.link.delay, packet));
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn link(rate: u64, queue_ms: u64, loss_percent: u64) -> Link {
    Link {
        rate,
        queue: rate * queue_ms / 8,
        loss_percent,
        delay: Duration::from_millis(100),
    }
}

#[test]
fn a_network_of_half_the_rate_carries_sound_and_what_pictures_it_can() {
    for rate in [400, 550, 700] {
        let mut net = Net::new(link(rate, 10_000, 0));
        let first = net.run(10 * SECOND);
        let then = net.run(60 * SECOND);
        assert!(first.longest < 3 * SECOND, "{rate}: {first:?}");
        assert!(then.longest < 2 * SECOND, "{rate}: {then:?}");
        assert!(then.starved > 0 && then.frames >= 60, "{rate}: {then:?}");
        assert_eq!(then.sounds, then.sounds_sent);
    }
}

#[test]
fn a_network_that_drops_what_is_too_much_gets_less() {
    let mut net = Net::new(link(550, 150, 0));
    net.run(10 * SECOND);
    let then = net.run(60 * SECOND);
    assert!(then.starved > 300, "{then:?}");
}

#[test]
fn a_network_with_room_is_not_full_whatever_it_loses() {
    for loss in [0, 5, 20] {
        for rate in [1300, 1500, 4000, 20_000] {
            let mut net = Net::new(link(rate, 2000, loss));
            let seen = net.run(600 * SECOND);
            assert!(!seen.full, "{loss} % of {rate}: {seen:?}");
        }
    }
}

#[test]
fn a_network_that_recovers_has_its_picture_within_two_gops() {
    let mut net = Net::new(link(4000, 10_000, 0));
    assert!(!net.run(20 * SECOND).full);
    net.link.rate = 400;
    assert!(net.run(20 * SECOND).full);
    net.link.rate = 4000;
    net.run(2 * SECOND);
    let seen = net.run(60 * SECOND);
    assert_eq!(seen.starved, 0, "{seen:?}");
}

#[test]
fn a_packet_has_the_time_of_its_turn_as_long_as_that_is_known() {
    let mut transit = Transit::default();
    let start = Instant::now();
    for turn in 0..3000 {
        transit.turn(start + turn * Duration::from_millis(1));
        for _ in 0..30 {
            transit.next();
        }
    }
    let number = |turn: u32| u16::try_from((turn * 30 + 29) % 65_536).unwrap();
    assert_eq!(transit.sent_at(number(2999)), Some(2999 * MS));
    assert_eq!(transit.sent_at(number(2500)), Some(2500 * MS));
    assert_eq!(transit.sent_at(number(1900)), None);
    assert!(transit.turns.len() <= MAX_TURNS);
    assert_eq!(
        transit.sent_at(number(2999).wrapping_add(1)),
        None,
        "not sent yet"
    );
}
