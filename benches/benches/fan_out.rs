//! Isolates the fan-out: packets pushed into a router until all players' sinks, in memory, have them.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot start has no result"
)]

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use lockgate_media::Track;
use lockgate_routing::{
    Config, ConnectionId, Origin, Player, Protocol, Publication, Router, Sink, StreamId,
};
use lockgate_rtmp::chunk;
use prometheus::Registry;
use tokio::runtime::Builder;

/// Packets pushed in one measurement, each on its own: a GOP.
const PACKETS: u32 = 30;

const KEYFRAME: &[u8] = &[0x17, 1, 0, 0, 0, 0x65];
const FRAME: &[u8] = &[0x27, 1, 0, 0, 0, 0x41];

static PROTOCOL: Protocol = Protocol {
    name: "memory",
    slices: chunk::slices,
};

/// Takes everything and counts it; what the kernel would cost is not here.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<AtomicU64>);

impl Sink for Memory {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn bench(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("fan_out");
    group.sampling_mode(SamplingMode::Flat);
    for players in [1, 100, 1000] {
        let mut scene = Scene::new(players);
        // A packet to a player is what is counted.
        group.throughput(Throughput::Elements(u64::from(PACKETS) * players));
        group.bench_function(BenchmarkId::new("players", players), |bencher| {
            bencher.iter(|| runtime.block_on(scene.push()));
        });
    }
    group.finish();
}

struct Scene {
    publication: Publication,
    players: Vec<Player>,
    written: Memory,
    time: u32,
}

impl Scene {
    fn new(players: u64) -> Self {
        let config = Config {
            max_hold: Duration::ZERO,
            fanout_tasks: NonZeroUsize::MIN,
            ..Config::default()
        };
        let router = Router::new(config, &Registry::new()).unwrap();
        let stream = StreamId::new("live", "a").unwrap().into();
        let publication = router.publish(&stream, origin()).unwrap();
        let written = Memory::default();
        let join = |_| {
            let subscription = router.subscribe(&stream, origin()).unwrap();
            subscription.attach(Box::new(written.clone()))
        };
        Self {
            publication,
            players: (0..players).map(join).collect(),
            written,
            time: 0,
        }
    }

    /// Pushes a GOP, each packet once all players have the one before.
    async fn push(&mut self) {
        for nth in 0..PACKETS {
            let payload = Bytes::from_static(if nth == 0 { KEYFRAME } else { FRAME });
            self.time = self.time.wrapping_add(33);
            let want = self.written.0.load(Ordering::Relaxed) + self.players.len() as u64;
            let (publication, now) = (&mut self.publication, Instant::now());
            publication
                .push(Track::Video, self.time, payload, now)
                .unwrap();
            publication.flush();
            while self.written.0.load(Ordering::Relaxed) < want {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn origin() -> Origin {
    Origin {
        connection: ConnectionId::next(),
        protocol: "memory",
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
    }
}

criterion_group! {
    name = benches;
    config = lockgate_benches::criterion();
    targets = bench
}
criterion_main!(benches);
