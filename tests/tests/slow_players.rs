//! Players that stop reading cost the others nothing: no frame, no delay, no memory.
//!
//! The same load runs with and without them. Noise of the machine only ever adds delay, so rounds
//! repeat while the two differ, and a node that lets players block each other fails every round.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use lockgate_loadgen::{Load, Report, Shape, Target};
use lockgate_tests::node::TestNode;

const PLAYERS: usize = 200;
const STALLED: usize = 20;
/// Frames that every player gets before a run may end: three GOPs after all have joined.
const FRAMES: u64 = 100;
/// A run that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often the node's metrics are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds in which the delays may yet agree.
const ROUNDS: usize = 4;

/// Bounds of the ring, well above the 0.3 MB and 160 packets that two GOPs take.
const RING_BYTES: u64 = 1 << 20;
const RING_PACKETS: u32 = 512;

/// A stream of 1 Mbit/s with a keyframe a second.
const SHAPE: Shape = Shape {
    video_bitrate: 1_000_000,
    frame_rate: 30,
    gop: 30,
    audio_bitrate: 128_000,
};

/// What the node's metrics showed.
#[derive(Debug, Default)]
struct Seen {
    cut: f64,
    most_ring_bytes: f64,
    most_ring_packets: f64,
}

impl Seen {
    fn look(node: &TestNode) -> Self {
        let metric = |name, label| node.metric(name, label).unwrap();
        Self {
            cut: metric("lockgate_players_cut_total", "too_slow"),
            most_ring_bytes: metric("lockgate_ring_bytes", ""),
            most_ring_packets: metric("lockgate_ring_packets", ""),
        }
    }

    fn and(&self, later: &Self) -> Self {
        Self {
            cut: later.cut,
            most_ring_bytes: self.most_ring_bytes.max(later.most_ring_bytes),
            most_ring_packets: self.most_ring_packets.max(later.most_ring_packets),
        }
    }
}

/// One run on a node of its own: until everybody has what they should, and who stalls is cut.
fn run(stalled: usize) -> (Report, Seen) {
    let node = TestNode::with(|config| {
        config.rtmp.max_message_size = 1 << 18;
        config.routing.ring_duration = Duration::from_secs(1);
        config.routing.ring_bytes = RING_BYTES;
        config.routing.ring_packets = RING_PACKETS.try_into().unwrap();
        // Short, so that the test need not wait for it.
        config.egress.cut_after = Duration::from_secs(1);
    })
    .unwrap();
    let load = Load {
        players: PLAYERS,
        judges: PLAYERS,
        stalled,
        lead: Duration::ZERO,
        warmup: Duration::ZERO,
        duration: DEADLINE,
        tick: Duration::from_millis(100),
        shape: SHAPE,
        ..Load::new(Target::new(node.rtmp(), "live", "load"))
    };
    // Asked from a thread of its own: whoever waits for an answer reads no media meanwhile.
    let seen = Mutex::new(Seen::default());
    let report = std::thread::scope(|scope| {
        let (running, over) = mpsc::channel::<()>();
        let (node, seen) = (&node, &seen);
        scope.spawn(move || {
            while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let now = Seen::look(node);
                let mut seen = seen.lock().unwrap();
                *seen = seen.and(&now);
            }
        });
        let report = lockgate_loadgen::run(&load, |progress| {
            let cut = seen.lock().unwrap().cut;
            if progress.measuring && progress.fewest_frames >= FRAMES && cut >= stalled as f64 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        drop(running);
        report.unwrap()
    });
    node.join().unwrap();
    (report, seen.into_inner().unwrap())
}

/// What must hold in every run, whatever the machine does meanwhile.
fn check(report: &Report, seen: &Seen, stalled: usize) {
    assert!(
        report.seconds < DEADLINE.as_secs_f64(),
        "too few frames or too few cut: {report}"
    );
    assert!(report.is_complete(), "who reads stays: {report}");
    assert_eq!((report.video_lost, report.audio_lost), (0, 0), "{report}");
    assert_eq!(report.ran_back, 0, "{report}");
    assert!(report.video_delay_ms.count > 0, "{report}");
    assert_eq!(
        seen.cut, stalled as f64,
        "who stops reading is cut, and nobody else"
    );
    assert!(seen.most_ring_bytes > 0.0 && seen.most_ring_bytes <= RING_BYTES as f64);
    assert!(seen.most_ring_packets <= f64::from(RING_PACKETS));
}

#[test]
fn players_that_stop_reading_cost_the_others_neither_frames_nor_delay_nor_memory() {
    let (mut without, mut with) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        for (stalled, p99) in [(0, &mut without), (STALLED, &mut with)] {
            let (report, seen) = run(stalled);
            check(&report, &seen, stalled);
            *p99 = p99.min(report.video_delay_ms.p99);
        }
        if with <= 3.0 * without + 30.0 {
            return;
        }
    }
    panic!("p99 delay: {with} ms with players that stop reading, {without} ms without");
}
