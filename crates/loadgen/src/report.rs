//! What a run found: values for JSON, and a table for people.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::load::Load;
use crate::tally::Tally;
use crate::usage::Usage;

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Since the run started.
    pub elapsed: Duration,
    /// Whether everybody is there and what comes is measured.
    pub measuring: bool,
    /// Publishers that publish.
    pub publishing: usize,
    /// Players that have got a first frame, those that stopped reading included.
    pub playing: usize,
    /// Video frames that the judge with the fewest has got.
    pub fewest_frames: u64,
    /// Bytes that all players read, since measuring began.
    pub bytes: u64,
    /// Video's delay, since measuring began.
    pub video_delay_ms: Spread,
    /// Frames that judges never got.
    pub frames_lost: u64,
    /// Timestamps and frames that went back on a track of a judge.
    pub ran_back: u64,
    /// The server's CPU in percent of a core since the last progress, and its memory in KiB.
    pub server: Option<(f64, u64)>,
}

/// How values spread, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// Half of them are no larger.
    pub p50: f64,
    /// 99 of a hundred are no larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        Self {
            count: histogram.count(),
            p50: ms(histogram.quantile(500)),
            p99: ms(histogram.quantile(990)),
            max: ms(histogram.max()),
        }
    }
}

/// What a run found. Delays, bytes and usage are of the measured time; joins, losses and clocks of
/// the whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where the load went.
    pub url: String,
    /// How long was measured.
    pub seconds: f64,
    /// Publishers asked for, and those that published at the end.
    pub publishers: usize,
    /// See above.
    pub publishing: usize,
    /// Players asked for.
    pub players: usize,
    /// Of those, how many judged their stream.
    pub judges: usize,
    /// Of those, how many stopped reading.
    pub stalled: usize,
    /// Players that were there at the end.
    pub playing: usize,
    /// Players whose connection failed or ended before.
    pub ended: usize,
    /// From sending to receiving.
    pub video_delay_ms: Spread,
    /// The same of audio.
    pub audio_delay_ms: Spread,
    /// From connecting to the first keyframe.
    pub first_frame_ms: Spread,
    /// Video frames that judges never got.
    pub video_lost: u64,
    /// The same of audio.
    pub audio_lost: u64,
    /// Timestamps and frames that went back on a track of a judge.
    pub ran_back: u64,
    /// Bytes that all players read.
    pub bytes: u64,
    /// Audio and video messages that all players got, from their bytes and the judges' messages.
    pub messages: u64,
    /// The server, when its process was given.
    pub server: Option<Server>,
    /// CPU of this process, in percent of a core: near 100, it is this that is measured.
    pub own_cpu_percent: f64,
    /// How late the latest frame was sent.
    pub send_late_ms: f64,
    /// The first connection that failed or ended, and why.
    pub failure: Option<String>,
}

/// What the server used.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Server {
    /// In percent of a core.
    pub cpu_percent: f64,
    /// Microseconds of CPU for each message that a player got.
    pub cpu_us_per_message: f64,
    /// Resident memory before the first player joined, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end, in KiB.
    pub rss_kib: u64,
    /// What it grew by, for each player.
    pub rss_kib_per_player: f64,
}

/// Who was there at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) publishing: usize,
    pub(crate) playing: usize,
    pub(crate) ended: usize,
}

/// What was measured beside the players.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    pub(crate) server: (Usage, Usage),
    pub(crate) own: (Usage, Usage),
    pub(crate) rss_before: u64,
    pub(crate) late: Duration,
}

