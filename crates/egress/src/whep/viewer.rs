//! One viewer: its place in the ring, its gate, its RTP, and how much it is sent at a time.
//!
//! Invariants: time goes forward on each line, whatever its gate or place leaves out; a GOP that is
//! caught up with is played fast, up to what is live, and does not leave the viewer behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_media::Track;
use lockgate_routing::cursor::Step;
use lockgate_routing::{Place, Reader, Subscription};
use lockgate_rtc::{Format, Heading, Line, Outbox, Peer};
use tokio_util::sync::DropGuard;

use super::media::Media;
use super::network::Network;

/// Ticks of video's RTP clock in a millisecond.
const VIDEO_TICKS: u64 = 90;
/// Ticks of Opus' RTP clock in a millisecond.
const AUDIO_TICKS: u64 = 48;
/// Between two frames of a GOP that is caught up with: 1 ms, so that none waits to be shown.
const HURRY: u64 = VIDEO_TICKS;
/// What catching up may send at once, and in a millisecond after that: 20 Mbit/s.
const BURST: u64 = 48 * 1024;
const BYTES_PER_MS: u64 = 2_500;
/// When what is left is looked at again.
const PAUSE: Duration = Duration::from_millis(4);
/// Once in this time a viewer that cannot decode is helped.
const MEND_EVERY: Duration = Duration::from_millis(500);
/// Bytes of headers that a packet has beside its payload: RTP with extensions, and SRTP's tag.
const OVERHEAD: usize = 36;

/// A line and where its RTP stands.
#[derive(Debug)]
struct Flow {
    line: Line,
    /// The last time sent, in its own ticks.
    last: Option<u64>,
}

impl Flow {
    fn new(line: &Line) -> Self {
        Self {
            line: line.clone(),
            last: None,
        }
    }
}

/// Where catching up ends: the newest picture when it began.
#[derive(Debug, Clone, Copy)]
struct Live {
    number: u64,
    ticks: u64,
}

/// What all viewers of a stream share while they are served.
pub(super) struct Pass<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) media: &'a Media,
    pub(super) clock: &'a mut Clock,
    pub(super) out: &'a mut Outbox,
    pub(super) now: Instant,
}

/// A viewer.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) peer: Peer,
    subscription: Subscription,
    place: Option<Place>,
    audio: Option<Flow>,
    video: Option<Flow>,
    live: Option<Live>,
    /// Bytes that it may be sent now, of a GOP that it catches up with.
    allowance: u64,
    allowed_at: Instant,
    /// When it is to be looked at again, though nothing comes in.
    resume: Option<Instant>,
    mended: Option<Instant>,
    network: Network,
    /// Its deadline, as its stage knows it.
    pub(super) due: Instant,
    /// Whether it has been told goodbye.
    pub(super) closing: bool,
    /// Held until it is gone: its seat, and whoever watches over it.
    _ended: DropGuard,
}

impl Viewer {
    pub(super) fn new(
        peer: Peer,
        subscription: Subscription,
        ended: DropGuard,
        now: Instant,
    ) -> Self {
        Self {
            due: now,
            audio: peer.audio().map(Flow::new),
            video: peer.video().map(Flow::new),
            peer,
            subscription,
            place: None,
            live: None,
            allowance: BURST,
            allowed_at: now,
            resume: None,
            mended: None,
            network: Network::default(),
            closing: false,
            _ended: ended,
        }
    }

    /// When it is due, though nothing comes in for it.
    pub(super) fn deadline(&self) -> Instant {
        let peer = self.peer.deadline();
        self.resume.map_or(peer, |resume| resume.min(peer))
    }

    /// Its place in the ring is where a player's is that joins now.
    pub(super) fn connected(&mut self, pass: &Pass<'_>) {
        let place = pass.reader.join(&self.subscription);
        if self.video.is_some() && pass.reader.view().newest_key().is_none() {
            pass.reader.want_keyframe();
        }
        self.place = Some(place);
        self.hurry(pass.media);
    }

