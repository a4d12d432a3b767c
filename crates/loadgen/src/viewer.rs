//! A player by WHEP: str0m puts together what is judged; of the others only the headers of RTP are
//! looked at once they have joined, and str0m keeps up what the session lives on.

use std::time::{Duration, Instant};

use str0m::Event;
use str0m::format::Codec;
use str0m::media::MediaData;

use crate::clock::Clock;
use crate::habit::Habit;
use crate::judge::{Arrival, Judge};
use crate::picture::Look;
use crate::rtc::packet::{Header, Order, Sequences};
use crate::rtc::{Hear, Session};
use crate::sound::opus;
use crate::tally::Tally;

/// How often str0m is asked what is due where it receives no media: consent (RFC 7675) is asked for
/// every few seconds, and reports go once a second.
const REST: Duration = Duration::from_millis(250);

/// One player.
#[derive(Debug)]
pub(crate) struct Viewer {
    session: Session,
    sequences: Sequences,
    /// Bytes of RTP, modulo 2^32.
    received: u32,
    /// A decoder has been configured.
    configured: bool,
    /// Media goes past str0m.
    rests: bool,
    driven: Instant,
}

/// What a viewer's datagrams and frames go into.
pub(crate) struct Books<'a> {
    pub(crate) judge: &'a mut Judge,
    pub(crate) habit: Habit,
    pub(crate) clock: &'a Clock,
    pub(crate) tally: &'a mut Tally,
}

impl Viewer {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            sequences: Sequences::default(),
            received: 0,
            configured: false,
            rests: false,
            driven: Instant::now(),
        }
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Bytes that have come, modulo 2^32.
    pub(crate) fn received(&self) -> u32 {
        self.received
    }

    /// When [`Self::drive`] is due.
    pub(crate) fn deadline(&self) -> Instant {
        let at = self.session.deadline();
        if self.rests {
            at.max(self.driven + REST)
        } else {
            at
        }
    }

    /// Reads what is there.
    pub(crate) fn on_ready(&mut self, scratch: &mut [u8], books: Books<'_>) -> anyhow::Result<()> {
        let (session, mut ear) = self.ear(books);
        let heard = session.on_ready(scratch, &mut ear);
        self.rests = ear.rests();
        heard
    }

    /// Does what is due at `now`.
    pub(crate) fn drive(&mut self, now: Instant, books: Books<'_>) -> anyhow::Result<()> {
        self.driven = now;
        let (session, mut ear) = self.ear(books);
        session.drive(now, &mut ear)
    }

    fn ear<'a>(&'a mut self, books: Books<'a>) -> (&'a mut Session, Ear<'a>) {
        let ear = Ear {
            books,
            sequences: &mut self.sequences,
            received: &mut self.received,
            configured: &mut self.configured,
        };
        (&mut self.session, ear)
    }
}

struct Ear<'a> {
    books: Books<'a>,
    sequences: &'a mut Sequences,
    received: &'a mut u32,
    configured: &'a mut bool,
}

impl Ear<'_> {
    fn rests(&self) -> bool {
        self.books.habit != Habit::Judge && self.books.judge.has_joined()
    }

    fn frame(&mut self, data: &MediaData) {
        let clock = self.books.clock;
        let arrival = match data.params.spec().codec {
            Codec::H264 => {
                let look = Look::at(&data.data, clock.mark());
                *self.configured |= look.configures;
                Arrival {
                    video: true,
                    starts: look.keyframe && *self.configured,
                    timestamp: wrap(data.time.numer()),
                    stamp: look.stamp,
                }
            }
            Codec::Opus => Arrival {
                video: false,
                starts: false,
                timestamp: wrap(data.time.numer()),
                stamp: opus::stamp(&data.data, clock.mark()),
            },
            _ => return,
        };
        let now = clock.nanos();
        self.books.judge.take(arrival, now, self.books.tally);
    }
}

impl Hear for Ear<'_> {
    fn datagram(&mut self, datagram: &[u8]) -> bool {
        let Some(header) = Header::parse(datagram) else {
            return true;
        };
        let tally = &mut *self.books.tally;
        let bytes = u32::try_from(datagram.len()).unwrap_or(0);
        *self.received = self.received.wrapping_add(bytes);
        tally.bytes += u64::from(bytes);
        tally.packets += 1;
        match self.sequences.note(header) {
            Order::Missing(lost) => tally.lost_packets += lost,
            Order::Late => tally.lost_packets = tally.lost_packets.saturating_sub(1),
        }
        !self.rests()
    }

    fn event(&mut self, event: Event) {
        if let Event::MediaData(data) = event {
            self.frame(&data);
        }
    }
}

/// RTP's clocks have 32 bits (RFC 3550 §5.1).
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn wrap(ticks: u64) -> u32 {
    ticks as u32
}
