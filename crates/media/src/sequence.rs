//! What sequence headers say: resolution, sample rate, channels.
//!
//! Shown to operators and used to choose a silent stand-in; never needed to relay. A header that
//! cannot be read leaves its fields unknown.

use crate::av1::sequence::Head;
use crate::bits::{BitReader, unescape};
use crate::codec::{AudioCodec, VideoCodec};
use crate::flv::{AudioTag, VideoTag};
use crate::silence::Silence;

/// The format of a video track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoFormat {
    /// Codec.
    pub codec: VideoCodec,
    /// Width and height in pixels as shown, where the header tells.
    pub size: Option<(u32, u32)>,
}

impl VideoFormat {
    /// Reads the format from a video tag body that carries a sequence header or a frame.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let tag = VideoTag::parse(body)?;
        let codec = tag.codec?;
        let record = match tag.part {
            crate::flv::Part::Header(_) => tag.data.and_then(|at| body.get(at..)),
            _ => None,
        };
        let size = record.and_then(|record| match codec {
            VideoCodec::Avc => avc_size(record),
            VideoCodec::Hevc => hevc_size(record),
            VideoCodec::Av1 => av1_size(record),
            _ => None,
        });
        Some(Self { codec, size })
    }
}

/// The format of an audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormat {
    /// Codec.
    pub codec: AudioCodec,
    /// Samples a second, where the header tells.
    pub sample_rate: Option<u32>,
    /// Channels, where the header tells.
    pub channels: Option<u8>,
    /// AAC without SBR, PS or another extension: object type 2.
    pub plain_aac_lc: bool,
}

impl AudioFormat {
    /// Reads the format from an audio tag body that carries a sequence header or a frame.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let tag = AudioTag::parse(body)?;
        let codec = tag.codec?;
        let unknown = Self {
            codec,
            sample_rate: None,
            channels: None,
            plain_aac_lc: false,
        };
        let header = match tag.part {
            crate::flv::Part::Header(_) => tag.data.and_then(|at| body.get(at..)),
            _ => None,
        };
        let read = header.and_then(|header| match codec {
            AudioCodec::Aac => aac(header),
            AudioCodec::Opus => opus(header),
            _ => None,
        });
        Some(read.unwrap_or(unknown))
    }

    /// The silent frame that may stand in for this format, if there is one.
    pub fn silence(&self) -> Option<Silence> {
        if self.codec == AudioCodec::Opus {
            return Some(Silence::Opus);
        }
        match (self.plain_aac_lc, self.channels) {
            (true, Some(1)) => Some(Silence::Mono),
            (true, Some(2)) => Some(Silence::Stereo),
            _ => None,
        }
    }
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1) → size of its first SPS.
fn avc_size(record: &[u8]) -> Option<(u32, u32)> {
    if record.get(5)? & 0x1f == 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(record.get(6..8)?.try_into().ok()?));
    avc_sps_size(&unescape(record.get(8..8 + length)?))
}

/// `seq_parameter_set_data` (ISO/IEC 14496-10 §7.3.2.1.1), as far as the cropping window.
fn avc_sps_size(sps: &[u8]) -> Option<(u32, u32)> {
    let mut r = BitReader::new(sps.get(1..)?);
    let profile = r.bits(8)?;
    r.skip(16)?;
    r.ue()?;
    let mut chroma = 1;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = r.ue()?;
        if chroma == 3 {
            r.skip(1)?;
        }
        r.ue()?;
        r.ue()?;
        r.skip(1)?;
        if r.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if r.flag()? {
                    skip_scaling_list(&mut r, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    r.ue()?;
    match r.ue()? {
        0 => {
            r.ue()?;
        }
        1 => {
            r.skip(1)?;
            r.se()?;
            r.se()?;
            // Each offset takes at least one bit, so the data bounds the loop.
            for _ in 0..r.ue()? {
                r.se()?;
            }
        }
        _ => {}
    }
    r.ue()?;
    r.skip(1)?;
    let width = r.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_height = r.ue()?.checked_add(1)?;
    let frames_only = r.flag()?;
    if !frames_only {
        r.skip(1)?;
    }
    r.skip(1)?;
    let field = if frames_only { 1 } else { 2 };
    let height = map_height.checked_mul(16)?.checked_mul(field)?;
    let (mut x, mut y) = (0, 0);
    if r.flag()? {
        let unit_x = if chroma == 1 || chroma == 2 { 2 } else { 1 };
        let unit_y = if chroma == 1 { 2 * field } else { field };
        x = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit_x)?;
        y = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit_y)?;
    }
    Some((width.checked_sub(x)?, height.checked_sub(y)?))
}

