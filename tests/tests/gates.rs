//! What a closed gate lets through and what opening it brings: for switches of the player itself,
//! packet by packet, and for the operator's, with real encoders and decoders.

#![allow(
    clippy::indexing_slicing,
    reason = "a helper that panics fails its test"
)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use lockgate_media::flv::VideoTag;
use lockgate_tests::child::Running;
use lockgate_tests::client::{Player, Publisher, avc_frame, avc_header, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::recording::{Recorded, Recording, is_frame};
use lockgate_tests::tools;
use serde_json::json;

/// A publisher of numbered frames and one player.
struct Show {
    node: TestNode,
    publisher: Publisher,
    player: Player,
    number: u32,
    /// Everything the player got.
    got: Vec<Tag>,
}

/// 44.1 kHz stereo AAC-LC, which has silence to stand in for it.
const AAC_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];

/// The label of the turns of a player's own switch for video.
const BY_PLAYER: &str = r#"kind="video",source="player""#;

fn sound(number: u32) -> Bytes {
    [&[0xaf, 1][..], &number.to_be_bytes()].concat().into()
}

impl Show {
    fn start() -> Result<Self> {
        let node = TestNode::start()?;
        let mut publisher = Publisher::start(node.rtmp(), "show")?;
        let mut player = Player::start(node.rtmp(), "show")?;
        player.wait_accepted()?;
        publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
        publisher.send(&tag(Kind::Audio, 0, Bytes::from_static(AAC_HEADER)))?;
        Ok(Self {
            node,
            publisher,
            player,
            number: 0,
            got: Vec::new(),
        })
    }

    /// Pushes a picture with sound for each letter, `K` a keyframe, and gives their numbers.
    fn push(&mut self, pictures: &str) -> Result<Vec<u32>> {
        let first = self.number;
        for picture in pictures.chars() {
            let (number, time) = (self.number, self.number * 33);
            self.publisher
                .send(&tag(Kind::Audio, time, sound(number)))?;
            let frame = avc_frame(picture == 'K', number);
            self.publisher.send(&tag(Kind::Video, time, frame))?;
            self.number += 1;
        }
        Ok((first..self.number).collect())
    }

    /// Reads until the sound or picture of this number, and gives the numbers of both that came.
    fn until(&mut self, kind: Kind, number: u32) -> Result<(Vec<u32>, Vec<u32>)> {
        let last = [
            sound(number),
            avc_frame(true, number),
            avc_frame(false, number),
        ];
        let tags = self
            .player
            .until(|tag| tag.kind == kind && last.contains(&tag.body))?;
        let numbers = frames(&tags);
        self.got.extend(tags);
        Ok(numbers)
    }

    /// Sends a command that turns a switch, and waits until it is turned.
    fn command(&mut self, name: &str, flag: bool, track: &str, state: &str) -> Result<()> {
        self.player.command(name, flag)?;
        self.node.wait_for("the switch to turn", |node| {
            let players = node.players("show")?;
            let player = players.first().context("a player")?;
            Ok((player["gate"][track] == state).then_some(()))
        })
    }

    fn end(mut self) -> Result<()> {
        assert_eq!(flv::first_step_back(&self.got), None);
        drop(self.publisher);
        self.node.stop();
        self.player.to_end()?;
        self.node.join()
    }
}

/// The numbers of the sounds and of the pictures among packets.
fn frames(tags: &[Tag]) -> (Vec<u32>, Vec<u32>) {
    let number = |tag: &Tag| {
        let (_, last) = tag.body.split_last_chunk::<4>()?;
        Some(u32::from_be_bytes(*last))
    };
    let of = |kind| {
        tags.iter()
            .filter(move |tag| tag.kind == kind && is_frame(tag))
    };
    (
        of(Kind::Audio).filter_map(number).collect(),
        of(Kind::Video).filter_map(number).collect(),
    )
}

