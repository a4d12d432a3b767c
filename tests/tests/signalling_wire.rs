//! Channels on the wire, spoken from the protocol page alone, with real media behind them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use lockgate_node::Config;
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::{Peer, Player, Publisher, avc_frame, avc_header, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::member::{Closed, Member, Ticket, gateway};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;
use serde_json::json;

fn start(change: impl FnOnce(&mut Config)) -> Result<TestNode> {
    TestNode::with(change)
}

fn join(node: &TestNode, channel: &str, uid: &str) -> Result<Member> {
    Member::join(node.addresses().http, &Ticket::new(channel, uid))
}

/// The app and the stream of a media URL, which must be for this node and safe for any library.
fn parts(node: &TestNode, url: &str) -> Result<(String, String)> {
    let path = url
        .strip_prefix(&format!("rtmp://{}/", node.rtmp()))
        .context(url.to_owned())?;
    let (app, name) = path.split_once('/').context("app and stream")?;
    let safe = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    assert!(safe(app) && safe(name) && name.len() < 64, "{url}");
    Ok((app.to_owned(), name.to_owned()))
}

/// Publishes by hand to a push URL.
fn push_by_hand(node: &TestNode, url: &str) -> Result<Publisher> {
    let (app, name) = parts(node, url)?;
    Peer::connect(node.rtmp(), &app)?.publish(&name)
}

fn play_by_hand(node: &TestNode, url: &str) -> Result<Player> {
    let (app, name) = parts(node, url)?;
    Peer::connect(node.rtmp(), &app)?.play(&name)
}

/// A frame of video, enough for a stream to be there.
fn first_frame(publisher: &mut Publisher) -> Result<()> {
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Video, 0, avc_frame(true, 0)))
}

/// ffmpeg as live-pusher.
fn live_pusher(url: &str) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg
        .args(["-v", "error", "-re", "-stream_loop", "-1", "-i"])
        .arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv", url]);
    Running::start(ffmpeg)
}

/// The loudest sample of a recording between two times of it, in dB.
fn loudest(file: &Path, from: f64, to: f64) -> Result<f64> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "info", "-i"]).arg(file);
    ffmpeg.args([
        "-af",
        &format!("atrim=start={from}:end={to},volumedetect"),
        "-vn",
        "-f",
        "null",
        "-",
    ]);
    let text = child::run(ffmpeg, PATIENCE)?.success()?.stderr;
    let level = text.split("max_volume: ").nth(1).context("a level")?;
    Ok(level.split(' ').next().context("a number")?.parse()?)
}

#[test]
fn two_members_meet_and_mute_with_real_media() -> Result<()> {
    let node = start(|_| {})?;
    let mut teacher = join(&node, "class 1", "100")?;
    let mut pupil = join(&node, "class 1", "200")?;
    let push = teacher.publish()?;
    assert_eq!(pupil.settle()?, [], "asking for a URL is not publishing");
    let _pusher = live_pusher(&push)?;
    let added = pupil.notice("StreamAdded", "100")?;
    assert_eq!(added["ChanId"], "class 1");

    let mut player = play_by_hand(&node, &pupil.subscribe("100")?)?;
    let audible = |tag: &Tag| tag.kind == Kind::Audio && tag.body.len() > 40;
    let silent = |tag: &Tag| tag.kind == Kind::Audio && tag.body.len() == 11;
    let mut tags = player.until(|tag| tag.timestamp > 1500)?;
    assert!(tags.iter().any(audible));

    pupil.mute("100", true, false)?;
    tags.extend(player.until(silent)?);
    let from = tags.last().context("silence")?.timestamp;
    let muted = player.until(|tag| tag.timestamp > from + 2000)?;
    let to = muted.last().context("more")?.timestamp;
    assert!(!muted.iter().any(audible), "silence and nothing else");
    let frames = muted.iter().filter(|tag| tag.kind == Kind::Video).count();
    assert!(frames >= 55, "video never stops: {frames} frames in 2 s");
    tags.extend(muted);

    pupil.mute("100", false, true)?;
    tags.extend(player.until(audible)?);
    let blind_from = tags.last().context("sound")?.timestamp;
    let blind = player.until(|tag| tag.timestamp > blind_from + 2000)?;
    let late = blind
        .iter()
        .filter(|tag| tag.kind == Kind::Video && tag.timestamp > blind_from + 200);
    assert_eq!(late.count(), 0, "no video while it is muted");
    assert!(
        blind.iter().filter(|tag| audible(tag)).count() > 60,
        "audio never stops"
    );
    tags.extend(blind);

    pupil.mute("100", false, false)?;
    let back = player.until(|tag| tag.kind == Kind::Video && tag.body[1] == 1)?;
    assert_eq!(
        back.last().context("a picture")?.body[0] >> 4,
        1,
        "from a keyframe"
    );
    tags.extend(back);
    tags.extend(player.until(|tag| tag.timestamp > blind_from + 4000)?);
    assert_eq!(flv::first_step_back(&tags), None);

    // What a decoder makes of it: the recording as a file.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("watched.flv");
    flv::write_flv(&file, &tags)?;
    let zero = tags.iter().map(|tag| tag.timestamp).min().context("tags")?;
    let seconds = |time: u32| f64::from(time - zero) / 1000.0;
    assert!(loudest(&file, seconds(from) + 0.3, seconds(to) - 0.3)? < -80.0);
    assert!(loudest(&file, seconds(blind_from) + 0.3, seconds(blind_from) + 1.5)? > -40.0);
    let mut decode = tools::ffmpeg()?;
    decode
        .args(["-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"]);
    assert_eq!(child::run(decode, PATIENCE)?.success()?.stderr, "");

    // muteLocal is told, and acts for everybody.
    teacher.mute_local(true, false)?;
    assert_eq!(pupil.notice("UserAudStatus", "100")?["Audio"], false);
    player.until(silent)?;
    teacher.mute_local(false, false)?;
    assert_eq!(pupil.notice("UserAudStatus", "100")?["Audio"], true);
    player.until(audible)?;
    Ok(())
}

