//! What a run found, as values: JSON has them under the same names.

use std::time::Duration;

use serde::Serialize;

use crate::dwell::Dwell;
use crate::histogram::Histogram;
use crate::load::Load;
use crate::tally::Tally;
use crate::target::Protocol;
use crate::usage::Usage;

mod picture;
mod table;

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
    /// Where players played.
    pub play_url: String,
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
    /// Players that got less than nine tenths of the bytes that the one in the middle got.
    pub behind: usize,
    /// From sending to receiving.
    pub video_delay_ms: Spread,
    /// The same of audio.
    pub audio_delay_ms: Spread,
    /// The distribution of video's delay: percentiles, and the milliseconds that such a share of
    /// frames does not pass.
    pub video_delay_curve: Vec<(f64, f64)>,
    /// The same of both together.
    pub delay_ms: Spread,
    /// How long packets stayed in the node, of video and audio together, when it was to be asked.
    pub dwell_ms: Option<Dwell>,
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
    /// Audio and video messages that all players got, from their bytes and the judges' messages; by
    /// WebRTC it is RTP packets, each counted.
    pub messages: u64,
    /// What those are: `message` or `packet`.
    pub unit: &'static str,
    /// RTP packets that players never got.
    pub packets_lost: u64,
    /// The server, when its process was given.
    pub server: Option<Server>,
    /// Players that joined while the load was on, when there were to be any.
    pub late: Option<Late>,
    /// How more and more players fared, when they were to; what else is here is of the last step
    /// that held.
    pub ramp: Vec<Step>,
    /// CPU of this process, in percent of a core; of one that spins, the time in which there was
    /// work. Near 100, it is this that is measured.
    pub own_cpu_percent: f64,
    /// How late the latest frame was sent.
    pub send_late_ms: f64,
    /// The first connection that failed or ended, and why.
    pub failure: Option<String>,
}

/// What the server used.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// In percent of a core.
    pub cpu_percent: f64,
    /// Its threads with the CPU that each used, in percent of a core, the busiest first; those that
    /// used none are left out.
    pub threads: Vec<(String, f64)>,
    /// Resident memory before the first publisher came, in KiB.
    pub rss_at_start_kib: u64,
    /// Microseconds of CPU for each message, or RTP packet, that a player got.
    pub cpu_us_per_message: f64,
    /// Resident memory before the first player joined, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end, in KiB.
    pub rss_kib: u64,
    /// What it grew by, for each player.
    pub rss_kib_per_player: f64,
}

/// Players that joined while the load was on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Late {
    /// How many.
    pub players: usize,
    /// From connecting to the first keyframe, of these.
    pub first_frame_ms: Spread,
    /// Video's delay meanwhile, of the judges that were there already.
    pub video_delay_ms: Spread,
    /// The same afterwards, with all of them there: what they cost by being there, not by joining.
    pub later_delay_ms: Spread,
    /// Frames that those judges lost meanwhile.
    pub lost: u64,
    /// Players, late ones or others, whose connection failed or ended meanwhile.
    pub ended: usize,
}

/// One step of a ramp.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Step {
    /// Players that were asked for.
    pub players: usize,
    /// From sending to receiving.
    pub video_delay_ms: Spread,
    /// Frames that judges have lost since the run started.
    pub lost: u64,
    /// See [`Report::behind`].
    pub behind: usize,
    /// CPU of the server, in percent of a core; 0 when its process was not given.
    pub server_cpu_percent: f64,
    /// CPU of this process.
    pub own_cpu_percent: f64,
    /// Whether p99 was within the bound, everybody was there, and nobody lost anything.
    pub held: bool,
}

impl Step {
    pub(crate) fn new(report: &Report, bound: Duration) -> Self {
        let lost = report.video_lost + report.audio_lost;
        let delay = report.video_delay_ms;
        let in_time = delay.count > 0 && delay.p99 < bound.as_secs_f64() * 1e3;
        Self {
            players: report.players,
            video_delay_ms: delay,
            lost,
            behind: report.behind,
            server_cpu_percent: report.server.as_ref().map_or(0.0, |used| used.cpu_percent),
            own_cpu_percent: report.own_cpu_percent,
            held: in_time && lost == 0 && report.behind == 0 && report.is_complete(),
        }
    }
}

/// Who was there at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) publishing: usize,
    pub(crate) players: usize,
    pub(crate) judges: usize,
    pub(crate) behind: usize,
    pub(crate) playing: usize,
    pub(crate) ended: usize,
}

/// What was measured beside the players.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    pub(crate) server: (Usage, Usage),
    pub(crate) threads: Vec<(String, Duration)>,
    pub(crate) own: (Usage, Usage),
    pub(crate) rss_at_start: u64,
    pub(crate) rss_before: u64,
    pub(crate) late: Duration,
    pub(crate) idle: Option<Duration>,
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
        let threads = measured.threads.into_iter();
        let threads = threads.map(|(name, cpu)| (name, percent(cpu.as_secs_f64())));
        let messages = tally.delivered();
        let spent = cpu(measured.server);
        let rss_kib = measured.server.1.rss_kib;
        let grown = rss_kib as f64 - measured.rss_before as f64;
        let server = load.server.map(|_| Server {
            cpu_percent: percent(spent),
            threads: threads.collect(),
            rss_at_start_kib: measured.rss_at_start,
            cpu_us_per_message: 1e6 * spent / messages.max(1) as f64,
            rss_before_kib: measured.rss_before,
            rss_kib,
            rss_kib_per_player: grown / counts.playing.max(1) as f64,
        });
        let mut delay = tally.video_delay.clone();
        delay.add(&tally.audio_delay);
        Self {
            url: load.target.to_string(),
            play_url: load.played().to_string(),
            seconds,
            publishers: load.publishers,
            publishing: counts.publishing,
            players: counts.players,
            judges: counts.judges,
            stalled: load.stalled,
            playing: counts.playing,
            ended: counts.ended,
            behind: counts.behind,
            video_delay_ms: Spread::of(&tally.video_delay),
            video_delay_curve: curve(&tally.video_delay),
            audio_delay_ms: Spread::of(&tally.audio_delay),
            delay_ms: Spread::of(&delay),
            dwell_ms: None,
            first_frame_ms: Spread::of(&tally.first_frame),
            video_lost: tally.lost_video,
            audio_lost: tally.lost_audio,
            ran_back: tally.back,
            bytes: tally.bytes,
            messages,
            unit: if load.played().protocol() == Protocol::Whep {
                "packet"
            } else {
                "message"
            },
            packets_lost: tally.lost_packets,
            server,
            late: None,
            ramp: Vec::new(),
            own_cpu_percent: match measured.idle {
                Some(idle) => percent(seconds - idle.as_secs_f64()),
                None => percent(cpu(measured.own)),
            },
            send_late_ms: measured.late.as_secs_f64() * 1e3,
            failure,
        }
    }

    /// Whether everybody asked for was there from the first to the last moment.
    pub fn is_complete(&self) -> bool {
        self.publishing == self.publishers && self.playing == self.players && self.ended == 0
    }
}

/// Every tenth percentile, and then the tail; empty without values.
fn curve(histogram: &Histogram) -> Vec<(f64, f64)> {
    if histogram.count() == 0 {
        return Vec::new();
    }
    let per_mille = (0..=9).map(|tenth| tenth * 100);
    let per_mille = per_mille.chain([950, 990, 995, 999, 1000]);
    per_mille
        .map(|at| (at as f64 / 10.0, histogram.quantile(at) as f64 / 1000.0))
        .collect()
}
