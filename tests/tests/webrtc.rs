//! WHEP and WHIP with a browser on the other side: what is pushed by RTMP shows in a page, what a page
//! publishes plays by RTMP and in another page, and gates hold in each direction.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails as the test does"
)]

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockgate_tests::child::{self, Running};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::shaper::{Shape, Shaper};
use lockgate_tests::{browser, tools};
use serde_json::{Value, json};

/// A browser takes a core for itself, and several at a time starve each other and what they watch.
static BROWSER: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    BROWSER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pushes a picture of one colour and a tone, in real time, until it is dropped.
fn push(node: &TestNode, name: &str, colour: &str, more: &[&str]) -> Result<Running> {
    let mut command = tools::ffmpeg()?;
    command
        .args(["-re", "-f", "lavfi", "-i"])
        .arg(format!("color={colour}:size=320x180:rate=25"))
        .args([
            "-re",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=44100",
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
        ])
        .args(["-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", "-ac", "2"])
        .args(more)
        .args(["-f", "flv"])
        .arg(node.url(name));
    let running = Running::start(command)?;
    node.wait_live(name)?;
    Ok(running)
}

fn whep(node: &TestNode, name: &str) -> String {
    format!("http://{}/live/{name}/whep", node.addresses().http)
}

fn whip(node: &TestNode, name: &str) -> String {
    format!("http://{}/live/{name}/whip", node.addresses().http)
}

/// What a page plays, phase by phase.
fn watch(node: &TestNode, name: &str, phases: &Value) -> Result<Value> {
    let api = format!("http://{}", node.addresses().http);
    let args = json!({ "url": whep(node, name), "api": api, "name": name, "phases": phases });
    let seen = browser::run("whep.mjs", &args)?;
    ensure!(seen.errors.is_empty(), "{:?}", seen.errors);
    ensure!(seen.result["status"] == 201, "{}", seen.result);
    Ok(seen.result)
}

/// A phase's last sample, once whatever the phase began with is over.
fn last(phase: &Value) -> &Value {
    phase["samples"].as_array().unwrap().last().unwrap()
}

fn decoded(sample: &Value) -> u64 {
    sample["video"]["decoded"].as_u64().unwrap_or(0)
}

/// Frames decoded in the second half of a phase.
fn decoded_late(phase: &Value) -> u64 {
    let samples = phase["samples"].as_array().unwrap();
    decoded(samples.last().unwrap()) - decoded(&samples[samples.len() / 2])
}

/// The median of a phase's second half: the loudness of a moment may be between two beeps.
fn loudness(phase: &Value) -> f64 {
    let samples = phase["samples"].as_array().unwrap();
    let late = samples.iter().skip(samples.len() / 2);
    let mut values: Vec<f64> = late.map(|it| it["loudness"].as_f64().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_page_shows_and_sounds_what_is_pushed_by_rtmp_and_obeys_its_gate() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let _push = push(&node, "a", "red", &[])?;
    let phases = json!([
        { "seconds": 4 },
        { "seconds": 3, "gate": { "audio": "closed" } },
        { "seconds": 3, "gate": { "audio": "open" } },
        { "seconds": 3, "gate": { "video": "closed" } },
        { "seconds": 3, "gate": { "video": "open" } },
    ]);
    let seen = watch(&node, "a", &phases)?;
    let phases = seen["phases"].as_array().unwrap();
    let [open, muted, unmuted, dark, shown] = &phases[..] else {
        panic!("{seen}")
    };
    let colour = &last(open)["colour"];
    ensure!(
        colour[0].as_u64() > Some(200) && colour[1].as_u64() < Some(60),
        "{colour}"
    );
    ensure!(decoded_late(open) >= 15, "{open}");
    ensure!(loudness(open) > 0.02, "{open}");
    ensure!(loudness(muted) < 0.001, "{muted}");
    ensure!(decoded_late(muted) >= 10, "the picture goes on: {muted}");
    ensure!(loudness(unmuted) > 0.02, "{unmuted}");
    ensure!(decoded_late(dark) == 0, "{dark}");
    ensure!(loudness(dark) > 0.02, "the sound goes on: {dark}");
    ensure!(decoded_late(shown) >= 10, "{shown}");
    ensure!(seen["ended"] == 200);
    node.wait_players("a", 0)
}

/// Starts a page that publishes, and waits until media has come.
fn publish(node: &TestNode, name: &str, seconds: u64) -> Result<Running> {
    let args = json!({ "url": whip(node, name), "seconds": seconds });
    let running = browser::start("whip.mjs", &args)?;
    running.wait_for_stdout("connected", PATIENCE)?;
    node.wait_live(name)?;
    Ok(running)
}

#[test]
fn what_a_page_publishes_plays_by_rtmp_as_h264_and_aac_in_sync() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let page = publish(&node, "cam", 12)?;
    let mut command = tools::ffprobe()?;
    command
        .args([
            "-read_intervals",
            "%+5",
            "-show_streams",
            "-show_packets",
            "-of",
            "json",
        ])
        .arg(node.url("cam"));
    let probed = child::run(command, PATIENCE)?.success()?.output();
    let probed: Value = serde_json::from_str(&probed)?;
    let stream = |kind: &str| {
        let streams = probed["streams"].as_array().unwrap();
        streams
            .iter()
            .find(|it| it["codec_type"] == kind)
            .cloned()
            .context(kind.to_owned())
    };
    let (video, audio) = (stream("video")?, stream("audio")?);
    assert_eq!(
        (&video["codec_name"], &audio["codec_name"]),
        (&json!("h264"), &json!("aac"))
    );
    assert_eq!(
        (&audio["sample_rate"], &audio["channels"]),
        (&json!("48000"), &json!(2))
    );
    let times = |kind: &str| -> Vec<f64> {
        let packets = probed["packets"].as_array().unwrap().iter();
        let mine = packets.filter(|packet| packet["codec_type"] == kind);
        mine.filter_map(|packet| packet["pts_time"].as_str()?.parse().ok())
            .collect()
    };
    let (video, audio) = (times("video"), times("audio"));
    ensure!(
        video.len() > 40 && audio.len() > 100,
        "{} {}",
        video.len(),
        audio.len()
    );
    ensure!(video.is_sorted() && audio.is_sorted());
    // Both tracks end at what is live.
    let apart = video.last().unwrap() - audio.last().unwrap();
    ensure!(apart.abs() < 0.3, "{apart}");
    let seen = browser::finish(page)?;
    assert_eq!(seen.result["ended"], 200, "{}", seen.result);
    assert_eq!(seen.errors, [] as [String; 0]);
    Ok(())
}

