//! What webhooks count. Labels are outcomes, never an app or a URL.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

use super::post::Failed;
use crate::code::Code;

/// Seconds: from a service beside the node to the longest that a client is kept waiting.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

#[derive(Debug, Clone)]
pub(super) struct Metrics {
    events: IntCounterVec,
    attempts: IntCounterVec,
    questions: IntCounterVec,
    question_seconds: Histogram,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, values: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), &["result"])?;
            registry.register(Box::new(counter.clone()))?;
            // Zero is told from the start, so that a first increase is seen as one.
            for value in values {
                counter.with_label_values(&[value]);
            }
            Ok::<_, prometheus::Error>(counter)
        };
        let question_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "lockgate_auth_webhook_seconds",
                "How long the auth webhook took to answer.",
            )
            .buckets(SECONDS.into()),
        )?;
        registry.register(Box::new(question_seconds.clone()))?;
        Ok(Self {
            events: counter(
                "lockgate_webhook_events_total",
                "Events for the webhook: delivered, failed after every attempt, or dropped because too many waited.",
                &["delivered", "failed", "dropped"],
            )?,
            attempts: counter(
                "lockgate_webhook_attempts_total",
                "Requests to the webhook, by what came of them.",
                &["ok", "status", "unreachable", "timeout"],
            )?,
            questions: counter(
                "lockgate_auth_webhook_total",
                "Questions to the auth webhook: allowed, refused, or failed, which refuses too.",
                &["allowed", "refused", "failed"],
            )?,
            question_seconds,
        })
    }

    pub(super) fn delivered(&self, events: usize) {
        self.count("delivered", events);
    }

    pub(super) fn failed(&self, events: usize) {
        self.count("failed", events);
    }

    pub(super) fn dropped(&self, events: usize) {
        self.count("dropped", events);
    }

    fn count(&self, result: &str, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.events.with_label_values(&[result]).inc_by(events);
    }

    pub(super) fn attempted(&self, outcome: &Result<(), Failed>) {
        let result = match outcome {
            Ok(()) => "ok",
            Err(Failed::Status(_) | Failed::Answer) => "status",
            Err(Failed::Timeout) => "timeout",
            Err(Failed::Unreachable(_) | Failed::Request(_)) => "unreachable",
        };
        self.attempts.with_label_values(&[result]).inc();
    }

    pub(super) fn answered(&self, verdict: Result<(), Code>, took: Duration) {
        let result = match verdict {
            Ok(()) => "allowed",
            Err(Code::Refused) => "refused",
            Err(_) => "failed",
        };
        self.questions.with_label_values(&[result]).inc();
        self.question_seconds.observe(took.as_secs_f64());
    }
}
