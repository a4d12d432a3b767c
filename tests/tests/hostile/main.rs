//! Peers that break the protocol end alone: a healthy publisher and player, on another stream and on
//! the same one, go on without a packet lost, and the node stays small and counts what happened.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test")]

mod floods;
mod handshakes;
mod messages;
mod order;
mod tags;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use lockgate_tests::client::{Player, Publisher, avc_frame, avc_header, tag};
use lockgate_tests::flv::{Kind, Tag};
use lockgate_tests::node::TestNode;
use lockgate_tests::raw::RawPeer;

/// What hostile peers may make a node grow by, beside what the limits of a test allow them.
const GROWTH: f64 = 32.0 * 1024.0 * 1024.0;

/// A node in a process of its own, so that its memory and its log are its own.
fn node(sets: &[&str]) -> Result<TestNode> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-under-test"));
    command.arg("run");
    let grace = "routing.publisher_grace=200ms";
    TestNode::spawn(command, &[&[grace], sets].concat())
}

/// A publisher and a player that are strict with each other.
struct Healthy {
    publisher: Publisher,
    player: Player,
    sent: u32,
}

impl Healthy {
    fn start(node: &TestNode, name: &str) -> Result<Self> {
        let mut publisher = Publisher::start(node.rtmp(), name)?;
        let mut player = Player::start(node.rtmp(), name)?;
        player.wait_accepted()?;
        node.wait_players(name, 1)?;
        let header = tag(Kind::Video, 0, avc_header(1));
        publisher.send(&header)?;
        ensure!(player.next()? == Some(header), "the header comes first");
        let mut healthy = Self {
            publisher,
            player,
            sent: 0,
        };
        healthy.beat()?;
        Ok(healthy)
    }

    /// Pushes ten frames with sound, and takes nothing but these.
    fn beat(&mut self) -> Result<()> {
        let first = self.sent;
        self.sent += 10;
        let tags: Vec<Tag> = (first..self.sent)
            .flat_map(|number| {
                let sound = Bytes::from([&[0x2f][..], &number.to_be_bytes()].concat());
                let frame = avc_frame(number % 10 == 0, number);
                [
                    tag(Kind::Audio, number * 33, sound),
                    tag(Kind::Video, number * 33, frame),
                ]
            })
            .collect();
        for tag in &tags {
            self.publisher.send(tag).context("the healthy publisher")?;
        }
        for tag in tags {
            let got = self.player.next().context("the healthy player")?;
            ensure!(
                got.as_ref() == Some(&tag),
                "{got:?} came instead of {tag:?}"
            );
        }
        Ok(())
    }
}

/// Drops everybody, and holds the node to being as it was.
fn part(node: &TestNode, healthy: Vec<Healthy>) -> Result<()> {
    drop(healthy);
    node.wait_quiet()?;
    let log = node.process().context("a process")?.stderr();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

const FAILURES: &str = "lockgate_handshake_failures_total";

/// What a peer has done before it breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeted,
    Connected,
    Publishing,
    /// The stream of the healthy pair, too.
    Playing,
}

impl Stage {
    const ALL: [Self; 4] = [
        Self::Greeted,
        Self::Connected,
        Self::Publishing,
        Self::Playing,
    ];

    fn reach(self, node: &TestNode) -> Result<RawPeer> {
        match self {
            Self::Greeted => RawPeer::greeted(node.rtmp()),
            Self::Connected => RawPeer::connected(node.rtmp(), "live"),
            Self::Publishing => RawPeer::publishing(node.rtmp(), "hostile"),
            Self::Playing => RawPeer::playing(node.rtmp(), "healthy"),
        }
    }
}

/// A generator of bytes that are the same in every run (xorshift64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T, const N: usize>(&mut self, from: [T; N]) -> T {
        let at = self.next() % u64::try_from(N).unwrap_or(1);
        let mut from = from.into_iter();
        from.nth(usize::try_from(at).unwrap_or(0)).unwrap()
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.next() % most;
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
