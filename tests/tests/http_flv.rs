//! FLV over HTTP and WebSocket, with the clients that people have: the same bits whichever way they
//! come, the first picture at once, and a mute that is a mute.

#![allow(
    clippy::indexing_slicing,
    reason = "a helper that panics fails its test"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockgate_media::flv::VideoTag;
use lockgate_tests::authority::{Authority, https};
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::{Publisher, avc_frame, avc_header, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::http::Watcher;
use lockgate_tests::member::{Member, Ticket};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::recording::{Recorded, Recording, is_frame};
use lockgate_tests::tools;
use serde_json::json;

/// curl that writes what it gets into a file.
fn fetch(mut curl: Command, url: &str, file: &Path) -> Result<Running> {
    curl.args(["--no-buffer", url, "--output"]).arg(file);
    Running::start(curl)
}

/// Splits media into what configures decoders and what carries frames.
fn split(mut tags: Vec<Tag>) -> (Vec<Tag>, Vec<Tag>) {
    tags.retain(|tag| tag.kind != Kind::Script);
    tags.into_iter().partition(|tag| !is_frame(tag))
}

/// Pushes a clip while players wait in every way there is, and holds what each got against it.
fn relay(mut ffmpeg: Command, clip: Clip) -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|config| {
        config.routing.publisher_grace = Duration::ZERO;
        config.egress.wait_for_publisher = PATIENCE;
    })?;
    let folder = tempfile::tempdir()?;
    let secure = https(&node, "/live/bits.flv")?;
    let ways: [(&str, &str, &[&str]); 5] = [
        ("http/1.1", &node.flv("bits"), &["--http1.1"]),
        ("http/1.0", &node.flv("bits"), &["--http1.0"]),
        // It offers to speak HTTP/2 and is not taken up on it.
        ("upgrade", &node.flv("bits"), &["--http2"]),
        ("https/1.1", &secure, &["--http1.1"]),
        ("https/2", &secure, &["--http2"]),
    ];
    let mut fetching = Vec::new();
    for (index, (way, url, options)) in ways.into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.flv"));
        let mut curl = tools::curl()?;
        curl.args(options).arg("--cacert").arg(authority.cert());
        curl.args(["--write-out", "%{http_version}"]);
        fetching.push((way, fetch(curl, url, &file)?, file));
    }
    let socket = node.flv("bits").replace("http:", "ws:");
    let watching = std::thread::spawn(move || Watcher::messages(&socket)?.to_end());
    node.wait_players("bits", 6)?;

    let copy = folder.path().join("pushed.flv");
    ffmpeg
        .args(["-v", "error", "-readrate", "3", "-i"])
        .arg(clip.path()?);
    ffmpeg.args(["-map", "0", "-c", "copy", "-f", "flv"]);
    ffmpeg.arg(node.url("bits"));
    ffmpeg
        .args(["-map", "0", "-c", "copy", "-f", "flv"])
        .arg(&copy);
    child::run(ffmpeg, PATIENCE)?;

    let (headers, pushed) = split(flv::read_flv(&copy)?);
    let compare = |way: &str, pulled: Vec<Tag>| {
        let (got, pulled) = split(pulled);
        for header in headers.iter().take(2) {
            let is_same = |it: &Tag| it.kind == header.kind && it.body == header.body;
            ensure!(got.iter().any(is_same), "{way}: {header:?} is missing");
        }
        ensure!(pulled.len() > 50, "{way}: {} frames", pulled.len());
        // Who waited is let in once the tracks are known, and begins with the GOP as everybody does:
        // sound from before its first picture is gone by then.
        let expected = flv::starting_with(&pushed, &pulled[0]).context("the first frame")?;
        ensure!(pushed.len() - expected.len() <= 2, "{way}: it began late");
        match flv::first_difference(expected, &pulled) {
            Some(difference) => anyhow::bail!("{way}: {difference}"),
            None => Ok(()),
        }
    };
    for (way, running, file) in fetching {
        let version = running.wait_with_deadline(PATIENCE)?.success()?.output();
        ensure!((version == "2") == (way == "https/2"), "{way}: {version}");
        compare(way, flv::read_flv(&file)?)?;
    }
    let messages = watching.join().map_err(|_| anyhow::anyhow!("a panic"))??;
    compare("ws", messages)?;
    node.wait_quiet()
}

