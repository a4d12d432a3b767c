//! Clips that the tests push, made once a machine with Debian's ffmpeg and kept in `target/test-clips`.
//!
//! A clip's file name carries a hash of its recipe, so a changed recipe makes a new file. A clip appears
//! under its name only when it is whole, so concurrent test binaries at worst make one twice.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{child, tools};

/// The slowest recipe takes a few seconds on two cores; this is for a machine that is busy as well.
const MAKING: Duration = Duration::from_secs(180);

/// What there is to push. Ten seconds each at 30 frames a second and with a keyframe every second; the
/// enhanced codecs four seconds of a small picture, for their encoders are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clip {
    /// FLV: H.264 baseline 640x360 and AAC-LC stereo at 44.1 kHz. What most tests want.
    H264Aac,
    /// FLV: the same with a mono AAC-LC track.
    H264AacMono,
    /// FLV: H.264 main with B-frames at 854x480, and AAC-LC stereo: another encoder's sequence headers.
    H264AacLarger,
    /// FLV: AAC-LC stereo alone.
    AudioOnly,
    /// FLV: H.264 baseline 640x360 alone.
    VideoOnly,
    /// MP4: HEVC and AAC.
    HevcAac,
    /// MP4: AV1 and AAC.
    Av1Aac,
    /// Matroska: VP9 and Opus.
    Vp9Opus,
    /// Matroska: H.264 and Opus.
    H264Opus,
}

const BASELINE: &str = "-c:v libx264 -profile:v baseline -preset ultrafast -g 30 -keyint_min 30 -sc_threshold 0 -b:v 600k";
const MAIN: &str = "-c:v libx264 -profile:v main -preset veryfast -bf 2 -g 30 -keyint_min 30 -sc_threshold 0 -b:v 900k";
const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params keyint=30:min-keyint=30:scenecut=0:log-level=error -tag:v hvc1";
const AV1: &str = "-c:v libsvtav1 -preset 12 -g 30";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -b:v 200k";
const AAC: &str = "-c:a aac -b:a 96k";
const OPUS: &str = "-c:a libopus -b:a 64k";

impl Clip {
    /// Every clip.
    pub const ALL: [Self; 9] = [
        Self::H264Aac,
        Self::H264AacMono,
        Self::H264AacLarger,
        Self::AudioOnly,
        Self::VideoOnly,
        Self::HevcAac,
        Self::Av1Aac,
        Self::Vp9Opus,
        Self::H264Opus,
    ];

    /// The clip's file, made now when this machine has none yet.
    pub fn path(self) -> Result<PathBuf> {
        // One at a time in this process: tests that want the same clip would make it side by side.
        static MAKING_ONE: Mutex<()> = Mutex::new(());
        let recipe = self.recipe();
        let path = tools::target().join("test-clips").join(recipe.file_name());
        let _guard = MAKING_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.is_file() {
            recipe
                .make(&path)
                .with_context(|| format!("making the clip {}", path.display()))?;
        }
        Ok(path)
    }

    /// How long it plays.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.recipe().seconds.into())
    }

    fn recipe(self) -> Recipe {
        let full = Recipe {
            name: "h264-aac",
            extension: "flv",
            seconds: 10,
            video: Some(("640x360", BASELINE)),
            audio: Some((44_100, "stereo", AAC)),
        };
        let small = Recipe { seconds: 4, ..full };
        match self {
            Self::H264Aac => full,
            Self::H264AacMono => Recipe {
                name: "h264-aac-mono",
                audio: Some((44_100, "mono", AAC)),
                ..full
            },
            Self::H264AacLarger => Recipe {
                name: "h264-aac-larger",
                video: Some(("854x480", MAIN)),
                ..full
            },
            Self::AudioOnly => Recipe {
                name: "audio-only",
                video: None,
                ..full
            },
            Self::VideoOnly => Recipe {
                name: "video-only",
                audio: None,
                ..full
            },
            Self::HevcAac => Recipe {
                name: "hevc-aac",
                extension: "mp4",
                video: Some(("320x180", HEVC)),
                ..small
            },
            Self::Av1Aac => Recipe {
                name: "av1-aac",
                extension: "mp4",
                video: Some(("320x180", AV1)),
                ..small
            },
            Self::Vp9Opus => Recipe {
                name: "vp9-opus",
                extension: "mkv",
                video: Some(("320x180", VP9)),
                audio: Some((48_000, "stereo", OPUS)),
                ..small
            },
            Self::H264Opus => Recipe {
                name: "h264-opus",
                extension: "mkv",
                audio: Some((48_000, "stereo", OPUS)),
                ..small
            },
        }
    }
}

/// How a clip is made.
#[derive(Clone, Copy)]
struct Recipe {
    name: &'static str,
    extension: &'static str,
    seconds: u32,
    /// Picture size and encoder arguments.
    video: Option<(&'static str, &'static str)>,
    /// Sample rate, channel layout and encoder arguments.
    audio: Option<(u32, &'static str, &'static str)>,
}

