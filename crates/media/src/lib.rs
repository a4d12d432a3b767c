//! What flows through a node: packets, tracks, codecs, FLV tag bodies, sequence headers.
//!
//! No IO and no clock of its own. A [`Packet`] is classified once, when it is built, and never
//! changes after that, so every reader of a ring shares it without a lock.

pub mod av1;
pub mod avc;
pub mod bits;
pub mod codec;
pub mod flv;
pub mod hevc;
pub mod opus;
pub mod packet;
pub mod sequence;
pub mod silence;
pub mod tag;
pub mod vp9;

pub use packet::{Class, Companion, Head, Packet, Slices, Track, classify};
