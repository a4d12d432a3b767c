//! Peers that send without end, as fast as the node takes it: nobody else waits, and deadlines are
//! kept.

use anyhow::{Result, ensure};
use lockgate_tests::raw::{self, RawPeer};

use crate::{FAILURES, GROWTH, Healthy, node, part};

/// Repeats what it says until the node closes, and never reads.
fn flood(mut peer: RawPeer, bytes: &[u8]) -> std::thread::JoinHandle<usize> {
    let block = bytes.repeat(1 + 32 * 1024 / bytes.len());
    std::thread::spawn(move || {
        let mut said = 0;
        while peer.say(&block).is_ok() {
            said += block.len();
        }
        said
    })
}

#[test]
fn players_that_ask_without_end_and_never_read_are_cut() -> Result<()> {
    let node = node(&[])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let mut elsewhere = Healthy::start(&node, "elsewhere")?;
    let before = node.memory()?;
    let floods = [
        raw::ping(1),
        raw::create_stream(),
        raw::command("noSuchCommand", 1.0, &[raw::NULL]),
        raw::command("receiveVideo", 0.0, &[raw::NULL, &[1, 1]]),
        raw::command("pause", 0.0, &[raw::NULL, &[1, 0], &[0; 9]]),
        raw::play("healthy"),
    ];
    for bytes in floods {
        let flooding: Vec<_> = (0..4)
            .map(|_| Ok(flood(RawPeer::playing(node.rtmp(), "healthy")?, &bytes)))
            .collect::<Result<_>>()?;
        while flooding.iter().any(|flood| !flood.is_finished()) {
            healthy.beat()?;
            elsewhere.beat()?;
        }
        node.wait_players("healthy", 1)?;
    }
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    part(&node, vec![healthy, elsewhere])
}

#[test]
fn peers_that_ask_and_never_read_before_they_play_make_nobody_wait() -> Result<()> {
    let node = node(&["rtmp.handshake_timeout=2s"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let before = node.memory()?;
    let mut flooding = Vec::new();
    for _ in 0..4 {
        flooding.push(flood(
            RawPeer::connected(node.rtmp(), "live")?,
            &raw::ping(1),
        ));
    }
    while flooding.iter().any(|flood| !flood.is_finished()) {
        healthy.beat()?;
    }
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    part(&node, vec![healthy])
}

#[test]
fn a_peer_that_asks_without_end_and_reads_has_no_more_time_than_others() -> Result<()> {
    let node = node(&["rtmp.handshake_timeout=2s"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let peer = RawPeer::connected(node.rtmp(), "live")?;
    let mut reader = peer.second()?;
    let flooding = flood(peer, &raw::ping(1));
    let reading = std::thread::spawn(move || reader.read_away());
    while !flooding.is_finished() {
        healthy.beat()?;
    }
    assert!(reading.join().is_ok());
    node.wait_metric(FAILURES, "no_request", 1.0)?;
    part(&node, vec![healthy])
}

#[test]
fn a_peer_that_is_refused_and_sends_on_is_closed() -> Result<()> {
    let node = node(&[])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let mut peer = RawPeer::greeted(node.rtmp())?;
    peer.say(&raw::connect("nowhere"))?;
    peer.until_said(b"NetConnection.Connect.Rejected")?;
    let flooding = flood(peer, &raw::ping(1));
    while !flooding.is_finished() {
        healthy.beat()?;
    }
    part(&node, vec![healthy])
}

#[test]
fn a_publisher_that_pushes_as_fast_as_it_can_makes_nobody_wait_and_can_be_kicked() -> Result<()> {
    let node = node(&[])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let before = node.memory()?;
    let peer = RawPeer::publishing(node.rtmp(), "fast")?;
    let flooding = flood(peer, &raw::message(4, 8, 1, &[0x2f; 20]));
    let fast = node.wait_live("fast")?;
    for _ in 0..20 {
        healthy.beat()?;
    }
    node.delete(&format!(
        "/api/v1/connections/{}",
        fast["publisher"]["connection"]
    ))?;
    while !flooding.is_finished() {
        healthy.beat()?;
    }
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    part(&node, vec![healthy])
}
