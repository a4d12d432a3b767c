//! A player: reads a stream and judges it, or only counts its bytes, or stops reading.

use std::io;
use std::mem::MaybeUninit;
use std::time::Instant;

use lockgate_media::flv::{Part, VideoTag};
use lockgate_rtmp::chunk::{Message, kind};
use mio::{Registry, Token};

use crate::client::Said;
use crate::clock::Clock;
use crate::habit::Habit;
use crate::judge::{Arrival, Judge};
use crate::link::Link;
use crate::listener::Listener;
use crate::picture;
use crate::sound;
use crate::tally::Tally;
use crate::viewer::{Books, Viewer};

/// Bytes of one read.
const READ: usize = 256 << 10;

/// What all connections of a run read into.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) read: Vec<u8>,
    /// Says how much to discard at a time; nothing is ever written to it.
    discarded: Vec<MaybeUninit<u8>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            read: vec![0; READ],
            discarded: vec![MaybeUninit::uninit(); 4 * READ],
        }
    }
}

/// How its stream comes to a player.
#[derive(Debug)]
pub(crate) enum Way {
    Tcp(Link<Listener>),
    Whep(Box<Viewer>),
}

/// A player.
#[derive(Debug)]
pub(crate) struct Player {
    way: Way,
    habit: Habit,
    /// What its link had received when measuring began.
    begun: u32,
    judge: Judge,
}

impl Player {
    pub(crate) fn new(way: Way, habit: Habit) -> Self {
        Self {
            way,
            habit,
            begun: 0,
            judge: Judge::new(),
        }
    }

    pub(crate) fn habit(&self) -> Habit {
        self.habit
    }

    /// Whether its first frame has come.
    pub(crate) fn has_joined(&self) -> bool {
        self.judge.has_joined()
    }

    /// Starts the time that is measured.
    pub(crate) fn begin(&mut self) {
        self.begun = self.received();
    }

    /// Bytes since [`Self::begin`]; within a run of minutes they do not wrap.
    pub(crate) fn got(&self) -> u32 {
        self.received().wrapping_sub(self.begun)
    }

    fn received(&self) -> u32 {
        match &self.way {
            Way::Tcp(link) => link.client.received(),
            Way::Whep(viewer) => viewer.received(),
        }
    }

    /// Video frames it has judged.
    pub(crate) fn frames(&self) -> u64 {
        self.judge.frames()
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(link) => link.register(registry, token),
            Way::Whep(viewer) => viewer.session().register(registry, token),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(link) => link.deregister(registry),
            Way::Whep(viewer) => viewer.session().deregister(registry),
        }
    }

    /// When [`Self::drive`] is due, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.way {
            Way::Whep(viewer) if !self.stalls() => Some(viewer.deadline()),
            _ => None,
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn drive(
        &mut self,
        now: Instant,
        clock: &Clock,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let Way::Whep(viewer) = &mut self.way else {
            return Ok(());
        };
        let books = Books {
            judge: &mut self.judge,
            habit: self.habit,
            clock,
            tally,
        };
        viewer.drive(now, books)
    }

    /// Reads what is there. `closed` says that the server closed its side, so that the end must be
    /// read now.
    pub(crate) fn on_ready(
        &mut self,
        scratch: &mut Scratch,
        closed: bool,
        clock: &Clock,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let skims = self.habit == Habit::Count && self.has_joined();
        let stalls = self.habit == Habit::Stall;
        let link = match &mut self.way {
            Way::Tcp(link) => link,
            Way::Whep(viewer) => {
                let books = Books {
                    judge: &mut self.judge,
                    habit: self.habit,
                    clock,
                    tally,
                };
                return viewer.on_ready(&mut scratch.read, books);
            }
        };
        if skims {
            return skim(link, &mut scratch.discarded, closed, tally);
        }
        let room = scratch.read.len();
        while let Some(input) = link.read(&mut scratch.read)? {
            if input.is_empty() {
                anyhow::bail!("the server closed the connection");
            }
            let count = input.len();
            tally.bytes += count as u64;
            link.client.count(count);
            let judged = Judged {
                habit: self.habit,
                judge: &mut self.judge,
                clock,
            };
            judged.read(&mut link.client, input, tally)?;
            // A short read leaves the socket empty, so the next event is a new one.
            if (stalls && self.judge.has_joined()) || (count < room && !closed) {
                break;
            }
        }
        Ok(link.flush()?)
    }

    /// Whether it has stopped reading.
    fn stalls(&self) -> bool {
        self.habit == Habit::Stall && self.has_joined()
    }
}

/// Counts what is there: what most players do all the time, so no copy, no clock, no allocation.
fn skim(
    link: &mut Link<Listener>,
    room: &mut [MaybeUninit<u8>],
    closed: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    while let Some(count) = link.discard(room)? {
        if count == 0 {
            anyhow::bail!("the server closed the connection");
        }
        tally.bytes += count as u64;
        link.client.count(count);
        if count < room.len() && !closed {
            break;
        }
    }
    Ok(link.flush()?)
}

/// What the bytes of a link are judged with.
struct Judged<'a> {
    habit: Habit,
    judge: &'a mut Judge,
    clock: &'a Clock,
}

impl Judged<'_> {
    fn read(
        self,
        client: &mut Listener,
        mut input: &[u8],
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let now = self.clock.nanos();
        if self.judge.has_joined() {
            tally.judged_bytes += input.len() as u64;
        }
        while let Some(said) = client.feed(&mut input)? {
            match said {
                Said::Started => {}
                Said::Media(message) => {
                    let arrival = self.arrival(&message);
                    self.judge.take(arrival, now, tally);
                }
                Said::Over => anyhow::bail!("the stream is over"),
            }
            if self.habit != Habit::Judge && self.judge.has_joined() {
                client.stop_reading();
                break;
            }
        }
        Ok(())
    }

    fn arrival(&self, message: &Message) -> Arrival {
        let payload = &message.payload;
        let video = message.kind == kind::VIDEO;
        let starts = video
            && !self.judge.has_joined()
            && VideoTag::parse(payload)
                .is_some_and(|tag| tag.keyframe && matches!(tag.part, Part::Frame));
        let mark = self.clock.mark();
        Arrival {
            video,
            starts,
            timestamp: message.timestamp,
            stamp: if video {
                picture::stamp(payload, mark)
            } else {
                sound::stamp(payload, mark)
            },
        }
    }
}
