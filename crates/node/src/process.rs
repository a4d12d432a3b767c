//! The standard `process_*` metrics, read from `/proc/self` when they are asked for.
//!
//! What cannot be read, as outside Linux, is left out.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

/// Clock ticks a second in `/proc`: the kernel's ABI fixes it at 100, whatever its own timer is.
const TICKS: f64 = 100.0;

/// Reads the process it runs in.
#[derive(Debug)]
pub(crate) struct ProcessCollector {
    descs: Vec<Desc>,
}

/// What is read: name, help, and whether it only grows.
const METRICS: [(&str, &str, Kind); 7] = [
    (
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        Kind::Counter,
    ),
    (
        "process_open_fds",
        "Number of open file descriptors.",
        Kind::Gauge,
    ),
    (
        "process_max_fds",
        "Maximum number of open file descriptors.",
        Kind::Gauge,
    ),
    (
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        Kind::Gauge,
    ),
    (
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        Kind::Gauge,
    ),
    (
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        Kind::Gauge,
    ),
    (
        "process_threads",
        "Number of OS threads in the process.",
        Kind::Gauge,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

impl ProcessCollector {
    pub(crate) fn new() -> Self {
        let desc = |&(name, help, _): &(&str, &str, Kind)| {
            Desc::new(
                name.to_owned(),
                help.to_owned(),
                Vec::new(),
                Default::default(),
            )
            .ok()
        };
        Self {
            descs: METRICS.iter().filter_map(desc).collect(),
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = read();
        let families = METRICS.iter().zip(values).filter_map(|(metric, value)| {
            let &(name, help, kind) = metric;
            let value = value?;
            if kind == Kind::Counter {
                let counter = prometheus::Counter::with_opts(Opts::new(name, help)).ok()?;
                counter.inc_by(value);
                counter.collect().pop()
            } else {
                let gauge = Gauge::with_opts(Opts::new(name, help)).ok()?;
                gauge.set(value);
                gauge.collect().pop()
            }
        });
        families.collect()
    }
}

/// The values of [`METRICS`], in their order.
fn read() -> [Option<f64>; 7] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // One of the entries is the directory being read.
    let open = fs::read_dir("/proc/self/fd")
        .ok()
        .map(|d| d.count().saturating_sub(1));
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of files is far below 2^52"
    )]
    let open = open.map(|count| count as f64);
    let ticks = |field| stat_field(&stat, field).map(|ticks| ticks / TICKS);
    let cpu = ticks(14).zip(ticks(15)).map(|(user, system)| user + system);
    let start = boot_time().zip(ticks(22)).map(|(boot, since)| boot + since);
    [
        cpu,
        open,
        max_open_files(&limits),
        stat_field(&stat, 23),
        status_kib(&status, "VmRSS:").map(|kib| kib * 1024.0),
        start,
        stat_field(&stat, 20),
    ]
}

/// A field of `/proc/self/stat`, counted from 1 as proc(5) does. The second is the program's name
/// in parentheses, which may hold anything, so counting starts behind the last of those.
fn stat_field(stat: &str, field: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace()
        .nth(field.checked_sub(3)?)?
        .parse()
        .ok()
}

fn status_kib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The soft limit, which is the one that counts.
fn max_open_files(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (lock) gate) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 19 2048 25";
        assert_eq!(stat_field(stat, 14), Some(150.0));
        assert_eq!(stat_field(stat, 15), Some(50.0));
        assert_eq!(stat_field(stat, 23), Some(2048.0));
        assert_eq!(stat_field(stat, 99), None);
        assert_eq!(stat_field("", 14), None);
    }

    #[test]
    fn memory_and_limits_are_found_among_their_neighbours() {
        let status = "VmPeak:\t 9 kB\nVmRSS:\t    12 kB\nThreads:\t3\n";
        assert_eq!(status_kib(status, "VmRSS:"), Some(12.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(max_open_files(limits), Some(1024.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_metric_of_this_very_process_is_read() {
        let families = ProcessCollector::new().collect();
        let names: Vec<_> = families
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        let expected: Vec<_> = METRICS
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .collect();
        assert_eq!(names, expected);
        let value = |index: usize| read()[index].unwrap();
        assert!(value(1) > 0.0 && value(2) >= value(1), "descriptors");
        assert!(value(4) > 1e5 && value(3) >= value(4), "memory");
        assert!(value(5) > 1.6e9, "start time");
    }
}
