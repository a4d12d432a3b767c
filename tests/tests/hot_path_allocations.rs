//! The hot path allocates nothing for a packet and a player: 500 players cost as many allocations as one.
//!
//! Counted by the allocator itself, on the thread that pushes, fans out and writes.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lockgate_media::Track;
use lockgate_media::tag::{self, Framing};
use lockgate_routing::config::RingLimits;
use lockgate_routing::{
    Config, ConnectionId, Origin, Player, Protocol, Publication, Router, Sink, Source, StreamId,
};
use lockgate_rtmp::chunk;
use prometheus::Registry;
use tokio::runtime::{Builder, Runtime};

/// Packets that are counted; a multiple of a GOP.
const PACKETS: u32 = 600;
/// Packets before them: every buffer that grows has grown.
const WARM: u32 = 1200;
/// Audio and video alternate, so half of them are frames.
const GOP: u32 = 60;
/// Several slices of players, so a pass lets others run in between.
const MANY: usize = 500;

/// Allocations that are the runtime's own, however many packets there are.
const RUNTIME: u64 = 8;

const VIDEO_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const KEYFRAME: &[u8] = &[0x17, 1, 0, 0, 0, 0x65];
const FRAME: &[u8] = &[0x27, 1, 0, 0, 0, 0x41];
const AUDIO_HEADER: &[u8] = &[0xaf, 0, 0x11, 0x90];
const AUDIO: &[u8] = &[0xaf, 1, 0x21];

static RTMP: Protocol = Protocol {
    name: "memory",
    slices: chunk::slices,
};
/// FLV in each of its framings.
static FLV: [Protocol; 3] = [
    Protocol {
        name: "memory",
        slices: |packet, into| tag::slices(packet, Framing::Bare, into),
    },
    Protocol {
        name: "memory",
        slices: |packet, into| tag::slices(packet, Framing::Chunk, into),
    },
    Protocol {
        name: "memory",
        slices: |packet, into| tag::slices(packet, Framing::Message, into),
    },
];

/// Takes everything and counts it.
#[derive(Debug, Clone)]
struct Memory(Arc<Taken>, &'static Protocol);

#[derive(Debug, Default)]
struct Taken {
    bytes: AtomicU64,
    writes: AtomicU64,
}

impl Sink for Memory {
    fn protocol(&self) -> &'static Protocol {
        self.1
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        Ok(bytes)
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream with its players on a runtime of one thread.
struct Scene<'a> {
    runtime: &'a Runtime,
    publication: Publication,
    players: Vec<(Player, Memory)>,
    pushed: u32,
}

impl<'a> Scene<'a> {
    fn new(runtime: &'a Runtime, players: usize, protocol: &'static Protocol) -> Self {
        let config = Config {
            // Every packet goes out at once, so every packet is a pass over all players.
            max_hold: Duration::ZERO,
            fanout_tasks: NonZeroUsize::MIN,
            ring: RingLimits {
                duration: Duration::from_secs(5),
                bytes: 1 << 20,
                packets: 256,
            },
            ..Config::default()
        };
        let router = Router::new(config, &Registry::new()).unwrap();
        let stream = StreamId::new("live", "a").unwrap().into();
        let mut publication = router.publish(&stream, origin()).unwrap();
        let now = Instant::now();
        let headers = [(Track::Video, VIDEO_HEADER), (Track::Audio, AUDIO_HEADER)];
        for (track, payload) in headers {
            let payload = Bytes::from_static(payload);
            publication.push(track, 0, payload, now).unwrap();
        }
        let join = |_| {
            let memory = Memory(Arc::default(), protocol);
            let subscription = router.subscribe(&stream, origin()).unwrap();
            (subscription.attach(Box::new(memory.clone())), memory)
        };
        let players = (0..players).map(join).collect();
        Self {
            runtime,
            publication,
            players,
            pushed: 0,
        }
    }

    /// Closes a track for every player.
    fn mute(&self, track: Track) {
        for (player, _) in &self.players {
            player.turn(Source::Subscriber, track, true);
        }
    }

    /// Pushes packets one by one, each until all players have got it.
    fn push(&mut self, packets: u32) {
        let (publication, pushed) = (&mut self.publication, &mut self.pushed);
        self.runtime.block_on(async {
            for _ in 0..packets {
                let (track, payload) = match *pushed % GOP {
                    0 => (Track::Video, KEYFRAME),
                    nth if nth % 2 == 0 => (Track::Video, FRAME),
                    _ => (Track::Audio, AUDIO),
                };
                let (now, payload) = (Instant::now(), Bytes::from_static(payload));
                publication.push(track, *pushed * 16, payload, now).unwrap();
                publication.flush();
                *pushed += 1;
                // The fan-out yields between slices of players; nothing else runs here.
                for _ in 0..32 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    /// Writes that each player got; all got the same.
    fn writes(&self) -> u64 {
        let taken = |memory: &Memory| {
            let Taken { bytes, writes } = &*memory.0;
            (
                bytes.load(Ordering::Relaxed),
                writes.load(Ordering::Relaxed),
            )
        };
        let mut all = self.players.iter().map(|(_, memory)| taken(memory));
        let first = all.next().unwrap();
        assert!(all.all(|taken| taken == first));
        first.1
    }
}

fn origin() -> Origin {
    Origin {
        connection: ConnectionId::next(),
        protocol: "memory",
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
    }
}

/// Allocations of pushing [`PACKETS`], and writes that each player got of them.
fn cost(players: usize, muted: Option<Track>, protocol: &'static Protocol) -> (u64, u64) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    // Streams start and end tasks of their own.
    let _entered = runtime.enter();
    let mut scene = Scene::new(&runtime, players, protocol);
    scene.push(GOP);
    if let Some(track) = muted {
        scene.mute(track);
    }
    scene.push(WARM);
    let before = scene.writes();
    let counted = allocation_counter::measure(|| scene.push(PACKETS));
    (counted.count_total, scene.writes() - before)
}

/// One player and many cost the same, which is at most `each` allocations a packet.
fn costs_the_same(muted: Option<Track>, protocol: &'static Protocol, each: u64, written: u64) {
    let packets = u64::from(PACKETS);
    let (one, writes) = cost(1, muted, protocol);
    assert_eq!(
        writes, written,
        "what is not dropped is written, packet by packet"
    );
    let bound = packets * each + RUNTIME;
    assert!(one <= bound, "{one} allocations for {packets} packets");
    assert!(
        one >= packets,
        "each packet is one allocation at least: counting works"
    );
    let many = cost(MANY, muted, protocol);
    assert_eq!(many, (one, writes), "{MANY} players and one");
}

#[test]
fn an_open_gate_allocates_nothing_for_a_packet_and_a_player() {
    costs_the_same(None, &RTMP, 1, 600);
}

#[test]
fn a_stand_in_for_muted_audio_is_made_once_for_all_players() {
    // The packet, and for every other one its silence: payload, shared count, packet.
    costs_the_same(Some(Track::Audio), &RTMP, 3, 600);
}

#[test]
fn muted_video_allocates_nothing_for_a_packet_and_a_player() {
    costs_the_same(Some(Track::Video), &RTMP, 1, 300);
}

#[test]
fn tags_allocate_nothing_for_a_packet_and_a_player_however_they_are_framed() {
    for protocol in &FLV {
        costs_the_same(None, protocol, 1, 600);
        costs_the_same(Some(Track::Audio), protocol, 3, 600);
    }
}
