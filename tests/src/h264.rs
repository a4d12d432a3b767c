//! H.264 as tests compare it: a frame is its NAL units, whatever they came wrapped in.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use lockgate_media::flv::{Part, VideoTag};

use crate::clips::Clip;
use crate::flv::{self, Kind, Tag};

/// The type of a NAL unit that is a slice of a picture that decodes by itself.
pub const IDR: u8 = 5;
/// The type of a sequence parameter set.
pub const SPS: u8 = 7;
/// The type of a picture parameter set.
pub const PPS: u8 = 8;

/// A coded frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its NAL units, without lengths or start codes.
    pub units: Vec<Bytes>,
}

impl Frame {
    /// Reads NAL units that each follow their length in 4 bytes.
    ///
    /// # Errors
    /// They do not fill the bytes.
    pub fn parse(mut bytes: Bytes) -> Result<Self> {
        let mut units = Vec::new();
        while let Some(length) = bytes.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*length) as usize;
            ensure!(
                (5..=bytes.len()).contains(&end),
                "a NAL unit up to {end} of {}",
                bytes.len()
            );
            units.push(bytes.split_to(end).slice(4..));
        }
        ensure!(bytes.is_empty(), "{bytes:?} after the last NAL unit");
        Ok(Self { units })
    }

    /// The frame in a tag; `None` in one that has none.
    ///
    /// # Errors
    /// It is not H.264.
    pub fn of(tag: &Tag) -> Result<Option<Self>> {
        let head = VideoTag::parse(&tag.body).filter(|_| tag.kind == Kind::Video);
        let Some(head) = head.filter(|it| it.part == Part::Frame) else {
            return Ok(None);
        };
        let data = head.data.context("no contiguous data")?;
        Self::parse(tag.body.slice(data..)).map(Some)
    }

    /// Whether a NAL unit of this type is in it.
    pub fn has(&self, kind: u8) -> bool {
        self.units.iter().any(|unit| kind_of(unit) == kind)
    }

    /// The NAL units that are the picture: what stands beside them may be moved, left out and repeated.
    pub fn slices(&self) -> Vec<&Bytes> {
        let units = self.units.iter();
        units
            .filter(|unit| (1..=IDR).contains(&kind_of(unit)))
            .collect()
    }

    /// The frame as encoders give it: each NAL unit after a start code.
    pub fn annex_b(&self) -> Bytes {
        let units = self.units.iter();
        units
            .flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat())
            .collect()
    }
}

fn kind_of(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |first| first & 0x1f)
}

/// The frames of a clip, its parameter sets in each that decodes by itself.
///
/// # Errors
/// The clip cannot be made or read, or is not H.264.
pub fn frames(clip: Clip) -> Result<Vec<Frame>> {
    let tags = flv::of_kind(&flv::read_flv(clip.path()?)?, Kind::Video);
    let header = tags.first().context("an empty clip")?;
    let sets = parameter_sets(&header.body).context("no parameter sets")?;
    let mut frames = Vec::new();
    for tag in &tags {
        let Some(mut frame) = Frame::of(tag)? else {
            continue;
        };
        if frame.has(IDR) {
            frame.units.splice(0..0, sets.iter().cloned());
        }
        frames.push(frame);
    }
    Ok(frames)
}

/// What an AVC sequence header holds (ISO/IEC 14496-15 §5.3.3.1), one set of each kind.
fn parameter_sets(header: &Bytes) -> Option<[Bytes; 2]> {
    let set = |at: usize| {
        let length = header.get(at..)?.first_chunk::<2>()?;
        let end = at + 2 + usize::from(u16::from_be_bytes(*length));
        (end <= header.len()).then(|| (header.slice(at + 2..end), end))
    };
    // The tag's own head is 5 bytes, and 6 of the record's stand before the length.
    let (sps, end) = set(11)?;
    let (pps, _) = set(end + 1)?;
    Some([sps, pps])
}

/// Holds what came against a clip that is played round and round: a picture that decodes by itself with
/// its parameter sets, then one after the other to the last bit; `restarts` says whether the clip may
/// begin anew at any time.
///
/// # Errors
/// It says which frame is another.
pub fn follows(clip: &[Frame], came: &[Frame], restarts: bool) -> Result<()> {
    let first = came.first().context("no frame came")?;
    ensure!(first.has(IDR), "it does not begin with a keyframe");
    let mut at = clip.iter().position(|it| it.slices() == first.slices());
    for (index, frame) in came.iter().enumerate() {
        let here = at.with_context(|| format!("frame {index} is not the clip's"))?;
        let is = |place: usize| clip.get(place).map(Frame::slices) == Some(frame.slices());
        let place = match is(here) {
            true => here,
            false if restarts && is(0) => 0,
            false => {
                let other = clip.iter().position(|it| it.slices() == frame.slices());
                anyhow::bail!("frame {index} is the clip's {other:?} and not {here}")
            }
        };
        at = Some((place + 1) % clip.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip() -> Vec<Frame> {
        frames(Clip::H264Aac).unwrap()
    }

    #[test]
    fn a_clips_frames_carry_their_parameter_sets_and_come_back_from_their_lengths() {
        let clip = clip();
        assert_eq!(clip.len(), 300);
        let keys = clip.iter().filter(|it| it.has(IDR));
        assert_eq!(keys.clone().count(), 10);
        assert!(keys.clone().all(|it| it.has(SPS) && it.has(PPS)));
        for frame in &clip {
            let units = frame.units.iter();
            let with_lengths: Vec<u8> = units
                .flat_map(|it| [&u32::try_from(it.len()).unwrap().to_be_bytes(), &it[..]].concat())
                .collect();
            assert_eq!(&Frame::parse(with_lengths.into()).unwrap(), frame);
        }
        assert!(Frame::parse(Bytes::from_static(&[0, 0, 0, 9, 1])).is_err());
        assert!(Frame::parse(Bytes::from_static(&[0, 0, 0, 1, 1, 0])).is_err());
    }

    #[test]
    fn a_frame_that_is_lost_repeated_or_changed_is_noticed() {
        let clip = clip();
        let from_a_key = [&clip[270..], &clip[..5]].concat();
        follows(&clip, &from_a_key, false).unwrap();
        assert!(follows(&clip, &clip[1..9], false).is_err());
        assert!(follows(&clip, &[], false).is_err());
        let lost = [&clip[..3], &clip[4..9]].concat();
        assert!(follows(&clip, &lost, true).is_err());
        let repeated = [&clip[..3], &clip[2..9]].concat();
        assert!(follows(&clip, &repeated, true).is_err());
        let anew = [&clip[..3], &clip[..9]].concat();
        assert!(follows(&clip, &anew, false).is_err());
        follows(&clip, &anew, true).unwrap();
        let mut changed = clip[..9].to_vec();
        changed[5].units.pop();
        assert!(follows(&clip, &changed, true).is_err());
    }
}
