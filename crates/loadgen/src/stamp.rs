//! The stamp in every synthetic frame: when it was sent and which frame of its track it is.
//!
//! Invariant: a stamp has no zero byte, so it needs no escaping inside H.264, and it is found by the
//! mark of its run, so frames of another run or of a real encoder are never mistaken for one.

use std::hash::{BuildHasher, RandomState};

/// Bytes of a mark; what H.264 calls the UUID of user data (H.264 §D.1.6).
const MARK: usize = 16;
/// Bytes of a number, seven bits in each.
const NUMBER: usize = 10;
/// Bytes of a whole stamp.
pub(crate) const SIZE: usize = MARK + 2 * NUMBER;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Nanoseconds on the run's clock.
    pub(crate) sent: u64,
    /// The frame's number on its track, from 0.
    pub(crate) number: u64,
}

/// What all stamps of one run start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u8; MARK]);

impl Mark {
    /// One that no other run has.
    pub(crate) fn new() -> Self {
        let random = RandomState::new().hash_one(0_u8).to_be_bytes();
        let mut mark = *b"lockgate--------";
        for (to, from) in mark.iter_mut().skip(8).zip(random) {
            *to = from | 0x80;
        }
        Self(mark)
    }

    /// Appends [`SIZE`] bytes.
    pub(crate) fn write(self, stamp: Stamp, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        for value in [stamp.sent, stamp.number] {
            out.extend((0..NUMBER).map(|byte| {
                let [low, ..] = (value >> (7 * byte)).to_le_bytes();
                0x80 | low
            }));
        }
    }

    /// The stamp that starts `bytes`, if it is one of this run.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Stamp> {
        let (sent, number) = bytes.strip_prefix(&self.0)?.split_at_checked(NUMBER)?;
        Some(Stamp {
            sent: value(sent),
            number: value(number.get(..NUMBER)?),
        })
    }
}

fn value(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().rev();
    digits.fold(0, |sum, byte| (sum << 7) | u64::from(byte & 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_and_has_no_zero_byte() {
        let mark = Mark::new();
        for (sent, number) in [(0, 0), (1, 127), (u64::MAX, 128), (1 << 40, u64::MAX)] {
            let stamp = Stamp { sent, number };
            let mut bytes = Vec::new();
            mark.write(stamp, &mut bytes);
            assert_eq!(bytes.len(), SIZE);
            assert!(!bytes.contains(&0));
            assert_eq!(mark.read(&bytes), Some(stamp));
            assert_eq!(mark.read(&bytes[..SIZE - 1]), None);
        }
    }

    #[test]
    fn a_stamp_of_another_run_is_none() {
        let mut bytes = Vec::new();
        Mark::new().write(Stamp { sent: 1, number: 2 }, &mut bytes);
        assert_eq!(Mark::new().read(&bytes), None);
    }
}
