//! mpegts.js in Chromium, as web pages use it: pictures that are pictures, sound that is heard, and
//! muted, over HTTP and over WebSocket, plain and encrypted.

use anyhow::{Result, ensure};
use lockgate_tests::authority::{Authority, https};
use lockgate_tests::browser::{self, Seen};
use lockgate_tests::child::Running;
use lockgate_tests::clips::Clip;
use lockgate_tests::node::TestNode;
use lockgate_tests::tools;
use serde_json::{Value, json};

/// ffmpeg that pushes a clip round and round.
fn push(node: &TestNode, clip: Clip) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(clip.path()?);
    ffmpeg
        .args(["-c", "copy", "-f", "flv"])
        .arg(node.url("page"));
    let running = Running::start(ffmpeg)?;
    node.wait_live("page")?;
    Ok(running)
}

/// Holds a page to have shown moving pictures in all their colours.
fn is_seen(at: &Value) -> Result<()> {
    let frames = at["frames"].as_u64() >= Some(30);
    let colours = at["colours"].as_u64() > Some(20);
    ensure!(frames && colours && at["width"] == 640, "{at}");
    ensure!(at["errors"] == json!([]), "{at}");
    Ok(())
}

fn loudest(at: &Value) -> f64 {
    at["loudest"].as_f64().unwrap_or(f64::NAN)
}

fn complains_not(seen: &Seen) -> Result<()> {
    ensure!(seen.errors.is_empty(), "{seen:?}");
    Ok(())
}

#[test]
fn a_page_shows_the_stream_and_a_mute_is_a_mute() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = push(&node, Clip::H264Aac)?;
    let http = node.addresses().http;
    let seen = browser::run(
        "flv.mjs",
        &json!({
            "url": node.flv("page"),
            "mute": true,
            "players": format!("http://{http}/api/v1/players?app=live&name=page"),
            "gate": format!("http://{http}/api/v1/players"),
        }),
    )?;
    complains_not(&seen)?;
    let [playing, muted, opened] = ["playing", "muted", "opened"].map(|at| &seen.result[at]);
    for at in [playing, muted, opened] {
        is_seen(at)?;
    }
    ensure!(loudest(playing) > 0.05, "{playing}");
    ensure!(loudest(muted) < 0.0001, "{muted}");
    ensure!(loudest(opened) > 0.05, "{opened}");
    Ok(())
}

#[test]
fn a_page_shows_the_stream_over_every_transport() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let _publisher = push(&node, Clip::H264Aac)?;
    let secure = https(&node, "/live/page.flv")?;
    for url in [
        node.flv("page").replace("http:", "ws:"),
        secure.replace("https:", "wss:"),
        secure,
    ] {
        let seen = browser::run("flv.mjs", &json!({"url": url, "ignoreHTTPSErrors": true}))?;
        complains_not(&seen)?;
        is_seen(&seen.result["playing"])?;
        ensure!(loudest(&seen.result["playing"]) > 0.05, "{url}: {seen:?}");
    }
    Ok(())
}

#[test]
fn a_page_shows_pictures_without_sound() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = push(&node, Clip::VideoOnly)?;
    let seen = browser::run("flv.mjs", &json!({"url": node.flv("page")}))?;
    complains_not(&seen)?;
    is_seen(&seen.result["playing"])
}
