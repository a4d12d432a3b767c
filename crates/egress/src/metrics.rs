//! What egress counts beside what routing counts for it.

use lockgate_routing::Refusal;
use prometheus::{IntCounterVec, Opts, Registry};

/// Why players are refused, beside what their URL says.
const REASONS: [&str; 10] = [
    "full",
    "stream_full",
    "draining",
    "not_found",
    "ended",
    "kicked",
    "bad_sdp",
    "no_common_codec",
    "codec",
    "b_frames",
];

/// Players refused, of all protocols.
#[derive(Debug, Clone)]
pub struct PlayMetrics {
    refused: IntCounterVec,
}

impl PlayMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When the registry has a metric of this name already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("lockgate_play_refused_total", "Players refused, by reason");
        let refused = IntCounterVec::new(options, &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        // Zero is told from the start, so that a first increase is seen as one.
        for reason in Refusal::ALL.map(Refusal::label).into_iter().chain(REASONS) {
            refused.with_label_values(&[reason]);
        }
        Ok(Self { refused })
    }

    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
