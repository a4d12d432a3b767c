//! Streams outlive connections: publishers break off, come back, restart and lie about the time, and
//! players stay, with timestamps that never go back.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::time::Duration;

use anyhow::{Context, Result};
use lockgate_media::flv::VideoTag;
use lockgate_node::config::Conflict;
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::{Player, Publisher, avc_frame, avc_header, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;

/// ffmpeg that pushes a clip round and round.
fn push(node: &TestNode, clip: Clip, name: &str) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg
        .args(["-v", "error", "-re", "-stream_loop", "-1", "-i"])
        .arg(clip.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(node.url(name));
    Running::start(ffmpeg)
}

fn audio(number: u8) -> bytes::Bytes {
    // MP3: no sequence header to send first.
    vec![0x2f, number].into()
}

/// Restarts a publisher by force, with another encoder's output the second time, while a player of
/// ours and ffmpeg watch.
#[test]
fn players_stay_when_an_encoder_is_killed_and_restarted_with_a_new_resolution() -> Result<()> {
    let node = TestNode::with(|config| config.routing.publisher_grace = Duration::from_secs(30))?;
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("watched.flv");
    let mut first = push(&node, Clip::H264Aac, "class")?;
    node.wait_live("class")?;
    let mut player = Player::start(node.rtmp(), "class")?;
    let mut watch = tools::ffmpeg()?;
    watch.args(["-v", "error", "-i"]).arg(node.url("class"));
    watch.args(["-c", "copy", "-f", "flv"]).arg(&recording);
    let watching = Running::start(watch)?;
    node.wait_players("class", 2)?;
    let mut tags = player.until(|tag| tag.timestamp > 2000)?;

    first.kill();
    node.wait_for("the publisher to be missed", |node| {
        Ok((node.get("/api/v1/streams/live/class")?["state"] == "grace").then_some(()))
    })?;
    let _second = push(&node, Clip::H264AacLarger, "class")?;
    // On until the new encoder's header and some seconds of its frames have come.
    tags.extend(player.until(is_header)?);
    let resumed = tags.last().context("a header")?.timestamp;
    tags.extend(player.until(|tag| tag.timestamp > resumed + 2000)?);
    assert_eq!(flv::first_step_back(&tags), None);
    let headers: Vec<_> = tags.iter().filter(|tag| is_header(tag)).collect();
    assert!(headers.len() >= 2 && headers[0].body != headers[headers.len() - 1].body);
    let stream = node.get("/api/v1/streams/live/class")?;
    assert_eq!(stream["video"]["width"], 854);
    assert_eq!(
        node.metric("lockgate_publisher_returns_total", "resumed")?,
        1.0
    );
    assert_eq!(stream["players"], 2, "nobody was thrown out");

    watching.signal("INT")?;
    watching.wait_with_deadline(PATIENCE)?;
    let watched = flv::read_flv(&recording)?;
    assert_eq!(flv::first_step_back(&watched), None);
    let mut decode = tools::ffmpeg()?;
    decode
        .args(["-v", "error", "-i"])
        .arg(&recording)
        .args(["-f", "null", "-"]);
    let decoded = child::run(decode, PATIENCE)?.success()?;
    // ffmpeg's parser reads ahead with the old header and says so; its decoder must not complain.
    assert!(!decoded.stderr.contains("[h264 @"), "{}", decoded.stderr);
    Ok(())
}

fn is_header(tag: &Tag) -> bool {
    tag.kind == Kind::Video && tag.body.get(1) == Some(&0)
}

/// Publishes frames at the timestamps given and returns what a player got at.
fn times(name: &str, pushed: &[u32]) -> Result<(Vec<u32>, TestNode)> {
    let node = TestNode::start()?;
    let mut publisher = Publisher::start(node.rtmp(), name)?;
    publisher.send(&tag(Kind::Video, pushed[0], avc_header(1)))?;
    let mut player = Player::start(node.rtmp(), name)?;
    player.wait_accepted()?;
    node.wait_players(name, 1)?;
    let last = u32::try_from(pushed.len())? - 1;
    for (number, &timestamp) in (0u32..).zip(pushed) {
        publisher.send(&tag(
            Kind::Video,
            timestamp,
            avc_frame(number % 30 == 0, number),
        ))?;
    }
    let end = avc_frame(last % 30 == 0, last);
    let tags = player.until(|tag| tag.body == end)?;
    assert_eq!(flv::first_step_back(&tags), None);
    let frames = tags.iter().filter(|tag| {
        VideoTag::parse(&tag.body).is_some_and(|it| it.part == lockgate_media::flv::Part::Frame)
    });
    Ok((frames.map(|tag| tag.timestamp).collect(), node))
}

#[test]
fn a_publisher_that_starts_at_five_hours_is_played_from_the_start() -> Result<()> {
    let pushed: Vec<u32> = (0..60).map(|n| 18_000_000 + n * 33).collect();
    let (got, node) = times("five", &pushed)?;
    let relative: Vec<u32> = got.iter().map(|time| time - got[0]).collect();
    assert_eq!(relative, (0..60).map(|n| n * 33).collect::<Vec<_>>());
    assert_eq!(node.metric("lockgate_timeline_jumps_total", "")?, 0.0);
    Ok(())
}

#[test]
fn a_clock_that_leaps_five_hours_and_back_is_rebased_and_counted() -> Result<()> {
    let mut pushed: Vec<u32> = (0..30).map(|n| n * 33).collect();
    pushed.extend((0..30).map(|n| 18_000_000 + n * 33));
    pushed.extend((0..30).map(|n| n * 33));
    let (got, node) = times("leap", &pushed)?;
    assert_eq!(got.len(), 90);
    assert!(
        got[89] < 10_000,
        "the timeline goes on as time does: {got:?}"
    );
    assert_eq!(
        node.metric("lockgate_timeline_jumps_total", "forward")?,
        1.0
    );
    assert_eq!(
        node.metric("lockgate_timeline_jumps_total", "backward")?,
        1.0
    );
    Ok(())
}

#[test]
fn a_32_bit_wrap_goes_on_without_a_step() -> Result<()> {
    let pushed: Vec<u32> = (0..60u32)
        .map(|n| (u32::MAX - 990).wrapping_add(n * 33))
        .collect();
    let (got, node) = times("wrap", &pushed)?;
    let steps: Vec<u32> = got.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, vec![33; 59]);
    assert_eq!(node.metric("lockgate_timeline_jumps_total", "wrap")?, 1.0);
    Ok(())
}