#[test]
fn what_one_page_publishes_another_shows_and_its_gate_holds() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let page = publish(&node, "cam", 20)?;
    let phases = json!([
        { "seconds": 4 },
        { "seconds": 3, "gate": { "video": "closed", "audio": "closed" } },
        { "seconds": 3, "gate": { "video": "open", "audio": "open" } },
    ]);
    let seen = watch(&node, "cam", &phases)?;
    let phases = seen["phases"].as_array().unwrap();
    let [open, closed, opened] = &phases[..] else {
        panic!("{seen}")
    };
    ensure!(decoded_late(open) >= 10, "{open}");
    ensure!(last(open)["audio"]["packets"].as_u64() > Some(50), "{open}");
    ensure!(decoded_late(closed) == 0, "{closed}");
    ensure!(loudness(closed) < 0.001, "{closed}");
    ensure!(decoded_late(opened) >= 10, "{opened}");
    let sent = browser::finish(page)?.result;
    assert_eq!(sent["ended"], 200, "{sent}");
    Ok(())
}

/// A longer gap than this between two frames is a freeze, ms: ten frames, which a loaded machine passes without one.
const STUTTER: f64 = 400.0;

/// How a page fares that plays by a network which loses some of its packets, and then none.
struct Fared {
    bad: Value,
    well: Value,
    /// The longest time without a new picture, in milliseconds.
    freeze: f64,
    /// When the last stutter ended, in milliseconds after nothing was lost any more.
    recovered: f64,
}

fn fare(loss_percent: u32) -> Result<Fared> {
    let shaper = Shaper::start(Shape {
        loss_percent,
        delay: Duration::from_millis(100),
    })?;
    let node = TestNode::with(|config| {
        config.webrtc.public_addresses = vec![shaper.address().to_string()];
    })?;
    shaper.lead_to(node.addresses().webrtc.context("no port")?);
    let _push = push(&node, "a", "red", &["-b:v", "1M"])?;
    let phases = json!([{ "seconds": 3 }, { "seconds": 10 }, { "seconds": 5 }]);
    let page = browser::start(
        "whep.mjs",
        &json!({ "url": whep(&node, "a"), "phases": phases }),
    )?;
    page.wait_for_stdout("phase 2", PATIENCE)?;
    shaper.lose(0);
    let seen = browser::finish(page)?.result;
    let [_, bad, well] = &seen["phases"].as_array().unwrap()[..] else {
        panic!("{seen}")
    };
    let gaps = well["gaps"].as_array().unwrap().iter();
    let stutters = gaps.filter(|it| it["gap"].as_f64() > Some(STUTTER));
    Ok(Fared {
        freeze: bad["longestFreeze"].as_f64().unwrap(),
        recovered: stutters
            .filter_map(|it| it["at"].as_f64())
            .fold(0.0, f64::max),
        bad: bad.clone(),
        well: well.clone(),
    })
}

