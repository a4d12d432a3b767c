//! The `webrtc` crate on the other side: it plays by WHEP and publishes by WHIP, and every frame of H.264
//! comes out to the last bit as it was pushed.

#![allow(
    clippy::indexing_slicing,
    reason = "what a test reads wrong may end the test"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::Player;
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::Kind;
use lockgate_tests::h264::{self, Frame, IDR, PPS, SPS};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::shaper::{Shape, Shaper};
use lockgate_tests::tools;
use lockgate_tests::webrtc_rs::{Came, Publisher, Viewer};
use serde_json::{Value, json};

/// Packets come and go in real time, and who gets no turn loses some.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long there is sound alone while video is muted, in 48000ths of a second: the clip has a keyframe
/// in every such time.
const DARK: u32 = 48_000 + 4_800;

/// Pushes the clip round and round, in real time, until it is dropped.
fn push(node: &TestNode, name: &str) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(node.url(name));
    let running = Running::start(ffmpeg)?;
    node.wait_live(name)?;
    Ok(running)
}

fn pictures(came: &[Came]) -> Vec<Frame> {
    let pictures = came.iter().filter_map(|it| match it {
        Came::Picture { frame, .. } => Some(frame.clone()),
        Came::Sound { .. } => None,
    });
    pictures.collect()
}

fn is_picture(came: &Came) -> bool {
    matches!(came, Came::Picture { .. })
}

/// Plays so many frames.
fn watch(viewer: &mut Viewer, frames: usize) -> Result<Vec<Came>> {
    let mut seen = 0;
    viewer.until(|came| {
        seen += usize::from(is_picture(came));
        seen == frames
    })
}

/// The times of the packets of sound.
fn sounds(came: &[Came]) -> Vec<u32> {
    let sounds = came.iter().filter_map(|it| match it {
        Came::Sound { timestamp, opus } if !opus.is_empty() => Some(*timestamp),
        _ => None,
    });
    sounds.collect()
}

/// Every packet of sound follows the one before it, 20 ms later.
fn is_gapless(sounds: &[u32]) -> bool {
    sounds
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if b.wrapping_sub(*a) == 960))
}

#[test]
fn the_crate_plays_every_frame_as_it_was_pushed_and_obeys_its_gate() -> Result<()> {
    let _alone = alone();
    let clip = h264::frames(Clip::H264Aac)?;
    let node = TestNode::start()?;
    let _push = push(&node, "a")?;
    let mut viewer = Viewer::start(&node, "a")?;

    let mut all = vec![viewer.first_keyframe()?];
    all.extend(watch(&mut viewer, 75)?);
    let shown = pictures(&all);
    h264::follows(&clip, &shown, false)?;
    let first = shown.first().context("a picture")?;
    ensure!(first.has(IDR) && first.has(SPS) && first.has(PPS));

    node.turn("a", &json!({ "video": "closed" }))?;
    let (mut since, mut closed) = (None, None);
    let dark = viewer.until(|came| {
        let Came::Sound { timestamp, .. } = came else {
            since = None;
            return false;
        };
        let passed =
            |from: &mut Option<u32>| timestamp.wrapping_sub(*from.get_or_insert(*timestamp));
        passed(&mut since) > DARK || passed(&mut closed) > 10 * DARK
    })?;
    let still = pictures(&dark).len();
    ensure!(still < 10, "{still} pictures after the gate closed");
    all.extend(dark);

    node.turn("a", &json!({ "video": "open" }))?;
    let opened = watch(&mut viewer, 30)?;
    let shown = pictures(&opened);
    h264::follows(&clip, &shown, false)?;
    let first = shown.first().context("a picture")?;
    ensure!(first.has(IDR) && first.has(SPS) && first.has(PPS));
    all.extend(opened);

    let sounds = sounds(&all);
    ensure!(sounds.len() > 150, "{} packets of sound", sounds.len());
    ensure!(is_gapless(&sounds), "{sounds:?}");
    viewer.finish(&node)?;
    node.wait_players("a", 0)
}

