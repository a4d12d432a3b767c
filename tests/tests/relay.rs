//! What was pushed is what is pulled, to the last bit, whoever pushes and in whatever codec.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lockgate_media::flv::{AudioTag, Part, VideoTag};
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::Player;
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;

/// Splits media tags into those that configure decoders and those that carry frames.
fn split(tags: Vec<Tag>) -> (Vec<Tag>, Vec<Tag>) {
    let media = tags.into_iter().filter(|tag| tag.kind != Kind::Script);
    media.partition(|tag| match tag.kind {
        Kind::Video => VideoTag::parse(&tag.body).is_none_or(|tag| tag.part != Part::Frame),
        _ => AudioTag::parse(&tag.body).is_none_or(|tag| tag.part != Part::Frame),
    })
}

/// Runs a publisher that keeps a copy of what it pushes, and holds what a player got against it.
fn relay(push: impl FnOnce(&str, &Path) -> Result<Command>) -> Result<()> {
    let node = TestNode::with(|config| config.routing.publisher_grace = std::time::Duration::ZERO)?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("pushed.flv");
    // It waits for the publisher, so it is there from the first packet on.
    let mut player = Player::start(node.rtmp(), "bits")?;
    let publisher = Running::start(push(&node.url("bits"), &copy)?)?;
    let pulled = player.to_end()?;
    publisher.wait_with_deadline(PATIENCE)?.success()?;

    let (pushed_headers, pushed) = split(flv::read_flv(&copy)?);
    let (headers, frames) = split(pulled);
    for header in &pushed_headers {
        // An end of sequence may be the very last packet of all.
        let is_pulled = headers
            .iter()
            .any(|it| it.kind == header.kind && it.body == header.body);
        ensure!(is_pulled, "{header:?} is missing");
    }
    ensure!(frames.len() > 50, "only {} frames came", frames.len());
    if let Some(difference) = flv::first_difference(&pushed, &frames) {
        anyhow::bail!(
            "{difference:?} of {} pushed and {} pulled",
            pushed.len(),
            frames.len()
        );
    }
    Ok(())
}

/// ffmpeg with the clip, to a URL and to a file at once, three times as fast as it plays.
fn both(mut ffmpeg: Command, clip: Clip, url: &str, copy: &Path) -> Result<Command> {
    ffmpeg
        .args(["-v", "error", "-readrate", "3", "-i"])
        .arg(clip.path()?);
    ffmpeg.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
    ffmpeg
        .args(["-map", "0", "-c", "copy", "-f", "flv"])
        .arg(copy);
    Ok(ffmpeg)
}

#[test]
fn h264_and_aac_from_ffmpeg_arrive_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg()?, Clip::H264Aac, url, copy))
}

#[test]
fn h264_with_b_frames_from_ffmpeg_arrives_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg()?, Clip::H264AacLarger, url, copy))
}

#[test]
fn hevc_in_enhanced_form_arrives_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg_new()?, Clip::HevcAac, url, copy))
}

#[test]
fn av1_in_enhanced_form_arrives_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg_new()?, Clip::Av1Aac, url, copy))
}

#[test]
fn vp9_and_opus_in_enhanced_form_arrive_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg_new()?, Clip::Vp9Opus, url, copy))
}

#[test]
fn h264_and_opus_in_enhanced_form_arrive_bit_for_bit() -> Result<()> {
    relay(|url, copy| both(tools::ffmpeg_new()?, Clip::H264Opus, url, copy))
}

/// GStreamer with the clip, to a sink element and to a file at once.
fn gstreamer(sink: &str, url: &str, copy: &Path) -> Result<Command> {
    let pipeline = format!(
        "filesrc location={} ! flvdemux name=d flvmux streamable=true name=m ! tee name=t \
         d.video ! h264parse ! queue ! m.video d.audio ! aacparse ! queue ! m.audio \
         t. ! queue ! {sink} location={url} t. ! queue ! filesink location={}",
        Clip::H264Aac.path()?.display(),
        copy.display(),
    );
    let mut launch = tools::gst_launch(&[sink, "flvdemux", "flvmux", "h264parse", "aacparse"])?;
    launch.arg("-q").args(pipeline.split_whitespace());
    Ok(launch)
}

