//! A publisher: sends its stream on time, and says how late it was.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Client, Said};
use crate::clip::Clip;
use crate::clock::Clock;
use crate::link::Link;
use crate::source::{Shape, Source};

/// A publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) link: Link<Client>,
    shape: Shape,
    clip: Option<Arc<Clip>>,
    /// How long after the others its stream starts, so that not all send at once.
    phase: Duration,
    source: Option<Source>,
}

impl Publisher {
    pub(crate) fn new(
        link: Link<Client>,
        shape: Shape,
        clip: Option<Arc<Clip>>,
        phase: Duration,
    ) -> Self {
        Self {
            link,
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

    /// Reads what the server says.
    pub(crate) fn on_ready(&mut self, scratch: &mut [u8]) -> anyhow::Result<()> {
        while let Some(mut input) = self.link.read(scratch)? {
            if input.is_empty() {
                anyhow::bail!("the server closed the connection");
            }
            self.link.client.count(input.len());
            while let Some(said) = self.link.client.feed(&mut input)? {
                match said {
                    Said::Started => self.start(),
                    Said::Media(_) => {}
                    Said::Over => anyhow::bail!("the server ended the stream"),
                }
            }
        }
        Ok(self.link.flush()?)
    }

    fn start(&mut self) {
        let source = Source::new(self.shape, self.clip.clone(), Instant::now() + self.phase);
        for (kind, header) in source.headers() {
            self.link.client.send(kind, 0, &header);
        }
        self.source = Some(source);
    }

    /// Sends what is due at `now`; returns how late the latest of it was.
    pub(crate) fn send(&mut self, now: Instant, clock: &Clock) -> io::Result<Duration> {
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
            self.link.client.send(due.kind, due.timestamp, &payload);
        }
        self.link.flush()?;
        Ok(late)
    }
}
