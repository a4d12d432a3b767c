//! What egress counts beside what routing counts for it.

use prometheus::{IntCounterVec, Opts, Registry};

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) refused: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("lockgate_play_refused_total", "Players refused, by reason");
        let refused = IntCounterVec::new(options, &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self { refused })
    }
}
