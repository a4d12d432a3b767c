//! ffmpeg as a player whose recording is looked into: which packets came when, how loud they are,
//! and whether they decode.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lockgate_media::flv::{AudioTag, Part, VideoTag};

use crate::child::{self, Running};
use crate::flv::{self, Kind, Tag};
use crate::node::{PATIENCE, TestNode};
use crate::tools;

/// A recording under way, with each packet in the file at once.
#[derive(Debug)]
pub struct Recording {
    running: Running,
    file: PathBuf,
    folder: tempfile::TempDir,
}

impl Recording {
    /// Plays and records a URL.
    ///
    /// # Errors
    /// When there is no ffmpeg.
    pub fn start(url: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("recording.flv");
        let mut ffmpeg = tools::ffmpeg()?;
        ffmpeg.args(["-v", "error", "-i", url, "-c", "copy"]);
        ffmpeg.args(["-flush_packets", "1", "-f", "flv"]).arg(&file);
        Ok(Self {
            running: Running::start(ffmpeg)?,
            file,
            folder,
        })
    }

    /// The time of the newest frame of a kind, in milliseconds.
    fn newest(&self, kind: Kind) -> Option<u32> {
        let tags = flv::read_flv(&self.file).ok()?;
        let mut frames = tags.iter().rev().filter(|tag| is_frame(tag));
        Some(frames.find(|tag| tag.kind == kind)?.timestamp)
    }

    /// Waits until it holds this many milliseconds more of a kind.
    ///
    /// # Errors
    /// When it does not grow.
    pub fn grow(&self, node: &TestNode, kind: Kind, millis: u32) -> Result<()> {
        let start = self.newest(kind).unwrap_or(0);
        node.wait_for("the recording to grow", |_| {
            let newest = self.newest(kind);
            Ok(newest.filter(|&it| it >= start + millis).map(drop))
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it is broken, or one of its tracks goes back.
    pub fn end(self) -> Result<Recorded> {
        self.running.signal("INT")?;
        self.running.wait_with_deadline(PATIENCE)?;
        let tags = flv::read_flv(&self.file)?;
        let back = flv::first_step_back(&tags);
        ensure!(back.is_none(), "{back:?}");
        Ok(Recorded {
            tags,
            file: self.file,
            _folder: self.folder,
        })
    }
}

/// A finished recording.
#[derive(Debug)]
pub struct Recorded {
    tags: Vec<Tag>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Recorded {
    /// The longest pause of a track in milliseconds, and the frame after it.
    ///
    /// # Errors
    /// When there are fewer than two frames.
    pub fn longest_gap(&self, kind: Kind) -> Result<(u32, &Tag)> {
        let frames = self.frames(kind);
        let gaps = frames
            .windows(2)
            .map(|pair| (pair[1].timestamp - pair[0].timestamp, pair[1]));
        gaps.max_by_key(|(gap, _)| *gap).context("no frames")
    }

    /// Holds a track to having come without a break: frames are 33 and 23 ms long.
    ///
    /// # Errors
    /// When it has one.
    pub fn never_stops(&self, kind: Kind) -> Result<()> {
        let (gap, tag) = self.longest_gap(kind)?;
        ensure!(
            gap <= 100,
            "{gap} ms of {kind:?} are missing before {tag:?}"
        );
        Ok(())
    }

    /// The stretches without sound, in seconds, as a decoder hears them.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn silences(&self) -> Result<Vec<(f64, f64)>> {
        let said = self.measure("silencedetect=noise=-85dB:duration=0.4")?;
        let starts = numbers_behind(&said, "silence_start: ")?;
        let ends = numbers_behind(&said, "silence_end: ")?;
        ensure!(starts.len() == ends.len(), "{said}");
        Ok(starts.into_iter().zip(ends).collect())
    }

    /// The loudest sample of a stretch of seconds, in dB.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn level(&self, (start, end): (f64, f64)) -> Result<f64> {
        let said = self.measure(&format!("atrim={start}:{end},volumedetect"))?;
        let level = numbers_behind(&said, "max_volume: ")?;
        level.first().copied().with_context(|| said.clone())
    }

    /// Holds every picture to decoding, without a word of complaint.
    ///
    /// # Errors
    /// What the decoder said.
    pub fn decodes(&self) -> Result<()> {
        let mut decode = tools::ffmpeg()?;
        decode
            .args(["-v", "error", "-xerror", "-i"])
            .arg(&self.file);
        decode.args(["-f", "null", "-"]);
        let said = child::run(decode, PATIENCE)?.stderr;
        ensure!(said.is_empty(), "{said}");
        let mut probe = tools::ffprobe()?;
        probe.args(["-count_frames", "-select_streams", "v"]);
        probe.args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]);
        probe.arg(&self.file);
        let count = child::run(probe, PATIENCE)?.success()?.output();
        let pictures = self.frames(Kind::Video).len();
        ensure!(
            count.trim() == pictures.to_string(),
            "{count} of {pictures}"
        );
        Ok(())
    }

    fn frames(&self, kind: Kind) -> Vec<&Tag> {
        let frames = self.tags.iter().filter(|tag| is_frame(tag));
        frames.filter(|tag| tag.kind == kind).collect()
    }

    /// Decodes its sound through a filter, and gives what that says.
    fn measure(&self, filter: &str) -> Result<String> {
        let mut ffmpeg = tools::ffmpeg()?;
        ffmpeg.args(["-v", "info", "-i"]).arg(&self.file);
        ffmpeg.args(["-map", "0:a", "-af", filter, "-f", "null", "-"]);
        Ok(child::run(ffmpeg, PATIENCE)?.stderr)
    }
}

/// Whether a packet is a frame, and not what configures a decoder.
pub fn is_frame(tag: &Tag) -> bool {
    match tag.kind {
        Kind::Video => VideoTag::parse(&tag.body).is_some_and(|it| it.part == Part::Frame),
        Kind::Audio => AudioTag::parse(&tag.body).is_some_and(|it| it.part == Part::Frame),
        Kind::Script => false,
    }
}

fn numbers_behind(text: &str, label: &str) -> Result<Vec<f64>> {
    let words = text.split(label).skip(1);
    let numbers = words.map(|rest| {
        let word = rest.split_whitespace().next().unwrap_or_default();
        word.parse::<f64>().with_context(|| word.to_owned())
    });
    numbers.collect()
}