    /// Its picture is broken: it asked for a keyframe.
    pub(super) fn mend(&mut self, pass: &mut Pass<'_>) {
        let now = pass.now;
        let recently = |at| now.saturating_duration_since(at) < MEND_EVERY;
        if self.mended.is_some_and(recently) {
            return;
        }
        let Some(place) = &mut self.place else { return };
        self.mended = Some(now);
        if pass.reader.mend(place) {
            self.hurry(pass.media);
        }
    }

    /// It says what its network carries.
    pub(super) fn capacity(&mut self, bits: u64, now: Instant) {
        self.network.estimate(bits, now);
    }

    /// Its network is full, by what comes of what it was sent.
    pub(super) fn full(&mut self, time: Duration, now: Instant) {
        self.network.full(time, now);
    }

    fn hurry(&mut self, media: &Media) {
        self.live = media.newest_picture().map(|picture| Live {
            number: picture.number,
            ticks: picture.shown * VIDEO_TICKS,
        });
    }

    /// Once a second: rates, for reports and for what the network is measured by.
    pub(super) fn rate(&mut self, reader: &Reader, passed: Duration) {
        if let Some(place) = &mut self.place {
            reader.rate(&self.subscription, place, passed);
        }
        self.network.tick(passed);
    }

    /// Sends what is due for it.
    pub(super) fn send(&mut self, pass: &mut Pass<'_>) {
        self.resume = None;
        if self.closing || !self.peer.is_connected() {
            return;
        }
        let Some(mut place) = self.place.take() else {
            return;
        };
        if pass.reader.prepare(&self.subscription, &mut place) {
            self.hurry(pass.media);
        }
        let is_full = self.network.is_full(pass.now);
        if is_full || self.network.is_choked(pass.now) {
            // The rest of this GOP would only queue in front of the next.
            pass.reader.starve(&self.subscription, &mut place);
        }
        self.allow(pass.now);
        loop {
            if self.allowance == 0 && place.is_in_backlog() {
                self.resume = Some(pass.now + PAUSE);
                break;
            }
            let Some(step) = pass.reader.next(&mut place) else {
                break;
            };
            let (bytes, packets) = match step.packet.track() {
                Track::Video if is_full => {
                    // The keyframe of the next GOP is no better: it goes on with one that comes soon.
                    pass.reader.starve(&self.subscription, &mut place);
                    (0, 0)
                }
                Track::Video => self.picture(&step, &place, pass),
                Track::Audio => self.sounds(&step, &place, pass),
                Track::Data => (0, 0),
            };
            if packets > 0 {
                self.allowance = self.allowance.saturating_sub(bytes as u64);
                self.network.sent(bytes as u64);
                let reader = &mut *pass.reader;
                reader.sent(&self.subscription, &mut place, &step, bytes, packets);
            }
        }
        self.place = Some(place);
    }

