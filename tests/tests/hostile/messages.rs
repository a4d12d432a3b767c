//! Chunks and commands that cannot be read, at every stage of a connection.

use anyhow::{Context, Result, ensure};
use lockgate_tests::raw::{self, RawPeer};

use crate::{FAILURES, GROWTH, Healthy, Stage, node, part};

/// A chunk size that no message here is longer than.
const WHOLE: u32 = 0x00ff_ffff;

/// Says each of these at each stage: the connection ends, is counted by `reason` where it came to
/// nothing before, and nobody else notices.
fn each_ends_alone(cases: &[(&str, Vec<u8>)], reason: &str) -> Result<()> {
    let node = node(&["rtmp.max_message_size=1MiB"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let mut elsewhere = Healthy::start(&node, "elsewhere")?;
    let before = node.memory()?;
    let mut failures = 0.0;
    for stage in Stage::ALL {
        for (what, bytes) in cases {
            let said = format!("{what} while {stage:?}");
            let mut peer = stage.reach(&node).with_context(|| said.clone())?;
            // The node may close before it has read everything.
            let _ = peer.say(bytes);
            peer.wait_closed().with_context(|| said.clone())?;
            if matches!(stage, Stage::Greeted | Stage::Connected) {
                failures += 1.0;
            }
            node.wait_metric(FAILURES, reason, failures).context(said)?;
            healthy.beat()?;
            elsewhere.beat()?;
        }
    }
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH, "the node grew by {growth} bytes");
    part(&node, vec![healthy, elsewhere])
}

#[test]
fn broken_chunks_end_their_connection_alone() -> Result<()> {
    let large = 1024 * 1024;
    let many: Vec<u8> = (4..=63u8)
        .flat_map(|csid| [raw::header(csid, 200, 9, 1), vec![0x17; 128]].concat())
        .chain((0..8).flat_map(|id| {
            let header = raw::header(0, 200, 9, 1);
            [&[0, id], &header[1..], &[0x17; 128]].concat()
        }))
        .collect();
    let interleaved: Vec<u8> = (10..16)
        .flat_map(|csid| [raw::header(csid, large, 9, 1), vec![0x17; large - 1]].concat())
        .collect();
    let interleaved = [raw::chunk_size(WHOLE), interleaved].concat();
    let mut changed = [raw::header(10, 300, 9, 1), vec![0x17; 128]].concat();
    changed.extend([raw::header(10, 301, 9, 1), vec![0x17; 128]].concat());
    let cases = [
        ("a chunk size of 0", raw::chunk_size(0)),
        ("a chunk size with its top bit", raw::chunk_size(1 << 31)),
        ("half a chunk size", raw::message(2, 1, 0, &[0, 1])),
        ("an empty abort", raw::message(2, 2, 0, &[])),
        ("a message of 16 MB", raw::header(6, 0xff_ffff, 9, 1)),
        ("a type 3 header first", vec![0xc0 | 20, 1, 2, 3]),
        ("a type 2 header first", vec![0x80 | 20, 0, 0, 1, 1, 2, 3]),
        ("too many chunk streams", many),
        ("too many incomplete messages", interleaved),
        ("another length inside a message", changed),
        ("an aggregate of junk", raw::message(6, 22, 1, &[9; 20])),
    ];
    each_ends_alone(&cases, "chunk")
}

#[test]
fn commands_that_cannot_be_read_end_their_connection_alone() -> Result<()> {
    let long =
        |bytes: usize| [&[12][..], &u32::try_from(bytes).unwrap_or(0).to_be_bytes()].concat();
    let nested = [3, 0, 1, b'a'].repeat(200);
    let arrays = [10, 0, 0, 0, 1].repeat(200);
    let many = [&[10, 0xff, 0xff, 0xff, 0xff][..], &raw::NULL.repeat(20_000)].concat();
    let amf3 = [
        &[0][..],
        &raw::text("call"),
        &[0; 9],
        &[0x11, 0x0a, 0x07, 0x03, b'x'],
    ]
    .concat();
    let deep = [
        &[0][..],
        &raw::text("call"),
        &[0; 9],
        &[0x11],
        &[9, 3, 1].repeat(200),
    ]
    .concat();
    let call = |argument: &[u8]| raw::command("call", 1.0, &[argument]);
    let cases = [
        ("objects in objects", call(&nested)),
        ("arrays in arrays", call(&arrays)),
        ("an array of 4 billion", call(&[10, 0xff, 0xff, 0xff, 0xff])),
        ("an array of 20,000", call(&many)),
        (
            "a keyed array without an end",
            call(&[8, 0xff, 0xff, 0xff, 0xff, 0, 1, b'a']),
        ),
        (
            "a string of 4 GB",
            call(&[&long(0xffff_ffff)[..], b"abc"].concat()),
        ),
        ("a string cut short", call(&[2, 0, 9, b'a'])),
        ("a type that is none", call(&[0xee])),
        ("a number for a name", raw::message(3, 20, 0, &[0; 18])),
        (
            "nothing but a name",
            raw::message(3, 20, 0, &raw::text("call")),
        ),
        (
            "a name for a transaction",
            raw::message(3, 20, 0, &raw::text("call").repeat(2)),
        ),
        ("no command at all", raw::message(3, 20, 0, &[])),
        ("a command of 100 KB", raw::message(3, 20, 0, &[5; 100_000])),
        ("AMF3 that reads itself", raw::message(3, 17, 0, &amf3)),
        ("AMF3 arrays in arrays", raw::message(3, 17, 0, &deep)),
    ];
    each_ends_alone(&cases, "session")
}

#[test]
fn incomplete_messages_hold_no_more_than_their_bound() -> Result<()> {
    const PEERS: usize = 40;
    let node = node(&["rtmp.max_message_size=512KiB"])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    let large = 512 * 1024;
    let before = node.memory()?;
    // Strangers hold 256 KiB, publishers two messages: all of it is sent, but for the last bytes.
    let part_of = |csid: u8, length: usize| {
        let header = raw::header(csid, large, 9, 1);
        [header, vec![0x17; length]].concat()
    };
    let mut held = Vec::new();
    for number in 0..PEERS {
        let mut stranger = RawPeer::connected(node.rtmp(), "live")?;
        stranger.say(&raw::chunk_size(WHOLE))?;
        stranger.say(&part_of(10, 150 * 1024))?;
        held.push(stranger);
        let mut publisher = RawPeer::publishing(node.rtmp(), &format!("held-{number}"))?;
        publisher.say(&raw::chunk_size(WHOLE))?;
        publisher.say(&part_of(10, large - 1))?;
        held.push(publisher);
    }
    healthy.beat()?;
    let bound = (PEERS * (256 * 1024 + 2 * large)) as f64;
    let growth = node.memory()? - before;
    ensure!(growth < GROWTH + bound, "the node grew by {growth} bytes");
    drop(held);
    part(&node, vec![healthy])
}
