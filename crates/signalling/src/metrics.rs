//! What signalling counts. Labels are commands, codes and reasons, never a channel or a uid.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::code::Code;
use crate::hooks::Leave;
use crate::outbox::Close;

/// The commands that have a label of their own; every other one is `unknown`.
const COMMANDS: [&str; 13] = [
    "KeepAlive",
    "Login",
    "Logout",
    "MuteLocalStream",
    "MuteRemoteStream",
    "Publish",
    "RenewToken",
    "Report",
    "SetRole",
    "Subscribe",
    "UnPublish",
    "UnSubscribe",
    UNKNOWN,
];

const UNKNOWN: &str = "unknown";

/// How a session ends when its WebSocket does.
const BROKEN: &str = "broken";

/// How a session ends that found no seat.
const TOO_MANY: &str = "too_many";

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) sessions: IntGauge,
    pub(crate) members: IntGauge,
    pub(crate) channels: IntGauge,
    pub(crate) junk: IntCounter,
    pub(crate) notices: IntCounter,
    gateway: IntCounterVec,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    closed: IntCounterVec,
    left: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        let vec = |name, help, label| {
            register(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        let metrics = Self {
            sessions: gauge("lockgate_sessions", "Open signalling sessions.")?,
            members: gauge(
                "lockgate_members",
                "Members of channels, those in their grace included.",
            )?,
            channels: gauge("lockgate_channels", "Channels that have members.")?,
            junk: counter(
                "lockgate_signalling_junk_total",
                "Frames that are no envelope.",
            )?,
            notices: counter(
                "lockgate_signalling_notices_total",
                "Notices queued for members, each member counted.",
            )?,
            gateway: vec(
                "lockgate_gateway_requests_total",
                "Answers of the gateway, by outcome.",
                "code",
            )?,
            requests: vec(
                "lockgate_signalling_requests_total",
                "Requests of sessions, by command.",
                "cmd",
            )?,
            refusals: vec(
                "lockgate_signalling_refusals_total",
                "Requests of sessions that were refused, by outcome.",
                "code",
            )?,
            closed: vec(
                "lockgate_sessions_closed_total",
                "Sessions that ended, by reason.",
                "reason",
            )?,
            left: vec(
                "lockgate_members_left_total",
                "Members that left their channel, by reason.",
                "reason",
            )?,
        };
        // Zero is told from the start, so that a first increase is seen as one.
        for code in Code::ALL {
            metrics.gateway.with_label_values(&[code.label()]);
            if code != Code::Ok {
                metrics.refusals.with_label_values(&[code.label()]);
            }
        }
        for cmd in COMMANDS {
            metrics.requests.with_label_values(&[cmd]);
        }
        for why in Leave::ALL {
            metrics.left.with_label_values(&[why.label()]);
        }
        let left = Leave::ALL.map(|why| Close::Left(why).label());
        let closed = Close::UNLEFT.map(Close::label);
        for reason in [BROKEN, TOO_MANY].iter().chain(&left).chain(&closed) {
            metrics.closed.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(crate) fn gateway(&self, code: Code) {
        self.gateway.with_label_values(&[code.label()]).inc();
    }

    pub(crate) fn request(&self, cmd: &str) {
        let known = COMMANDS.iter().find(|&&known| known == cmd);
        let cmd = known.copied().unwrap_or(UNKNOWN);
        self.requests.with_label_values(&[cmd]).inc();
    }

    pub(crate) fn refused(&self, code: Code) {
        self.refusals.with_label_values(&[code.label()]).inc();
    }

    pub(crate) fn closed(&self, close: Option<Close>) {
        let reason = close.map_or(BROKEN, Close::label);
        self.closed.with_label_values(&[reason]).inc();
    }

    pub(crate) fn turned_away(&self) {
        self.closed.with_label_values(&[TOO_MANY]).inc();
    }

    pub(crate) fn left(&self, why: Leave) {
        self.left.with_label_values(&[why.label()]).inc();
    }
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
        Metrics::new(&registry).unwrap();
        let families = registry.gather();
        let described: Vec<_> = families
            .iter()
            .map(|family| format!("{} {:?}", family.name(), family.get_field_type()))
            .collect();
        assert_eq!(
            described,
            [
                "lockgate_channels GAUGE",
                "lockgate_gateway_requests_total COUNTER",
                "lockgate_members GAUGE",
                "lockgate_members_left_total COUNTER",
                "lockgate_sessions GAUGE",
                "lockgate_sessions_closed_total COUNTER",
                "lockgate_signalling_junk_total COUNTER",
                "lockgate_signalling_notices_total COUNTER",
                "lockgate_signalling_refusals_total COUNTER",
                "lockgate_signalling_requests_total COUNTER",
            ]
        );
    }
}