fn skip_scaling_list(r: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + r.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1) → size of its first SPS.
fn hevc_size(record: &[u8]) -> Option<(u32, u32)> {
    let mut at = 23;
    for _ in 0..*record.get(22)? {
        let kind = record.get(at)? & 0x3f;
        let count = u16::from_be_bytes(record.get(at + 1..at + 3)?.try_into().ok()?);
        at += 3;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes(record.get(at..at + 2)?.try_into().ok()?));
            let nal = record.get(at + 2..at + 2 + length)?;
            if kind == 33 {
                return HevcSps::read(&unescape(nal))?.size;
            }
            at += 2 + length;
        }
    }
    None
}

/// `seq_parameter_set_rbsp` (ITU-T H.265 §7.3.2.2.1), as far as the depth of samples.
pub(crate) struct HevcSps {
    pub(crate) sub_layers: u32,
    pub(crate) nested: bool,
    /// `chroma_format_idc`.
    pub(crate) chroma: u32,
    size: Option<(u32, u32)>,
    /// Bits beyond 8 of luma and chroma samples.
    pub(crate) depth: Option<(u32, u32)>,
}

impl HevcSps {
    /// Reads a NAL unit without emulation prevention bytes.
    pub(crate) fn read(sps: &[u8]) -> Option<Self> {
        let mut r = BitReader::new(sps.get(2..)?);
        r.skip(4)?;
        let sub_layers = r.bits(3)?;
        let nested = r.flag()?;
        // general profile, tier and level: 88 bits and 8 bits of level.
        r.skip(96)?;
        let mut present = Vec::new();
        for _ in 0..sub_layers {
            present.push((r.flag()?, r.flag()?));
        }
        if sub_layers > 0 {
            r.skip(2 * (8 - sub_layers as usize))?;
        }
        for (profile, level) in present {
            r.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
        r.ue()?;
        let chroma = r.ue()?;
        if chroma == 3 {
            r.skip(1)?;
        }
        let (width, height) = (r.ue()?, r.ue()?);
        let (mut x, mut y) = (0, 0);
        if r.flag()? {
            let unit_x = if chroma == 1 || chroma == 2 { 2 } else { 1 };
            let unit_y = if chroma == 1 { 2 } else { 1 };
            x = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit_x)?;
            y = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit_y)?;
        }
        let size = width.checked_sub(x).zip(height.checked_sub(y));
        let depth = r.ue().zip(r.ue());
        Some(Self {
            sub_layers,
            nested,
            chroma,
            size,
            depth,
        })
    }
}

/// `AV1CodecConfigurationRecord` (AV1-ISOBMFF §2.3.3) → size in its sequence header OBU.
fn av1_size(record: &[u8]) -> Option<(u32, u32)> {
    let obu = record.get(4..)?;
    let &header = obu.first()?;
    // The OBU type 1 is a sequence header; an extension byte and a leb128 size may follow.
    if header >> 3 & 0x0f != 1 {
        return None;
    }
    let mut at = if header & 0x04 != 0 { 2 } else { 1 };
    if header & 0x02 != 0 {
        while obu.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    let head = Head::read(&mut BitReader::new(obu.get(at..)?))?;
    Some(head.size)
}

const AAC_RATES: [u32; 13] = [
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];

/// `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1), with the SBR extension at its end.
fn aac(config: &[u8]) -> Option<AudioFormat> {
    let mut r = BitReader::new(config);
    let object_type = aac_object_type(&mut r)?;
    let sample_rate = aac_rate(&mut r)?;
    let channels = r.bits(4)?;
    let mut plain = object_type == 2;
    if plain {
        // GASpecificConfig: a frame of 960 samples has another silence, and so has a core coder.
        let short_frames = r.flag()?;
        let core_coder = r.flag()?;
        plain = !short_frames && !core_coder;
        r.skip(1)?;
        // A backward compatible SBR extension follows behind the sync word 0x2b7.
        if r.left() >= 16 && r.bits(11)? == 0x2b7 {
            plain &= !(aac_object_type(&mut r)? == 5 && r.flag()?);
        }
    }
    let channels = match channels {
        1..=6 => u8::try_from(channels).ok(),
        7 => Some(8),
        _ => None,
    };
    Some(AudioFormat {
        codec: AudioCodec::Aac,
        sample_rate,
        channels,
        plain_aac_lc: plain,
    })
}

fn aac_object_type(r: &mut BitReader<'_>) -> Option<u32> {
    match r.bits(5)? {
        31 => Some(32 + r.bits(6)?),
        other => Some(other),
    }
}

fn aac_rate(r: &mut BitReader<'_>) -> Option<Option<u32>> {
    match r.bits(4)? {
        15 => Some(Some(r.bits(24)?)),
        index => Some(AAC_RATES.get(index as usize).copied()),
    }
}

/// `OpusHead` (RFC 7845 §5.1); some publishers leave the magic out.
fn opus(header: &[u8]) -> Option<AudioFormat> {
    let head = header.strip_prefix(b"OpusHead").unwrap_or(header);
    let channels = head.get(1).copied();
    Some(AudioFormat {
        codec: AudioCodec::Opus,
        sample_rate: Some(48_000),
        channels,
        plain_aac_lc: false,
    })
}

#[cfg(test)]
mod tests;