#[test]
fn a_network_that_loses_and_delays_packets_is_played_over_and_forgotten_when_it_is_well()
-> Result<()> {
    let _alone = alone();
    for loss in [5, 20] {
        let Fared {
            bad,
            well,
            freeze,
            recovered,
        } = fare(loss)?;
        eprintln!(
            "{loss} % lost each way, 100 ms each way: longest freeze {freeze:.0} ms, {} frames in the last 5 of 10 s; \
             then nothing lost: whole again after {recovered:.0} ms, {} frames in 2.5 s; {}",
            decoded_late(&bad),
            decoded_late(&well),
            last(&bad)["video"]
        );
        ensure!(freeze < 1000.0, "{loss} %: {bad}");
        ensure!(decoded_late(&bad) >= 75, "{loss} %: {bad}");
        ensure!(recovered < 2000.0, "{loss} %: {well}");
        ensure!(decoded_late(&well) >= 50, "{loss} %: {well}");
    }
    Ok(())
}

#[test]
fn a_network_too_narrow_for_the_stream_has_sound_and_some_pictures_and_all_when_it_is_wide()
-> Result<()> {
    let _alone = alone();
    let shaper = Shaper::start(Shape {
        loss_percent: 0,
        delay: Duration::from_millis(20),
    })?;
    let node = TestNode::with(|config| {
        config.webrtc.public_addresses = vec![shaper.address().to_string()];
    })?;
    shaper.lead_to(node.addresses().webrtc.context("no port")?);
    let rate = ["-b:v", "1M", "-maxrate", "1M", "-bufsize", "500k"];
    let noise = ["-vf", "noise=alls=40:allf=t"];
    let _push = push(&node, "a", "red", &[&rate[..], &noise].concat())?;
    let phases = json!([{ "seconds": 4 }, { "seconds": 20 }, { "seconds": 8 }]);
    let page = browser::start(
        "whep.mjs",
        &json!({ "url": whep(&node, "a"), "phases": phases }),
    )?;
    page.wait_for_stdout("phase 1", PATIENCE)?;
    let skips = || -> Result<u64> {
        let players = node.get("/api/v1/players?app=live&name=a")?;
        players["items"][0]["skips"].as_u64().context("no skips")
    };
    ensure!(skips()? == 0, "skipped where there is room");
    shaper.narrow(600);
    page.wait_for_stdout("phase 2", PATIENCE)?;
    let skipped = skips()?;
    shaper.narrow(u32::MAX);
    let seen = browser::finish(page)?.result;
    let [_, narrow, wide] = &seen["phases"].as_array().unwrap()[..] else {
        panic!("{seen}")
    };
    let samples = narrow["samples"].as_array().unwrap();
    let (half, end) = (&samples[samples.len() / 2], last(narrow));
    let passed = |what: &str| {
        let value = |sample: &Value| sample["audio"][what].as_f64().unwrap_or(0.0);
        value(end) - value(half)
    };
    let concealed = passed("concealed") / passed("samples");
    eprintln!(
        "600 of about 1100 kbit/s: {} frames in the last 10 of 20 s, {:.1} % of the sound concealed, \
         {skipped} skips; then all: {} frames in 4 s",
        decoded_late(narrow),
        concealed * 100.0,
        decoded_late(wide)
    );
    ensure!(skipped > 0, "{narrow}");
    ensure!((10..230).contains(&decoded_late(narrow)), "{narrow}");
    ensure!(concealed < 0.2, "{narrow}");
    ensure!(decoded_late(wide) >= 75, "{wide}");
    Ok(())
}

fn post(url: &str, kind: &str, body: &str) -> Result<(u32, Value)> {
    let mut command = Command::new("curl");
    command
        .args(["-s", "-w", "\n%{http_code}", "-X", "POST", "-H"])
        .arg(format!("Content-Type: {kind}"))
        .args(["--data-binary", body, url]);
    let text = child::run(command, PATIENCE)?.success()?.output();
    let (body, status) = text.rsplit_once('\n').context("no status")?;
    Ok((
        status.trim().parse()?,
        serde_json::from_str(body).unwrap_or_default(),
    ))
}

