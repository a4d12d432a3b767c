//! The console in a browser: what an operator does there, the node has done.

#![allow(
    clippy::indexing_slicing,
    reason = "a helper that panics fails its test"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use lockgate_node::config::{App, AppAccess};
use lockgate_tests::browser;
use lockgate_tests::child::Running;
use lockgate_tests::clips::Clip;
use lockgate_tests::member::{Member, Ticket};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;
use serde_json::json;

const TOKEN: &str = "a-token-for-the-api";

/// Debug builds of the node read the console where it lies.
fn built() -> Result<()> {
    let page = tools::workspace().join("console/dist/index.html");
    ensure!(page.is_file(), "the console is not built: make console");
    Ok(())
}

/// A node with a stream, one who plays it, and a member in a channel.
struct Scene {
    node: TestNode,
    alice: Member,
    player: u64,
    _media: [Running; 2],
}

impl Scene {
    fn start() -> Result<Self> {
        built()?;
        let node = TestNode::with(|config| config.api.token = TOKEN.to_owned())?;
        let mut push = tools::ffmpeg()?;
        push.args(["-re", "-stream_loop", "-1", "-i"]);
        push.arg(Clip::H264Aac.path()?);
        push.args(["-c", "copy", "-f", "flv", &node.url("show")]);
        let push = Running::start(push)?;
        node.wait_live("show")?;
        let mut play = tools::ffmpeg()?;
        play.args(["-i", &node.url("show"), "-c", "copy", "-f", "null", "-"]);
        let play = Running::start(play)?;
        node.wait_players("show", 1)?;
        let player = node.players("show")?[0]["connection"].as_u64();
        let alice = Member::join(node.addresses().http, &Ticket::new("room 1", "alice"))?;
        Ok(Self {
            node,
            alice,
            player: player.context("the player has a number")?,
            _media: [push, play],
        })
    }

    fn args(&self, step: &str, token: &str) -> serde_json::Value {
        let url = format!("http://{}", self.node.addresses().http);
        json!({ "step": step, "url": url, "token": token, "player": self.player })
    }
}

#[test]
fn what_an_operator_does_in_the_console_the_node_has_done() -> Result<()> {
    let scene = Scene::start()?;
    let node = &scene.node;

    let seen = browser::run("console.mjs", &scene.args("operate", TOKEN))?;
    assert_eq!(seen.result["refused"], "This is not the node's token.");
    let gate = &node.players("show")?[0]["gate"];
    assert_eq!(gate["audio_closed_by"], json!(["operator"]));
    assert_eq!(gate["video"], "open");
    let bans = node.get("/api/v1/bans")?;
    assert_eq!(bans["total"], 1);
    assert_eq!(bans["items"][0]["uid"], "alice");
    assert_eq!(bans["items"][0]["reason"], "Noise");

    let args = scene.args("undo", TOKEN);
    assert_eq!(scene.alice.wait_closed()?.reason, "UID_BANNED");
    let seen = browser::run("console.mjs", &args)?;
    assert_eq!(node.get("/api/v1/bans")?["total"], 0);
    node.wait_players("show", 0)?;
    let kept = seen.result["kept"].to_string();
    assert!(!kept.contains(TOKEN), "another tab knows the token: {kept}");
    Ok(())
}

#[test]
fn an_operator_watches_a_stream_whose_key_the_page_does_not_have() -> Result<()> {
    let _alone = alone();
    built()?;
    let node = TestNode::with(|config| {
        config.apps = vec![App {
            publish_keys: vec!["push".to_owned()],
            play_keys: vec!["watch".to_owned()],
            ..App::new("studio", AppAccess::Keys)
        }];
    })?;
    let mut push = tools::ffmpeg()?;
    push.args(["-re", "-stream_loop", "-1", "-i"]);
    push.arg(Clip::H264Aac.path()?);
    let url = format!("rtmp://{}/studio/show?key=push", node.rtmp());
    push.args(["-c", "copy", "-f", "flv", &url]);
    let _push = Running::start(push)?;
    node.wait_for("studio/show to have a keyframe", |node| {
        let stream = node.get("/api/v1/streams/studio/show").ok();
        let gop = stream.and_then(|stream| stream["ring"]["gop_packets"].as_u64());
        Ok((gop > Some(0)).then_some(()))
    })?;
    let url = format!("http://{}", node.addresses().http);
    let seen = browser::run("console.mjs", &json!({ "step": "watch", "url": url }))?;
    // The session by WHEP that the page had begun with is over.
    assert_eq!(seen.result["protocols"], json!(["ws-flv"]));
    Ok(())
}

