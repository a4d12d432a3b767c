//! A channel with two members in browsers and one that speaks RTMP: by the URLs that the SDK is handed
//! they see and hear each other, and a mute shows where it was asked for and nowhere else.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper that panics fails its test"
)]

use anyhow::{Context, Result, ensure};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::{browser, tools};
use serde_json::{Value, json};

/// What a player that hears nothing measures, at most: what decodes from silence.
const SILENCE_DB: f64 = -80.0;

/// A beep or a tone, at least.
const SOUND_DB: f64 = -40.0;

fn decibels(pulled: &Value) -> f64 {
    pulled["decibels"].as_f64().unwrap_or(f64::NAN)
}

/// Each picture has a size that no other has.
fn shows(seen: &Value, of: &str) -> bool {
    let size = match of {
        "ann" => json!([320, 240]),
        "bob" => json!([320, 180]),
        _ => json!([320, 160]),
    };
    let colour: Vec<u64> = seen["colour"].as_array().map_or(vec![], |parts| {
        parts.iter().filter_map(Value::as_u64).collect()
    });
    let painted = match (of, &colour[..]) {
        ("cam", [red, green, blue]) => *red > 200 && *green < 60 && *blue < 60,
        // The fake camera's picture is of no one colour, and never black.
        (_, parts) => parts.iter().any(|part| *part > 40),
    };
    seen["size"] == size && painted
}

#[test]
fn two_members_in_browsers_and_one_with_rtmp_see_and_hear_each_other() -> Result<()> {
    let sdk = tools::workspace().join("sdk/dist/lockgate.mjs");
    ensure!(sdk.is_file(), "the SDK is not built: make sdk");
    let node = TestNode::start()?;
    let http = node.addresses().http;
    let ffmpeg = tools::ffmpeg()?.get_program().to_os_string();
    let args = json!({
        "server": http.ip().to_string(), "port": http.port(), "channel": "room 1",
        "ffmpeg": ffmpeg.to_str().context("a path that is text")?,
    });
    let running = browser::start("members.mjs", &args)?;
    running.wait_for_stdout("met", 2 * PATIENCE)?;
    let publishers = node.get("/api/v1/channels/live/room%201/members")?;
    running.wait_for_stdout("muted", 2 * PATIENCE)?;
    let seen = browser::finish(running)?;
    let result = &seen.result;
    assert_eq!(result["errors"], json!([]));
    assert_eq!(publishers["total"], 3, "{publishers}");

    let own = format!("http://{http}/live/");
    let urls = |kind: &str| -> Vec<String> {
        let all = result["urls"][kind].as_array().unwrap().iter();
        all.filter_map(|url| Some(url.as_str()?.to_owned()))
            .collect()
    };
    let is = |url: &str, tail: &str| url.starts_with(&own) && url.ends_with(tail);
    let push = urls("push");
    ensure!(is(&push[0], "/whip") && is(&push[1], "/whip"), "{push:?}");
    ensure!(push[2].starts_with(&node.url("")), "{push:?}");
    let pull = urls("pull");
    ensure!(is(&pull[0], "/whep") && is(&pull[1], "/whep"), "{pull:?}");

    let met = &result["met"];
    for pair in [
        "ann bob", "ann cam", "bob ann", "bob cam", "cam ann", "cam bob",
    ] {
        let of = pair.split(' ').next_back().unwrap();
        ensure!(shows(&met[pair], of), "{pair}: {}", met[pair]);
    }
    for pair in ["cam ann", "cam bob"] {
        ensure!(met[pair]["frames"].as_u64() >= Some(15), "{pair}: {met}");
        ensure!(decibels(&met[pair]) > SOUND_DB, "{pair}: {met}");
    }

    // The pages waited for what their own members hear and see; these are what else there was.
    let muted = &result["muted"];
    ensure!(shows(&muted["ann bob, later"], "bob"), "{muted}");
    ensure!(
        muted["ann bob, later"]["peak"].as_f64() < Some(0.001),
        "{muted}"
    );
    ensure!(
        decibels(&muted["cam bob"]) > SOUND_DB,
        "only ann muted bob: {muted}"
    );
    ensure!(decibels(&muted["cam ann"]) < SILENCE_DB, "{muted}");
    ensure!(
        shows(&muted["cam ann"], "ann"),
        "the picture stays: {muted}"
    );
    ensure!(decibels(&muted["cam ann, again"]) > SOUND_DB, "{muted}");
    ensure!(shows(&muted["bob cam, again"], "cam"), "{muted}");
    ensure!(shows(&muted["bob ann, on"], "ann"), "{muted}");

    assert_eq!(result["dead"], json!([401, "url_dead"]));
    Ok(())
}
