//! A histogram of microseconds that is exact to 1.6 % and costs one increment a value.

/// Buckets of one power of two.
const STEP: usize = 64;
/// Values past this many microseconds, some 70 minutes, are counted there.
const MOST: u64 = u32::MAX as u64;

/// Counts values.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; index(MOST) + 1],
            count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts one value in microseconds.
    pub(crate) fn record(&mut self, micros: u64) {
        if let Some(bucket) = self.buckets.get_mut(index(micros.min(MOST))) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// Counts what another has counted too.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.max) = (0, 0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of a thousand values do not pass; 0 without values.
    pub(crate) fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return highest(at).min(self.max);
            }
        }
        self.max
    }
}

/// Values below 128 have a bucket each, then each power of two has 64.
fn index(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(7) as usize;
    shift * STEP + usize::try_from(value >> shift).unwrap_or(0)
}

/// The largest value of a bucket.
fn highest(at: usize) -> u64 {
    let shift = (at / STEP).saturating_sub(1);
    (((at - shift * STEP) as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), 0);
        for value in 1..=100_000 {
            histogram.record(value);
        }
        for (per_mille, exact) in [(500, 50_000_f64), (990, 99_000.0), (1000, 100_000.0)] {
            let value = histogram.quantile(per_mille) as f64;
            assert!((value / exact - 1.0).abs() < 0.016, "{value} for {exact}");
        }
        assert_eq!((histogram.max(), histogram.count()), (100_000, 100_000));
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..4096).chain((0..32).map(|bit| 1 << bit)).chain([MOST]) {
            assert!(highest(index(value)) >= value);
            assert!(value == 0 || index(value - 1) <= index(value));
            assert!(index(highest(index(value))) == index(value), "{value}");
        }
    }

    #[test]
    fn a_value_past_the_end_is_kept_as_the_maximum() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert_eq!((histogram.count(), histogram.max()), (1, u64::MAX));
    }
}
