//! How long packets stay in the node by its own account, beside what players see.

use std::net::SocketAddr;

use anyhow::Context;
use serde::Serialize;

/// Its histogram, in seconds.
const BUCKETS: &str = "lockgate_node_dwell_seconds_bucket{le=\"";

/// How many packets had stayed no longer than so many seconds, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets(Vec<(f64, u64)>);

/// How long packets stayed, from being read to being written to a player, in milliseconds; exact to
/// the histogram's buckets, and evened out in them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Dwell {
    /// Packets written to players.
    pub count: u64,
    /// Half of them stayed no longer.
    pub p50: f64,
    /// 99 of a hundred stayed no longer.
    pub p99: f64,
}

impl Buckets {
    /// Asks the node.
    ///
    /// # Errors
    /// When nothing answers there, or something else does.
    pub(crate) fn ask(api: SocketAddr) -> anyhow::Result<Self> {
        let url = format!("http://{api}/metrics");
        let mut answer = ureq::get(&url).call().with_context(|| url.clone())?;
        let text = answer.body_mut().read_to_string().context("reading them")?;
        let found = Self::parse(&text);
        anyhow::ensure!(!found.0.is_empty(), "{url} has none of a Lockgate node's");
        Ok(found)
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (bound, count) = line.strip_prefix(BUCKETS)?.split_once("\"} ")?;
            let bound = match bound {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().ok()?,
            };
            Some((bound, count.trim().parse().ok()?))
        });
        Self(lines.collect())
    }

    /// What was counted since `before`.
    pub(crate) fn since(&self, before: &Self) -> Dwell {
        let pairs = self.0.iter().zip(&before.0);
        let grown = pairs.map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then)));
        let grown: Vec<_> = grown.collect();
        Dwell {
            count: grown.last().map_or(0, |(_, count)| *count),
            p50: quantile(&grown, 0.5) * 1e3,
            p99: quantile(&grown, 0.99) * 1e3,
        }
    }
}

/// As Prometheus has it: a straight line through the bucket in which it lies.
fn quantile(buckets: &[(f64, u64)], share: f64) -> f64 {
    let count = buckets.last().map_or(0, |(_, count)| *count);
    let rank = share * count as f64;
    let (mut from, mut below) = (0.0, 0);
    for &(bound, upto) in buckets.iter().filter(|(bound, _)| bound.is_finite()) {
        if upto > below && upto as f64 >= rank {
            return from + (bound - from) * (rank - below as f64) / (upto - below) as f64;
        }
        (from, below) = (bound, upto);
    }
    // Past the last bound, as far as anybody knows.
    if count == 0 { 0.0 } else { from }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: [u64; 4]) -> String {
        let bounds = ["0.001", "0.01", "0.1", "+Inf"];
        let lines = bounds.iter().zip(counts);
        let lines = lines.map(|(bound, count)| {
            format!("lockgate_node_dwell_seconds_bucket{{le=\"{bound}\"}} {count}\n")
        });
        let other = "# TYPE x histogram\nother_bucket{le=\"0.001\"} 9\n".to_owned();
        std::iter::once(other).chain(lines).collect()
    }

    #[test]
    fn what_grew_between_two_looks_is_told_with_its_quantiles() {
        let before = Buckets::parse(&text([10, 10, 10, 10]));
        let after = Buckets::parse(&text([60, 110, 110, 110]));
        let dwell = after.since(&before);
        assert_eq!(dwell.count, 100);
        assert!((dwell.p50 - 1.0).abs() < 1e-9, "{dwell:?}");
        assert!((dwell.p99 - 9.82).abs() < 1e-9, "{dwell:?}");
    }

    #[test]
    fn what_lies_past_the_last_bound_is_told_as_that_and_nothing_as_nothing() {
        let none = Buckets::parse(&text([0, 0, 0, 0]));
        assert!((none.since(&none).p99).abs() < 1e-9);
        let slow = Buckets::parse(&text([0, 0, 0, 5]));
        assert!((slow.since(&none).p50 - 100.0).abs() < 1e-9);
        assert_eq!(Buckets::parse("nothing of it\n"), Buckets::default());
    }
}
