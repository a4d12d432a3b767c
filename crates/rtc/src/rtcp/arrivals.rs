//! Which packets came, and when: transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). No IO; any bytes may come in.

/// A packet did not come, came little or long after the one before, by its status.
const LOST: u16 = 0;
const SMALL: u16 = 1;
const LARGE: u16 = 2;

/// What a viewer says of a run of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals<'a> {
    first: u16,
    count: u16,
    /// The viewer's time from which the first one counts, in ticks.
    reference: u32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Arrivals<'a> {
    /// Reads what stands behind the SSRCs; `None` unless all of it is there.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(8)?;
        let [a, b, c, d, x, y, z, _] = *head else {
            return None;
        };
        let count = u16::from_be_bytes([c, d]);
        let (mut left, mut chunks, mut deltas) = (count, 0, 0);
        while left > 0 {
            let chunk = rest.get(chunks..chunks + 2)?;
            chunks += 2;
            for (status, run) in statuses(chunk) {
                let run = run.min(left);
                left -= run;
                deltas += usize::from(run) * size(status)?;
            }
        }
        let (chunks, rest) = rest.split_at_checked(chunks)?;
        Some(Self {
            first: u16::from_be_bytes([a, b]),
            count,
            // Units of 64 ms are 256 ticks: both wrap together.
            reference: u32::from_be_bytes([x, y, z, 0]),
            chunks,
            deltas: rest.get(..deltas)?,
        })
    }

    /// How many packets it tells of, lost ones among them.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Tells each packet that came: its number and when, in ticks of 250 µs that wrap. Takes as many
    /// steps as there are bytes, whatever they say.
    pub fn each(&self, mut tell: impl FnMut(u16, u32)) {
        let (mut number, mut at) = (self.first, self.reference);
        let (mut left, mut deltas) = (self.count, self.deltas);
        for (status, run) in self.chunks.chunks_exact(2).flat_map(statuses) {
            let run = run.min(left);
            left -= run;
            if status == LOST {
                number = number.wrapping_add(run);
                continue;
            }
            for _ in 0..run {
                let (delta, rest) = match (status, deltas) {
                    (SMALL, &[delta, ref rest @ ..]) => (i16::from(delta), rest),
                    (LARGE, &[high, low, ref rest @ ..]) => (i16::from_be_bytes([high, low]), rest),
                    _ => return,
                };
                deltas = rest;
                at = at.wrapping_add_signed(delta.into());
                tell(number, at);
                number = number.wrapping_add(1);
            }
        }
    }

    /// The numbers of packets that did not come.
    pub fn missing(&self) -> impl Iterator<Item = u16> {
        let statuses = self.chunks.chunks_exact(2).flat_map(statuses);
        let each = statuses.flat_map(|(status, run)| std::iter::repeat_n(status, run.into()));
        let numbered = each.take(self.count.into()).zip(0..);
        numbered.filter_map(|(status, at)| (status == LOST).then_some(self.first.wrapping_add(at)))
    }
}

/// Bytes that tell when a packet of this status came. Who knows no such status cannot go on.
fn size(status: u16) -> Option<usize> {
    match status {
        LOST => Some(0),
        SMALL => Some(1),
        LARGE => Some(2),
        _ => None,
    }
}

/// What a chunk says: a status, and of how many packets (§3.1.3, §3.1.4).
fn statuses(chunk: &[u8]) -> impl Iterator<Item = (u16, u16)> + use<> {
    let chunk = match *chunk {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    let (statuses, bits, highest, run) = match chunk >> 14 {
        2 => (14, 1, 13, 1),
        3 => (7, 2, 12, 1),
        _ => (1, 2, 13, chunk & 0x1fff),
    };
    (0..statuses).map(move |at| (chunk >> (highest - at * bits) & ((1 << bits) - 1), run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(body: &[u8]) -> Option<Vec<(u16, u32)>> {
        let arrivals = Arrivals::parse(body)?;
        let mut all = Vec::new();
        arrivals.each(|number, at| all.push((number, at)));
        Some(all)
    }

    /// As Chromium writes it: a run, a vector of one bit and one of two, and padding behind.
    const MIXED: &[u8] = &[
        0xff, 0xfe, 0, 14, 0, 0, 2, 7, // From 65534, fourteen, from 128 ms, the eighth.
        0x20, 3, // Three soon after each other.
        0xa0, 0, // Fourteen more, the first of which came...
        0, 4, 8, 255, 0, 0,
    ];

    #[test]
    fn runs_and_vectors_tell_which_packets_came_and_when() {
        let came = all(MIXED).unwrap();
        assert_eq!(came, [(65534, 512), (65535, 516), (0, 524), (1, 779)]);
        let arrivals = Arrivals::parse(MIXED).unwrap();
        assert_eq!(arrivals.count(), 14);
        assert!(arrivals.missing().eq([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        // Lost, soon, late, and before the one before.
        let two = [
            0, 7, 0, 4, 0xff, 0xff, 0xff, 0, 0xc6, 0x80, 1, 3, 0, 0xff, 0xff,
        ];
        let came = all(&two).unwrap();
        assert_eq!(
            came,
            [(8, 0xffff_ff01), (9, 0x0000_0201), (10, 0x0000_0200)]
        );
    }

    #[test]
    fn what_is_cut_off_or_unknown_says_nothing() {
        for cut in 0..16 {
            assert_eq!(all(&MIXED[..cut]), None, "{cut}");
        }
        assert_eq!(
            all(&[0, 0, 0, 1, 0, 0, 0, 0, 0x60, 1, 0, 0]),
            None,
            "no such status"
        );
        assert_eq!(
            all(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "runs of none"
        );
    }

    #[test]
    fn lost_packets_cost_no_steps() {
        let lost = [0, 1, 0xff, 0xff, 0, 0, 0, 0].into_iter();
        let lost: Vec<_> = lost.chain([0x1f, 0xff].repeat(9)).collect();
        assert_eq!(all(&lost), Some(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn it_tells_of_no_more_packets_than_there_are_bytes(
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)
        ) {
            let came = all(&body).unwrap_or_default();
            assert!(came.len() < body.len().max(1));
            if let Some(arrivals) = Arrivals::parse(&body) {
                assert_eq!(came.len() + arrivals.missing().count(), arrivals.count().into());
            }
        }
    }
}
