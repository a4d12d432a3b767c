//! Peers that send without end, as fast as the node takes it: nobody else waits, and deadlines are
//! kept.

use anyhow::{Result, ensure};
use lockgate_tests::raw::{self, RawPeer};

use crate::{GROWTH, Healthy, node, part};

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
