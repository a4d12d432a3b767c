//! Synthetic AAC-LC as FLV tag bodies: silence that decodes, padded with data elements. And Opus for
//! publishers by WebRTC, which have no AAC.
//!
//! 48 kHz stereo, 1,024 samples a frame. Element syntax is that of ISO/IEC 14496-3 §4.4.2.1.

use lockgate_media::silence::Silence;

use crate::stamp::{self, Mark, Stamp};

/// Samples in a frame and a second.
pub(crate) const SAMPLES: u64 = 1024;
/// Samples a second.
pub(crate) const RATE: u64 = 48_000;

/// Where the stamp stands: behind the tag header and the head of a data element.
const STAMP_AT: usize = 2 + 2;
/// Longest data element: a count of 255 and an extension of up to 255 more.
const LONGEST: usize = 510;

/// The sequence header: AAC-LC, 48 kHz, stereo.
pub(crate) fn header() -> Vec<u8> {
    vec![0xaf, 0, 0x11, 0x90]
}

/// Appends one frame of about `size` bytes.
pub(crate) fn frame(out: &mut Vec<u8>, size: usize, mark: Mark, at: Stamp) {
    let end = out.len() + size;
    let silence = Silence::Stereo.frame();
    out.extend([0xaf, 1]);
    stamp_element(out, mark, at);
    let mut tag = 1;
    while let Some(room) = end.checked_sub(out.len() + silence.len() + 3)
        && room > 0
    {
        let length = room.min(LONGEST);
        data_element(out, tag % 16, length);
        out.resize(out.len() + length, 0xff);
        tag += 1;
    }
    out.extend(silence);
}

/// Appends a stamp as a data element, which stands in front of a frame's own.
pub(crate) fn stamp_element(out: &mut Vec<u8>, mark: Mark, at: Stamp) {
    data_element(out, 0, stamp::SIZE);
    mark.write(at, out);
}

/// The head of a byte-aligned data element; `length` bytes follow.
fn data_element(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(0b1000_0001 | (tag << 1));
    let count = u8::try_from(length).unwrap_or(255);
    out.push(count);
    if count == 255 {
        out.push(u8::try_from(length - 255).unwrap_or(255));
    }
}

/// The stamp of a frame.
pub(crate) fn stamp(body: &[u8], mark: Mark) -> Option<Stamp> {
    mark.read(body.get(STAMP_AT..)?)
}

/// Opus: packets of silence, padded (RFC 6716 §3.2.5) with the stamp and more.
pub(crate) mod opus {
    use crate::stamp::{self, Mark, Stamp};

    /// Samples in a packet.
    pub(crate) const SAMPLES: u64 = 960;

    /// One frame of 20 ms of full band in stereo, in a packet that says how many frames and how much
    /// padding it has (code 3).
    const HEAD: [u8; 2] = [0xff, 0x41];
    /// A frame whose first bit says that it is silence (RFC 6716 §4.3).
    const SILENCE: [u8; 2] = [0xff, 0xfe];
    /// Each byte of the padding's length counts at most so much, and says that another follows.
    const MORE: usize = 254;

    /// Appends one packet of about `size` bytes.
    pub(crate) fn frame(out: &mut Vec<u8>, size: usize, mark: Mark, at: Stamp) {
        let padding = stamp::SIZE.max(size.saturating_sub(5 + size / 255));
        out.extend(HEAD);
        out.resize(out.len() + padding / MORE, 0xff);
        out.push(u8::try_from(padding % MORE).unwrap_or(0));
        out.extend(SILENCE);
        let end = out.len() + padding;
        mark.write(at, out);
        out.resize(end, 0);
    }

    /// The stamp of a packet.
    pub(crate) fn stamp(packet: &[u8], mark: Mark) -> Option<Stamp> {
        let mut rest = packet.strip_prefix(&HEAD)?;
        while let [0xff, behind @ ..] = rest {
            rest = behind;
        }
        mark.read(rest.get(1 + SILENCE.len()..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_media::sequence::AudioFormat;

    #[test]
    fn opus_packets_have_about_the_size_asked_for_their_time_and_their_stamp() {
        for size in [0, 60, 250, 257, 258, 259, 320, 1_000] {
            let (mark, mut packet) = (Mark::new(), Vec::new());
            let at = Stamp { sent: 1, number: 2 };
            opus::frame(&mut packet, size, mark, at);
            assert_eq!(opus::stamp(&packet, mark), Some(at));
            assert_eq!(opus::stamp(&packet, Mark::new()), None);
            assert_eq!(lockgate_media::opus::samples(&packet), Some(960));
            assert!(
                packet.len().abs_diff(size.max(41)) <= 1,
                "{size}: {}",
                packet.len()
            );
        }
    }

    #[test]
    fn the_header_says_48_khz_stereo() {
        let format = AudioFormat::parse(&header()).unwrap();
        assert_eq!(
            (format.sample_rate, format.channels),
            (Some(48_000), Some(2))
        );
        assert!(format.plain_aac_lc);
    }

    #[test]
    fn frames_have_about_the_size_asked_for_and_their_stamp() {
        for size in [0, 60, 341, 700, 2_000] {
            let (mark, mut body) = (Mark::new(), Vec::new());
            let at = Stamp { sent: 1, number: 2 };
            frame(&mut body, size, mark, at);
            assert_eq!(stamp(&body, mark), Some(at));
            assert!(
                body.len().abs_diff(size.max(49)) <= 4,
                "{size}: {}",
                body.len()
            );
            assert!(body.ends_with(Silence::Stereo.frame()));
        }
    }
}