#[test]
fn who_joins_late_is_told_of_every_stream_and_of_what_is_muted() -> Result<()> {
    let node = start(|_| {})?;
    let mut pushers = Vec::new();
    let mut members = Vec::new();
    for uid in ["a1", "b2", "c3"] {
        let mut member = join(&node, "room", uid)?;
        let mut publisher = push_by_hand(&node, &member.publish()?)?;
        first_frame(&mut publisher)?;
        members.push(member);
        pushers.push(publisher);
    }
    members[1].mute_local(true, true)?;
    // Everybody has heard it, so it is true by now.
    members[0].notice("UserVidStatus", "b2")?;
    for uid in ["a1", "b2", "c3"] {
        let other = usize::from(uid == "a1");
        members[other].notice("StreamAdded", uid)?;
    }
    let mut late = join(&node, "room", "late")?;
    for uid in ["a1", "b2", "c3"] {
        late.notice("StreamAdded", uid)?;
    }
    assert_eq!(late.notice("UserAudStatus", "b2")?["Audio"], false);
    assert_eq!(late.notice("UserVidStatus", "b2")?["Video"], false);
    assert_eq!(late.settle()?, [], "nothing about who is not muted");
    // A status before StreamAdded, or a second StreamAdded, would have failed in the client.
    Ok(())
}

#[test]
fn an_audience_may_not_publish_and_loses_its_push_url() -> Result<()> {
    let node = start(|_| {})?;
    let mut host = join(&node, "room", "1")?;
    let mut other = join(&node, "room", "2")?;
    let push = host.publish()?;
    assert_eq!(
        host.publish()?,
        push,
        "the same publication has the same URL"
    );
    let mut publisher = push_by_hand(&node, &push)?;
    first_frame(&mut publisher)?;
    other.notice("StreamAdded", "1")?;
    assert_eq!(
        host.ask("SetRole", &json!({"Role": "Audience"}))?["Code"],
        0
    );
    other.notice("StreamRemove", "1")?;
    publisher.wait_closed()?;
    assert!(push_by_hand(&node, &push).is_err(), "the URL is dead");
    host.send_raw("Publish", "")?;
    let refused = host.answer("Publish")?;
    assert!(
        refused["Code"] != 0 && refused.get("PushUrl").is_none(),
        "{refused}"
    );
    assert_eq!(host.ask("SetRole", &json!({"Role": "Host"}))?["Code"], 0);
    assert_ne!(host.publish()?, push);
    Ok(())
}

