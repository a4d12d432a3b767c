//! What egress counts beside what routing counts for it.

use lockgate_routing::Refusal;
use prometheus::{IntCounterVec, Opts, Registry};

/// Why players are refused, beside what their URL says.
const REASONS: [&str; 5] = ["full", "stream_full", "draining", "not_found", "ended"];

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) refused: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("lockgate_play_refused_total", "Players refused, by reason");
        let refused = IntCounterVec::new(options, &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        // Zero is told from the start, so that a first increase is seen as one.
        for reason in Refusal::ALL.map(Refusal::label).into_iter().chain(REASONS) {
            refused.with_label_values(&[reason]);
        }
        Ok(Self { refused })
    }
}
