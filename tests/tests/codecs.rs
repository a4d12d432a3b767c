//! What goes by WebRTC beside H.264, and GStreamer as the other side: HEVC, VP9 and AV1 that are pushed
//! by enhanced RTMP show in a page or in webrtcbin, and offers without the stream's codec are told so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails as the test does"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use lockgate_tests::child::{self, Running};
use lockgate_tests::gstreamer::Client;
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::{browser, tools};
use serde_json::{Value, json};

/// A browser or an encoder takes a core for itself.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const H264: &str = "libx264 -preset ultrafast -tune zerolatency";
const HEVC: &str = "libx265 -preset ultrafast -tune zerolatency -x265-params log-level=error";
const HEVC_B_FRAMES: &str = "libx265 -preset medium -x265-params bframes=3:log-level=error";
const VP9: &str = "libvpx-vp9 -deadline realtime -cpu-used 8";
const AV1: &str = "libsvtav1 -preset 12 -svtav1-params pred-struct=1";

/// Pushes a red picture and a tone by enhanced RTMP, in real time, until it is dropped.
fn push(node: &TestNode, name: &str, encoder: &str) -> Result<Running> {
    let mut command = tools::ffmpeg_new()?;
    command.args(["-re", "-f", "lavfi", "-i", "color=red:size=320x180:rate=25"]);
    command.args([
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000",
    ]);
    command.args(["-pix_fmt", "yuv420p", "-g", "25", "-c:v"]);
    command.args(encoder.split_whitespace());
    command
        .args(["-c:a", "aac", "-ac", "2", "-f", "flv"])
        .arg(node.url(name));
    let running = Running::start(command)?;
    node.wait_live(name)?;
    node.wait_for("a picture", |node| {
        let stream = node.get(&format!("/api/v1/streams/live/{name}"))?;
        Ok((stream["ring"]["gop_packets"].as_u64() > Some(0)).then_some(()))
    })?;
    Ok(running)
}

fn url(node: &TestNode, name: &str, kind: &str) -> String {
    format!("http://{}/live/{name}/{kind}", node.addresses().http)
}

/// A page's last sample of a stream, once it has looked at it for some seconds.
fn watched(node: &TestNode, name: &str) -> Result<Value> {
    let phases = json!([{ "seconds": 5 }]);
    let args = json!({ "url": url(node, name, "whep"), "name": name, "phases": phases });
    let seen = browser::run("whep.mjs", &args)?;
    ensure!(seen.errors.is_empty(), "{:?} {}", seen.errors, seen.result);
    let samples = seen.result["phases"][0]["samples"].as_array();
    Ok(samples
        .and_then(|it| it.last())
        .cloned()
        .unwrap_or_default())
}

fn is_red(colour: &Value) -> bool {
    colour[0].as_u64() > Some(200) && colour[1].as_u64() < Some(60)
}

#[test]
fn a_page_shows_vp9_and_av1_that_are_pushed_by_enhanced_rtmp() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    for (name, encoder, codec) in [("vp9", VP9, "video/VP9"), ("av1", AV1, "video/AV1")] {
        let _push = push(&node, name, encoder)?;
        let last = watched(&node, name)?;
        eprintln!("{name}: {last}");
        assert_eq!(last["video"]["codec"], codec);
        ensure!(last["video"]["decoded"].as_u64() > Some(40), "{last}");
        ensure!(is_red(&last["colour"]), "{last}");
        ensure!(last["audio"]["packets"].as_u64() > Some(40), "{last}");
    }
    Ok(())
}

#[test]
fn gstreamer_plays_h264_hevc_and_vp9_with_sound() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    for (name, encoder, codec) in [("a", H264, "H264"), ("b", HEVC, "H265"), ("c", VP9, "VP9")] {
        let _push = push(&node, name, encoder)?;
        let seen = Client::play(&url(&node, name, "whep"), codec, 75)?.finish()?;
        ensure!(seen["status"] == 201, "{seen}");
        ensure!(seen["video"].as_u64() >= Some(75), "{seen}");
        ensure!(is_red(&seen["colour"]), "{seen}");
        ensure!(seen["size"] == json!([320, 180]), "{seen}");
        // A sine of an eighth of full scale.
        ensure!(seen["loudness"].as_u64() > Some(1000), "{seen}");
        ensure!(seen["ended"] == 200, "{seen}");
        node.wait_players(name, 0)?;
    }
    Ok(())
}

