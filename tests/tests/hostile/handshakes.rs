//! Handshakes that are none, and noise behind those that are.

use anyhow::{Context, Result, ensure};
use lockgate_tests::raw::RawPeer;

use crate::{FAILURES, GROWTH, Healthy, Noise, Stage, node, part};

#[test]
fn handshakes_that_are_none_end_alone_and_are_counted() -> Result<()> {
    let node = node(&["rtmp.handshake_timeout=2s"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let hello = [&[3][..], &[0; 1536]].concat();
    let browser = b"GET / HTTP/1.1\r\nHost: lockgate\r\n\r\n".to_vec();
    let stalled = [
        ("nothing at all", vec![]),
        ("a version and no more", vec![3]),
        ("half of C1", hello[..700].to_vec()),
        ("no C2", hello.clone()),
        ("half of C2", [&hello[..], &[0; 700]].concat()),
    ];
    let mut stalling = Vec::new();
    for (what, bytes) in &stalled {
        let mut peer = RawPeer::open(node.rtmp())?;
        peer.say(bytes)?;
        stalling.push((what, peer));
    }
    let junk = [
        ("RTMPE", vec![6; 1537], "version"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01".to_vec(), "not_rtmp"),
        ("version 0", vec![0], "version"),
        ("HTTP", browser, "not_rtmp"),
        ("junk", vec![0xff; 4000], "not_rtmp"),
    ];
    for (what, bytes, reason) in junk {
        let before = node.metric(FAILURES, reason)?;
        let mut peer = RawPeer::open(node.rtmp())?;
        peer.say(&bytes)?;
        peer.wait_closed().context(what)?;
        node.wait_metric(FAILURES, reason, before + 1.0)
            .context(what)?;
        healthy.beat()?;
    }
    for bytes in [&[][..], &[3], &hello] {
        let before = node.metric(FAILURES, "closed")?;
        let mut peer = RawPeer::open(node.rtmp())?;
        peer.say(bytes)?;
        peer.hang_up()?;
        peer.wait_closed()?;
        node.wait_metric(FAILURES, "closed", before + 1.0)?;
    }
    for (what, mut peer) in stalling {
        peer.wait_closed().context(*what)?;
        healthy.beat()?;
    }
    let count = f64::from(u32::try_from(stalled.len())?);
    node.wait_metric(FAILURES, "timeout", count)?;
    // Done with its handshake and silent since is another reason.
    RawPeer::greeted(node.rtmp())?.wait_closed()?;
    node.wait_metric(FAILURES, "no_request", 1.0)?;
    part(&node, vec![healthy])
}

#[test]
fn noise_after_the_handshake_ends_its_connection_alone() -> Result<()> {
    let node = node(&["rtmp.handshake_timeout=1s"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let before = node.memory()?;
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for stage in Stage::ALL {
        let mut peers = Vec::new();
        for _ in 0..40 {
            let mut peer = stage.reach(&node)?;
            let _ = peer.say(&noise.bytes(20_000));
            peers.push(peer);
        }
        healthy.beat()?;
        for mut peer in peers {
            // Noise may be the start of a message that never ends: then it waits for the rest.
            let _ = peer.hang_up();
            peer.wait_closed()?;
        }
        healthy.beat()?;
    }
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    part(&node, vec![healthy])
}