#[test]
fn every_page_of_the_console_can_be_read_by_everybody_and_complains_of_nothing() -> Result<()> {
    let scene = Scene::start()?;
    let running = browser::start("console.mjs", &scene.args("look", ""))?;
    running.wait_for_stdout("looked at en", PATIENCE)?;
    let seen = browser::finish(running)?;
    assert_eq!(seen.result["faults"], json!([]));
    assert_eq!(seen.result["seen"], 22);
    // What the browser says of answers that are meant: the login page was refused, and the clip's
    // B-frames cannot go by WebRTC.
    let meant = |error: &String| error.contains("401") || error.contains("409");
    ensure!(seen.errors.iter().all(meant), "{:?}", seen.errors);
    Ok(())
}

/// A browser that sends and shows pictures takes a core for itself.
static PICTURES: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    PICTURES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a picture is there: the fake camera's and the clip's are never black.
fn is_painted(seen: &serde_json::Value) -> bool {
    let parts = seen["colour"].as_array();
    parts.is_some_and(|parts| parts.iter().any(|part| part.as_u64() > Some(40)))
}

#[test]
fn what_the_publish_page_sends_the_streams_page_shows_and_sounds() -> Result<()> {
    let _alone = alone();
    built()?;
    let node = TestNode::start()?;
    let url = format!("http://{}", node.addresses().http);
    let args = json!({ "step": "publish", "url": url });
    let running = browser::start("console_media.mjs", &args)?;
    running.wait_for_stdout("watched", PATIENCE)?;
    let seen = browser::finish(running)?;
    let result = &seen.result;
    assert_eq!(result["publisher"], "whip");
    assert_eq!(result["players"], json!(["whep"]));
    assert_eq!(result["loud"], true);
    ensure!(is_painted(&result["preview"]), "{result}");
    ensure!(is_painted(&result["watched"]), "{result}");
    assert_eq!(seen.errors, [] as [String; 0]);
    Ok(())
}

#[test]
fn two_members_in_the_channel_page_see_hear_and_mute_each_other() -> Result<()> {
    let _alone = alone();
    built()?;
    let node = TestNode::start()?;
    let url = format!("http://{}", node.addresses().http);
    let running = browser::start("console_media.mjs", &json!({ "step": "meet", "url": url }))?;
    running.wait_for_stdout("met", PATIENCE)?;
    let seen = browser::finish(running)?;
    let result = &seen.result;
    for picture in result["seen"].as_array().context("pictures")? {
        ensure!(is_painted(picture), "{result}");
    }
    let mutes = json!([
        { "by": "ann", "of": "bob", "audio": "closed", "video": "open" },
        { "by": "bob", "of": "ann", "audio": "open", "video": "open" },
    ]);
    assert_eq!(result["mutes"], mutes);
    // Who plays a stream that ended asks to end a session that the node has ended already.
    let mut errors = seen.errors.iter();
    ensure!(
        errors.all(|error| error.contains("404")),
        "{:?}",
        seen.errors
    );
    Ok(())
}

#[test]
fn the_channel_page_falls_back_to_flv_by_websocket_where_webrtc_is_off() -> Result<()> {
    let _alone = alone();
    built()?;
    let node = TestNode::with(|config| config.webrtc.listen = None)?;
    let http = node.addresses().http;
    let mut alice = Member::join(http, &Ticket::new("room 1", "alice"))?;
    let mut push = tools::ffmpeg()?;
    push.args(["-re", "-stream_loop", "-1", "-i"]);
    push.arg(Clip::H264Aac.path()?);
    push.args(["-c", "copy", "-f", "flv", &alice.publish()?]);
    let _push = Running::start(push)?;
    let args = json!({ "step": "fall", "url": format!("http://{http}") });
    let seen = browser::run("console_media.mjs", &args)?;
    assert_eq!(seen.result["players"], json!(["ws-flv"]));
    ensure!(is_painted(&seen.result["seen"]), "{}", seen.result);
    Ok(())
}