/// The codecs of a stream as a player of enhanced RTMP finds them, once it has decoded some of it.
fn probed(node: &TestNode, name: &str) -> Result<Vec<String>> {
    let mut pull = tools::ffmpeg_new()?;
    pull.args(["-loglevel", "info", "-xerror", "-i"])
        .arg(node.url(name));
    pull.args(["-frames:v", "30", "-frames:a", "30", "-f", "null", "-"]);
    let pulled = child::run(pull, PATIENCE)?.success()?;
    // Stream #0:0: Video: h264 (Constrained Baseline), yuv420p(progressive), 320x180, …
    let streams = pulled
        .stderr
        .lines()
        .filter(|line| line.contains("Stream #0:"));
    let input = streams.take(2).map(|line| {
        let (_, named) = line.split_once("o: ").unwrap_or_default();
        let codec = named.split([' ', ',']).next().unwrap_or_default();
        let size = if named.contains("320x180") {
            ",320x180"
        } else {
            ""
        };
        let rate = if named.contains("48000 Hz") {
            ",48000"
        } else {
            ""
        };
        format!("{codec}{size}{rate}")
    });
    let mut found: Vec<_> = input.collect();
    found.sort();
    Ok(found)
}

/// Waits until a stream has pictures of a codec, as the API names it, and sound.
fn wait_both(node: &TestNode, name: &str, codec: &str) -> Result<()> {
    node.wait_for("pictures and sound", |node| {
        let stream = node
            .get(&format!("/api/v1/streams/live/{name}"))
            .unwrap_or_default();
        let both = stream["video"]["codec"] == codec && stream["audio"]["codec"] == "AAC";
        Ok(both.then_some(()))
    })
}

#[test]
fn what_gstreamer_publishes_plays_by_rtmp() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let cases = [
        ("H264", "H.264", "h264,320x180"),
        ("H265", "HEVC", "hevc,320x180"),
        ("VP9", "VP9", "vp9,320x180"),
    ];
    for (codec, named, probe) in cases {
        let client = Client::publish(&url(&node, codec, "whip"), codec, 12)?;
        client.wait_connected()?;
        wait_both(&node, codec, named)?;
        assert_eq!(probed(&node, codec)?, ["aac,48000", probe]);
        let sent = client.finish()?;
        ensure!(sent["ended"] == 200, "{sent}");
    }
    Ok(())
}

#[test]
fn vp9_and_av1_that_a_page_publishes_decode_by_rtmp_and_show_in_another_page() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    for (codec, named, mime) in [("vp9", "VP9", "video/VP9"), ("av1", "AV1", "video/AV1")] {
        let args = json!({ "url": url(&node, codec, "whip"), "seconds": 40, "codec": codec });
        let page = browser::start("whip.mjs", &args)?;
        page.wait_for_stdout("connected", PATIENCE)?;
        wait_both(&node, codec, named)?;
        let mut pull = tools::ffmpeg_new()?;
        pull.args(["-v", "error", "-xerror", "-i"])
            .arg(node.url(codec));
        pull.args(["-frames:v", "20", "-f", "framecrc", "-"]);
        let pulled = child::run(pull, PATIENCE)?.success()?;
        let frames = pulled.output();
        let frames = frames.lines().filter(|line| line.starts_with("0,"));
        assert_eq!(frames.count(), 20, "{}", pulled.stderr);
        let last = watched(&node, codec)?;
        eprintln!("{codec}: {last}");
        assert_eq!(last["video"]["codec"], mime);
        ensure!(last["video"]["decoded"].as_u64() > Some(40), "{last}");
        drop(page);
    }
    Ok(())
}

#[test]
fn a_page_that_has_h264_publishes_it_whatever_it_likes_better() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let args =
        json!({ "url": url(&node, "cam", "whip"), "seconds": 6, "codec": "vp8|vp9|av1|h264" });
    let page = browser::start("whip.mjs", &args)?;
    wait_both(&node, "cam", "H.264")?;
    let seen = browser::finish(page)?;
    assert_eq!(seen.result["ended"], 200, "{}", seen.result);
    Ok(())
}

#[test]
fn an_offer_without_the_streams_codec_is_told_which_it_is() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let _push = push(&node, "a", HEVC)?;
    let seen = Client::play(&url(&node, "a", "whep"), "H264", 1)?.finish()?;
    ensure!(seen["status"] == 406, "{seen}");
    ensure!(seen["body"]["code"] == "no_common_codec", "{seen}");
    let message = seen["body"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("this stream is HEVC"), "{message}");
    Ok(())
}

#[test]
fn hevc_with_b_frames_is_refused() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let _push = push(&node, "a", HEVC_B_FRAMES)?;
    node.wait_for("a GOP with B-frames", |node| {
        let stream = node.get("/api/v1/streams/live/a")?;
        Ok((stream["ring"]["packets"].as_u64() > Some(60)).then_some(()))
    })?;
    let seen = Client::play(&url(&node, "a", "whep"), "H265", 1)?.finish()?;
    ensure!(
        seen["status"] == 409 && seen["body"]["code"] == "b_frames",
        "{seen}"
    );
    Ok(())
}
