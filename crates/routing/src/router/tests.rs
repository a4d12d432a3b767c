//! Places: taken, refused, given back, and what is left when everybody is gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::*;
use crate::config::Limits;

fn router(config: Config) -> (Arc<Router>, Registry) {
    let registry = Registry::new();
    (Router::new(config, &registry).unwrap(), registry)
}

fn stream(name: &str) -> Grant {
    StreamId::new("live", name).unwrap().into()
}

fn origin() -> Origin {
    Origin {
        connection: ConnectionId::next(),
        protocol: "test",
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
    }
}

fn limits(publishers: usize, players: usize, per_stream: usize, streams: usize) -> Config {
    Config {
        limits: Limits {
            streams,
            publishers,
            players,
            players_per_stream: per_stream,
        },
        ..Config::default()
    }
}

/// The sum of a gauge over its labels.
fn gauge(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.unwrap().get_metric().iter();
    metrics.map(|metric| metric.get_gauge().get_value()).sum()
}

/// Lets every task do what it can without time going on.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_comes_and_goes_is_watched_by_one_task() {
    let (router, _) = router(Config::default());
    for _ in 0..1000 {
        drop(router.publish(&stream("a"), origin()).unwrap());
    }
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let back = router.publish(&stream("a"), origin()).unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(
        Handle::current().metrics().num_alive_tasks(),
        0,
        "it is published"
    );
    drop(back);
    tokio::time::sleep(Duration::from_secs(9)).await;
    drop(router.publish(&stream("a"), origin()).unwrap());
    // The grace begins anew with each that goes, and ends for good.
    tokio::time::sleep(Duration::from_millis(9990)).await;
    assert_eq!(router.streams().len(), 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(router.streams().len(), 0);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_watched_from_its_first_subscription_on_however_that_is_read() {
    let (router, _) = router(limits(9, 9, 9, 9));
    let publication = router.publish(&stream("a"), origin()).unwrap();
    assert!(!publication.is_watched());
    let subscription = router.subscribe(&stream("a"), origin()).unwrap();
    let reader = subscription.reader();
    assert!(publication.is_watched(), "a reader has no fan-out task");
    drop((subscription, reader));
    assert!(!publication.is_watched());
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_name_over_needs_no_free_place() {
    let (router, _) = router(limits(1, 9, 9, 9));
    let first = router.publish(&stream("a"), origin()).unwrap();
    let other = router.publish(&stream("b"), origin());
    assert_eq!(other.unwrap_err(), PublishError::Full);
    let second = router.publish(&stream("a"), origin()).unwrap();
    assert_eq!(first.cut().await, Cut::Replaced);
    drop(first);
    assert!(
        router.publish(&stream("b"), origin()).is_err(),
        "one is there"
    );
    drop(second);
    assert!(router.publish(&stream("b"), origin()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_limit_refuses_and_its_places_come_back() {
    let (players, _) = router(limits(9, 1, 9, 9));
    let held = players.subscribe(&stream("a"), origin()).unwrap();
    let refused = players.subscribe(&stream("b"), origin());
    assert_eq!(refused.unwrap_err(), SubscribeError::Full);
    drop(held);
    assert!(players.subscribe(&stream("b"), origin()).is_ok());

    let (per_stream, _) = router(limits(9, 9, 1, 9));
    let held = per_stream.subscribe(&stream("a"), origin()).unwrap();
    let refused = per_stream.subscribe(&stream("a"), origin());
    assert_eq!(refused.unwrap_err(), SubscribeError::StreamFull);
    assert!(per_stream.subscribe(&stream("b"), origin()).is_ok());
    drop(held);
    assert!(per_stream.subscribe(&stream("a"), origin()).is_ok());

    let (streams, _) = router(limits(9, 9, 9, 1));
    let held = streams.subscribe(&stream("a"), origin()).unwrap();
    assert_eq!(
        streams.subscribe(&stream("b"), origin()).unwrap_err(),
        SubscribeError::Full
    );
    assert_eq!(
        streams.publish(&stream("b"), origin()).unwrap_err(),
        PublishError::Full
    );
    drop(held);
    assert!(streams.publish(&stream("b"), origin()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_everybody_is_gone() {
    let (router, registry) = router(Config::default());
    let mut publishers = Vec::new();
    let mut players = Vec::new();
    for name in ["a", "b", "c"] {
        let mut publication = router.publish(&stream(name), origin()).unwrap();
        let frame = Bytes::from_static(&[0x17, 1, 0, 0, 0, 1]);
        publication
            .push(Track::Video, 0, frame, Instant::now())
            .unwrap();
        publishers.push(publication);
        players.push(router.subscribe(&stream(name), origin()).unwrap());
    }
    players.push(router.subscribe(&stream("waiting"), origin()).unwrap());
    // One is replaced, one kicked, one breaks off and comes back.
    publishers.push(router.publish(&stream("a"), origin()).unwrap());
    let kicked = router
        .stream(&stream("b").stream)
        .unwrap()
        .publisher
        .unwrap();
    assert!(router.kick(kicked.connection));
    drop(publishers.remove(2));
    publishers.push(router.publish(&stream("c"), origin()).unwrap());
    let gauges = [
        ("lockgate_publishers", 4.0),
        ("lockgate_players", 4.0),
        ("lockgate_streams", 4.0),
        ("lockgate_ring_packets", 3.0),
    ];
    for (name, value) in gauges {
        assert_eq!(gauge(&registry, name), value, "{name}");
    }
    drop((publishers, players));
    tokio::time::sleep(Duration::from_secs(11)).await;
    for (name, _) in gauges.into_iter().chain([("lockgate_ring_bytes", 0.0)]) {
        assert_eq!(gauge(&registry, name), 0.0, "{name}");
    }
    assert_eq!(router.streams().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_within_a_grace_is_gone_at_once() {
    let (router, registry) = router(Config::default());
    drop(router.publish(&stream("a"), origin()).unwrap());
    settle().await;
    let back = router.publish(&stream("a"), origin()).unwrap();
    let publisher = router
        .stream(&stream("a").stream)
        .unwrap()
        .publisher
        .unwrap();
    assert!(router.kick(publisher.connection));
    drop(back);
    assert_eq!(gauge(&registry, "lockgate_streams"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_player_of_the_next_publisher_gets_nothing_of_the_last() {
    let (router, _) = router(Config::default());
    let now = Instant::now();
    let push = |publication: &mut Publication, track, payload: &'static [u8]| {
        let payload = Bytes::from_static(payload);
        publication.push(track, 0, payload, now).unwrap();
    };
    let mut camera = router.publish(&stream("a"), origin()).unwrap();
    push(&mut camera, Track::Audio, &[0xaf, 0, 0x12, 0x10]);
    push(&mut camera, Track::Video, &[0x17, 0, 0, 0, 0, 1]);
    let mut screen = router.publish(&stream("a"), origin()).unwrap();
    push(&mut screen, Track::Video, &[0x17, 0, 0, 0, 0, 2]);
    push(&mut screen, Track::Video, &[0x17, 1, 0, 0, 0, 3]);
    let held = Arc::clone(&router.seats.streams.get(&stream("a").stream).unwrap());
    let mut view = crate::ring::View::default();
    held.refresh(&mut view, &mut Arc::default());
    let headers: Vec<_> = view
        .headers()
        .iter()
        .map(|it| it.packet.payload())
        .collect();
    assert_eq!(headers, [&[0x17, 0, 0, 0, 0, 2][..]]);
}

/// Racing a shutdown, whoever is let in is cut: nobody is left to wait for who is never told.
#[test]
fn who_slips_in_while_the_node_stops_is_cut_too() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _context = runtime.enter();
    for _ in 0..500 {
        let (router, _) = router(Config::default());
        let start = std::sync::Barrier::new(2);
        let taken = std::thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                start.wait();
                router.publish(&stream("a"), origin())
            });
            start.wait();
            runtime.block_on(router.shutdown());
            publisher.join().unwrap()
        });
        match taken {
            Ok(publication) => assert_eq!(*publication.cut.borrow(), Some(Cut::Shutdown)),
            Err(error) => assert_eq!(error, PublishError::Draining),
        }
        assert_eq!(router.streams().len(), 0);
    }
}