#[test]
fn h264_and_aac_arrive_bit_for_bit_every_way() -> Result<()> {
    relay(tools::ffmpeg()?, Clip::H264Aac)
}

#[test]
fn hevc_in_enhanced_form_arrives_bit_for_bit_every_way() -> Result<()> {
    relay(tools::ffmpeg_new()?, Clip::HevcAac)
}

/// ffmpeg that pushes a clip round and round.
fn push(clip: Clip, url: &str) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(clip.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv", url]);
    Running::start(ffmpeg)
}

#[test]
fn the_header_says_what_the_stream_has() -> Result<()> {
    let node = TestNode::start()?;
    let clips = [
        ("both", Clip::H264Aac, 5, "video\naudio"),
        ("sound", Clip::AudioOnly, 4, "audio"),
        ("pictures", Clip::VideoOnly, 1, "video"),
    ];
    let mut publishers = Vec::new();
    for (name, clip, flags, streams) in clips {
        // One that was there before its publisher, and one that comes later.
        let mut early = {
            let waiting = std::thread::scope(|scope| {
                let watcher = scope.spawn(|| Watcher::http(&node, name));
                node.wait_players(name, 1)?;
                publishers.push(push(clip, &node.url(name))?);
                watcher.join().map_err(|_| anyhow::anyhow!("a panic"))?
            });
            waiting?
        };
        early.until(|tags| !tags.is_empty())?;
        assert_eq!(early.bytes()[4], flags, "{name}");
        let mut late = Watcher::messages(&node.flv(name).replace("http:", "ws:"))?;
        late.until(|tags| !tags.is_empty())?;
        assert_eq!(late.bytes()[4], flags, "{name}");

        let mut probe = tools::ffprobe()?;
        probe.args(["-show_entries", "stream=codec_type", "-of", "csv=p=0"]);
        probe.arg(node.flv(name));
        let told = child::run(probe, PATIENCE)?.output();
        assert_eq!(told.trim(), streams, "{name}");
    }
    Ok(())
}

#[test]
fn a_late_player_gets_a_picture_at_once() -> Result<()> {
    let node = TestNode::start()?;
    let mut publisher = Publisher::start(node.rtmp(), "late")?;
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Audio, 0, vec![0xaf, 0, 0x12, 0x10].into()))?;
    for number in 0..20 {
        let frame = avc_frame(number % 15 == 0, number);
        publisher.send(&tag(Kind::Video, number * 33, frame))?;
    }
    node.wait_for("the frames", |node| {
        let stream = node.get("/api/v1/streams/live/late")?;
        Ok((stream["ring"]["packets"].as_u64() == Some(22)).then_some(()))
    })?;
    // Nothing more is pushed: what comes is what the node kept.
    for way in ["http", "ws"] {
        let mut watcher = match way {
            "http" => Watcher::http(&node, "late")?,
            _ => Watcher::messages(&node.flv("late").replace("http:", "ws:"))?,
        };
        let last = avc_frame(false, 19);
        let tags = watcher.until(|tags| tags.iter().any(|tag| tag.body == last))?;
        let bodies: Vec<_> = tags.iter().filter(|tag| tag.kind == Kind::Video).collect();
        assert_eq!(bodies[0].body, avc_header(1), "{way}");
        assert_eq!(bodies[1].body, avc_frame(true, 15), "{way}");
        assert_eq!(bodies.len(), 6, "{way}");
    }
    Ok(())
}

/// Holds a recording to one stretch of silence in the middle, as a decoder hears it.
fn is_silent_in_the_middle(recorded: &Recorded) -> Result<()> {
    let silences = recorded.silences()?;
    let [(start, end)] = silences[..] else {
        anyhow::bail!("silences {silences:?}");
    };
    ensure!(start > 1.0 && end - start > 2.0, "{silences:?}");
    let level = recorded.level((start + 0.1, end - 0.1))?;
    ensure!(level <= -90.9, "{level} dB between {start} and {end}");
    let level = recorded.level((0.2, start - 0.2))?;
    ensure!(level > -30.0, "{level} dB before it");
    recorded.never_stops(Kind::Audio)?;
    recorded.never_stops(Kind::Video)?;
    recorded.decodes()
}

