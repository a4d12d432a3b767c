//! Fan-out under scripted sockets: what each takes, and when, is the test's to say.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use lockgate_media::{Packet, Slices, Track};
use parking_lot::Mutex;
use prometheus::Registry;

use super::*;
use crate::admit::Grant;
use crate::config::Config;
use crate::id::{Origin, StreamId};
use crate::lease::Lease;
use crate::publication::Publication;
use crate::router::Router;
use crate::{Player, Source};

/// Frames a packet as its track's letter, its timestamp and its payload, so that bytes can be read.
fn slices<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    let head = packet.rtmp_head().get_or_init(|| {
        let text = format!(
            "{}{:06}:",
            packet.track().name().chars().next().unwrap(),
            packet.timestamp()
        );
        lockgate_media::Head::new(text.as_bytes(), &[])
    });
    into.push(IoSlice::new(head.first()));
    into.push(IoSlice::new(packet.payload()));
}

static PROTOCOL: Protocol = Protocol {
    name: "test",
    slices,
};

#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    writes: usize,
    /// How much each of the next writes takes; 0 is "would block". Empty: everything.
    takes: VecDeque<usize>,
    stuck: bool,
    broken: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Wire>>);

impl Socket {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().bytes).into_owned()
    }

    fn unstick(&self) {
        let mut wire = self.0.lock();
        wire.stuck = false;
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
    }
}

