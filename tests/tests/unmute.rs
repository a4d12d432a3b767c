//! How long a member that unmutes waits for a picture: from the request to the keyframe, on a player's
//! connection that is open, as bytes arrive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockgate_media::flv::{Part, VideoTag};
use lockgate_tests::child::{self, Running};
use lockgate_tests::client::Peer;
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::member::{Member, Ticket};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;

/// Keyframes come once a second, so pictures that waited for one would take half of that.
const TURNS: usize = 10;

/// How long there is sound alone, in milliseconds: across a keyframe, so that the next one has to be
/// sent again.
const DARK: u32 = 1100;

/// What a member may wait.
const AT_ONCE: Duration = Duration::from_millis(100);

fn frame(tag: &Tag) -> Option<VideoTag> {
    let video = VideoTag::parse(&tag.body).filter(|_| tag.kind == Kind::Video);
    video.filter(|it| it.part == Part::Frame)
}

#[test]
fn an_unmuted_picture_that_decodes_is_there_within_a_tenth_of_a_second() -> Result<()> {
    let node = TestNode::start()?;
    let join = |uid| Member::join(node.addresses().http, &Ticket::new("c", uid));
    let (mut teacher, mut pupil) = (join("1")?, join("2")?);
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv", &teacher.publish()?]);
    let _pusher = Running::start(ffmpeg)?;
    pupil.notice("StreamAdded", "1")?;
    let url = pupil.subscribe("1")?;
    let name = url.rsplit('/').next().context("a name")?;
    let mut player = Peer::connect(node.rtmp(), "live")?.play(name)?;
    let mut tags = player.until(|tag| frame(tag).is_some())?;

    let mut took = Vec::new();
    for _ in 0..TURNS {
        pupil.mute("1", false, true)?;
        let (mut dark_since, mut last) = (None, 0);
        tags.extend(player.until(|tag| {
            last = tag.timestamp.max(last);
            if frame(tag).is_some() || dark_since.is_none() {
                dark_since = Some(last);
            }
            dark_since.is_some_and(|since| last - since > DARK)
        })?);
        let asked = Instant::now();
        pupil.mute("1", false, false)?;
        let opened = player.until(|tag| frame(tag).is_some())?;
        took.push(asked.elapsed());
        let first = opened.last().and_then(frame).context("a picture")?;
        ensure!(first.keyframe, "{first:?}");
        tags.extend(opened);
    }
    tags.extend(player.until(|tag| frame(tag).is_some())?);

    took.sort();
    println!("from unmute to the keyframe: {took:?}");
    // One of them may meet whatever else this machine does.
    let slowest = took.get(TURNS - 2).context("turns")?;
    ensure!(*slowest < AT_ONCE, "{took:?}");

    ensure!(flv::first_step_back(&tags).is_none());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("watched.flv");
    flv::write_flv(&file, &tags)?;
    let mut decode = tools::ffmpeg()?;
    decode.args(["-v", "error", "-xerror", "-i"]).arg(&file);
    decode.args(["-f", "null", "-"]);
    let said = child::run(decode, PATIENCE)?.success()?.stderr;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}
