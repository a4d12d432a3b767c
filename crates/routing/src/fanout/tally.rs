//! Counts of one fan-out task, kept in plain numbers: what all of a node's tasks write to costs each of
//! them the others' writes. Published ten times a second, and whenever a player has ended.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lockgate_media::Track;
use prometheus::IntCounter;
use prometheus::local::LocalHistogram;

use crate::cursor::{Dropped, Skips};
use crate::metrics::Metrics;
use crate::player::Seat;

pub(super) struct Tally {
    /// Scratch space of a pass, kept so that a pass allocates nothing.
    pub(super) todo: Vec<usize>,
    bytes: u64,
    writes: u64,
    packets: [u64; 3],
    dropped: Dropped,
    skips: (u64, u64),
    dwell: LocalHistogram,
    first_frame: LocalHistogram,
    counters: Counters,
}

struct Counters {
    bytes: IntCounter,
    writes: IntCounter,
    packets: [IntCounter; 3],
}

impl Tally {
    pub(super) fn new(metrics: &Metrics, protocol: &str) -> Self {
        let packets = [Track::Audio, Track::Video, Track::Data].map(|track| {
            metrics
                .egress_packets
                .with_label_values(&[protocol, track.name()])
        });
        Self {
            todo: Vec::new(),
            bytes: 0,
            writes: 0,
            packets: [0; 3],
            dropped: Dropped::default(),
            skips: (0, 0),
            dwell: metrics.dwell.local(),
            first_frame: metrics.first_frame.local(),
            counters: Counters {
                bytes: metrics.egress_bytes.with_label_values(&[protocol]),
                writes: metrics.egress_writes.with_label_values(&[protocol]),
                packets,
            },
        }
    }

    pub(super) fn write(&mut self, bytes: usize) {
        self.writes += 1;
        self.bytes += bytes as u64;
    }

    pub(super) fn packet(&mut self, track: Track) {
        let [audio, video, data] = &mut self.packets;
        *match track {
            Track::Audio => audio,
            Track::Video => video,
            Track::Data => data,
        } += 1;
    }

    /// In seconds.
    pub(super) fn dwell(&mut self, dwell: f64) {
        self.dwell.observe(dwell);
    }

    pub(super) fn first_frame(&mut self, took: Duration) {
        self.first_frame.observe(took.as_secs_f64());
    }

    pub(super) fn dropped(&mut self, dropped: Dropped) {
        self.dropped.muted += dropped.muted;
        self.dropped.silenced += dropped.silenced;
        self.dropped.await_keyframe += dropped.await_keyframe;
    }

    pub(super) fn skip(&mut self, seat: &Seat, skips: Skips) {
        let count = u64::from(skips.video) + u64::from(skips.audio);
        if count > 0 {
            self.skips.0 += u64::from(skips.audio);
            self.skips.1 += u64::from(skips.video);
            seat.skips.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Adds what was counted to the node's metrics.
    pub(super) fn publish(&mut self, metrics: &Metrics) {
        self.counters.bytes.inc_by(std::mem::take(&mut self.bytes));
        self.counters
            .writes
            .inc_by(std::mem::take(&mut self.writes));
        for (counter, count) in self.counters.packets.iter().zip(&mut self.packets) {
            counter.inc_by(std::mem::take(count));
        }
        metrics.dropped.add(std::mem::take(&mut self.dropped));
        let (audio, video) = std::mem::take(&mut self.skips);
        if audio > 0 {
            metrics.skips.with_label_values(&["audio"]).inc_by(audio);
        }
        if video > 0 {
            metrics.skips.with_label_values(&["video"]).inc_by(video);
        }
        self.dwell.flush();
        self.first_frame.flush();
    }
}
