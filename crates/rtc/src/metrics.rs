//! What the port counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) received: IntCounter,
    pub(crate) sent: IntCounter,
    pub(crate) unknown: IntCounter,
    pub(crate) full: IntCounter,
    pub(crate) unsent: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vec = |name: &str, help: &str, label: &str| {
            let vec = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let datagrams = vec(
            "lockgate_webrtc_datagrams_total",
            "Datagrams of WebRTC peers, by direction",
            "direction",
        )?;
        let dropped = vec(
            "lockgate_webrtc_dropped_datagrams_total",
            "Datagrams that reached no session or no peer, by reason",
            "reason",
        )?;
        Ok(Self {
            received: datagrams.with_label_values(&["in"]),
            sent: datagrams.with_label_values(&["out"]),
            unknown: dropped.with_label_values(&["unknown_peer"]),
            full: dropped.with_label_values(&["session_busy"]),
            unsent: dropped.with_label_values(&["unsent"]),
        })
    }
}
