//! The load generator against a node, by every protocol it speaks: everybody gets every frame, and
//! says when.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use lockgate_loadgen::{Load, Protocol, Report, Shape, Target};
use lockgate_tests::node::TestNode;

/// Frames that every player gets before a run may end: two GOPs after all have joined.
const FRAMES: u64 = 40;
/// A run that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A load that shares its cores with another measures that.
static LOAD: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(node: &TestNode, protocol: Protocol) -> SocketAddr {
    match protocol {
        Protocol::Rtmp => node.addresses().rtmp,
        _ => node.addresses().http,
    }
}

/// Two streams, three players each.
fn load(node: &TestNode, publish: Protocol, play: Protocol) -> Load {
    let target = |protocol| Target::by(protocol, address(node, protocol), "live", "load");
    Load {
        play: Some(target(play)),
        publishers: 2,
        players: 6,
        judges: 4,
        lead: Duration::ZERO,
        warmup: Duration::ZERO,
        duration: DEADLINE,
        tick: Duration::from_millis(100),
        shape: Shape {
            gop: 20,
            video_bitrate: 500_000,
            ..Shape::default()
        },
        ..Load::new(target(publish))
    }
}

/// The same without sound: to code it anew takes most of a node that is not optimised, and more than a
/// busy machine has.
fn silent(node: &TestNode, publish: Protocol, play: Protocol) -> Load {
    let mut load = load(node, publish, play);
    load.shape.audio_bitrate = 0;
    load
}

/// Runs until every judge has its frames.
fn run(load: &Load) -> Result<Report> {
    lockgate_loadgen::run(load, |progress| {
        if progress.measuring && progress.fewest_frames >= FRAMES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

fn check(report: &Report) {
    assert!(
        report.seconds < DEADLINE.as_secs_f64(),
        "too few frames: {report}"
    );
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.video_lost, report.audio_lost), (0, 0), "{report}");
    assert_eq!(report.ran_back, 0, "{report}");
    assert!(report.video_delay_ms.count > 0, "{report}");
    assert_eq!(
        report.first_frame_ms.count, report.players as u64,
        "{report}"
    );
    assert!(report.bytes > 0 && report.messages > 0, "{report}");
}

#[test]
fn players_by_http_and_by_websocket_get_every_frame() -> Result<()> {
    let _alone = alone();
    for protocol in [Protocol::HttpFlv, Protocol::WsFlv] {
        let node = TestNode::start()?;
        let report = run(&load(&node, Protocol::Rtmp, protocol))?;
        check(&report);
        assert_eq!(report.unit, "message");
        assert!(report.audio_delay_ms.count > 0, "{report}");
        node.wait_players("load0", 0)?;
        node.join()?;
    }
    Ok(())
}

#[test]
fn the_node_is_asked_how_long_packets_stayed_in_it() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let mut load = load(&node, Protocol::Rtmp, Protocol::Rtmp);
    load.api = Some(node.addresses().http);
    // Long enough for the node to publish its counts, which it does ten times a second.
    let report = lockgate_loadgen::run(&load, |progress| {
        if progress.measuring && progress.fewest_frames >= 4 * FRAMES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    check(&report);
    let dwell = report.dwell_ms.unwrap();
    assert!(dwell.count > 0 && dwell.p99 > 0.0, "{report}");
    let both = report.video_delay_ms.count + report.audio_delay_ms.count;
    assert_eq!(report.delay_ms.count, both, "{report}");
    load.api = Some(node.addresses().rtmp);
    let error = format!("{:#}", run(&load).unwrap_err());
    assert!(error.contains("asking the node for its metrics"), "{error}");
    node.join()
}

#[test]
fn viewers_of_what_is_published_by_rtmp_tell_its_delay_and_leave_at_once() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let report = run(&silent(&node, Protocol::Rtmp, Protocol::Whep))?;
    check(&report);
    assert_eq!(report.unit, "packet");
    // Half a Mbit/s to each of six, most of it in packets of 1.1 KB.
    let rate = report.bytes as f64 * 8.0 / report.seconds / 6.0;
    assert!(rate > 350_000.0, "{rate} bit/s each: {report}");
    assert!(report.bytes / report.messages > 500, "{report}");
    node.wait_players("load0", 0)?;
    node.wait_players("load1", 0)?;
    node.join()
}

#[test]
fn what_is_published_by_whip_is_played_by_rtmp_and_by_whep() -> Result<()> {
    let _alone = alone();
    for play in [Protocol::Rtmp, Protocol::Whep] {
        let node = TestNode::start()?;
        let mut load = silent(&node, Protocol::Whip, play);
        (load.publishers, load.players, load.judges) = (1, 3, 2);
        let report = run(&load)?;
        check(&report);
        node.wait_metric("lockgate_publishers", "", 0.0)?;
        node.join()?;
    }
    Ok(())
}

#[test]
fn publishers_by_whip_need_no_players() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let mut unwatched = silent(&node, Protocol::Whip, Protocol::Rtmp);
    (unwatched.play, unwatched.players) = (None, 0);
    unwatched.duration = Duration::ZERO;
    let report = run(&unwatched)?;
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.publishing, 2);
    node.join()
}

#[test]
fn viewers_of_what_nobody_publishes_are_told_so() -> Result<()> {
    let _alone = alone();
    let node = TestNode::with(|config| {
        config.egress.wait_for_publisher = Duration::from_millis(50);
    })?;
    for protocol in [Protocol::HttpFlv, Protocol::WsFlv, Protocol::Whep] {
        let mut load = load(&node, Protocol::Rtmp, protocol);
        (load.publishers, load.duration) = (0, Duration::ZERO);
        let report = run(&load)?;
        assert_eq!(report.ended, 6, "{report}");
        let failure = report.failure.clone().unwrap();
        assert!(failure.contains("404 Not Found"), "{failure}");
        assert!(failure.contains("nobody publishes live/load"), "{failure}");
    }
    node.join()
}