#[test]
fn receive_video_stops_pictures_and_opens_on_one_that_decodes() -> Result<()> {
    let mut show = Show::start()?;
    let all = show.push("Kpp")?;
    assert_eq!(show.until(Kind::Video, 2)?, (all.clone(), all));

    // Closed and opened inside a GOP: the frame right after the last that came.
    show.command("receiveVideo", false, "video", "closed")?;
    let missed = show.push("ppp")?;
    assert_eq!(show.until(Kind::Audio, 5)?, (missed.clone(), vec![]));
    show.command("receiveVideo", true, "video", "open")?;
    show.push("p")?;
    assert_eq!(show.until(Kind::Video, 6)?, (vec![6], vec![3, 4, 5, 6]));

    // Closed across the start of another: its keyframe, behind the header once more.
    show.command("receiveVideo", false, "video", "closed")?;
    let missed = show.push("ppKp")?;
    assert_eq!(show.until(Kind::Audio, 10)?, (missed, vec![]));
    show.command("receiveVideo", true, "video", "open")?;
    show.push("p")?;
    let before = show.got.len();
    assert_eq!(show.until(Kind::Video, 11)?, (vec![11], vec![9, 10, 11]));
    let opened = &show.got[before..];
    let video: Vec<_> = opened.iter().filter(|it| it.kind == Kind::Video).collect();
    assert_eq!(video[0].body, avc_header(1));
    assert_eq!(video[1].body, avc_frame(true, 9));

    // A header that changes meanwhile comes all the same, and no picture of before it.
    show.command("receiveVideo", false, "video", "closed")?;
    let time = show.number * 33;
    show.publisher
        .send(&tag(Kind::Video, time, avc_header(2)))?;
    show.push("pp")?;
    let before = show.got.len();
    assert_eq!(show.until(Kind::Audio, 13)?, (vec![12, 13], vec![]));
    assert_eq!(show.got[before].body, avc_header(2));
    show.command("receiveVideo", true, "video", "open")?;
    show.push("pKp")?;
    assert_eq!(show.until(Kind::Video, 16)?.1, [15, 16]);

    let said = show.player.statuses.join(" ");
    assert!(said.contains("NetStream.Seek.Notify"), "{said}");
    let turns = show
        .node
        .metric("lockgate_gate_switches_total", BY_PLAYER)?;
    assert_eq!(turns, 6.0);
    show.end()
}

#[test]
fn receive_audio_stops_sound_and_sends_no_silence_for_it() -> Result<()> {
    let mut show = Show::start()?;
    let all = show.push("Kp")?;
    assert_eq!(show.until(Kind::Video, 1)?, (all.clone(), all));
    show.command("receiveAudio", false, "audio", "closed")?;
    let seen = show.push("ppK")?;
    assert_eq!(show.until(Kind::Video, 4)?, (vec![], seen));
    show.command("receiveAudio", true, "audio", "open")?;
    let all = show.push("pp")?;
    // What was not heard is not made up for.
    assert_eq!(show.until(Kind::Video, 6)?, (all.clone(), all));
    show.end()
}

#[test]
fn pause_stops_everything_and_going_on_shows_a_picture() -> Result<()> {
    let mut show = Show::start()?;
    let all = show.push("Kp")?;
    assert_eq!(show.until(Kind::Video, 1)?, (all.clone(), all));
    show.command("pause", true, "video", "closed")?;
    show.push("pKp")?;
    // Three pictures and three sounds, before anything opens again.
    show.node
        .wait_metric("lockgate_dropped_packets_total", "muted", 6.0)?;
    let paused = show.player.until_status("NetStream.Pause.Notify")?;
    assert_eq!(frames(&paused), (vec![], vec![]));
    show.command("pause", false, "video", "open")?;
    let before = show.player.until_status("NetStream.Unpause.Notify")?;
    show.got.extend(before);
    show.push("p")?;
    show.until(Kind::Video, 5)?;
    assert_eq!(frames(&show.got), (vec![0, 1, 5], vec![0, 1, 3, 4, 5]));
    // Pausing twice and going on twice is once.
    show.command("pause", true, "audio", "closed")?;
    show.command("pause", true, "audio", "closed")?;
    show.command("pause", false, "audio", "open")?;
    show.push("p")?;
    assert_eq!(show.until(Kind::Video, 6)?, (vec![6], vec![6]));
    show.end()
}

#[test]
fn nobody_opens_what_another_closed() -> Result<()> {
    let mut show = Show::start()?;
    show.push("K")?;
    show.until(Kind::Video, 0)?;
    show.node.turn("show", &json!({"video": "closed"}))?;
    show.player.command("receiveVideo", false)?;
    show.player.command("receiveVideo", true)?;
    show.node
        .wait_metric("lockgate_gate_switches_total", BY_PLAYER, 2.0)?;
    show.push("pp")?;
    assert_eq!(show.until(Kind::Audio, 2)?, (vec![1, 2], vec![]));
    let player = show.node.players("show")?.remove(0);
    assert_eq!(player["gate"]["video_closed_by"], json!(["operator"]));
    show.player.command("receiveVideo", false)?;
    show.node.wait_for("both to have closed it", |node| {
        let by = &node.players("show")?[0]["gate"]["video_closed_by"];
        Ok((*by == json!(["operator", "player"])).then_some(()))
    })?;
    show.node.turn("show", &json!({"video": "open"}))?;
    show.push("p")?;
    assert_eq!(show.until(Kind::Audio, 3)?, (vec![3], vec![]));
    show.command("receiveVideo", true, "video", "open")?;
    show.push("p")?;
    assert_eq!(show.until(Kind::Video, 4)?, (vec![4], vec![1, 2, 3, 4]));
    show.end()
}

