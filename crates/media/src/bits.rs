//! Reads bit fields and Exp-Golomb codes of parameter sets.
//!
//! Every read is checked: past the end it is `None`, and no value can make it overflow.

/// A cursor over the bits of a byte slice, most significant bit first.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// One bit as a flag.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// `count` bits, at most 32, as an unsigned number.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count.min(32) {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// Moves `count` bits on; `None` when that is past the end.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        let position = self.position.checked_add(count)?;
        (position <= self.bytes.len().checked_mul(8)?).then(|| self.position = position)
    }

    /// An unsigned Exp-Golomb code (ISO/IEC 14496-10 §9.1). Codes over 32 bits are refused.
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0u32;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        (1u32 << zeros).checked_add(rest)?.checked_sub(1)
    }

    /// A signed Exp-Golomb code (ISO/IEC 14496-10 §9.1.1).
    pub fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 0 {
            -(code / 2)
        } else {
            (code + 1) / 2
        })
    }

    /// How many bits are left.
    pub fn left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }
}

/// Takes the emulation prevention bytes (`00 00 03`) out of a NAL unit.
pub fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_follow_the_table_of_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101 and padding
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = (0..5).map(|_| reader.ue()).collect();
        assert_eq!(codes, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        let mut reader = BitReader::new(&[0b0100_1100]);
        assert_eq!((reader.se(), reader.se()), (Some(1), Some(-1)));
    }

    #[test]
    fn reads_past_the_end_are_none() {
        let mut reader = BitReader::new(&[0]);
        assert_eq!(reader.ue(), None);
        assert_eq!(reader.skip(1), None);
        assert_eq!(BitReader::new(&[1]).bits(9), None);
        assert_eq!(BitReader::new(&[0; 9]).ue(), None);
    }

    #[test]
    fn emulation_prevention_bytes_go() {
        assert_eq!(
            unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]),
            [0, 0, 1, 0, 0, 0, 0]
        );
    }
}