#[test]
fn unsubscribing_cuts_the_player_at_once_and_kills_its_url() -> Result<()> {
    let node = start(|_| {})?;
    let mut host = join(&node, "room", "1")?;
    let mut guest = join(&node, "room", "2")?;
    let mut publisher = push_by_hand(&node, &host.publish()?)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    let url = guest.subscribe("1")?;
    let mut first = play_by_hand(&node, &url)?;
    first.until(|tag| tag.body == avc_frame(true, 0))?;
    // live-player reconnects to the URL it has, while its old connection may still hang.
    let mut second = play_by_hand(&node, &url)?;
    second.until(|tag| tag.body == avc_frame(true, 0))?;
    first.to_end()?;
    let content = json!({"UserId": "1", "ChanId": "room"});
    assert_eq!(guest.ask("UnSubscribe", &content)?["Code"], 0);
    second.to_end()?;
    let mut dead = play_by_hand(&node, &url)?;
    assert_eq!(dead.to_end()?, []);
    assert!(
        dead.statuses.iter().any(|it| it.contains("NetStream.Play")),
        "{:?}",
        dead.statuses
    );
    Ok(())
}

#[test]
fn a_mute_before_the_subscription_counts() -> Result<()> {
    let node = start(|_| {})?;
    let mut host = join(&node, "room", "1")?;
    let mut guest = join(&node, "room", "2")?;
    let mut publisher = push_by_hand(&node, &host.publish()?)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    guest.mute("1", false, true)?;
    let mut player = play_by_hand(&node, &guest.subscribe("1")?)?;
    player.wait_accepted()?;
    for number in 1..20 {
        publisher.send(&tag(Kind::Video, number * 33, avc_frame(false, number)))?;
        publisher.send(&tag(
            Kind::Audio,
            number * 33,
            vec![0x2f, number.to_le_bytes()[0]].into(),
        ))?;
    }
    let got = player.until(|tag| tag.body[..] == [0x2f, 19])?;
    let frames = got
        .iter()
        .filter(|tag| tag.kind == Kind::Video && tag.body[1] == 1);
    assert_eq!(frames.count(), 0);
    Ok(())
}

#[test]
fn every_character_of_a_channel_name_works_with_ffmpeg_and_librtmp() -> Result<()> {
    let node = start(|_| {})?;
    let channel = "aZ0 !#$%&()+-:;<=.>?@[]^_{}|~,";
    let mut host = join(&node, channel, "1")?;
    let mut guest = join(&node, channel, "2")?;
    let _pusher = live_pusher(&host.publish()?)?;
    assert_eq!(guest.notice("StreamAdded", "1")?["ChanId"], channel);
    let pull = guest.subscribe("1")?;
    let mut probe = tools::ffprobe()?;
    probe.args([
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name",
        "-of",
        "csv=p=0",
        &pull,
    ]);
    let streams = child::run(probe, PATIENCE)?.success()?.output();
    assert_eq!(streams.trim().lines().collect::<Vec<_>>(), ["h264", "aac"]);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("dump.flv");
    let mut dump = tools::rtmpdump()?;
    dump.args(["-q", "--live", "-r", &pull, "-o"]).arg(&file);
    let dumping = Running::start(dump)?;
    node.wait_for("rtmpdump to record", |_| {
        Ok(std::fs::metadata(&file)
            .is_ok_and(|it| it.len() > 50_000)
            .then_some(()))
    })?;
    drop(dumping);
    Ok(())
}

