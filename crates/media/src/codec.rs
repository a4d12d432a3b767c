//! The names of codecs, as FLV codec ids and as FourCCs of enhanced RTMP.

use std::fmt;

/// A video codec, known by its FLV codec id or its FourCC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// Sorenson H.263, FLV codec id 2.
    Sorenson,
    /// On2 VP6, FLV codec ids 4 and 5.
    Vp6,
    /// H.264, FLV codec id 7 or `avc1`.
    Avc,
    /// H.265, `hvc1`, or FLV codec id 12 of the older dialect.
    Hevc,
    /// H.266, `vvc1`.
    Vvc,
    /// AV1, `av01`.
    Av1,
    /// VP8, `vp08`.
    Vp8,
    /// VP9, `vp09`.
    Vp9,
    /// Another FLV codec id.
    OtherId(u8),
    /// Another FourCC.
    OtherFourCc([u8; 4]),
}

impl VideoCodec {
    /// By the codec id of the old FLV video tag header (FLV 10.1 §E.4.3.1).
    pub fn from_id(id: u8) -> Self {
        match id {
            2 => Self::Sorenson,
            4 | 5 => Self::Vp6,
            7 => Self::Avc,
            12 => Self::Hevc,
            other => Self::OtherId(other),
        }
    }

    /// By FourCC (E-RTMP v2, "Extended VideoTagHeader").
    pub fn from_fourcc(fourcc: [u8; 4]) -> Self {
        match &fourcc {
            b"avc1" => Self::Avc,
            b"hvc1" => Self::Hevc,
            b"vvc1" => Self::Vvc,
            b"av01" => Self::Av1,
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            _ => Self::OtherFourCc(fourcc),
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sorenson => "H.263",
            Self::Vp6 => "VP6",
            Self::Avc => "H.264",
            Self::Hevc => "HEVC",
            Self::Vvc => "VVC",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::OtherId(id) => return write!(f, "codec id {id}"),
            Self::OtherFourCc(fourcc) => return write!(f, "{}", fourcc.escape_ascii()),
        })
    }
}

/// An audio codec, known by its FLV sound format or its FourCC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// Linear PCM, sound formats 0 and 3.
    Pcm,
    /// ADPCM, sound format 1.
    Adpcm,
    /// MP3, sound formats 2 and 14, or `.mp3`.
    Mp3,
    /// Nellymoser, sound formats 4 to 6.
    Nellymoser,
    /// G.711 A-law, sound format 7.
    G711A,
    /// G.711 µ-law, sound format 8.
    G711U,
    /// AAC, sound format 10 or `mp4a`.
    Aac,
    /// Speex, sound format 11.
    Speex,
    /// Opus, `Opus`.
    Opus,
    /// FLAC, `fLaC`.
    Flac,
    /// AC-3, `ac-3`.
    Ac3,
    /// E-AC-3, `ec-3`.
    Eac3,
    /// Another FLV sound format.
    OtherId(u8),
    /// Another FourCC.
    OtherFourCc([u8; 4]),
}

impl AudioCodec {
    /// By the sound format of the old FLV audio tag header (FLV 10.1 §E.4.2.1).
    pub fn from_id(id: u8) -> Self {
        match id {
            0 | 3 => Self::Pcm,
            1 => Self::Adpcm,
            2 | 14 => Self::Mp3,
            4..=6 => Self::Nellymoser,
            7 => Self::G711A,
            8 => Self::G711U,
            10 => Self::Aac,
            11 => Self::Speex,
            other => Self::OtherId(other),
        }
    }

    /// By FourCC (E-RTMP v2, "Extended AudioTagHeader").
    pub fn from_fourcc(fourcc: [u8; 4]) -> Self {
        match &fourcc {
            b"mp4a" => Self::Aac,
            b"Opus" => Self::Opus,
            b"fLaC" => Self::Flac,
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            b".mp3" => Self::Mp3,
            _ => Self::OtherFourCc(fourcc),
        }
    }
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcm => "PCM",
            Self::Adpcm => "ADPCM",
            Self::Mp3 => "MP3",
            Self::Nellymoser => "Nellymoser",
            Self::G711A => "G.711 A-law",
            Self::G711U => "G.711 µ-law",
            Self::Aac => "AAC",
            Self::Speex => "Speex",
            Self::Opus => "Opus",
            Self::Flac => "FLAC",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::OtherId(id) => return write!(f, "sound format {id}"),
            Self::OtherFourCc(fourcc) => return write!(f, "{}", fourcc.escape_ascii()),
        })
    }
}
