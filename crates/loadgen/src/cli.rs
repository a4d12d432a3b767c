//! The command line of `lockgate-loadgen`.
//!
//! 0 done, 1 when somebody could not join or did not stay, 64 bad usage.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::clip::Clip;
use crate::load::{Load, Ramp};
use crate::mutes::Mutes;
use crate::preset;
use crate::report::Progress;
use crate::sessions::cli::Sessions;
use crate::source::Shape;
use crate::target::Target;

/// Bad usage (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;
/// Where a node listens for HTTP by default.
const DEFAULT_API: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// Files that are open beside the connections.
const SPARE_FILES: usize = 16;

const EXAMPLES: &str = "\
Examples:
  lockgate run &
  lockgate-loadgen --pid $!
      One 1 Mbit/s stream and 100 players against a node with the default config.
  lockgate-loadgen --players 200 --judges 180 --stall 20 --pid $(pidof lockgate)
      Does a player that stops reading cost the others anything?
  lockgate-loadgen --publishers 200 --players 1000 --bitrate 300 rtmp://127.0.0.1/live/room
      200 streams (room0 to room199) of 5 players each.
  lockgate-loadgen --publishers 0 --players 500 rtmp://127.0.0.1/live/demo
      Only players, of what ffmpeg publishes; its frames carry no time, so no delay is measured.
  taskset -c 0 lockgate run & taskset -c 1 lockgate-loadgen --players 1000 --spin --pid $!
      Node and load on a core each: compare CPU a message between servers.
  lockgate-loadgen --file recorded.flv --publishers 20
      20 streams of what was recorded. H.264 and AAC carry the time as synthetic frames do; of other
      codecs no delay is measured.
  lockgate-loadgen --players 500 --play http://127.0.0.1:8080/live/load.flv
      Publishes by RTMP and plays FLV over HTTP; ws:// plays it over WebSockets.
  lockgate-loadgen --players 200 --play http://127.0.0.1:8080/live/load/whep --pid $(pidof lockgate)
      Publishes by RTMP and plays by WebRTC.
  lockgate-loadgen --publishers 20 --play rtmp://127.0.0.1/live/load http://127.0.0.1:8080/live/load/whip
      Publishes H.264 and Opus by WebRTC and plays by RTMP; with --players 0 nobody plays.
  lockgate-loadgen --preset capacity --pid $(pidof lockgate) --svg delay.svg
      How many players does it hold? A preset is a TOML file whose keys are these options; what is
      given beside it wins.

How to read the report:
  delay           from a frame's sending to a player's reading all of it, both in this process
  in the node     from a packet's being read to its being written to a player, by the node's own
                  account, of video and audio together; asked for by --api
  first keyframe  from a player's connecting to its first keyframe
  behind          players that got less than 90 % of the bytes that the one in the middle got
  us a message    the server's CPU time over the audio and video messages that players got; by WHEP it is
                  us a packet, over RTP packets, each of which is counted
  this process    its own CPU: near 100 %, the load generator is what is measured

Delays, bytes and CPU are of the measured time; first keyframes and losses of the whole run.
Judges parse all they get; the other players count bytes and never copy them, which is cheap. Their
messages are worked out from their bytes and the judges' size of a message. By WHEP they read the
headers of RTP, where losses show, and decrypt nothing; all of them answer what keeps a session alive.
Audio's delay is measured where it arrives as it was sent: not where AAC becomes Opus on its way, or
Opus AAC. By WHEP the first keyframe counts from the POST.
One address may not bring more players than limits.connections_per_ip of the node.";

/// Loads a media server with publishers and players, and measures what they get.
#[derive(Debug, Parser)]
#[command(name = "lockgate-loadgen", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to publish and play: rtmp://host/app/name, or http://host/app/name/whip to publish alone.
    /// With more than one stream, they are numbered behind the name.
    #[arg(default_value = "rtmp://127.0.0.1/live/load")]
    url: Target,
    /// Where to play instead: rtmp://host/app/name, http://host/app/name.flv, ws://host/app/name.flv or
    /// http://host/app/name/whep.
    #[arg(long, value_name = "URL")]
    play: Option<Target>,
    /// Publishers, each of a stream of its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    publishers: usize,
    /// Players, spread evenly over the streams.
    #[arg(long, value_name = "N", default_value_t = 100)]
    players: usize,
    /// How many players judge all they get.
    #[arg(long, value_name = "N", default_value_t = 10)]
    judges: usize,
    /// How many players stop reading once they have joined.
    #[arg(long = "stall", value_name = "N", default_value_t = 0)]
    stalled: usize,
    /// Connections made a second.
    #[arg(long, value_name = "N", default_value_t = 500)]
    join_rate: u32,
    /// How long publishers send before players join.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    lead: Duration,
    /// How long to wait once all have joined, before measuring.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    warmup: Duration,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Video, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 1000)]
    bitrate: u64,
    /// Frames a second.
    #[arg(long, value_name = "N", default_value_t = 30)]
    fps: u32,
    /// Frames from one keyframe to the next.
    #[arg(long, value_name = "FRAMES", default_value_t = 60)]
    gop: u32,
    /// Audio, in kbit/s; 0 for none.
    #[arg(long, value_name = "KBIT", default_value_t = 128)]
    audio_bitrate: u64,
    /// Send an FLV file in a loop, with its own bitrate and frame rate, instead of synthetic frames.
    #[arg(long, value_name = "FLV")]
    file: Option<PathBuf>,
    /// Once all have joined: percent of the players whose audio the node mutes, by its API.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    mute_audio: u8,
    /// The same for the video of other players.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    mute_video: u8,
    /// Where a Lockgate node listens for HTTP: the report then has how long packets stayed in it by its
    /// own account. Mutes ask 127.0.0.1:8080 if this is not given.
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
    /// After the measured time, bring so many percent more players and measure again, and so on
    /// until p99 of video's delay reaches --ramp-p99 or somebody loses something.
    #[arg(long, value_name = "PERCENT")]
    ramp: Option<usize>,
    /// What p99 may not reach, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    ramp_p99: u64,
    /// After the measured time, players that join while the load is on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    late: usize,
    /// How many of these a second.
    #[arg(long, value_name = "N", default_value_t = 20)]
    late_rate: u32,
    /// Never sleep, so that the server is not charged for waking players up, as on a network it would
    /// not be. Needs a core of its own, whose use then is the time in which there was work.
    #[arg(long)]
    spin: bool,
    /// Options from a TOML file, or one of those that come along.
    #[arg(long, value_name = "FILE|NAME", long_help = preset_help())]
    preset: Option<String>,
    /// The server's process, to report its CPU and memory.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write the report as JSON to a file too, or with "-" to stdout instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw how video's delay spreads.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// No progress lines on stderr.
    #[arg(long)]
    quiet: bool,
}

