//! Sound between AAC and Opus: decoded, brought to 48 kHz in time with its stream, and encoded.
//!
//! No IO and no clock of its own. Invariants: what comes out is within 20 ms of the timestamps that
//! went in, however fast the publisher's clock runs; what a peer sends makes no codec panic beyond
//! this crate, and what does not decode is left out.

mod codec;
mod follow;
mod to_aac;
mod to_opus;

pub use to_aac::ToAac;
pub use to_opus::ToOpus;

/// Samples a second of everything that comes out.
pub const RATE: u32 = 48_000;

/// What comes out has two channels: what browsers and players all take.
const CHANNELS: usize = 2;

/// One coded packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// When it begins on the stream's timeline, in ticks of 1/48,000 s.
    pub time: u64,
    /// The packet, without a container.
    pub data: Vec<u8>,
}

/// Why there is no transcoder for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this sound cannot be transcoded: its configuration is none that is known here")]
pub struct Unsupported;