/// ffmpeg that pushes a clip round and round.
fn push(node: &TestNode, clip: Clip, name: &str) -> Result<Running> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(clip.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(node.url(name));
    Running::start(ffmpeg)
}

/// How long gates stay closed here: across keyframes, which come every second.
const CLOSED: u32 = 2500;

/// Records a clip with gates closed by the operator for a while in the middle; `steady` is a track
/// that comes all the while.
fn record_muted(clip: Clip, tracks: &[&str], steady: Kind) -> Result<Recorded> {
    let switches = |state| {
        let switches = tracks.iter().map(|&track| (track.to_owned(), json!(state)));
        switches.collect::<serde_json::Map<_, _>>().into()
    };
    let node = TestNode::start()?;
    let _publisher = push(&node, clip, "muted")?;
    node.wait_live("muted")?;
    let recording = Recording::start(&node.url("muted"))?;
    recording.grow(&node, Kind::Video, 1500)?;
    node.turn("muted", &switches("closed"))?;
    recording.grow(&node, steady, CLOSED)?;
    node.turn("muted", &switches("open"))?;
    recording.grow(&node, steady, 1500)?;
    let effect = node.metric("lockgate_mute_effect_seconds_count", "")?;
    ensure!(effect >= 2.0, "two turns were to be measured, not {effect}");
    recording.end()
}

/// Holds a recording to one stretch of silence, as long as the gate was closed.
fn is_silent_in_the_middle(recorded: &Recorded) -> Result<()> {
    let silences = recorded.silences()?;
    let [(start, end)] = silences[..] else {
        anyhow::bail!("silences {silences:?}");
    };
    ensure!(start > 1.0 && end - start > 2.0, "{silences:?}");
    // Overlapping windows carry a frame of sound on.
    let level = recorded.level((start + 0.1, end - 0.1))?;
    ensure!(level <= -90.9, "{level} dB between {start} and {end}");
    let level = recorded.level((0.2, start - 0.2))?;
    ensure!(level > -30.0, "{level} dB before it");
    recorded.never_stops(Kind::Audio)
}

#[test]
fn muted_stereo_sound_is_silence_and_pictures_never_stop() -> Result<()> {
    let recorded = record_muted(Clip::H264Aac, &["audio"], Kind::Video)?;
    is_silent_in_the_middle(&recorded)?;
    recorded.never_stops(Kind::Video)?;
    recorded.decodes()
}

#[test]
fn muted_mono_sound_is_silence_and_pictures_never_stop() -> Result<()> {
    let recorded = record_muted(Clip::H264AacMono, &["audio"], Kind::Video)?;
    is_silent_in_the_middle(&recorded)?;
    recorded.never_stops(Kind::Video)?;
    recorded.decodes()
}

/// Holds a recording to one stretch without pictures, which ends in one that decodes.
fn is_dark_in_the_middle(recorded: &Recorded) -> Result<()> {
    let (gap, next) = recorded.longest_gap(Kind::Video)?;
    // The GOP that opening shows reaches up to a second back.
    ensure!(gap >= CLOSED - 1200, "{gap} ms without a picture");
    ensure!(VideoTag::parse(&next.body).is_some_and(|it| it.keyframe));
    recorded.decodes()
}

#[test]
fn muted_video_has_no_pictures_and_sound_never_stops() -> Result<()> {
    let recorded = record_muted(Clip::H264Aac, &["video"], Kind::Audio)?;
    is_dark_in_the_middle(&recorded)?;
    recorded.never_stops(Kind::Audio)?;
    assert_eq!(recorded.silences()?, []);
    Ok(())
}

#[test]
fn video_with_b_frames_opens_on_a_picture_that_decodes() -> Result<()> {
    let recorded = record_muted(Clip::H264AacLarger, &["video"], Kind::Audio)?;
    is_dark_in_the_middle(&recorded)
}

