//! Tag bodies that no encoder makes, from a publisher.

use anyhow::{Result, ensure};
use lockgate_tests::client::{Player, avc_frame, avc_header};
use lockgate_tests::flv;
use lockgate_tests::raw::{self, RawPeer};

use crate::{GROWTH, Healthy, Noise, node, part};

#[test]
fn tag_bodies_that_are_none_are_passed_on_or_dropped_and_end_nobody() -> Result<()> {
    let node = node(&[])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let before = node.memory()?;
    let mut junk = RawPeer::publishing(node.rtmp(), "junk")?;
    let mut player = Player::start(node.rtmp(), "junk")?;
    player.wait_accepted()?;
    node.wait_players("junk", 1)?;
    let malformed: [&[u8]; 24] = [
        &[],
        &[0x17],
        &[0x27],
        &[0x17, 0],
        &[0x17, 1],
        &[0x17, 1, 0, 0],
        &[0x17, 9, 0, 0, 0],
        &[0x1c, 0],
        &[0x57],
        &[0x00],
        &[0xff],
        &[0x80],
        &[0x90, b'h', b'v'],
        &[0x90, 0, 0, 0, 0],
        &[0x91],
        b"\x91hvc1",
        &[0x96],
        &[0x96, 0x10],
        b"\x96\x10av01",
        &[0x97],
        &[0x97, 0xff, 0xff],
        &[0x97, 0x00, 0x01],
        &[0xaf],
        &[0xaf, 0],
    ];
    for body in malformed {
        for (csid, kind) in [(4, 8), (6, 9), (5, 18), (5, 15)] {
            junk.say(&raw::message(csid, kind, 1, body))?;
        }
        junk.ping(0)?;
        healthy.beat()?;
    }
    // What follows them is as good as ever, for who is there and for who comes.
    let (header, key) = (avc_header(7), avc_frame(true, 7));
    junk.say(&raw::message(6, 9, 1, &header))?;
    junk.say(&raw::message(6, 9, 1, &key))?;
    let got = player.until(|tag| tag.body == key)?;
    assert!(got.iter().any(|tag| tag.body == header));
    assert_eq!(flv::first_step_back(&got), None);
    let mut late = Player::start(node.rtmp(), "junk")?;
    let got = late.until(|tag| tag.body == key)?;
    assert!(got.iter().any(|tag| tag.body == header));
    assert_eq!(flv::first_step_back(&got), None);

    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..60u32 {
        for _ in 0..50 {
            let (csid, kind) = noise.pick([(4, 8), (6, 9), (5, 18), (5, 15)]);
            let mut body = noise.bytes(300);
            // Most of the bytes there are name no kind of packet: half start as one would.
            if let (Some(first), 0) = (body.first_mut(), noise.pick([0, 1])) {
                *first = noise.pick([0x17, 0x27, 0x90, 0x91, 0x96, 0x97, 0xaf, 0x1c]);
            }
            junk.say(&raw::message(csid, kind, 1, &body))?;
        }
        junk.ping(round)?;
        healthy.beat()?;
    }
    let key = avc_frame(true, 8);
    junk.say(&raw::message(6, 9, 1, &key))?;
    let got = player.until(|tag| tag.body == key)?;
    assert_eq!(flv::first_step_back(&got), None);
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    drop((junk, player, late));
    part(&node, vec![healthy])
}
