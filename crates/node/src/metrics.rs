//! The node's own metrics: connections, refusals, the process, the build.
//!
//! Labels are protocols, listeners and reasons, never a stream, a peer or a name.

use lockgate_routing::Refusal;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::process::ProcessCollector;
use crate::seats::Full;

/// Why connections come to nothing, as [`NoRequest::label`](crate::rtmp_listener)
/// and [`HandshakeError::label`](crate::tls::HandshakeError::label) name it.
const HANDSHAKE_FAILURES: [&str; 11] = [
    "chunk",
    "closed",
    "io",
    "no_request",
    "not_rtmp",
    "session",
    "timeout",
    "tls",
    "unread",
    "version",
    "write_timeout",
];

/// What the listeners count.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    connections: IntGaugeVec,
    connections_total: IntCounterVec,
    refused: IntCounterVec,
    handshake_failures: IntCounterVec,
    accept_errors: IntCounterVec,
}

impl Metrics {
    /// Registers everything this crate exports.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            connections: register(
                registry,
                IntGaugeVec::new(
                    Opts::new("lockgate_connections", "Open connections."),
                    &["protocol"],
                )?,
            )?,
            connections_total: counter(
                registry,
                "lockgate_connections_total",
                "Connections accepted since the start.",
                "protocol",
            )?,
            refused: counter(
                registry,
                "lockgate_connections_refused_total",
                "Connections closed or told no, by the limit or the rule that did it.",
                "reason",
            )?,
            handshake_failures: counter(
                registry,
                "lockgate_handshake_failures_total",
                "RTMP and TLS handshakes that did not complete, by reason.",
                "reason",
            )?,
            accept_errors: counter(
                registry,
                "lockgate_accept_errors_total",
                "Errors of accept(), such as too many open files.",
                "listener",
            )?,
        };
        // Zero is told from the start, so that a first increase is seen as one.
        for full in Full::ALL {
            metrics.refused.with_label_values(&[full.label()]);
        }
        metrics
            .refused
            .with_label_values(&[Refusal::UnknownApp.label()]);
        for reason in HANDSHAKE_FAILURES {
            metrics.handshake_failures.with_label_values(&[reason]);
        }
        let build = IntGauge::with_opts(
            Opts::new("lockgate_build_info", "1, with the version as a label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(ProcessCollector::new()))?;
        Ok(metrics)
    }

    /// Counts a connection, open until the guard drops.
    pub(crate) fn connection(&self, protocol: &'static str) -> OpenConnection {
        self.connections_total.with_label_values(&[protocol]).inc();
        let open = self.connections.with_label_values(&[protocol]);
        open.inc();
        OpenConnection(open)
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn handshake_failed(&self, reason: &str) {
        self.handshake_failures.with_label_values(&[reason]).inc();
    }

    pub(crate) fn accept_errors(&self, listener: &'static str) -> IntCounter {
        self.accept_errors.with_label_values(&[listener])
    }
}

/// An open connection, as the gauge counts it.
#[derive(Debug)]
pub(crate) struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    register(
        registry,
        IntCounterVec::new(Opts::new(name, help), &[label])?,
    )
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_are_all_the_metrics_and_their_types() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.handshake_failed("timeout");
        metrics.accept_errors("rtmp");
        let _open = metrics.connection("rtmp");
        let families = registry.gather();
        let described = |family: &prometheus::proto::MetricFamily| {
            format!("{} {:?}", family.name(), family.get_field_type())
        };
        let described: Vec<_> = families.iter().map(described).collect();
        assert_eq!(
            described,
            [
                "lockgate_accept_errors_total COUNTER",
                "lockgate_build_info GAUGE",
                "lockgate_connections GAUGE",
                "lockgate_connections_refused_total COUNTER",
                "lockgate_connections_total COUNTER",
                "lockgate_handshake_failures_total COUNTER",
                "process_cpu_seconds_total COUNTER",
                "process_max_fds GAUGE",
                "process_open_fds GAUGE",
                "process_resident_memory_bytes GAUGE",
                "process_start_time_seconds GAUGE",
                "process_threads GAUGE",
                "process_virtual_memory_bytes GAUGE",
            ]
        );
    }

    #[test]
    fn a_connection_is_open_until_its_guard_drops() {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let open = metrics.connection("rtmp");
        let gauge = metrics.connections.with_label_values(&["rtmp"]);
        assert_eq!(gauge.get(), 1);
        drop(open);
        assert_eq!(gauge.get(), 0);
        let total = metrics.connections_total.with_label_values(&["rtmp"]);
        assert_eq!(total.get(), 1);
    }
}
