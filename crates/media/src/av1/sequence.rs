//! `sequence_header_obu` (AV1 §5.5): what it says of the picture, and the record made of it.

use super::{Av1Config, Obu, leb128_to};
use crate::bits::BitReader;

/// The beginning of a sequence header, as far as the maximum frame size.
pub(crate) struct Head {
    profile: u32,
    reduced: bool,
    level: u32,
    tier: u32,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
}

impl Head {
    /// Reads it, and leaves the reader behind it.
    pub(crate) fn read(r: &mut BitReader<'_>) -> Option<Self> {
        let profile = r.bits(3)?;
        r.skip(1)?;
        let reduced = r.flag()?;
        let mut first = None;
        if reduced {
            first = Some((r.bits(5)?, 0));
        } else {
            let mut decoder_delay_bits = None;
            if r.flag()? {
                r.skip(64)?;
                if r.flag()? {
                    uvlc(r)?;
                }
                if r.flag()? {
                    decoder_delay_bits = Some(r.bits(5)? as usize + 1);
                    r.skip(32 + 5 + 5)?;
                }
            }
            let initial_display_delay = r.flag()?;
            for _ in 0..=r.bits(5)? {
                r.skip(12)?;
                let level = r.bits(5)?;
                let tier = if level > 7 { r.bits(1)? } else { 0 };
                first.get_or_insert((level, tier));
                if let Some(bits) = decoder_delay_bits
                    && r.flag()?
                {
                    r.skip(2 * bits + 1)?;
                }
                if initial_display_delay && r.flag()? {
                    r.skip(4)?;
                }
            }
        }
        let (level, tier) = first?;
        let (width_bits, height_bits) = (r.bits(4)? + 1, r.bits(4)? + 1);
        let size = (r.bits(width_bits)? + 1, r.bits(height_bits)? + 1);
        Some(Self {
            profile,
            reduced,
            level,
            tier,
            size,
        })
    }
}

/// `uvlc` of AV1 §4.10.3; only stepped over.
fn uvlc(r: &mut BitReader<'_>) -> Option<()> {
    let mut zeros = 0;
    while !r.flag()? {
        zeros += 1;
    }
    if zeros < 32 { r.skip(zeros) } else { Some(()) }
}

/// `color_config` (AV1 §5.5.2) as the third byte of the record has it, but for the tier.
fn colour(r: &mut BitReader<'_>, profile: u32) -> Option<u8> {
    let high = r.flag()?;
    let twelve = profile == 2 && high && r.flag()?;
    let mono = profile != 1 && r.flag()?;
    let described = if r.flag()? {
        (r.bits(8)?, r.bits(8)?, r.bits(8)?)
    } else {
        (2, 2, 2)
    };
    let (mut x, mut y, mut position) = (true, true, 0);
    if mono {
        r.skip(1)?;
    } else if described == (1, 13, 0) {
        (x, y) = (false, false);
    } else {
        r.skip(1)?;
        (x, y) = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let x = r.flag()?;
                (x, x && r.flag()?)
            }
            _ => (true, false),
        };
        if x && y {
            position = r.bits(2)?;
        }
    }
    let flags = [high, twelve, mono, x, y];
    let flags = flags.iter().fold(0, |all, &flag| all << 1 | u8::from(flag));
    Some(flags << 2 | u8::try_from(position).ok()?)
}

impl Av1Config {
    /// The record of a sequence header OBU.
    pub fn record(sequence: &Obu<'_>) -> Option<Vec<u8>> {
        let mut r = BitReader::new(sequence.payload);
        let head = Head::read(&mut r)?;
        if !head.reduced && r.flag()? {
            r.skip(4 + 3)?;
        }
        r.skip(3)?;
        if !head.reduced {
            r.skip(4)?;
            let order_hint = r.flag()?;
            if order_hint {
                r.skip(2)?;
            }
            let screen_content = r.flag()? || r.flag()?;
            if screen_content && !r.flag()? {
                r.skip(1)?;
            }
            if order_hint {
                r.skip(3)?;
            }
        }
        r.skip(3)?;
        let colour = colour(&mut r, head.profile)?;
        let byte = |value: u32| u8::try_from(value).ok();
        let mut record = vec![
            0x81,
            byte(head.profile << 5 | head.level)?,
            byte(head.tier << 7)? | colour,
            0,
        ];
        sequence.append(&mut record);
        Some(record)
    }
}

impl Obu<'_> {
    /// Appends it with its size, as files and RTMP carry it.
    pub fn append(&self, to: &mut Vec<u8>) {
        to.push(self.header | super::HAS_SIZE);
        to.extend(self.extension);
        leb128_to(self.payload.len(), to);
        to.extend_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::av1::obus;

    #[test]
    fn the_record_is_what_an_encoder_writes_of_the_same_header() {
        // Made by ffmpeg 9.0 with SVT-AV1: 320x180, 8 bits, 4:2:0.
        let record = [
            0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b, 0x02, 0x00, 0x00, 0x04, 0xa1, 0xe7, 0xf6, 0x60,
            0x17, 0xc0, 0x02,
        ];
        let sequence = obus(&record[4..]).next().unwrap();
        assert_eq!(Av1Config::record(&sequence).unwrap(), record);
        let mut r = BitReader::new(sequence.payload);
        assert_eq!(Head::read(&mut r).unwrap().size, (320, 180));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            for obu in obus(&bytes) {
                let _ = Av1Config::record(&obu);
            }
        }
    }
}
