//! FLV files as tests compare them: tags in file order, with their bodies untouched.
//!
//! Reads what the specification's Annex E.3 and E.4 describe; no body is interpreted, so every codec and
//! the enhanced dialect pass.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;

/// What a tag carries, by its tag type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18: metadata and other script data.
    Script,
}

/// One tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: Kind,
    /// In milliseconds, with the extended byte as its highest.
    pub timestamp: u32,
    /// The tag body: what an RTMP message carries as its payload.
    pub body: Bytes,
}

/// Where two lists of tags part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Index of the first pair that differs.
    pub index: usize,
    /// What stands there on the left and on the right, `None` where that list has ended; timestamps are
    /// relative to each list's first tag.
    pub left: Option<Tag>,
    /// See `left`.
    pub right: Option<Tag>,
}

/// Reads every tag of the FLV file at `path`.
///
/// A last tag that was cut short is left out: a recorder that was killed leaves one.
pub fn read_flv(path: impl AsRef<Path>) -> Result<Vec<Tag>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    parse(Bytes::from(bytes)).with_context(|| format!("reading {}", path.display()))
}

/// Writes tags of audio and video as an FLV file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_flv(path: impl AsRef<Path>, tags: &[Tag]) -> Result<()> {
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        let length = u32::try_from(tag.body.len())?;
        let [_, size @ ..] = length.to_be_bytes();
        let [high, time @ ..] = tag.timestamp.to_be_bytes();
        bytes.push(if tag.kind == Kind::Audio { 8 } else { 9 });
        bytes.extend(size);
        bytes.extend(time);
        bytes.extend([high, 0, 0, 0]);
        bytes.extend(&tag.body);
        bytes.extend((length + 11).to_be_bytes());
    }
    Ok(std::fs::write(path, bytes)?)
}

/// Reads every tag of an FLV stream, with the same leave for the last one.
pub fn parse(mut bytes: Bytes) -> Result<Vec<Tag>> {
    let Some((header, _)) = bytes.split_first_chunk::<9>() else {
        bail!("no FLV header in {} bytes", bytes.len())
    };
    let [b'F', b'L', b'V', 1, _, offset @ ..] = *header else {
        bail!("not an FLV version 1 header: {header:02x?}")
    };
    // The previous tag's size, always 0 here, follows the header.
    skip(&mut bytes, u32::from_be_bytes(offset) as usize + 4)?;
    let mut tags = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<11>() {
        let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *head;
        let kind = match kind & 0x1f {
            8 => Kind::Audio,
            9 => Kind::Video,
            18 => Kind::Script,
            other => bail!("tag {} has the unknown type {other}", tags.len()),
        };
        let size = u32::from_be_bytes([0, s0, s1, s2]) as usize;
        if bytes.len() < 11 + size {
            break;
        }
        let body = bytes.slice(11..11 + size);
        tags.push(Tag {
            kind,
            timestamp: u32::from_be_bytes([t3, t0, t1, t2]),
            body,
        });
        let step = (11 + size + 4).min(bytes.len());
        skip(&mut bytes, step)?;
    }
    Ok(tags)
}

/// The tags of one kind, in order.
pub fn of_kind(tags: &[Tag], kind: Kind) -> Vec<Tag> {
    tags.iter()
        .filter(|tag| tag.kind == kind)
        .cloned()
        .collect()
}

/// The tail of `tags` that begins with the tag that has `first`'s kind and body, whatever its timestamp.
///
/// Lines up what a player that joined late has got with what was pushed.
pub fn starting_with<'a>(tags: &'a [Tag], first: &Tag) -> Option<&'a [Tag]> {
    let start = tags
        .iter()
        .position(|tag| tag.kind == first.kind && tag.body == first.body)?;
    tags.get(start..)
}

/// The first place where `left` and `right` differ in kind, body, or time since the list's first tag.
///
/// `None` when they are equal to the last bit, length included.
pub fn first_difference(left: &[Tag], right: &[Tag]) -> Option<Difference> {
    let longest = left.len().max(right.len());
    (0..longest).find_map(|index| {
        let (a, b) = (relative(left, index), relative(right, index));
        (a != b).then_some(Difference {
            index,
            left: a,
            right: b,
        })
    })
}

/// The first tag whose timestamp is lower than that of the tag of its kind before it, with its index.
pub fn first_step_back(tags: &[Tag]) -> Option<(usize, &Tag)> {
    let mut last: [Option<u32>; 3] = [None; 3];
    tags.iter().enumerate().find(|(_, tag)| {
        let slot = match tag.kind {
            Kind::Audio => &mut last[0],
            Kind::Video => &mut last[1],
            Kind::Script => &mut last[2],
        };
        slot.replace(tag.timestamp)
            .is_some_and(|before| tag.timestamp < before)
    })
}