#[test]
fn a_stream_goes_on_past_the_24_bits_of_a_chunk_header() -> Result<()> {
    // Steps just under what counts as a leap, to 4.7 hours, where extended timestamps begin.
    let pushed: Vec<u32> = (0..1710).map(|n| n * 9_900).collect();
    let (got, _node) = times("long", &pushed)?;
    assert!(got.last() > Some(&0x00ff_ffff), "{:?}", got.last());
    let steps = got.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        steps.clone().all(|step| step == 9_900),
        "{:?}",
        steps.collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn the_newest_publisher_wins_and_the_old_one_is_told() -> Result<()> {
    let node = TestNode::start()?;
    let mut old = Publisher::start(node.rtmp(), "name")?;
    let mut player = Player::start(node.rtmp(), "name")?;
    player.wait_accepted()?;
    old.send(&tag(Kind::Video, 500, avc_header(1)))?;
    old.send(&tag(Kind::Video, 500, avc_frame(true, 1)))?;
    let mut got = player.until(|tag| tag.body == avc_frame(true, 1))?;
    let mut new = Publisher::start(node.rtmp(), "name")?;
    let said = old.wait_closed()?;
    assert!(
        said.iter()
            .any(|status| status.contains("NetStream.Publish")),
        "{said:?}"
    );
    new.send(&tag(Kind::Video, 0, avc_header(2)))?;
    new.send(&tag(Kind::Video, 0, avc_frame(true, 2)))?;
    got.extend(player.until(|tag| tag.body == avc_frame(true, 2))?);
    assert_eq!(flv::first_step_back(&got), None);
    assert_eq!(
        node.metric("lockgate_publisher_returns_total", "replaced")?,
        1.0
    );
    Ok(())
}

#[test]
fn a_taken_name_is_refused_where_the_config_says_so() -> Result<()> {
    let node = TestNode::with(|config| config.ingest.conflict = Conflict::Reject)?;
    let mut holder = Publisher::start(node.rtmp(), "name")?;
    assert!(Publisher::start(node.rtmp(), "name").is_err());
    holder.send(&tag(Kind::Audio, 0, audio(1)))?;
    node.wait_live("name")?;
    assert_eq!(
        node.metric("lockgate_publisher_returns_total", "rejected")?,
        1.0
    );
    Ok(())
}

#[test]
fn a_player_that_comes_first_waits_and_then_gets_everything() -> Result<()> {
    let node = TestNode::start()?;
    let mut player = Player::start(node.rtmp(), "early")?;
    node.wait_players("early", 1)?;
    let mut publisher = Publisher::start(node.rtmp(), "early")?;
    player.wait_accepted()?;
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Video, 0, avc_frame(true, 1)))?;
    let got = player.until(|tag| tag.body == avc_frame(true, 1))?;
    assert_eq!(got.len(), 2);
    Ok(())
}