#[test]
fn both_muted_is_silence_alone() -> Result<()> {
    let recorded = record_muted(Clip::H264Aac, &["audio", "video"], Kind::Audio)?;
    is_silent_in_the_middle(&recorded)?;
    is_dark_in_the_middle(&recorded)
}

#[test]
fn sound_muted_before_the_first_packet_is_never_heard() -> Result<()> {
    let node = TestNode::with(|config| config.egress.wait_for_publisher = PATIENCE)?;
    let recording = Recording::start(&node.url("early"))?;
    node.wait_players("early", 1)?;
    node.turn("early", &json!({"audio": "closed"}))?;
    let _publisher = push(&node, Clip::H264Aac, "early")?;
    recording.grow(&node, Kind::Video, 2000)?;
    node.turn("early", &json!({"audio": "open"}))?;
    recording.grow(&node, Kind::Video, 1500)?;
    let recorded = recording.end()?;
    let silences = recorded.silences()?;
    let [(start, end)] = silences[..] else {
        anyhow::bail!("silences {silences:?}");
    };
    assert!(start < 0.1 && end > 1.8, "{silences:?}");
    assert!(recorded.level((0.0, end - 0.1))? <= -90.9);
    recorded.never_stops(Kind::Audio)?;
    recorded.never_stops(Kind::Video)?;
    recorded.decodes()
}

#[test]
fn everything_muted_before_the_first_packet_stays_out_until_opened() -> Result<()> {
    let node = TestNode::with(|config| config.egress.max_hold = Duration::ZERO)?;
    let mut player = Player::start(node.rtmp(), "early")?;
    node.wait_players("early", 1)?;
    node.turn("early", &json!({"audio": "closed", "video": "closed"}))?;
    let mut publisher = Publisher::start(node.rtmp(), "early")?;
    player.wait_accepted()?;
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Audio, 0, Bytes::from_static(AAC_HEADER)))?;
    for number in 0..3 {
        let frame = avc_frame(number == 0, number);
        publisher.send(&tag(Kind::Video, number * 33, frame))?;
        publisher.send(&tag(Kind::Audio, number * 33, sound(number)))?;
    }
    let mut got = player.until(|tag| is_frame(tag) && tag.timestamp == 66)?;
    // The headers pass; for each sound there is silence, and there is no picture.
    let headers: Vec<_> = got.iter().filter(|it| !is_frame(it)).collect();
    assert_eq!(headers.len(), 2, "{got:?}");
    let frames: Vec<_> = got.iter().filter(|it| is_frame(it)).collect();
    assert_eq!(frames.len(), 3, "{got:?}");
    assert!(
        frames
            .iter()
            .all(|it| it.kind == Kind::Audio && it.body.len() == 11)
    );

    node.turn("early", &json!({"audio": "open", "video": "open"}))?;
    publisher.send(&tag(Kind::Audio, 99, sound(3)))?;
    publisher.send(&tag(Kind::Video, 99, avc_frame(false, 3)))?;
    let end = avc_frame(false, 3);
    let opened = player.until(|tag| tag.body == end)?;
    let (_, pictures) = self::frames(&opened);
    assert_eq!(pictures, [0, 1, 2, 3]);
    assert!(opened.iter().any(|it| it.body == sound(3)));
    got.extend(opened);
    assert_eq!(flv::first_step_back(&got), None);
    Ok(())
}

#[test]
fn what_a_player_closes_while_it_waits_is_closed_when_its_stream_begins() -> Result<()> {
    let node = TestNode::start()?;
    let mut player = Player::start(node.rtmp(), "waiting")?;
    node.wait_players("waiting", 1)?;
    player.command("receiveVideo", false)?;
    node.wait_metric("lockgate_gate_switches_total", BY_PLAYER, 1.0)?;
    let mut publisher = Publisher::start(node.rtmp(), "waiting")?;
    player.wait_accepted()?;
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Video, 0, avc_frame(true, 0)))?;
    publisher.send(&tag(Kind::Audio, 33, sound(1)))?;
    let got = player.until(|tag| tag.body == sound(1))?;
    assert_eq!(frames(&got), (vec![1], vec![]));
    player.command("receiveVideo", true)?;
    publisher.send(&tag(Kind::Video, 66, avc_frame(false, 2)))?;
    let got = player.until(|tag| tag.body == avc_frame(false, 2))?;
    assert_eq!(frames(&got).1, [0, 2]);
    Ok(())
}
