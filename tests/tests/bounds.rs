//! What a node at its limits tells whom it refuses, that places come back, and that keys open what
//! they are for and show nowhere.

use std::num::NonZeroU32;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lockgate_node::config::Limits;
use lockgate_tests::child::{Finished, Running};
use lockgate_tests::client::{Player, Publisher, avc_frame, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::Kind;
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::raw::{self, RawPeer};
use lockgate_tests::tools;

const PLAY_REFUSED: &str = "lockgate_play_refused_total";
const PUBLISH_REFUSED: &str = "lockgate_publish_refused_total";
const REFUSED: &str = "lockgate_connections_refused_total";

/// A node that keeps deserted streams for a moment only.
fn limited(change: impl FnOnce(&mut Limits)) -> Result<TestNode> {
    TestNode::with(|config| {
        config.routing.publisher_grace = std::time::Duration::from_millis(100);
        change(&mut config.limits);
    })
}

/// ffmpeg that pushes a second of a clip.
fn push(url: &str) -> Result<Finished> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-i"]).arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-t", "1", "-c", "copy", "-f", "flv", url]);
    Running::start(ffmpeg)?.wait_with_deadline(PATIENCE)
}

/// ffmpeg that plays until the first picture.
fn play(url: &str) -> Result<Finished> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-i", url, "-frames:v", "1", "-c", "copy", "-f", "null", "-"]);
    Running::start(ffmpeg)?.wait_with_deadline(PATIENCE)
}

/// Holds ffmpeg to having failed for a reason that it shows its user.
fn was_told(finished: &Finished, reason: &str) {
    assert!(!finished.status.success());
    assert!(finished.stderr.contains(reason), "{}", finished.stderr);
}

