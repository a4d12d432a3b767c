//! The session of a player by TCP: RTMP or FLV.

use crate::client::{Client, Role, Said};
use crate::flv::Flv;
use crate::link::Speak;
use crate::target::{Protocol, Target};

/// One session.
#[derive(Debug)]
pub(crate) enum Listener {
    Rtmp(Box<Client>),
    Flv(Box<Flv>),
}

impl Listener {
    /// A session that asks for stream `at` of `count`.
    pub(crate) fn new(target: &Target, at: usize, count: usize) -> Self {
        match target.protocol() {
            Protocol::HttpFlv | Protocol::WsFlv => Self::Flv(Box::new(Flv::new(target, at, count))),
            _ => {
                let stream = target.stream(at, count);
                Self::Rtmp(Box::new(Client::new(Role::Play, target, &stream)))
            }
        }
    }

    /// Consumes `input` up to the next thing that matters, or all of it.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> anyhow::Result<Option<Said>> {
        Ok(match self {
            Self::Rtmp(client) => client.feed(input)?,
            Self::Flv(flv) => flv.feed(input)?,
        })
    }

    /// Counts bytes that were read.
    pub(crate) fn count(&mut self, bytes: usize) {
        match self {
            Self::Rtmp(client) => client.count(bytes),
            Self::Flv(flv) => flv.count(bytes),
        }
    }

    /// Bytes that were counted, modulo 2^32.
    pub(crate) fn received(&self) -> u32 {
        match self {
            Self::Rtmp(client) => client.received(),
            Self::Flv(flv) => flv.received(),
        }
    }

    /// Forgets what only reading messages needs, once bytes are counted alone.
    pub(crate) fn stop_reading(&mut self) {
        match self {
            Self::Rtmp(client) => client.stop_reading(),
            Self::Flv(flv) => flv.stop_reading(),
        }
    }
}

impl Speak for Listener {
    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Rtmp(client) => &mut client.output,
            Self::Flv(flv) => &mut flv.output,
        }
    }
}