impl Report {
    pub(crate) fn new(
        load: &Load,
        tally: &Tally,
        counts: Counts,
        measured: Measured,
        failure: Option<String>,
    ) -> Self {
        let seconds = measured.time.as_secs_f64();
        let cpu = |(from, to): (Usage, Usage)| to.cpu.saturating_sub(from.cpu).as_secs_f64();
        let percent = |cpu: f64| 100.0 * cpu / seconds.max(f64::MIN_POSITIVE);
        let messages = tally.delivered();
        let spent = cpu(measured.server);
        let rss_kib = measured.server.1.rss_kib;
        let grown = rss_kib as f64 - measured.rss_before as f64;
        let server = load.server.map(|_| Server {
            cpu_percent: percent(spent),
            cpu_us_per_message: 1e6 * spent / messages.max(1) as f64,
            rss_before_kib: measured.rss_before,
            rss_kib,
            rss_kib_per_player: grown / counts.playing.max(1) as f64,
        });
        Self {
            url: load.target.to_string(),
            seconds,
            publishers: load.publishers,
            publishing: counts.publishing,
            players: load.players,
            judges: load.judges.min(load.players.saturating_sub(load.stalled)),
            stalled: load.stalled,
            playing: counts.playing,
            ended: counts.ended,
            video_delay_ms: Spread::of(&tally.video_delay),
            audio_delay_ms: Spread::of(&tally.audio_delay),
            first_frame_ms: Spread::of(&tally.first_frame),
            video_lost: tally.lost_video,
            audio_lost: tally.lost_audio,
            ran_back: tally.back,
            bytes: tally.bytes,
            messages,
            server,
            own_cpu_percent: percent(cpu(measured.own)),
            send_late_ms: measured.late.as_secs_f64() * 1e3,
            failure,
        }
    }

    /// Whether everybody asked for was there from the first to the last moment.
    pub fn is_complete(&self) -> bool {
        self.publishing == self.publishers && self.playing == self.players && self.ended == 0
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = if self.measuring {
            "measuring"
        } else {
            "joining"
        };
        let delay = self.video_delay_ms;
        write!(
            f,
            "{:4.0} s  {stage}  publishers {}  players {}  {:.1} MB  \
             delay p50 {:.2} p99 {:.2} max {:.2} ms  lost {}  back {}",
            self.elapsed.as_secs_f64(),
            self.publishing,
            self.playing,
            self.bytes as f64 / 1e6,
            delay.p50,
            delay.p99,
            delay.max,
            self.frames_lost,
            self.ran_back,
        )?;
        if let Some((cpu, rss)) = self.server {
            write!(f, "  server {cpu:.0} % {:.1} MiB", rss as f64 / 1024.0)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<22} {value}");
        let spread = |spread: Spread| {
            format!(
                "p50 {:.2}  p99 {:.2}  max {:.2} ms  ({} values)",
                spread.p50, spread.p99, spread.max, spread.count
            )
        };
        line("target", self.url.clone())?;
        line(
            "publishers",
            format!("{} of {}", self.publishing, self.publishers),
        )?;
        line(
            "players",
            format!(
                "{} of {}: {} judge, {} stopped reading, {} ended",
                self.playing, self.players, self.judges, self.stalled, self.ended
            ),
        )?;
        line("measured", format!("{:.1} s", self.seconds))?;
        line("video delay", spread(self.video_delay_ms))?;
        line("audio delay", spread(self.audio_delay_ms))?;
        line("first keyframe", spread(self.first_frame_ms))?;
        let lost = format!("{} video, {} audio", self.video_lost, self.audio_lost);
        line("frames lost", lost)?;
        line("went back", self.ran_back.to_string())?;
        let rate = self.bytes as f64 * 8.0 / self.seconds.max(f64::MIN_POSITIVE) / 1e6;
        let megabytes = self.bytes as f64 / 1e6;
        line(
            "received",
            format!(
                "{megabytes:.1} MB, {rate:.0} Mbit/s, {} messages",
                self.messages
            ),
        )?;
        if let Some(server) = self.server {
            let (cpu, each) = (server.cpu_percent, server.cpu_us_per_message);
            line(
                "server CPU",
                format!("{cpu:.1} % of a core, {each:.2} us a message"),
            )?;
            let (now, before) = (server.rss_kib, server.rss_before_kib);
            let each = server.rss_kib_per_player;
            line(
                "server memory",
                format!("{now} KiB, {before} before players, {each:.1} a player"),
            )?;
        }
        line(
            "this process",
            format!(
                "{:.1} % of a core, latest frame sent {:.1} ms late",
                self.own_cpu_percent, self.send_late_ms
            ),
        )?;
        if let Some(failure) = &self.failure {
            line("first failure", failure.clone())?;
        }
        Ok(())
    }
}