#[test]
fn answers_come_in_order_and_empty_contents_are_fine() -> Result<()> {
    let node = start(|_| {})?;
    let mut member = join(&node, "room", "")?;
    assert!(
        !member.uid.is_empty(),
        "the node picks a uid where none was given"
    );
    for (command, content) in [
        ("Publish", ""),
        ("SetRole", r#"{"Role":"Host"}"#),
        ("KeepAlive", r#"{"time":"1"}"#),
        ("UnPublish", ""),
        ("Subscribe", r#"{"UserId":"nobody","ChanId":"room"}"#),
        ("UnSubscribe", r#"{"UserId":"nobody","ChanId":"room"}"#),
        ("Logout", ""),
    ] {
        member.send_raw(command, content)?;
    }
    assert_eq!(member.answer("Publish")?["Code"], 0);
    assert_eq!(member.answer("SetRole")?["Code"], 0);
    member.answer("KeepAlive")?;
    assert_eq!(member.answer("UnPublish")?["Code"], 0);
    assert_ne!(member.answer("Subscribe")?["Code"], 0, "a stranger");
    member.answer("UnSubscribe")?;
    assert_eq!(member.answer("Logout")?["Code"], 0);
    Ok(())
}

#[test]
fn junk_is_answered_where_it_can_be_and_is_nobody_elses_business() -> Result<()> {
    let node = start(|_| {})?;
    let mut good = join(&node, "room", "1")?;
    let mut bad = join(&node, "room", "2")?;
    for (command, content) in [
        ("Subscribe", "not json"),
        ("Subscribe", "[1,2,3]"),
        ("SetRole", r#"{"Role": 7}"#),
        ("Subscribe", r#"{"UserId": {"a": 1}}"#),
        ("Sing", "{}"),
    ] {
        bad.send_raw(command, content)?;
        let answer = bad.answer(command)?;
        assert!(
            answer["Code"].as_i64().is_some_and(|code| code != 0),
            "{command}: {answer}"
        );
    }
    bad.send_frame("]")?;
    bad.send_frame(r#"{"Cmd": 5, "Content": 6}"#)?;
    bad.settle()?;
    assert_eq!(good.settle()?, []);
    let refused = gateway(
        node.addresses().http,
        &Ticket {
            app: "nope".into(),
            ..Ticket::new("room", "3")
        },
    )?;
    assert_eq!(refused["code"], 101);
    Ok(())
}

#[test]
fn a_second_login_replaces_the_first_and_ends_its_stream() -> Result<()> {
    let node = start(|_| {})?;
    let mut old = join(&node, "room", "1")?;
    let mut guest = join(&node, "room", "2")?;
    let push = old.publish()?;
    let mut publisher = push_by_hand(&node, &push)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    let _new = join(&node, "room", "1")?;
    let closed = old.wait_closed()?;
    assert!(
        closed.code == 1000 && closed.reason != "NETWORK_ERROR",
        "{closed:?}"
    );
    guest.notice("StreamRemove", "1")?;
    assert!(push_by_hand(&node, &push).is_err());
    Ok(())
}

#[test]
fn media_goes_on_when_a_websocket_breaks_and_the_session_resumes() -> Result<()> {
    let node = start(|_| {})?;
    let ticket = Ticket::new("room", "1");
    let mut host = Member::join(node.addresses().http, &ticket)?;
    let mut guest = join(&node, "room", "2")?;
    let push = host.publish()?;
    let mut publisher = push_by_hand(&node, &push)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    let mut player = play_by_hand(&node, &guest.subscribe("1")?)?;
    player.until(|tag| tag.body == avc_frame(true, 0))?;
    host.vanish();
    publisher.send(&tag(Kind::Video, 33, avc_frame(false, 1)))?;
    player.until(|tag| tag.body == avc_frame(false, 1))?;
    let mut host = Member::join(node.addresses().http, &ticket)?;
    assert_eq!(host.publish()?, push, "the publication stands");
    publisher.send(&tag(Kind::Video, 66, avc_frame(false, 2)))?;
    player.until(|tag| tag.body == avc_frame(false, 2))?;
    assert_eq!(guest.settle()?, [], "nobody else noticed");
    Ok(())
}

#[test]
fn who_does_not_come_back_is_gone_after_the_grace() -> Result<()> {
    let node = start(|config| config.signalling.session_grace = Duration::from_millis(200))?;
    let mut host = join(&node, "room", "1")?;
    let mut guest = join(&node, "room", "2")?;
    let mut publisher = push_by_hand(&node, &host.publish()?)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    host.vanish();
    guest.notice("StreamRemove", "1")?;
    publisher.wait_closed()?;
    Ok(())
}

#[test]
fn a_pusher_that_breaks_off_may_come_back_and_is_removed_if_it_does_not() -> Result<()> {
    let node = start(|config| config.routing.publisher_grace = Duration::from_millis(300))?;
    let mut host = join(&node, "room", "1")?;
    let mut guest = join(&node, "room", "2")?;
    let push = host.publish()?;
    let mut publisher = push_by_hand(&node, &push)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    drop(publisher);
    guest.notice("StreamRemove", "1")?;
    // The publication still stands, and so does its URL.
    let mut publisher = push_by_hand(&node, &push)?;
    first_frame(&mut publisher)?;
    guest.notice("StreamAdded", "1")?;
    Ok(())
}

#[test]
fn a_stopping_node_closes_sessions_so_that_clients_come_back() -> Result<()> {
    let node = start(|_| {})?;
    let member = join(&node, "room", "1")?;
    node.stop();
    let closed = member.wait_closed()?;
    let comes_back = closed
        != Closed {
            code: 1000,
            reason: String::new(),
        };
    assert!(
        comes_back,
        "{closed:?} would tell the client that it has left"
    );
    node.join()
}
