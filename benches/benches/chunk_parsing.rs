//! Isolates the chunk reader: a second of a stream, as bytes in memory, into messages.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lockgate_media::Track;
use lockgate_rtmp::chunk::{Limits, Reader, kind, write_message};

/// Bytes that one read of a socket brings.
const READ: usize = 64 << 10;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk_parsing");
    // The protocol's default, ffmpeg's and OBS's usual, and one that leaves a frame whole.
    for chunk_size in [128, 4096, 60_000] {
        let bytes = serialised(chunk_size);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(chunk_size), |bencher| {
            bencher.iter_batched_ref(
                || Reader::new(Limits::default()),
                |reader| {
                    for mut input in bytes.chunks(READ) {
                        while let Ok(Some(message)) = reader.feed(&mut input) {
                            black_box(message);
                        }
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A publisher's bytes, from its Set Chunk Size on.
fn serialised(chunk_size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let size = u32::try_from(chunk_size).unwrap_or(u32::MAX).to_be_bytes();
    write_message(&mut out, 2, 0, kind::SET_CHUNK_SIZE, 0, &size, 128);
    for (track, timestamp, body) in lockgate_benches::stream(1) {
        let (csid, kind) = match track {
            Track::Audio => (4, kind::AUDIO),
            _ => (6, kind::VIDEO),
        };
        let timestamp = u32::try_from(timestamp).unwrap_or(u32::MAX);
        write_message(&mut out, csid, timestamp, kind, 1, &body, chunk_size);
    }
    out
}

criterion_group! {
    name = benches;
    config = lockgate_benches::criterion();
    targets = bench
}
criterion_main!(benches);