#[test]
fn a_player_on_a_name_that_nobody_publishes_is_told_so() -> Result<()> {
    let node =
        TestNode::with(|config| config.egress.wait_for_publisher = Duration::from_millis(50))?;
    let mut player = Player::start(node.rtmp(), "nobody")?;
    assert_eq!(player.to_end()?, []);
    assert!(
        player
            .statuses
            .iter()
            .any(|it| it.contains("StreamNotFound")),
        "{:?}",
        player.statuses
    );
    assert_eq!(
        node.metric("lockgate_play_refused_total", "not_found")?,
        1.0
    );
    Ok(())
}

#[test]
fn players_are_told_when_the_grace_is_over() -> Result<()> {
    let node =
        TestNode::with(|config| config.routing.publisher_grace = Duration::from_millis(100))?;
    let mut publisher = Publisher::start(node.rtmp(), "over")?;
    let mut player = Player::start(node.rtmp(), "over")?;
    player.wait_accepted()?;
    publisher.send(&tag(Kind::Audio, 0, audio(1)))?;
    player.until(|tag| tag.body == audio(1))?;
    drop(publisher);
    assert_eq!(player.to_end()?, []);
    assert!(
        player
            .statuses
            .iter()
            .any(|it| it.contains("UnpublishNotify")),
        "{:?}",
        player.statuses
    );
    Ok(())
}

#[test]
fn a_stopping_node_tells_its_players_and_ends_well() -> Result<()> {
    let node = TestNode::start()?;
    let mut publisher = Publisher::start(node.rtmp(), "stop")?;
    let mut player = Player::start(node.rtmp(), "stop")?;
    player.wait_accepted()?;
    publisher.send(&tag(Kind::Audio, 0, audio(1)))?;
    player.until(|tag| tag.body == audio(1))?;
    node.stop();
    assert_eq!(player.to_end()?, []);
    assert!(
        player
            .statuses
            .iter()
            .any(|it| it.contains("UnpublishNotify")),
        "{:?}",
        player.statuses
    );
    publisher.wait_closed()?;
    node.join()
}

/// A publisher that always has more to send, faster than it can be read, for as long as others are
/// served beside it.
#[test]
fn a_publisher_that_floods_does_not_keep_others_waiting() -> Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering};

    let node = TestNode::start()?;
    let mut flood = Publisher::start(node.rtmp(), "flood")?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let frame = tag(Kind::Video, number, avc_frame(number % 30 == 0, number));
                if flood.send(&frame).is_err() {
                    return;
                }
            }
        });
        let served = (|| -> Result<()> {
            node.wait_live("flood")?;
            for round in 0..5 {
                let name = format!("calm{round}");
                let mut calm = Publisher::start(node.rtmp(), &name)?;
                let mut player = Player::start(node.rtmp(), &name)?;
                player.patience(Duration::from_secs(10))?;
                player.wait_accepted()?;
                for number in 0..20 {
                    calm.send(&tag(
                        Kind::Video,
                        number * 33,
                        avc_frame(number == 0, number),
                    ))?;
                }
                player.until(|tag| tag.body == avc_frame(false, 19))?;
                node.get("/api/v1/streams")?;
            }
            Ok(())
        })();
        stop.store(true, Ordering::Relaxed);
        served
    })
}
