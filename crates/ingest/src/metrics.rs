//! What ingest counts.

use lockgate_media::Track;
use lockgate_routing::Refusal;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Why publishers are refused or cut, beside what their URL says.
const REASONS: [&str; 6] = [
    "busy",
    "full",
    "draining",
    "idle",
    "bad_sdp",
    "no_common_codec",
];

/// What publishers of all protocols are counted by.
#[derive(Debug, Clone)]
pub struct PublishMetrics {
    refused: IntCounterVec,
    bytes: IntCounterVec,
    packets: IntCounterVec,
}

/// What publishers of one protocol sent.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    bytes: IntCounter,
    packets: [IntCounter; 3],
}

impl PublishMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vec = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let bytes = vec(
            "lockgate_ingest_bytes_total",
            "Bytes of media that publishers sent, by protocol",
            &["protocol"],
        )?;
        let packets = vec(
            "lockgate_ingest_packets_total",
            "Packets that publishers sent, by protocol and kind",
            &["protocol", "kind"],
        )?;
        let refused = vec(
            "lockgate_publish_refused_total",
            "Publishers refused or cut for what they did, by reason",
            &["reason"],
        )?;
        // Zero is told from the start, so that a first increase is seen as one.
        for reason in Refusal::ALL.map(Refusal::label).into_iter().chain(REASONS) {
            refused.with_label_values(&[reason]);
        }
        Ok(Self {
            refused,
            bytes,
            packets,
        })
    }

    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn of(&self, protocol: &str) -> Counters {
        let kinds = [Track::Audio, Track::Video, Track::Data];
        Counters {
            bytes: self.bytes.with_label_values(&[protocol]),
            packets: kinds.map(|kind| self.packets.with_label_values(&[protocol, kind.name()])),
        }
    }
}

impl Counters {
    pub(crate) fn packet(&self, track: Track, bytes: usize) {
        let [audio, video, data] = &self.packets;
        match track {
            Track::Audio => audio,
            Track::Video => video,
            Track::Data => data,
        }
        .inc();
        self.bytes.inc_by(bytes as u64);
    }
}
