//! Silent AAC-LC frames that stand in for muted audio.
//!
//! Players that clock on audio stall when it stops, so a muted stream keeps its rhythm with
//! frames of silence at the same timestamps. Only plain AAC-LC in mono or stereo has such a
//! frame here: decoders of other profiles and layouts would not take it.

/// A silent frame for one channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// One channel.
    Mono,
    /// Two channels.
    Stereo,
}

impl Silence {
    /// The raw AAC frame (ISO/IEC 14496-3 `raw_data_block`), 1,024 silent samples at any rate.
    pub fn frame(self) -> &'static [u8] {
        match self {
            Self::Mono => &[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80],
            Self::Stereo => &[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80],
        }
    }
}