#[test]
fn sound_muted_by_the_operator_is_silence_and_pictures_never_stop() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = push(Clip::H264Aac, &node.url("muted"))?;
    node.wait_live("muted")?;
    let recording = Recording::start(&node.flv("muted"))?;
    recording.grow(&node, Kind::Video, 1500)?;
    assert_eq!(node.players("muted")?[0]["protocol"], "http-flv");
    node.turn("muted", &json!({"audio": "closed"}))?;
    recording.grow(&node, Kind::Video, 2500)?;
    node.turn("muted", &json!({"audio": "open"}))?;
    recording.grow(&node, Kind::Video, 1500)?;
    is_silent_in_the_middle(&recording.end()?)
}

#[test]
fn pictures_muted_by_the_operator_stop_over_a_websocket_and_come_back_at_once() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = push(Clip::H264Aac, &node.url("dark"))?;
    node.wait_live("dark")?;
    let mut watcher = Watcher::messages(&node.flv("dark").replace("http:", "ws:"))?;
    let newest = |tags: &[Tag], kind| {
        let frames = tags.iter().filter(|tag| tag.kind == kind && is_frame(tag));
        frames.map(|tag| tag.timestamp).max().unwrap_or(0)
    };
    let first = newest(&watcher.until(|tags| tags.len() > 60)?, Kind::Video);
    assert_eq!(node.players("dark")?[0]["protocol"], "ws-flv");
    node.turn("dark", &json!({"video": "closed"}))?;
    let tags = watcher.until(|tags| newest(tags, Kind::Audio) > first + 2500)?;
    let dark = newest(&tags, Kind::Video);
    assert!(dark < first + 1500, "{dark} {first}");
    node.turn("dark", &json!({"video": "open"}))?;
    let tags = watcher.until(|tags| newest(tags, Kind::Video) > dark)?;
    let mut frames = tags
        .iter()
        .filter(|tag| tag.kind == Kind::Video && is_frame(tag));
    let opened = frames.find(|tag| tag.timestamp > dark).context("a frame")?;
    assert!(VideoTag::parse(&opened.body).is_some_and(|it| it.keyframe));
    assert_eq!(flv::first_step_back(&tags), None);
    Ok(())
}

#[test]
fn a_member_pulls_by_http_and_mutes_and_its_url_dies_with_its_subscription() -> Result<()> {
    let node = TestNode::start()?;
    let http = node.addresses().http;
    let mut teacher = Member::join(http, &Ticket::new("class 1", "100"))?;
    let mut pupil = Member::join(http, &Ticket::new("class 1", "200"))?;
    let _publisher = push(Clip::H264Aac, &teacher.publish()?)?;
    pupil.notice("StreamAdded", "100")?;
    let url = pupil.subscribe_as("100", "http-flv")?;
    let own = format!("http://{http}/live/");
    assert!(url.starts_with(&own) && url.ends_with(".flv"), "{url}");
    let recording = Recording::start(&url)?;
    recording.grow(&node, Kind::Video, 1500)?;
    pupil.mute("100", true, false)?;
    recording.grow(&node, Kind::Video, 2500)?;
    pupil.mute("100", false, false)?;
    recording.grow(&node, Kind::Video, 1500)?;
    is_silent_in_the_middle(&recording.end()?)?;

    // The same subscription in another form is the same gate, and the newest connection has it.
    let socket = pupil.subscribe_as("100", "ws-flv")?;
    assert_eq!(socket, url.replace("http:", "ws:"));
    let mut first = Watcher::messages(&socket)?;
    first.until(|tags| tags.len() > 3)?;
    let mut second = Watcher::messages(&socket)?;
    second.until(|tags| tags.len() > 3)?;
    first.to_end()?;
    teacher.mute_local(true, false)?;
    pupil.notice("UserAudStatus", "100")?;
    let sound = |tag: &Tag| tag.kind == Kind::Audio && is_frame(tag);
    second.until(|tags| {
        tags.iter()
            .rev()
            .find(|it| sound(it))
            .is_some_and(|it| it.body.len() == 11)
    })?;
    pupil.ask("UnSubscribe", &json!({"UserId": "100"}))?;
    second.to_end()?;
    let refused = Watcher::messages(&socket).unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    assert_eq!(pupil.subscribe_as("100", "rtmp")?, pupil.subscribe("100")?);
    Ok(())
}
