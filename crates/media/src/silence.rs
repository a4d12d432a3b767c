//! Silent frames that stand in for muted audio.
//!
//! Players that clock on audio stall when it stops, so a muted stream keeps its rhythm with
//! frames of silence at the same timestamps. Plain AAC-LC in mono or stereo and Opus have such a
//! frame here: decoders of other profiles and layouts would not take it.

use std::borrow::Cow;

use crate::codec::AudioCodec;
use crate::opus;

/// Silence of one kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// AAC-LC of one channel.
    Mono,
    /// AAC-LC of two channels.
    Stereo,
    /// Opus.
    Opus,
}

impl Silence {
    /// The codec whose frames it may stand in for.
    pub fn codec(self) -> AudioCodec {
        match self {
            Self::Mono | Self::Stereo => AudioCodec::Aac,
            Self::Opus => AudioCodec::Opus,
        }
    }

    /// A silent frame: for AAC a `raw_data_block` (ISO/IEC 14496-3) of 1,024 samples at any rate,
    /// for Opus a packet of 20 ms.
    pub fn frame(self) -> &'static [u8] {
        match self {
            Self::Mono => &[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80],
            Self::Stereo => &[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80],
            Self::Opus => &[0xfc, 0xff, 0xfe],
        }
    }

    /// The silent frame in place of `frame`, which lasts as long. `None` where that cannot be told.
    pub fn in_place_of(self, frame: &[u8]) -> Option<Cow<'static, [u8]>> {
        match self {
            Self::Mono | Self::Stereo => Some(Cow::Borrowed(self.frame())),
            Self::Opus => opus::silence(frame).map(Cow::Owned),
        }
    }
}
