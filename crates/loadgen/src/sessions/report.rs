//! What a run of sessions found: values for JSON, and a table for people.

use std::fmt;

use serde::Serialize;

use crate::report::Spread;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The node's HTTP listener.
    pub node: String,
    /// Channels.
    pub channels: usize,
    /// Members asked for, of all channels.
    pub members: usize,
    /// Those that joined.
    pub joined: usize,
    /// Members, publishers and players that failed, at whatever moment.
    pub failed: usize,
    /// From the first gateway request to the last Login's answer.
    pub join_seconds: f64,
    /// Members over that time.
    pub joins_per_second: f64,
    /// From a member's gateway request to its Login's answer.
    pub join_ms: Spread,
    /// Streams that members sent.
    pub streams: usize,
    /// Announcements that were due: one for each stream and other member of its channel.
    pub expected_added: u64,
    /// From a stream's first media sent to each of its StreamAdded; the largest is the last one's.
    pub stream_added_ms: Spread,
    /// Players asked for, and those that got media.
    pub players: usize,
    /// See above.
    pub playing: usize,
    /// What muting did.
    pub mutes: Option<Mutes>,
    /// The server, when its process was given.
    pub server: Option<Server>,
    /// This process's CPU time.
    pub own_cpu_seconds: f64,
    /// What failed first.
    pub failure: Option<String>,
}

/// Mutes and unmutes, as the node's histogram of their effect has them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Mutes {
    /// Asked for.
    pub asked: u32,
    /// Counted by the node in that time.
    pub counted: f64,
    /// From the message to the first packet that obeys, interpolated in a bucket.
    pub p50_ms: f64,
    /// The same, of the slowest in a hundred.
    pub p99_ms: f64,
    /// The server's CPU meanwhile, in percent of a core.
    pub server_cpu_percent: f64,
}

/// What the server used.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Server {
    /// Memory before anybody joined.
    pub rss_before_kib: u64,
    /// Memory when all had joined and nobody published.
    pub rss_kib: u64,
    /// The difference over those that joined.
    pub rss_kib_per_session: f64,
    /// CPU time of a join: gateway, WebSocket, Login.
    pub cpu_us_per_join: f64,
}

impl Report {
    /// Whether everybody joined, heard and played what was planned.
    pub fn is_complete(&self) -> bool {
        self.joined == self.members
            && self.failed == 0
            && self.stream_added_ms.count >= self.expected_added
            && self.playing == self.players
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<22} {value}");
        let spread = |spread: Spread| {
            format!(
                "p50 {:.2}  p99 {:.2}  max {:.2} ms  ({} values)",
                spread.p50, spread.p99, spread.max, spread.count
            )
        };
        line("node", self.node.clone())?;
        line(
            "members",
            format!(
                "{} of {} in {} channels, {} failed",
                self.joined, self.members, self.channels, self.failed
            ),
        )?;
        line(
            "joins",
            format!(
                "{:.0} a second, {:.2} s",
                self.joins_per_second, self.join_seconds
            ),
        )?;
        line("one join", spread(self.join_ms))?;
        if self.streams > 0 {
            line("streams", self.streams.to_string())?;
            line("media to StreamAdded", spread(self.stream_added_ms))?;
        }
        if self.players > 0 {
            line("players", format!("{} of {}", self.playing, self.players))?;
        }
        if let Some(mutes) = self.mutes {
            line(
                "mutes",
                format!(
                    "{} asked, {} counted, effect p50 {:.2}  p99 {:.2} ms, server at {:.0} % of a core",
                    mutes.asked,
                    mutes.counted,
                    mutes.p50_ms,
                    mutes.p99_ms,
                    mutes.server_cpu_percent
                ),
            )?;
        }
        if let Some(server) = self.server {
            line(
                "server memory",
                format!(
                    "{} KiB, {} before, {:.1} a session",
                    server.rss_kib, server.rss_before_kib, server.rss_kib_per_session
                ),
            )?;
            line(
                "server CPU",
                format!("{:.0} us a join", server.cpu_us_per_join),
            )?;
        }
        line(
            "this process",
            format!("{:.1} s of CPU", self.own_cpu_seconds),
        )?;
        if let Some(failure) = &self.failure {
            line("first failure", failure.clone())?;
        }
        Ok(())
    }
}

/// The cumulated buckets of a Prometheus histogram: upper bound and count.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// The buckets of `name` in the text of `/metrics`.
    pub(crate) fn read(metrics: &str, name: &str) -> Self {
        let bucket = |line: &str| {
            let rest = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?;
            let (bound, count) = rest.split_once("\"}")?;
            Some((bound.parse().ok()?, count.trim().parse().ok()?))
        };
        Self(metrics.lines().filter_map(bucket).collect())
    }

    /// What was counted since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let earlier = before.0.iter().map(|(_, count)| *count);
        let earlier = earlier.chain(std::iter::repeat(0.0));
        let buckets = self.0.iter().zip(earlier);
        Self(
            buckets
                .map(|(&(bound, now), then)| (bound, now - then))
                .collect(),
        )
    }

    pub(crate) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value at `share`, interpolated as Prometheus does.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.count();
        let (mut low, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && count > below {
                let high = if bound.is_finite() { bound } else { low };
                return low + (high - low) * (rank - below) / (count - below);
            }
            (low, below) = (bound, count);
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_in_what_was_counted_since() {
        let text = |first: u32, all: u32| {
            format!(
                "# HELP m x\nm_bucket{{le=\"0.001\"}} {first}\nm_bucket{{le=\"0.005\"}} {all}\n\
                 m_bucket{{le=\"+Inf\"}} {all}\nm_sum 1\nm_count {all}\nmm_bucket{{le=\"1\"}} 9\n"
            )
        };
        let before = Buckets::read(&text(10, 10), "m");
        let since = Buckets::read(&text(60, 110), "m").since(&before);
        assert_eq!(since.count(), 100.0);
        assert!((since.quantile(0.5) - 0.001).abs() < 1e-9);
        assert!((since.quantile(0.75) - 0.003).abs() < 1e-9);
        assert_eq!(Buckets::default().quantile(0.99), 0.0);
    }
}
