//! What routing counts. Labels are protocols, kinds and reasons, never names of streams.

use lockgate_media::Track;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::cursor::Dropped;
use crate::gate::Source;
use crate::timeline::Jump;

/// From a packet's last byte read to its last byte written, and what a join or a mute takes.
const SECONDS: [f64; 22] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.00375, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03,
    0.035, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// The metrics of one router.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) streams: IntGauge,
    pub(crate) publishers: IntGaugeVec,
    pub(crate) players: IntGaugeVec,
    pub(crate) returns: IntCounterVec,
    pub(crate) egress_bytes: IntCounterVec,
    pub(crate) egress_packets: IntCounterVec,
    pub(crate) egress_writes: IntCounterVec,
    pub(crate) ring_bytes: IntGauge,
    pub(crate) ring_packets: IntGauge,
    pub(crate) dropped: DropCounters,
    pub(crate) skips: IntCounterVec,
    pub(crate) cut: IntCounterVec,
    pub(crate) switches: IntCounterVec,
    jumps: IntCounterVec,
    pub(crate) hold_widened: Histogram,
    pub(crate) dwell: Histogram,
    pub(crate) first_frame: Histogram,
    pub(crate) mute_effect: Histogram,
}

/// One counter a reason, so that the hot path looks nothing up.
#[derive(Debug)]
pub(crate) struct DropCounters {
    muted: IntCounter,
    silenced: IntCounter,
    await_keyframe: IntCounter,
    pub(crate) before_keyframe: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            register(registry, Histogram::with_opts(options)?)
        };
        let dropped = counters(
            "lockgate_dropped_packets_total",
            "Packets not sent as they are, by reason; silenced ones are sent as silence",
            &["reason"],
        )?;
        let skips = counters(
            "lockgate_skips_total",
            "Skips of players that fell behind, by the kind of track",
            &["kind"],
        )?;
        let cut = counters(
            "lockgate_players_cut_total",
            "Players cut by the node, by reason",
            &["reason"],
        )?;
        let jumps = counters(
            "lockgate_timeline_jumps_total",
            "Publisher timestamps that leapt, ran back or wrapped, and were rebased",
            &["reason"],
        )?;
        let returns = counters(
            "lockgate_publisher_returns_total",
            "Publishers that took up a name again, by how: resumed, replaced, rejected",
            &["how"],
        )?;
        let switches = counters(
            "lockgate_gate_switches_total",
            "Turns of gate switches, by who turned them and the kind of track",
            &["source", "kind"],
        )?;
        // A label that has not happened yet is 0, so that a rate over it is right from the start.
        let zeros: [(&IntCounterVec, &[&str]); 4] = [
            (&skips, &["audio", "video"]),
            (&cut, &["too_slow", "kicked"]),
            (
                &jumps,
                &[
                    Jump::Forward.label(),
                    Jump::Backward.label(),
                    Jump::Wrap.label(),
                ],
            ),
            (&returns, &["resumed", "replaced", "rejected"]),
        ];
        for (vec, labels) in zeros {
            for label in labels {
                vec.with_label_values(&[*label]);
            }
        }
        for source in Source::ALL {
            for track in [Track::Audio, Track::Video] {
                switches.with_label_values(&[source.name(), track.name()]);
            }
        }
        Ok(Self {
            streams: gauge(
                "lockgate_streams",
                "Streams that are published or waited for",
            )?,
            publishers: gauges(
                "lockgate_publishers",
                "Publishers, by protocol",
                &["protocol"],
            )?,
            players: gauges(
                "lockgate_players",
                "Players, by protocol, those that wait for a publisher included",
                &["protocol"],
            )?,
            returns,
            egress_bytes: counters(
                "lockgate_egress_bytes_total",
                "Bytes of media written to players, by protocol",
                &["protocol"],
            )?,
            egress_packets: counters(
                "lockgate_egress_packets_total",
                "Packets written to players, by protocol and kind",
                &["protocol", "kind"],
            )?,
            egress_writes: counters(
                "lockgate_egress_writes_total",
                "Writes that carried those packets, by protocol",
                &["protocol"],
            )?,
            ring_bytes: gauge("lockgate_ring_bytes", "Bytes that all rings hold")?,
            ring_packets: gauge("lockgate_ring_packets", "Packets that all rings hold")?,
            dropped: DropCounters {
                muted: dropped.with_label_values(&["muted"]),
                silenced: dropped.with_label_values(&["silenced"]),
                await_keyframe: dropped.with_label_values(&["await_keyframe"]),
                before_keyframe: dropped.with_label_values(&["before_keyframe"]),
            },
            skips,
            cut,
            switches,
            jumps,
            hold_widened: seconds(
                "lockgate_hold_widened_seconds",
                "How much longer than egress.max_hold packets waited, because fan-out is loaded",
            )?,
            dwell: seconds(
                "lockgate_node_dwell_seconds",
                "From a live packet's last byte read to its write to a player",
            )?,
            first_frame: seconds(
                "lockgate_first_frame_seconds",
                "From a player's joining to the write of its first frame",
            )?,
            mute_effect: seconds(
                "lockgate_mute_effect_seconds",
                "From the turn of a switch to the fan-out that obeys it",
            )?,
        })
    }

    pub(crate) fn count_jump(&self, jump: Jump) {
        self.jumps.with_label_values(&[jump.label()]).inc();
    }
}

impl DropCounters {
    pub(crate) fn add(&self, dropped: Dropped) {
        self.muted.inc_by(dropped.muted);
        self.silenced.inc_by(dropped.silenced);
        self.await_keyframe.inc_by(dropped.await_keyframe);
    }
}

fn register<C>(registry: &Registry, collector: C) -> Result<C, prometheus::Error>
where
    C: prometheus::core::Collector + Clone + 'static,
{
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