impl Sink for Socket {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.lock();
        if wire.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut room = if wire.stuck {
            0
        } else {
            wire.takes.pop_front().unwrap_or(usize::MAX)
        };
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = wire.bytes.len();
        for slice in slices {
            let taken = room.min(slice.len());
            wire.bytes.extend_from_slice(&slice[..taken]);
            room -= taken;
        }
        wire.writes += 1;
        Ok(wire.bytes.len() - before)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock();
        if wire.stuck {
            wire.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

struct Scene {
    router: Arc<Router>,
    registry: Registry,
    publication: Publication,
}

impl Scene {
    fn new(config: Config) -> Self {
        let registry = Registry::new();
        let router = Router::new(config, &registry).unwrap();
        let publication = router.publish(&stream().into(), origin()).unwrap();
        Self {
            router,
            registry,
            publication,
        }
    }

    fn join(&self, socket: &Socket) -> Player {
        let subscription = self.router.subscribe(&stream().into(), origin()).unwrap();
        subscription.attach(Box::new(socket.clone()))
    }

    fn push(&mut self, track: Track, timestamp: u32, payload: &'static [u8]) {
        // On the clock that the tests stop.
        let now = Instant::now().into_std();
        self.publication
            .push(track, timestamp, Bytes::from_static(payload), now)
            .unwrap();
    }

    fn counter(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .unwrap();
        family
            .get_metric()
            .iter()
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

fn stream() -> StreamId {
    StreamId::new("live", "a").unwrap()
}

fn origin() -> Origin {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Origin {
        connection: ConnectionId::next(),
        protocol: "test",
        peer,
    }
}

const KEY: &[u8] = b"\x17\x01\0\0\0KKKKKKKKKKKKKKKKKKKKKKKK\n";
const DELTA: &[u8] = b"\x27\x01\0\0\0pppp\n";
const AUDIO: &[u8] = b"\x2fa\n";

/// Lets every task do what it can without time going on.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn no_hold() -> Config {
    Config {
        max_hold: Duration::ZERO,
        ..Config::default()
    }
}

#[tokio::test(start_paused = true)]
async fn every_player_gets_the_same_bytes_however_its_socket_takes_them() {
    let mut scene = Scene::new(no_hold());
    let whole = Socket::default();
    let _reference = scene.join(&whole);
    let mut players = Vec::new();
    for take in 1..60 {
        let socket = Socket::default();
        socket.0.lock().takes = (0..4000)
            .flat_map(|n| [take, n % 3, 0, take + n % 7])
            .collect();
        players.push((scene.join(&socket), socket));
    }
    for n in 0..40 {
        scene.push(Track::Video, n * 33, if n % 10 == 0 { KEY } else { DELTA });
        scene.push(Track::Audio, n * 33, AUDIO);
        scene.publication.flush();
        settle().await;
    }
    for _ in 0..200 {
        settle().await;
    }
    let expected = whole.text();
    assert_eq!(expected.matches('\n').count(), 80);
    for (_, socket) in &players {
        assert_eq!(socket.text(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn audio_waits_for_a_frame_to_go_out_with_but_not_for_long() {
    let mut scene = Scene::new(Config::default());
    let socket = Socket::default();
    let _player = scene.join(&socket);
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    let writes = socket.0.lock().writes;
    scene.push(Track::Audio, 10, AUDIO);
    scene.publication.flush();
    settle().await;
    assert_eq!(socket.0.lock().writes, writes, "audio is held");
    scene.push(Track::Video, 33, DELTA);
    scene.publication.flush();
    settle().await;
    assert_eq!(
        socket.0.lock().writes,
        writes + 1,
        "one write takes both along"
    );
    scene.push(Track::Audio, 40, AUDIO);
    scene.publication.flush();
    tokio::time::sleep(Duration::from_millis(39)).await;
    assert_eq!(socket.0.lock().writes, writes + 1);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(socket.0.lock().writes, writes + 2, "40 ms are the bound");
    scene.push(Track::Audio, 90, AUDIO);
    scene.publication.flush_held();
    settle().await;
    assert_eq!(socket.0.lock().writes, writes + 3, "it had waited before");
}

#[tokio::test(start_paused = true)]
async fn a_player_that_stops_reading_costs_others_nothing_and_is_cut() {
    let mut scene = Scene::new(no_hold());
    let (stuck, free) = (Socket::default(), Socket::default());
    let mut stuck_player = scene.join(&stuck);
    let _free_player = scene.join(&free);
    stuck.0.lock().takes = [7].into();
    settle().await;
    for n in 0..1000 {
        scene.push(Track::Video, n * 33, if n % 60 == 0 { KEY } else { DELTA });
        scene.publication.flush();
        settle().await;
        stuck.0.lock().stuck = true;
        assert_eq!(free.text().matches('\n').count(), n as usize + 1);
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let ended = stuck_player.ended().await;
    assert!(matches!(ended.why, End::TooSlow));
    assert_eq!(scene.counter("lockgate_players_cut_total"), 1.0);
    assert_eq!(
        scene.router.stream(&stream()).unwrap().players.len(),
        2,
        "until its handle goes"
    );
    drop(stuck_player);
    assert_eq!(scene.router.stream(&stream()).unwrap().players.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_player_that_comes_back_to_life_goes_on_where_it_stopped() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let _player = scene.join(&socket);
    socket.0.lock().takes = [10].into();
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    socket.0.lock().stuck = true;
    settle().await;
    scene.push(Track::Video, 33, DELTA);
    scene.publication.flush();
    settle().await;
    socket.unstick();
    settle().await;
    let text = socket.text();
    assert_eq!(text.matches('\n').count(), 2);
    assert!(text.contains("v000033:"), "{text:?}");
}

#[tokio::test(start_paused = true)]
async fn control_bytes_stand_between_packets_and_the_rest_goes_to_the_connection() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let mut player = scene.join(&socket);
    settle().await;
    socket.0.lock().takes = [10, 0].into();
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    player.control(b"<pong>".to_vec());
    settle().await;
    assert!(socket.text().ends_with("\n<pong>"), "{:?}", socket.text());

    socket.0.lock().takes = [3].into();
    scene.push(Track::Video, 33, DELTA);
    scene.publication.flush();
    socket.0.lock().stuck = false;
    let wire = Arc::clone(&socket.0);
    wire.lock().stuck = false;
    settle().await;
    scene.push(Track::Video, 66, DELTA);
    socket.0.lock().takes = [3].into();
    scene.publication.flush();
    tokio::task::yield_now().await;
    socket.0.lock().stuck = true;
    settle().await;
    player.control(b"<last>".to_vec());
    settle().await;
    assert!(scene.router.kick(connection_of(&scene)));
    let ended = player.ended().await;
    assert!(matches!(ended.why, End::Kicked));
    let whole = socket.text() + &String::from_utf8_lossy(&ended.residue);
    assert!(
        whole.ends_with("v000066:'\u{1}\0\0\0pppp\n<last>"),
        "{whole:?}"
    );
}

fn connection_of(scene: &Scene) -> u64 {
    scene.router.stream(&stream()).unwrap().players[0].connection
}

#[tokio::test(start_paused = true)]
async fn a_player_looked_at_twice_gets_no_packet_inside_another() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let player = scene.join(&socket);
    settle().await;
    // The first write is cut, and at once there is room again.
    socket.0.lock().takes = [10].into();
    scene.push(Track::Video, 0, KEY);
    scene.push(Track::Video, 33, DELTA);
    player.turn(Source::Subscriber, Track::Audio, true);
    player.turn(Source::Subscriber, Track::Audio, false);
    settle().await;
    let packet = |time: &str, payload| format!("v{time}:{}", String::from_utf8_lossy(payload));
    assert_eq!(
        socket.text(),
        packet("000000", KEY) + &packet("000033", DELTA)
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_socket_ends_its_player_alone() {
    let mut scene = Scene::new(no_hold());
    let (bad, good) = (Socket::default(), Socket::default());
    let mut bad_player = scene.join(&bad);
    let _good_player = scene.join(&good);
    bad.0.lock().broken = true;
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    assert!(matches!(bad_player.ended().await.why, End::Io(_)));
    assert_eq!(good.text().matches('\n').count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_switch_acts_at_once_and_opening_shows_the_gop() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let player = scene.join(&socket);
    player.turn(Source::Subscriber, Track::Video, true);
    scene.push(Track::Video, 0, KEY);
    scene.push(Track::Video, 33, DELTA);
    scene.push(Track::Audio, 33, AUDIO);
    scene.publication.flush();
    settle().await;
    assert_eq!(socket.text(), "a000033:/a\n");
    player.turn(Source::Subscriber, Track::Video, false);
    settle().await;
    assert!(socket.text().contains("v000000:") && socket.text().contains("v000033:"));
    scene.publication.turn(Track::Audio, true);
    settle().await;
    scene.push(Track::Audio, 66, AUDIO);
    scene.publication.flush();
    settle().await;
    assert!(
        !socket.text().contains("a000066"),
        "MP3 has no silence: it is dropped"
    );
    assert_eq!(scene.counter("lockgate_gate_switches_total"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_turns_during_a_pass_acts_on_who_is_still_to_be_served() {
    let mut scene = Scene::new(Config {
        fanout_tasks: NonZeroUsize::MIN,
        ..no_hold()
    });
    let mut players: Vec<_> = (0..3 * SLICE)
        .map(|_| {
            let socket = Socket::default();
            (scene.join(&socket), socket)
        })
        .collect();
    let lease = Lease::subscription();
    let grant = Grant {
        stream: stream(),
        lease: Some(Arc::clone(&lease)),
    };
    let leased = Socket::default();
    let subscription = scene.router.subscribe(&grant, origin()).unwrap();
    players.push((
        subscription.attach(Box::new(leased.clone())),
        leased.clone(),
    ));
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    let (own, own_socket) = &players[3 * SLICE - 1];
    let other = &players[3 * SLICE - 2].1;
    // Who turns, and who gets the frame in whose pass that was.
    for (timestamp, expected) in [
        (33, [false, true, true]),
        (66, [false, false, true]),
        (99, [false, false, false]),
    ] {
        scene.push(Track::Video, timestamp, DELTA);
        scene.publication.flush();
        let video = format!("v{timestamp:06}");
        while !players[0].1.text().contains(&video) {
            tokio::task::yield_now().await;
        }
        match timestamp {
            33 => own.turn(Source::Subscriber, Track::Video, true),
            66 => {
                let (source, track) = (Source::Subscriber, Track::Video);
                scene.router.turn(&stream(), &lease, source, track, true);
            }
            _ => scene.publication.turn(Track::Video, true),
        }
        settle().await;
        let got = [own_socket, &leased, other].map(|socket| socket.text().contains(&video));
        assert_eq!(got, expected, "{video}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_turns_while_a_player_takes_nothing_acts_once_it_does() {
    let mut scene = Scene::new(no_hold());
    let lease = Lease::subscription();
    let grant = Grant {
        stream: stream(),
        lease: Some(Arc::clone(&lease)),
    };
    let join = || {
        let socket = Socket::default();
        let subscription = scene.router.subscribe(&grant, origin()).unwrap();
        (subscription.attach(Box::new(socket.clone())), socket)
    };
    // The URL's old connection and its new one, as when a network changed.
    let (old, (new, socket)) = (join(), join());
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    socket.0.lock().stuck = true;
    scene.push(Track::Audio, 1, AUDIO);
    scene.publication.flush();
    settle().await;
    let (source, track) = (Source::Subscriber, Track::Video);
    scene.router.turn(&stream(), &lease, source, track, true);
    settle().await;
    socket.unstick();
    settle().await;
    scene.push(Track::Video, 33, DELTA);
    scene.publication.flush();
    settle().await;
    assert!(socket.text().contains("a000001") && !socket.text().contains("v000033"));

    // What is turned by way of the old one is the same gate.
    scene.router.turn(&stream(), &lease, source, track, false);
    old.0.turn(Source::Player, Track::Video, true);
    settle().await;
    scene.push(Track::Video, 66, DELTA);
    scene.publication.flush();
    settle().await;
    assert!(!socket.text().contains("v000066"));
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn players_outlive_their_publisher_for_the_grace_and_no_longer() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let mut player = scene.join(&socket);
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;

    let router = Arc::clone(&scene.router);
    drop(scene.publication);
    tokio::time::sleep(Duration::from_secs(9)).await;
    scene.publication = router.publish(&stream().into(), origin()).unwrap();
    // A delta frame of the new encoder decodes for nobody.
    scene
        .publication
        .push(
            Track::Video,
            5,
            Bytes::from_static(DELTA),
            std::time::Instant::now(),
        )
        .unwrap();
    scene
        .publication
        .push(
            Track::Video,
            7,
            Bytes::from_static(KEY),
            std::time::Instant::now(),
        )
        .unwrap();
    scene.publication.flush();
    settle().await;
    assert_eq!(socket.text().matches('\n').count(), 2);
    assert_eq!(scene.router.streams().len(), 1);

    drop(scene.publication);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(scene.router.streams().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(matches!(player.ended().await.why, End::StreamEnded));
    assert_eq!(scene.router.streams().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_newest_publisher_wins_and_the_old_one_learns_it() {
    let mut scene = Scene::new(no_hold());
    let newer = scene.router.publish(&stream().into(), origin()).unwrap();
    let now = std::time::Instant::now();
    let refused = scene
        .publication
        .push(Track::Video, 0, Bytes::from_static(KEY), now);
    assert_eq!(refused, Err(crate::Cut::Replaced));
    assert_eq!(scene.publication.cut().await, crate::Cut::Replaced);
    drop(scene.publication);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        scene.router.streams().len(),
        1,
        "the old one's end is not the stream's"
    );
    drop(newer);
}

#[tokio::test(start_paused = true)]
async fn a_player_waits_for_its_publisher_and_leaves_nothing_behind() {
    let registry = Registry::new();
    let router = Router::new(no_hold(), &registry).unwrap();
    let early = router.subscribe(&stream().into(), origin()).unwrap();
    let waited = early.wait_live(Duration::from_secs(5)).await;
    assert_eq!(waited, Err(crate::NotLive::TimedOut));
    let publication = router.publish(&stream().into(), origin()).unwrap();
    assert_eq!(early.wait_live(Duration::from_secs(5)).await, Ok(()));
    drop(early);
    assert_eq!(router.streams().len(), 1);
    drop(publication);
    let other = StreamId::new("live", "b").unwrap();
    let waiting = router.subscribe(&other.into(), origin()).unwrap();
    assert_eq!(router.streams().len(), 2);
    drop(waiting);
    assert_eq!(
        router.streams().len(),
        1,
        "a stream nobody waits for is forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_everyone_and_lets_nobody_in() {
    let mut scene = Scene::new(no_hold());
    let socket = Socket::default();
    let mut player = scene.join(&socket);
    scene.push(Track::Video, 0, KEY);
    scene.publication.flush();
    settle().await;
    scene.router.shutdown().await;
    assert!(matches!(player.ended().await.why, End::Shutdown));
    assert_eq!(scene.publication.cut().await, crate::Cut::Shutdown);
    assert!(scene.router.publish(&stream().into(), origin()).is_err());
    assert!(scene.router.subscribe(&stream().into(), origin()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_never_done_still_cuts_who_is_stuck() {
    let mut scene = Scene::new(Config {
        fanout_tasks: std::num::NonZeroUsize::MIN,
        ..no_hold()
    });
    let socket = Socket::default();
    let mut stuck = scene.join(&socket);
    socket.0.lock().stuck = true;
    // More than it serves in one go: packets come before it is through with those it has.
    let _others: Vec<_> = (0..2 * SLICE)
        .map(|_| scene.join(&Socket::default()))
        .collect();
    for n in 0..1000 {
        scene.push(Track::Video, n * 33, if n % 30 == 0 { KEY } else { DELTA });
        scene.publication.flush();
        tokio::select! {
            biased;
            ended = stuck.ended() => {
                assert!(matches!(ended.why, End::TooSlow));
                return;
            }
            () = tokio::time::advance(Duration::from_millis(33)) => {}
        }
    }
    panic!("33 seconds have passed");
}
