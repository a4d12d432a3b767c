//! A publisher: sends its stream on time, and says how late it was.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_rtmp::chunk::kind;
use mio::{Registry, Token};
use str0m::Event;

use crate::client::{Client, Said};
use crate::clip::Clip;
use crate::clock::Clock;
use crate::link::Link;
use crate::picture;
use crate::rtc::{Hear, Session};
use crate::source::{Shape, Sound, Source};

/// How a publisher's stream goes to the server.
#[derive(Debug)]
pub(crate) enum Way {
    Rtmp(Box<Link<Client>>),
    Whip(Box<Session>),
}

/// A publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    way: Way,
    shape: Shape,
    clip: Option<Arc<Clip>>,
    /// How long after the others its stream starts, so that not all send at once.
    phase: Duration,
    source: Option<Source>,
}

/// A publisher by WebRTC has nothing to hear: str0m does what its server asks for.
struct Deaf;

impl Hear for Deaf {
    fn datagram(&mut self, _: &[u8]) -> bool {
        true
    }

    fn event(&mut self, _: Event) {}
}

impl Publisher {
    pub(crate) fn new(way: Way, shape: Shape, clip: Option<Arc<Clip>>, phase: Duration) -> Self {
        Self {
            way,
            shape,
            clip,
            phase,
            source: None,
        }
    }

    pub(crate) fn is_publishing(&self) -> bool {
        self.source.is_some()
    }

    /// When its next message goes out.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.source.as_ref().map(|source| source.due().at)
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.way {
            Way::Rtmp(link) => link.register(registry, token),
            Way::Whip(session) => session.register(registry, token),
        }
    }

    /// When [`Self::drive`] is due, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.way {
            Way::Rtmp(_) => None,
            Way::Whip(session) => Some(session.deadline()),
        }
    }

    /// Does what is due at `now` beside sending frames.
    pub(crate) fn drive(&mut self, now: Instant) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Rtmp(_) => Ok(()),
            Way::Whip(session) => session.drive(now, &mut Deaf),
        }
    }

    /// Reads what the server says.
    pub(crate) fn on_ready(&mut self, scratch: &mut [u8]) -> anyhow::Result<()> {
        let started = match &mut self.way {
            Way::Rtmp(link) => hear(link, scratch)?,
            Way::Whip(session) => {
                session.on_ready(scratch, &mut Deaf)?;
                session.is_connected()
            }
        };
        if started && self.source.is_none() {
            self.start();
        }
        match &mut self.way {
            Way::Rtmp(link) => Ok(link.flush()?),
            Way::Whip(_) => Ok(()),
        }
    }

    fn start(&mut self) {
        let sound = match &self.way {
            Way::Rtmp(_) => Sound::Aac,
            Way::Whip(_) => Sound::Opus,
        };
        let start = Instant::now() + self.phase;
        let source = Source::new(self.shape, sound, self.clip.clone(), start);
        if let Way::Rtmp(link) = &mut self.way {
            for (kind, header) in source.headers() {
                link.client.send(kind, 0, &header);
            }
        }
        self.source = Some(source);
    }

    /// Sends what is due at `now`; returns how late the latest of it was.
    pub(crate) fn send(&mut self, now: Instant, clock: &Clock) -> anyhow::Result<Duration> {
        let Some(source) = &mut self.source else {
            return Ok(Duration::ZERO);
        };
        let mut late = Duration::ZERO;
        let mut payload = Vec::new();
        loop {
            let due = source.due();
            if due.at > now {
                break;
            }
            late = late.max(now.saturating_duration_since(due.at));
            payload.clear();
            source.write(&mut payload, clock.nanos(), clock.mark());
            match &mut self.way {
                Way::Rtmp(link) => link.client.send(due.kind, due.timestamp, &payload),
                Way::Whip(session) if due.kind == kind::VIDEO => {
                    let frame = picture::byte_stream(&payload);
                    session.send(true, due.time, frame, &mut Deaf)?;
                }
                Way::Whip(session) => {
                    session.send(false, due.time, payload.as_slice(), &mut Deaf)?;
                }
            }
        }
        if let Way::Rtmp(link) = &mut self.way {
            link.flush()?;
        }
        Ok(late)
    }
}

/// Reads what a server says by RTMP; whether it said that publishing has started.
fn hear(link: &mut Link<Client>, scratch: &mut [u8]) -> anyhow::Result<bool> {
    let mut started = false;
    while let Some(mut input) = link.read(scratch)? {
        if input.is_empty() {
            anyhow::bail!("the server closed the connection");
        }
        link.client.count(input.len());
        while let Some(said) = link.client.feed(&mut input)? {
            match said {
                Said::Started => started = true,
                Said::Media(_) => {}
                Said::Over => anyhow::bail!("the server ended the stream"),
            }
        }
    }
    Ok(started)
}