    fn allow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.allowed_at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        if passed > 0 {
            let more = passed.saturating_mul(BYTES_PER_MS);
            self.allowance = self.allowance.saturating_add(more).min(BURST);
            self.allowed_at = now;
        }
    }

    fn picture(&mut self, step: &Step, place: &Place, pass: &mut Pass<'_>) -> (usize, usize) {
        let picture = step.seq.and_then(|seq| pass.media.picture(seq));
        let (Some(picture), Some(flow)) = (picture, &mut self.video) else {
            return (0, 0);
        };
        let Some(payload_type) = flow.line.payload_type(picture.format) else {
            return (0, 0);
        };
        let shown = picture.shown * VIDEO_TICKS;
        let late = step.seq.is_some_and(|seq| seq < place.backlog());
        let ticks = match self.live {
            Some(live) if late => {
                let before = live.number.saturating_sub(picture.number);
                live.ticks.saturating_sub(before.saturating_mul(HURRY))
            }
            _ => shown,
        };
        // Two frames of one time are one to a receiver.
        let ticks = flow.last.map_or(ticks, |last| ticks.max(last + HURRY / 9));
        flow.last = Some(ticks);
        let heading = Heading {
            payload_type: *payload_type,
            time: wrap(ticks),
            wallclock: pass.clock.at(ticks / VIDEO_TICKS, pass.now),
        };
        let count = picture.payloads.len();
        self.peer
            .send_video(heading, &picture.payloads, pass.now, pass.out);
        (picture.bytes() + count * OVERHEAD, count)
    }

    fn sounds(&mut self, step: &Step, place: &Place, pass: &mut Pass<'_>) -> (usize, usize) {
        let (Some(seq), Some(flow)) = (step.seq, &mut self.audio) else {
            return (0, 0);
        };
        // Sound is heard from now on: what was said before its viewer came is over.
        if seq < place.backlog() && flow.last.is_none() {
            return (0, 0);
        }
        let Some(payload_type) = flow.line.payload_type(Format::Opus) else {
            return (0, 0);
        };
        let original = pass.reader.view().get(seq);
        let silent = original.is_some_and(|packet| !Arc::ptr_eq(packet, &step.packet));
        let (mut bytes, mut count) = (0, 0);
        for sound in pass.media.sounds(seq) {
            let payload = if silent {
                &sound.silence
            } else {
                &sound.payload
            };
            let heading = Heading {
                payload_type: *payload_type,
                time: wrap(sound.time),
                wallclock: pass.clock.at(sound.time / AUDIO_TICKS, pass.now),
            };
            self.peer.send_audio(heading, payload);
            bytes += payload.len() + OVERHEAD;
            count += 1;
            flow.last = Some(sound.time);
        }
        (bytes, count)
    }

    /// Whether it can be sent a stream's pictures; who wants none can.
    pub(super) fn takes(&self, format: Format) -> bool {
        let line = self.video.as_ref().map(|flow| &flow.line);
        line.is_none_or(|line| line.payload_type(format).is_some())
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.peer.close();
        }
    }

    /// Sends what is due of the protocol itself.
    pub(super) fn drive(
        &mut self,
        now: Instant,
        out: &mut Outbox,
        tell: impl FnMut(lockgate_rtc::Happening),
    ) {
        self.peer.drive(now, out, tell);
    }
}

/// RTP's clocks have 32 bits (RFC 3550 §5.1).
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn wrap(ticks: u64) -> u32 {
    ticks as u32
}

/// When the stream's time was, by the node's clock: what sender reports rest on. The same line for
/// audio and video, so that a viewer's player puts them together as the publisher did.
#[derive(Debug)]
pub(super) struct Clock {
    zero: Instant,
    ahead: Duration,
}

/// How far the line is moved when a publisher's clock runs faster than the node's.
const STEP_BACK: Duration = Duration::from_secs(1);

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            zero: now,
            ahead: Duration::ZERO,
        }
    }

    /// When `ms` of the stream was: never later than `now`.
    fn at(&mut self, ms: u64, now: Instant) -> Instant {
        let ms = Duration::from_millis(ms);
        let since = now.saturating_duration_since(self.zero);
        // zero + ms - ahead, kept at or before now.
        while ms > since + self.ahead {
            self.ahead = (ms - since).max(self.ahead + STEP_BACK);
        }
        // The first step is as long as the stream has been: a time before this process is none.
        now.checked_sub(since + self.ahead - ms).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_straight_for_both_tracks_and_never_in_the_future() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        let day = 24 * 3600 * 1000;
        let first = clock.at(day, start + Duration::from_secs(3600));
        let second = clock.at(day - 40, start + Duration::from_secs(3600));
        assert_eq!(first - second, Duration::from_millis(40));
        // A clock that is faster than the node's by 100 parts in a million, for three hours.
        let mut last = first;
        for second in 1..10_000_u64 {
            let now = start + Duration::from_secs(3600 + second);
            let at = clock.at(day + second * 1000 + second / 10, now);
            assert!(at <= now);
            assert!(now - at <= 2 * STEP_BACK, "{:?}", now - at);
            last = at;
        }
        assert!(last > first);
    }
}