fn relative(tags: &[Tag], index: usize) -> Option<Tag> {
    let origin = tags.first()?.timestamp;
    let tag = tags.get(index)?;
    Some(Tag {
        timestamp: tag.timestamp.wrapping_sub(origin),
        ..tag.clone()
    })
}

fn skip(bytes: &mut Bytes, count: usize) -> Result<()> {
    if count > bytes.len() {
        bail!(
            "the FLV header says that tags start at byte {count} of {}",
            bytes.len()
        );
    }
    drop(bytes.split_to(count));
    Ok(())
}

impl fmt::Debug for Tag {
    /// One line, with the body's length and its first bytes: bodies are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.body.get(..self.body.len().min(12)).unwrap_or_default();
        write!(
            f,
            "{:?} at {} ms, {} bytes {start:02x?}",
            self.kind,
            self.timestamp,
            self.body.len()
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tag {} differs: {:?} against {:?}",
            self.index, self.left, self.right
        )?;
        if let (Some(left), Some(right)) = (&self.left, &self.right)
            && let Some(byte) = left.body.iter().zip(&right.body).position(|(a, b)| a != b)
        {
            write!(f, ", bodies part at byte {byte}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header, previous tag size, then one audio tag at 0x01020304 ms with the body `af 01`.
    const ONE_TAG: &[u8] = &[
        b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0, // header
        8, 0, 0, 2, 2, 3, 4, 1, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13, // tag
    ];

    fn tag(kind: Kind, timestamp: u32, body: &'static [u8]) -> Tag {
        Tag {
            kind,
            timestamp,
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_tag_is_read_with_its_extended_timestamp() {
        let tags = parse(Bytes::from_static(ONE_TAG)).unwrap();
        assert_eq!(tags, [tag(Kind::Audio, 0x0102_0304, &[0xaf, 1])]);
    }

    #[test]
    fn a_last_tag_cut_short_is_left_out_at_every_byte() {
        for end in 13..ONE_TAG.len() {
            let tags = parse(Bytes::from_static(&ONE_TAG[..end])).unwrap();
            assert_eq!(tags.len(), usize::from(end >= 26), "cut at {end}");
        }
    }

    #[test]
    fn what_is_not_flv_is_refused() {
        assert!(parse(Bytes::from_static(b"FLV")).is_err());
        assert!(parse(Bytes::from_static(b"RIFF....AVI ")).is_err());
        let mut unknown = ONE_TAG.to_vec();
        unknown[13] = 15;
        assert!(
            parse(Bytes::from(unknown))
                .unwrap_err()
                .to_string()
                .contains("unknown type 15")
        );
    }

    #[test]
    fn equal_tags_on_shifted_timelines_do_not_differ() {
        let left = [tag(Kind::Video, 0, b"key"), tag(Kind::Audio, 23, b"tone")];
        let right = [
            tag(Kind::Video, u32::MAX, b"key"),
            tag(Kind::Audio, 22, b"tone"),
        ];
        assert_eq!(first_difference(&left, &right), None);
    }

    #[test]
    fn body_time_kind_and_length_all_count() {
        let base = [tag(Kind::Video, 0, b"key"), tag(Kind::Video, 33, b"delta")];
        let other_body = [tag(Kind::Video, 0, b"key"), tag(Kind::Video, 33, b"delto")];
        let other_time = [tag(Kind::Video, 0, b"key"), tag(Kind::Video, 34, b"delta")];
        let other_kind = [tag(Kind::Video, 0, b"key"), tag(Kind::Audio, 33, b"delta")];
        for other in [&other_body[..], &other_time, &other_kind, &base[..1]] {
            assert_eq!(
                first_difference(&base, other).map(|difference| difference.index),
                Some(1),
                "{other:?}"
            );
        }
        let told = first_difference(&base, &other_body).unwrap().to_string();
        assert!(told.contains("bodies part at byte 4"), "{told}");
    }

    #[test]
    fn a_late_join_is_lined_up_by_its_first_body() {
        let pushed = [
            tag(Kind::Video, 0, b"one"),
            tag(Kind::Video, 33, b"two"),
            tag(Kind::Video, 66, b"three"),
        ];
        let pulled = [tag(Kind::Video, 7, b"two"), tag(Kind::Video, 40, b"three")];
        let tail = starting_with(&pushed, &pulled[0]).unwrap();
        assert_eq!(first_difference(tail, &pulled), None);
        assert!(starting_with(&pushed, &tag(Kind::Audio, 0, b"two")).is_none());
    }

    #[test]
    fn a_step_back_counts_only_within_its_kind() {
        let tags = [
            tag(Kind::Video, 40, b""),
            tag(Kind::Audio, 20, b""),
            tag(Kind::Video, 40, b""),
        ];
        assert!(first_step_back(&tags).is_none());
        let tags = [
            tag(Kind::Video, 40, b""),
            tag(Kind::Audio, 50, b""),
            tag(Kind::Video, 39, b""),
        ];
        assert_eq!(first_step_back(&tags).map(|(index, _)| index), Some(2));
    }
}