#[test]
fn h264_and_aac_from_gstreamer_rtmpsink_arrive_bit_for_bit() -> Result<()> {
    relay(|url, copy| gstreamer("rtmpsink", url, copy))
}

#[test]
fn h264_and_aac_from_gstreamer_rtmp2sink_arrive_bit_for_bit() -> Result<()> {
    relay(|url, copy| gstreamer("rtmp2sink", url, copy))
}

/// Every kind of player that people use, on one stream, late: each gets a picture that decodes.
#[test]
fn players_that_join_late_get_a_picture_that_decodes() -> Result<()> {
    let node = TestNode::start()?;
    let mut push = tools::ffmpeg()?;
    push.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"])
        .arg(Clip::H264Aac.path()?);
    push.args(["-c", "copy", "-f", "flv"]).arg(node.url("late"));
    let _publisher = Running::start(push)?;
    node.wait_live("late")?;
    node.wait_for("a GOP to join in", |node| {
        let stream = node.get("/api/v1/streams/live/late")?;
        Ok((stream["ring"]["gop_packets"].as_u64() > Some(10)).then_some(()))
    })?;

    let mut probe = tools::ffprobe()?;
    probe.args([
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name,width,height,sample_rate",
    ]);
    probe.args(["-of", "csv=p=0"]).arg(node.url("late"));
    let streams = child::run(probe, PATIENCE)?.success()?.output();
    assert_eq!(
        streams.trim().lines().collect::<Vec<_>>(),
        ["h264,640,360", "aac,44100"]
    );

    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let mut pull = tools::ffmpeg()?;
    pull.args(["-v", "error", "-i"])
        .arg(node.url("late"))
        .args(["-t", "2", "-c", "copy"]);
    pull.arg(file("ffmpeg.flv"));
    let mut dump = tools::rtmpdump()?;
    dump.args(["-q", "--live", "-r"]).arg(node.url("late"));
    dump.arg("-o").arg(file("rtmpdump.flv"));
    let dumping = Running::start(dump)?;
    node.wait_for("rtmpdump to record", |_| {
        let recorded = std::fs::metadata(file("rtmpdump.flv"));
        Ok(recorded.is_ok_and(|it| it.len() > 200_000).then_some(()))
    })?;
    // It goes on for as long as the stream does, and ends with its file whole.
    dumping.signal("INT")?;
    dumping.wait_with_deadline(PATIENCE)?;
    let gst = |source: &str, name: &str| -> Result<Command> {
        let mut launch = tools::gst_launch(&[source])?;
        launch
            .args(["-q", source])
            .arg(format!("location={}", node.url("late")));
        launch.args(["num-buffers=150", "!", "filesink"]);
        launch.arg(format!("location={}", file(name).display()));
        Ok(launch)
    };
    let commands = [
        ("ffmpeg.flv", pull),
        ("rtmpsrc.flv", gst("rtmpsrc", "rtmpsrc.flv")?),
        ("rtmp2src.flv", gst("rtmp2src", "rtmp2src.flv")?),
    ];
    for (name, command) in commands {
        child::run(command, PATIENCE).with_context(|| name.to_owned())?;
    }
    for name in ["ffmpeg.flv", "rtmpdump.flv", "rtmpsrc.flv", "rtmp2src.flv"] {
        let tags = flv::read_flv(file(name))?;
        assert_eq!(flv::first_step_back(&tags), None, "{name}");
        let (_, frames) = split(tags);
        let first = frames
            .iter()
            .find(|tag| tag.kind == Kind::Video)
            .context("no video")?;
        assert!(
            VideoTag::parse(&first.body).is_some_and(|tag| tag.keyframe),
            "{name}"
        );
    }
    // GStreamer ends in the middle of a tag; the other two end with a whole one.
    for name in ["ffmpeg.flv", "rtmpdump.flv"] {
        let mut decode = tools::ffmpeg()?;
        decode
            .args(["-v", "error", "-xerror", "-i"])
            .arg(file(name))
            .args(["-f", "null", "-"]);
        let decoded = child::run(decode, PATIENCE)?.success()?;
        assert_eq!(decoded.stderr, "", "{name} decodes without a word");
    }
    Ok(())
}