#[test]
fn what_a_bad_network_loses_of_a_stream_to_the_crate_is_sent_again() -> Result<()> {
    let _alone = alone();
    let clip = h264::frames(Clip::H264Aac)?;
    let shaper = Shaper::start(Shape {
        loss_percent: 0,
        delay: Duration::ZERO,
    })?;
    let node = TestNode::with(|config| {
        config.webrtc.public_addresses = vec![shaper.address().to_string()];
    })?;
    shaper.lead_to(node.addresses().webrtc.context("no port")?);
    let _push = push(&node, "a")?;
    let mut viewer = Viewer::start(&node, "a")?;
    let mut all = vec![viewer.first_keyframe()?];
    shaper.lose(5);
    all.extend(watch(&mut viewer, 200)?);
    h264::follows(&clip, &pictures(&all), false)?;
    println!("{} of the packets came late", viewer.late());
    ensure!(viewer.late() >= 10, "only {} were lost", viewer.late());
    Ok(())
}

/// Waits until a stream has H.264 and AAC.
fn wait_both(node: &TestNode, name: &str) -> Result<()> {
    node.wait_for("pictures and sound", |node| {
        let stream = node.get(&format!("/api/v1/streams/live/{name}"));
        let stream = stream.unwrap_or_default();
        let both = stream["video"]["codec"] == "H.264" && stream["audio"]["codec"] == "AAC";
        Ok(both.then_some(()))
    })
}

#[test]
fn what_the_crate_publishes_plays_by_rtmp_as_it_was_and_with_aac() -> Result<()> {
    let _alone = alone();
    let clip = h264::frames(Clip::H264Aac)?;
    let node = TestNode::start()?;
    let publisher = Publisher::start(&node, "cam", &clip)?;
    wait_both(&node, "cam")?;

    let mut player = Player::start(node.rtmp(), "cam")?;
    let mut came = Vec::new();
    let tags = player.until(|tag| {
        came.extend(Frame::of(tag).ok().flatten());
        came.len() == 90
    })?;
    h264::follows(&clip, &came, true)?;
    let sounds = tags.iter().filter(|tag| tag.kind == Kind::Audio).count();
    // 90 frames are 3 s, and a packet of AAC is 21 ms.
    ensure!(sounds > 100, "{sounds} packets of sound");

    let mut probe = tools::ffprobe()?;
    probe
        .args(["-show_streams", "-of", "json"])
        .arg(node.url("cam"));
    let probed: Value = serde_json::from_str(&child::run(probe, PATIENCE)?.success()?.output())?;
    let stream = |kind: &str| {
        let streams = probed["streams"].as_array();
        let mut streams = streams.into_iter().flatten();
        streams.find(|it| it["codec_type"] == kind).cloned()
    };
    let video = stream("video").context("no video")?;
    let audio = stream("audio").context("no audio")?;
    ensure!(
        video["codec_name"] == "h264" && video["width"] == 640,
        "{video}"
    );
    ensure!(
        audio["codec_name"] == "aac" && audio["sample_rate"] == "48000",
        "{audio}"
    );

    publisher.finish(&node)
}

#[test]
fn a_viewer_whose_picture_is_broken_has_the_crate_asked_for_a_keyframe_and_gets_it() -> Result<()> {
    let _alone = alone();
    let clip = h264::frames(Clip::H264Aac)?;
    let node = TestNode::start()?;
    let publisher = Publisher::start(&node, "cam", &clip)?;
    wait_both(&node, "cam")?;
    let mut viewer = Viewer::start(&node, "cam")?;
    viewer.first_keyframe()?;
    watch(&mut viewer, 40)?;

    let asked = publisher.keyframe_requests();
    viewer.ask_for_keyframe()?;
    let first = clip.first().context("a frame")?.slices();
    let after = viewer.until(|came| {
        publisher.keyframe_requests() > asked
            && matches!(came, Came::Picture { frame, .. } if frame.slices() == first)
    })?;
    // By itself the clip begins anew in 8 s.
    let frames = pictures(&after).len();
    ensure!(frames < 60, "{frames} frames until the keyframe");
    viewer.finish(&node)?;
    publisher.finish(&node)
}
