//! Isolates the gate: one cursor that walks a ring of two GOPs and decides on each packet.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockgate_media::Track;
use lockgate_media::silence::Silence;
use lockgate_routing::config::RingLimits;
use lockgate_routing::cursor::{Cursor, Dropped};
use lockgate_routing::gate::Switches;
use lockgate_routing::ring::{Ring, View};
use lockgate_routing::{MutedAudio, Source};

fn bench(criterion: &mut Criterion) {
    let (start, packets) = ring();
    let mut group = criterion.benchmark_group("gate_decisions");
    let open = Switches::default();
    let muted = |track| open.with(Source::Subscriber, track, true);
    let cases = [
        ("open", open),
        ("audio_muted", muted(Track::Audio)),
        ("video_muted", muted(Track::Video)),
    ];
    for (name, switches) in cases {
        // From the first keyframe on, so that two GOPs pass the gate, not the newest alone.
        let (cursor, view) = (Cursor::join(&start, switches), &packets);
        group.throughput(Throughput::Elements(view.head() - start.head()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (mut cursor, mut dropped) = (cursor, Dropped::default());
                while let Some(step) =
                    cursor.next(view, switches, MutedAudio::Silence, &mut dropped)
                {
                    black_box(step);
                }
                black_box((cursor, dropped));
            });
        });
    }
    group.finish();
}

/// A view of a stream's headers alone, and one of the headers and two GOPs.
fn ring() -> (View, View) {
    let mut ring = Ring::new(RingLimits {
        duration: Duration::from_secs(60),
        bytes: 64 << 20,
        packets: 8192,
    });
    let (mut start, mut whole) = (View::default(), View::default());
    for (at, packet) in lockgate_benches::packets(&lockgate_benches::stream(2))
        .into_iter()
        .enumerate()
    {
        let silence = (packet.track() == Track::Audio).then_some(Silence::Stereo);
        ring.push(Arc::new(packet.with_silence(silence)));
        if at == 1 {
            ring.refresh(&mut start);
        }
    }
    ring.refresh(&mut whole);
    (start, whole)
}

criterion_group! {
    name = benches;
    config = lockgate_benches::criterion();
    targets = bench
}
criterion_main!(benches);
