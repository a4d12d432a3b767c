//! Isolates RTMP serialising: packets into the slices of a write, when new and when sent before.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockgate_benches::{packets, stream};
use lockgate_media::{Packet, Slices};
use lockgate_rtmp::chunk;

fn bench(criterion: &mut Criterion) {
    let messages = stream(1);
    let mut group = criterion.benchmark_group("serialising");
    group.throughput(Throughput::Elements(messages.len() as u64));
    // Chunk headers are made by the first writer: this is what a packet costs once.
    group.bench_function("new_packets", |bencher| {
        bencher.iter_batched_ref(
            || packets(&messages),
            |packets| slice(packets),
            BatchSize::SmallInput,
        );
    });
    // This is what it costs each further time.
    let written = packets(&messages);
    slice(&written);
    group.bench_function("packets_sent_before", |bencher| {
        bencher.iter(|| slice(&written));
    });
    group.finish();
}

fn slice(packets: &[Packet]) {
    for packet in packets {
        let mut slices = Slices::new();
        chunk::slices(packet, &mut slices);
        black_box(&slices);
    }
}

criterion_group! {
    name = benches;
    config = lockgate_benches::criterion();
    targets = bench
}
criterion_main!(benches);