/// An offer as browsers make them, with one line of each kind.
fn offer(video: &str, direction: &str) -> String {
    let line = |kind: &str, mid: u32, codec: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}\r\na={direction}\r\n\
             a=rtcp-mux\r\na=rtpmap:96 {codec}\r\n",
            ["00"; 32].join(":")
        )
    };
    let fmtp =
        "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n{}{}",
        line("video", 0, video),
        if video.starts_with("H264") { fmtp } else { "" }
    )
}

#[test]
fn offers_that_cannot_be_answered_get_the_reason() -> Result<()> {
    let node = TestNode::with(|config| {
        config.egress.wait_for_publisher = Duration::from_millis(100);
        let mut studio =
            lockgate_node::config::App::new("studio", lockgate_node::config::AppAccess::Keys);
        studio.play_keys = vec!["watch".to_owned()];
        config.apps.push(studio);
    })?;
    let _push = push(
        &node,
        "bf",
        "blue",
        &["-tune", "film", "-preset", "medium", "-bf", "2"],
    )?;
    node.wait_for("a GOP with B-frames", |node| {
        let stream = node.get("/api/v1/streams/live/bf")?;
        Ok((stream["ring"]["packets"].as_u64() > Some(60)).then_some(()))
    })?;
    let base = format!("http://{}", node.addresses().http);
    let h264 = offer("H264/90000", "recvonly");
    let vp8 = offer("VP8/90000", "recvonly");
    let sdp = "application/sdp";
    let cases: [(&str, &str, &str, u32, &str); 9] = [
        ("/live/none/whep", sdp, &h264, 404, "stream_not_found"),
        ("/nope/a/whep", sdp, &h264, 404, "unknown_app"),
        ("/studio/a/whep", sdp, &h264, 401, "key_missing"),
        ("/studio/a/whep?key=no", sdp, &h264, 401, "key_wrong"),
        ("/live/bf/whep", sdp, "v=0", 400, "bad_sdp"),
        ("/live/bf/whep", "text/plain", &h264, 415, "wrong_type"),
        ("/live/bf/whep", sdp, &vp8, 406, "no_common_codec"),
        ("/live/bf/whip", sdp, &h264, 406, "no_common_codec"),
        ("/live/bf/whep", sdp, &h264, 409, "b_frames"),
    ];
    for (path, kind, body, status, code) in cases {
        let (answered, body) = post(&format!("{base}{path}"), kind, body)?;
        assert_eq!(
            (answered, body["code"].as_str()),
            (status, Some(code)),
            "{path}: {body}"
        );
    }
    assert!(node.metric("lockgate_play_refused_total", "b_frames")? >= 1.0);
    assert_eq!(node.metric("lockgate_players", "whep")?, 0.0);
    Ok(())
}

#[test]
fn a_session_that_nobody_connects_to_ends_by_delete_and_leaves_nothing() -> Result<()> {
    let node = TestNode::start()?;
    let _push = push(&node, "a", "red", &[])?;
    let mut command = tools::curl()?;
    command
        .args([
            "-s",
            "-i",
            "-X",
            "POST",
            "-H",
            "Content-Type: application/sdp",
            "--data-binary",
        ])
        .arg(offer("H264/90000", "recvonly"))
        .arg(whep(&node, "a"));
    let text = child::run(command, PATIENCE)?.success()?.output();
    let header = |name: &str| {
        let lines = text.lines().map(str::trim);
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let location = header("location").context("no location")?.1;
    assert_eq!(
        header("access-control-allow-origin").map(|it| it.1),
        Some("*")
    );
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    assert!(
        text.contains("a=ice-lite") && text.contains("a=sendonly"),
        "{text}"
    );
    assert!(
        text.contains(" udp ") && text.contains("tcptype passive"),
        "{text}"
    );
    node.wait_players("a", 1)?;
    node.delete(location)?;
    node.wait_players("a", 0)?;
    assert!(node.delete(location).is_err(), "it is over");
    Ok(())
}

#[test]
fn the_node_says_goodbye_to_pages_and_stops_in_time() -> Result<()> {
    let _alone = alone();
    let node = TestNode::start()?;
    let _push = push(&node, "a", "red", &[])?;
    let args = json!({ "url": whep(&node, "a"), "phases": [{ "seconds": 6 }] });
    let page = browser::start("whep.mjs", &args)?;
    node.wait_for("the page to be sent something", |node| {
        let players = node.players("a")?;
        Ok(players
            .iter()
            .any(|it| it["packets"].as_u64() > Some(0))
            .then_some(()))
    })?;
    node.stop();
    node.join()?;
    // Its DELETE finds nobody, which is what this page throws at.
    let _ = browser::finish(page);
    Ok(())
}