/// What a publisher of the app `live` that is refused hears.
fn publish_refusal(node: &TestNode, name: &str) -> Result<String> {
    match Publisher::start(node.rtmp(), name) {
        Ok(_) => anyhow::bail!("it was let in"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// What a player of the app `live` that is refused hears before the node closes.
fn play_refusal(node: &TestNode, name: &str) -> Result<String> {
    let mut player = Player::start(node.rtmp(), name)?;
    ensure!(player.to_end()?.is_empty(), "it was let in");
    Ok(player.statuses.join(" "))
}

#[test]
fn publishers_past_their_limit_are_told_and_their_places_come_back() -> Result<()> {
    let node = limited(|limits| limits.publishers = NonZeroU32::MIN)?;
    for round in 1..=3 {
        let mut holder = Publisher::start(node.rtmp(), "holder")?;
        let said = publish_refusal(&node, "other")?;
        assert!(said.contains("NetStream.Publish.Failed"), "{said}");
        node.wait_metric(PUBLISH_REFUSED, "full", f64::from(2 * round - 1))?;
        was_told(&push(&node.url("other"))?, "limits.publishers");
        node.wait_metric(PUBLISH_REFUSED, "full", f64::from(2 * round))?;
        // The holder notices nothing, and whoever takes its name over needs no place of its own.
        holder.send(&tag(Kind::Video, 0, avc_frame(true, 1)))?;
        node.wait_live("holder")?;
        let newer = Publisher::start(node.rtmp(), "holder")?;
        holder.wait_closed()?;
        node.wait_metric("lockgate_publishers", "", 1.0)?;
        drop(newer);
        node.wait_metric("lockgate_publishers", "", 0.0)?;
    }
    assert!(push(&node.url("other"))?.status.success());
    node.wait_quiet()
}

#[test]
fn players_past_their_limit_are_told_and_their_places_come_back() -> Result<()> {
    let node = limited(|limits| limits.players = NonZeroU32::MIN)?;
    for round in 1..=3 {
        let mut publisher = Publisher::start(node.rtmp(), "a")?;
        let mut holder = Player::start(node.rtmp(), "a")?;
        holder.wait_accepted()?;
        let said = play_refusal(&node, "a")?;
        assert!(said.contains("NetStream.Play.Failed"), "{said}");
        was_told(&play(&node.url("b"))?, "limits.players");
        node.wait_metric(PLAY_REFUSED, r#"reason="full""#, f64::from(2 * round))?;
        let frame = tag(Kind::Video, 0, avc_frame(true, 1));
        publisher.send(&frame)?;
        assert_eq!(holder.next()?, Some(frame));
        drop(holder);
        node.wait_players("a", 0)?;
        // A player that waits for its publisher has a place too.
        let waiting = Player::start(node.rtmp(), "b")?;
        node.wait_players("b", 1)?;
        node.wait_metric("lockgate_players", "", 1.0)?;
        drop((waiting, publisher));
        node.wait_quiet()?;
    }
    Ok(())
}

#[test]
fn players_past_the_limit_of_a_stream_are_told_and_other_streams_are_free() -> Result<()> {
    let node = limited(|limits| limits.players_per_stream = NonZeroU32::MIN)?;
    let publishers = [
        Publisher::start(node.rtmp(), "a")?,
        Publisher::start(node.rtmp(), "b")?,
    ];
    let mut holder = Player::start(node.rtmp(), "a")?;
    holder.wait_accepted()?;
    let said = play_refusal(&node, "a")?;
    assert!(said.contains("NetStream.Play.Failed"), "{said}");
    was_told(&play(&node.url("a"))?, "limits.players_per_stream");
    node.wait_metric(PLAY_REFUSED, "stream_full", 2.0)?;
    let mut other = Player::start(node.rtmp(), "b")?;
    other.wait_accepted()?;
    drop(holder);
    node.wait_players("a", 0)?;
    let mut next = Player::start(node.rtmp(), "a")?;
    next.wait_accepted()?;
    drop((publishers, other, next));
    node.wait_quiet()
}

#[test]
fn streams_past_their_limit_are_refused_to_both_sides_and_come_back() -> Result<()> {
    let node = limited(|limits| limits.streams = NonZeroU32::MIN)?;
    for round in 1..=3 {
        let holder = Publisher::start(node.rtmp(), "a")?;
        let said = publish_refusal(&node, "b")?;
        assert!(said.contains("NetStream.Publish.Failed"), "{said}");
        let said = play_refusal(&node, "b")?;
        assert!(said.contains("NetStream.Play.Failed"), "{said}");
        was_told(&push(&node.url("b"))?, "limits.streams");
        node.wait_metric(PUBLISH_REFUSED, "full", f64::from(2 * round))?;
        node.wait_metric(PLAY_REFUSED, r#"reason="full""#, f64::from(2 * round - 1))?;
        // Players of the one there is are no stream more.
        let mut player = Player::start(node.rtmp(), "a")?;
        player.wait_accepted()?;
        drop(holder);
        player.to_end()?;
        node.wait_metric("lockgate_streams", "", 0.0)?;
        // A name that is waited for is a stream.
        let waiting = Player::start(node.rtmp(), "c")?;
        node.wait_players("c", 1)?;
        let said = play_refusal(&node, "d")?;
        assert!(said.contains("NetStream.Play.Failed"), "{said}");
        node.wait_metric(PLAY_REFUSED, r#"reason="full""#, f64::from(2 * round))?;
        drop(waiting);
        node.wait_quiet()?;
    }
    Ok(())
}

#[test]
fn an_address_has_its_own_limit_and_its_places_come_back() -> Result<()> {
    let node = limited(|limits| limits.connections_per_ip = NonZeroU32::MIN.saturating_add(1))?;
    for round in 1..=3 {
        let publisher = Publisher::start(node.rtmp(), "a")?;
        let player = Player::start(node.rtmp(), "a")?;
        node.wait_players("a", 1)?;
        // Nothing can be said before the handshake: it is closed.
        RawPeer::open(node.rtmp())?.wait_closed()?;
        node.wait_metric(REFUSED, "connections_per_ip", f64::from(2 * round - 1))?;
        assert!(!play(&node.url("a"))?.status.success());
        node.wait_metric(REFUSED, "connections_per_ip", f64::from(2 * round))?;
        let mut neighbour = RawPeer::open_from([127, 0, 0, 2].into(), node.rtmp())?;
        neighbour.greet()?;
        drop((publisher, player, neighbour));
        node.wait_quiet()?;
    }
    Ok(())
}

#[test]
fn whoever_has_not_asked_yet_is_pending_and_whoever_has_is_not() -> Result<()> {
    let node = limited(|limits| limits.pending_handshakes = NonZeroU32::MIN)?;
    let pending = "pending_handshakes";
    let mut first = RawPeer::open(node.rtmp())?;
    node.wait_metric("lockgate_connections", "rtmp", 1.0)?;
    RawPeer::open(node.rtmp())?.wait_closed()?;
    node.wait_metric(REFUSED, pending, 1.0)?;
    // Neither a handshake nor an app is what it came for.
    first.greet()?;
    first.say(&raw::connect("live"))?;
    first.until_said(b"NetConnection.Connect.Success")?;
    RawPeer::open(node.rtmp())?.wait_closed()?;
    node.wait_metric(REFUSED, pending, 2.0)?;
    first.say(&raw::publish("a"))?;
    first.until_said(b"NetStream.Publish.Start")?;
    let mut second = RawPeer::connected(node.rtmp(), "live")?;
    RawPeer::open(node.rtmp())?.wait_closed()?;
    node.wait_metric(REFUSED, pending, 3.0)?;
    // Nor is a stream that it is refused: then it is closed, and its place free.
    second.say(&raw::play("a"))?;
    second.until_said(b"NetStream.Play.Start")?;
    let third = RawPeer::open(node.rtmp())?;
    node.wait_metric("lockgate_connections", "rtmp", 3.0)?;
    drop(third);
    node.wait_metric("lockgate_connections", "rtmp", 2.0)?;
    assert!(push(&node.url("b"))?.status.success());
    drop((first, second));
    node.wait_quiet()
}

#[test]
fn whom_an_operator_cuts_is_told_whether_it_plays_or_waits() -> Result<()> {
    let node = limited(|_| {})?;
    let publisher = Publisher::start(node.rtmp(), "a")?;
    for (name, told) in [("a", "UnpublishNotify"), ("b", "NetStream.Play.Failed")] {
        let mut player = Player::start(node.rtmp(), name)?;
        node.wait_players(name, 1)?;
        if name == "a" {
            player.wait_accepted()?;
        }
        let id = node.players(name)?.remove(0)["connection"].to_string();
        node.delete(&format!("/api/v1/connections/{id}"))?;
        assert_eq!(player.to_end()?, []);
        let said = player.statuses.join(" ");
        assert!(said.contains(told), "{said}");
        node.wait_players(name, 0)?;
    }
    node.wait_metric("lockgate_players_cut_total", "kicked", 2.0)?;
    let id = node.wait_for("the publisher", |node| {
        let page = node.get("/api/v1/publishers")?;
        Ok(page["items"][0]["connection"].as_u64())
    })?;
    node.delete(&format!("/api/v1/connections/{id}"))?;
    let said = publisher.wait_closed()?.join(" ");
    assert!(said.contains("NetStream.Publish.Failed"), "{said}");
    node.wait_quiet()
}

const PUSH_KEY: &str = "hunter2-push";
const PLAY_KEY: &str = "hunter3-play";
const WRONG_KEY: &str = "hunter4-wrong";

/// Where people put a key: options for ffmpeg and a URL, for a stream of the app `studio`.
fn places(node: &TestNode, name: &str, key: &str) -> [(Vec<String>, String); 5] {
    let base = format!("rtmp://{}", node.rtmp());
    let apart = [
        "-rtmp_app",
        &format!("studio?key={key}"),
        "-rtmp_playpath",
        name,
    ];
    let path = [
        "-rtmp_app",
        "studio",
        "-rtmp_playpath",
        &format!("{name}?key={key}"),
    ];
    let owned = |options: [&str; 4]| options.map(str::to_owned).to_vec();
    [
        (vec![], format!("{base}/studio/{name}?key={key}")),
        (vec![], format!("{base}/studio/{name}?room=1&key={key}&x=y")),
        (vec![], format!("{base}/studio?key={key}/{name}")),
        (owned(apart), base.clone()),
        (owned(path), base),
    ]
}

fn push_with(options: &[String], url: &str) -> Result<Finished> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-i"]).arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-t", "1", "-c", "copy", "-f", "flv"]);
    ffmpeg.args(options).arg(url);
    Running::start(ffmpeg)?.wait_with_deadline(PATIENCE)
}

fn play_with(options: &[String], url: &str) -> Result<Finished> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(options).args(["-i", url]);
    ffmpeg.args(["-frames:v", "1", "-c", "copy", "-f", "null", "-"]);
    Running::start(ffmpeg)?.wait_with_deadline(PATIENCE)
}

#[test]
fn keys_open_apps_wherever_they_stand_in_a_url_and_show_nowhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>\"$0\""]).arg(&log);
    command.args([env!("CARGO_BIN_EXE_node-under-test"), "run"]);
    let apps = format!(
        "apps=[{{name='studio', access='keys', publish_keys=['other', '{PUSH_KEY}'], \
         play_keys=['{PLAY_KEY}']}}, {{name='mini'}}]"
    );
    let node = TestNode::spawn(command, &[&apps, "log.filter=trace"])?;

    for (place, (options, url)) in (0..).zip(places(&node, "right", PUSH_KEY)) {
        let pushed = push_with(&options, &url)?;
        assert!(pushed.status.success(), "{place}: {}", pushed.stderr);
    }
    let wrong = "the key in this URL is not valid";
    for key in [WRONG_KEY, PLAY_KEY] {
        for (options, url) in places(&node, "wrong", key) {
            was_told(&push_with(&options, &url)?, wrong);
        }
    }
    let bare = format!("rtmp://{}/studio/bare", node.rtmp());
    was_told(&push(&bare)?, "this app needs a key");
    node.wait_metric(PUBLISH_REFUSED, "key_wrong", 10.0)?;
    node.wait_metric(PUBLISH_REFUSED, "key_missing", 1.0)?;

    let mut camera = tools::ffmpeg()?;
    camera.args(["-re", "-stream_loop", "-1", "-i"]);
    camera.arg(Clip::H264Aac.path()?);
    camera.args(["-c", "copy", "-f", "flv"]);
    camera.arg(format!("rtmp://{}/studio/live?key={PUSH_KEY}", node.rtmp()));
    let _publisher = Running::start(camera)?;
    node.wait_for("the camera", |node| {
        let stream = node.get("/api/v1/streams/studio/live").ok();
        Ok(stream.filter(|it| it["ring"]["gop_packets"].as_u64() > Some(0)))
    })?;
    for (place, (options, url)) in (0..).zip(places(&node, "live", PLAY_KEY)) {
        let played = play_with(&options, &url)?;
        assert!(played.status.success(), "{place}: {}", played.stderr);
    }
    for key in [WRONG_KEY, PUSH_KEY] {
        for (options, url) in places(&node, "live", key) {
            was_told(&play_with(&options, &url)?, wrong);
        }
    }
    was_told(&play(&bare)?, "this app needs a key");
    node.wait_metric(PLAY_REFUSED, "key_wrong", 10.0)?;
    node.wait_metric(PLAY_REFUSED, "key_missing", 1.0)?;

    // An app for signed URLs takes nobody else, and one that there is not is refused before.
    let closed = format!("rtmp://{}/mini/a?key={PUSH_KEY}", node.rtmp());
    was_told(&push(&closed)?, "signed URLs only");
    was_told(&play(&closed)?, "signed URLs only");
    node.wait_metric(PUBLISH_REFUSED, "signed_only", 1.0)?;
    node.wait_metric(PLAY_REFUSED, "signed_only", 1.0)?;
    let nowhere = format!("rtmp://{}/nowhere/a?key={PUSH_KEY}", node.rtmp());
    was_told(&push(&nowhere)?, "no app of this name");
    node.wait_metric(REFUSED, "unknown_app", 1.0)?;

    let mut shown = String::new();
    for path in ["streams", "publishers", "players"] {
        shown += &node.get(&format!("/api/v1/{path}"))?.to_string();
    }
    assert!(shown.contains("studio"), "{shown}");
    node.process().context("a process")?.signal("TERM")?;
    shown += &node.wait_for("the node to stop", |_| {
        let log = std::fs::read_to_string(&log)?;
        Ok(log.contains("stopped").then_some(log))
    })?;
    for said in ["publishing", "playing", "key_wrong"] {
        assert!(shown.contains(said), "no {said} in the log");
    }
    for line in shown.lines() {
        assert!(!line.contains("hunter"), "{line}");
    }
    Ok(())
}