impl Recipe {
    /// ffmpeg's arguments, all but the output.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut encoders = String::new();
        if let Some((size, encoder)) = self.video {
            arguments.extend(lavfi(format!(
                "testsrc2=size={size}:rate=30:duration={}",
                self.seconds
            )));
            encoders.push_str(&format!("{encoder} -pix_fmt yuv420p "));
        }
        if let Some((rate, layout, encoder)) = self.audio {
            let tone = format!(
                "sine=frequency=440:sample_rate={rate}:duration={}",
                self.seconds
            );
            arguments.extend(lavfi(format!("{tone},aformat=channel_layouts={layout}")));
            encoders.push_str(encoder);
        }
        arguments.extend(encoders.split_whitespace().map(str::to_owned));
        arguments
    }

    fn file_name(&self) -> String {
        // FNV-1a: stable from one toolchain to the next, which the standard hasher does not promise.
        let hash = self
            .arguments()
            .join(" ")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{}-{hash:016x}.{}", self.name, self.extension)
    }

    fn make(&self, path: &std::path::Path) -> Result<()> {
        let directory = path.parent().context("a clip has no directory")?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let suffix = format!(".{}", self.extension);
        let unfinished = tempfile::Builder::new()
            .prefix(".unfinished-")
            .suffix(&suffix)
            .tempfile_in(directory)
            .with_context(|| format!("creating a file in {}", directory.display()))?
            .into_temp_path();
        let mut command: Command = tools::ffmpeg()?;
        command.args(self.arguments()).arg(&unfinished);
        child::run(command, MAKING)?;
        unfinished
            .persist(path)
            .with_context(|| format!("renaming to {}", path.display()))
    }
}

fn lavfi(source: String) -> [String; 4] {
    ["-f".to_owned(), "lavfi".to_owned(), "-i".to_owned(), source]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv;

    fn probe(path: &std::path::Path, entries: &str) -> String {
        let mut command = tools::ffprobe().unwrap();
        command
            .args(["-show_entries", entries, "-of", "csv=p=0"])
            .arg(path);
        let done = child::run(command, Duration::from_secs(30)).unwrap();
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn every_clip_holds_the_codecs_and_the_length_it_promises() {
        let expected = [
            "h264,640,360 aac,44100,2",
            "h264,640,360 aac,44100,1",
            "h264,854,480 aac,44100,2",
            "aac,44100,2",
            "h264,640,360",
            "hevc,320,180 aac,44100,2",
            "av1,320,180 aac,44100,2",
            "vp9,320,180 opus,48000,2",
            "h264,640,360 opus,48000,2",
        ];
        for (clip, expected) in Clip::ALL.into_iter().zip(expected) {
            let path = clip.path().unwrap();
            let streams = probe(&path, "stream=codec_name,width,height,sample_rate,channels");
            assert_eq!(
                streams.split_whitespace().collect::<Vec<_>>().join(" "),
                expected,
                "{clip:?}"
            );
            let seconds: f64 = probe(&path, "format=duration").trim().parse().unwrap();
            assert!(
                (seconds - clip.duration().as_secs_f64()).abs() < 0.2,
                "{clip:?} plays {seconds} s"
            );
        }
    }

    #[test]
    fn a_keyframe_comes_every_second() {
        for clip in Clip::ALL
            .into_iter()
            .filter(|clip| *clip != Clip::AudioOnly)
        {
            let packets = probe(&clip.path().unwrap(), "packet=codec_type,flags,pts_time");
            let keys: Vec<f64> = packets
                .lines()
                .filter_map(|line| line.strip_prefix("video,"))
                .filter(|line| line.contains('K'))
                .map(|line| line.split(',').next().unwrap().parse().unwrap())
                .collect();
            assert_eq!(
                keys.len() as u64,
                clip.duration().as_secs(),
                "{clip:?}: {keys:?}"
            );
        }
    }

    #[test]
    fn the_reader_sees_every_frame_of_a_clip() {
        let tags = flv::read_flv(Clip::H264Aac.path().unwrap()).unwrap();
        // 300 frames and the sequence header; ffmpeg ends a stream with an end-of-sequence tag.
        assert_eq!(flv::of_kind(&tags, flv::Kind::Video).len(), 302);
        assert_eq!(flv::of_kind(&tags, flv::Kind::Script).len(), 1);
        assert!(flv::first_step_back(&tags).is_none());
        assert_eq!(flv::first_difference(&tags, &tags.clone()), None);
    }

    #[test]
    fn a_recipe_keeps_its_file_name_and_no_two_share_one() {
        let mut names: Vec<_> = Clip::ALL
            .iter()
            .map(|clip| clip.recipe().file_name())
            .collect();
        assert_eq!(
            names,
            Clip::ALL
                .iter()
                .map(|clip| clip.recipe().file_name())
                .collect::<Vec<_>>()
        );
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Clip::ALL.len());
    }
}
