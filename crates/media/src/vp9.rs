//! What a VP9 frame says of itself (VP9 bitstream specification §6.2), and the
//! `VPCodecConfigurationRecord` made of it (VP Codec ISO Media File Format Binding v1.0).

use crate::bits::BitReader;

/// `frame_marker` and `frame_sync_code`.
const MARKER: u32 = 2;
const SYNC: u32 = 0x49_8342;
/// `color_space` RGB.
const RGB: u32 = 7;
/// The largest picture of each level, in luma samples (VP9 levels, as the binding numbers them).
const LEVELS: [(u64, u8); 9] = [
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 41),
    (8_912_896, 51),
    (35_651_584, 61),
];

/// The profile of a frame: 0 and 1 have 8 bits a sample, 2 and 3 more.
pub fn profile(frame: &[u8]) -> Option<u8> {
    u8::try_from(head(&mut BitReader::new(frame))?).ok()
}

/// Marker and profile.
fn head(r: &mut BitReader<'_>) -> Option<u32> {
    let marked = r.bits(2)? == MARKER;
    let profile = r.bits(1)? | r.bits(1)? << 1;
    if profile == 3 {
        r.skip(1)?;
    }
    marked.then_some(profile)
}

/// The configuration record of a keyframe, with the version and flags of its box before it, as
/// players of enhanced RTMP expect it. `None` for any other frame.
pub fn record(frame: &[u8]) -> Option<[u8; 12]> {
    let mut r = BitReader::new(frame);
    let profile = head(&mut r)?;
    let shows_another = r.flag()?;
    let predicted = r.flag()?;
    r.skip(2)?;
    if shows_another || predicted || r.bits(24)? != SYNC {
        return None;
    }
    let depth = match (profile >= 2, profile >= 2 && r.flag()?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let more = profile & 1 == 1;
    // 4:2:0 with chroma beside luma, unless the profile has others.
    let (mut chroma, mut full) = (1, true);
    if r.bits(3)? == RGB {
        chroma = 3;
        if more {
            r.skip(1)?;
        }
    } else {
        full = r.flag()?;
        if more {
            chroma = match (r.flag()?, r.flag()?) {
                (true, true) => 1,
                (true, false) => 2,
                _ => 3,
            };
            r.skip(1)?;
        }
    }
    let samples = (u64::from(r.bits(16)?) + 1) * (u64::from(r.bits(16)?) + 1);
    let level = LEVELS.iter().find(|(most, _)| samples <= *most);
    let level = level.map_or(62, |&(_, level)| level);
    let profile = u8::try_from(profile).ok()?;
    let colour = depth << 4 | chroma << 1 | u8::from(full);
    // Primaries, transfer and matrix are not told.
    Some([1, 0, 0, 0, profile, level, colour, 2, 2, 2, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_bit_of_the_profile_comes_first() {
        assert_eq!(profile(&[0x82]), Some(0));
        assert_eq!(profile(&[0xa2]), Some(1));
        assert_eq!(profile(&[0x92]), Some(2));
        assert_eq!(profile(&[0xb2]), Some(3));
        assert_eq!(profile(&[0x42]), None);
        assert_eq!(profile(&[]), None);
    }

    #[test]
    fn the_record_is_what_ffmpeg_writes_of_the_same_keyframe() {
        let keyframe = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x36, 0x06];
        let written = [1, 0, 0, 0, 0, 0x0b, 0x82, 2, 2, 2, 0, 0];
        assert_eq!(record(&keyframe), Some(written));
        assert_eq!(
            record(&[0x86, 0x00, 0x40, 0x92, 0x9c, 0x48, 0x50, 0, 0, 0]),
            None
        );
        for length in 0..8 {
            assert_eq!(record(&keyframe[..length]), None, "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..20)) {
            profile(&bytes);
            record(&bytes);
        }
    }
}