fn preset_help() -> String {
    format!(
        "Options from a TOML file, or one of those that come along: {}",
        preset::names()
    )
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Members of channels, instead of publishers and players alone.
    Sessions(Sessions),
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Cli {
    pub(crate) fn load(&self) -> Load {
        let mutes = Mutes {
            api: self.api.unwrap_or(DEFAULT_API),
            audio: self.mute_audio,
            video: self.mute_video,
        };
        let ramp = self.ramp.map(|percent| Ramp {
            percent,
            bound: Duration::from_millis(self.ramp_p99),
            most: most_files().saturating_sub(self.publishers + SPARE_FILES),
        });
        Load {
            mutes: (mutes.audio + mutes.video > 0).then_some(mutes),
            ramp,
            spin: self.spin,
            late: self.late,
            late_rate: self.late_rate,
            publishers: self.publishers,
            players: self.players,
            judges: self.judges,
            stalled: self.stalled,
            join_rate: self.join_rate,
            lead: self.lead,
            warmup: self.warmup,
            duration: self.duration,
            shape: Shape {
                video_bitrate: self.bitrate * 1000,
                frame_rate: self.fps,
                gop: self.gop,
                audio_bitrate: self.audio_bitrate * 1000,
            },
            api: self.api,
            server: self.pid,
            play: self.play.clone(),
            ..Load::new(self.url.clone())
        }
    }

    /// Whether everybody was there from the first to the last moment.
    fn carry_out(&self) -> anyhow::Result<bool> {
        if let Some(Command::Sessions(sessions)) = &self.command {
            allow_files(sessions.files())?;
            let report = sessions.carry_out(|line| tell(sessions.quiet, &line))?;
            show(&report, sessions.json.as_deref())?;
            return Ok(report.is_complete());
        }
        // Who comes by WebRTC has a connection for its offer too, until that is answered.
        let sockets = 2 * (self.publishers + self.players + self.late);
        allow_files(sockets + SPARE_FILES)?;
        let clip = self.file.as_deref().map(read_clip).transpose()?;
        let load = Load {
            clip,
            ..self.load()
        };
        let report = crate::run(&load, |progress: &Progress| {
            tell(self.quiet, progress);
            ControlFlow::Continue(())
        })?;
        show(&report, self.json.as_deref())?;
        if let Some(path) = &self.svg {
            fs::write(path, report.svg()).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(report.is_complete())
    }
}

fn read_clip(path: &Path) -> anyhow::Result<Arc<Clip>> {
    let clip = fs::read(path).map_err(Into::into);
    let clip = clip.and_then(|file| Clip::parse(&file));
    Ok(Arc::new(
        clip.with_context(|| format!("reading {}", path.display()))?,
    ))
}

fn most_files() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(0);
    usize::try_from(files).unwrap_or(usize::MAX)
}

fn allow_files(wanted: usize) -> anyhow::Result<()> {
    let files = most_files();
    anyhow::ensure!(
        files >= wanted,
        "{wanted} sockets need as many open files and {files} are allowed: raise ulimit -n"
    );
    Ok(())
}

/// Writes a report as a table, as JSON, or as both.
fn show(report: &(impl Serialize + Display), json: Option<&Path>) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match json {
        Some(path) if path.as_os_str() == "-" => {
            serde_json::to_writer_pretty(&mut stdout, report)?;
            writeln!(stdout)?;
        }
        Some(path) => {
            let json = serde_json::to_vec_pretty(report)?;
            fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
            write!(stdout, "{report}")?;
        }
        None => write!(stdout, "{report}")?,
    }
    Ok(())
}

/// A progress line that cannot be written is not worth ending a run.
fn tell(quiet: bool, progress: &impl Display) {
    if !quiet {
        let _ = writeln!(std::io::stderr(), "{progress}");
    }
}

/// The command: reads its arguments, runs, reports.
pub fn main() -> ExitCode {
    let arguments = match preset::apply(std::env::args_os().collect(), &Cli::command()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lockgate-loadgen: {error:#}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    if cli.command.is_none()
        && let Err(misfit) = cli.load().check()
    {
        let _ = writeln!(std::io::stderr(), "lockgate-loadgen: {misfit}");
        return ExitCode::from(EXIT_USAGE);
    }
    match cli.carry_out() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lockgate-loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
