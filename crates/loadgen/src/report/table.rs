//! Progress and reports as people read them.

use std::fmt::{self, Write as _};

use crate::dwell::Dwell;

use super::{Late, Progress, Report, Spread};

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
            if spread.count == 0 {
                return "not measured".to_owned();
            }
            format!(
                "p50 {:.2}  p99 {:.2}  max {:.2} ms  ({} values)",
                spread.p50, spread.p99, spread.max, spread.count
            )
        };
        line("target", self.url.clone())?;
        if self.play_url != self.url {
            line("played at", self.play_url.clone())?;
        }
        line(
            "publishers",
            format!("{} of {}", self.publishing, self.publishers),
        )?;
        line(
            "players",
            format!(
                "{} of {}: {} judge, {} stopped reading, {} ended, {} behind",
                self.playing, self.players, self.judges, self.stalled, self.ended, self.behind
            ),
        )?;
        line("measured", format!("{:.1} s", self.seconds))?;
        line("video delay", spread(self.video_delay_ms))?;
        line("audio delay", spread(self.audio_delay_ms))?;
        if let Some(dwell) = self.dwell_ms {
            line("delay of both", spread(self.delay_ms))?;
            let Dwell { count, p50, p99 } = dwell;
            let value = format!("p50 {p50:.2}  p99 {p99:.2} ms  ({count} packets)");
            line("in the node", value)?;
        }
        line("first keyframe", spread(self.first_frame_ms))?;
        let mut lost = format!("{} video, {} audio", self.video_lost, self.audio_lost);
        if self.unit == "packet" {
            write!(lost, ", {} RTP packets", self.packets_lost)?;
        }
        line("frames lost", lost)?;
        line("went back", self.ran_back.to_string())?;
        let rate = self.bytes as f64 * 8.0 / self.seconds.max(f64::MIN_POSITIVE) / 1e6;
        let megabytes = self.bytes as f64 / 1e6;
        line(
            "received",
            format!(
                "{megabytes:.1} MB, {rate:.0} Mbit/s, {} {}s",
                self.messages, self.unit
            ),
        )?;
        if let Some(server) = &self.server {
            let mut cpu = format!("{:.1} % of a core", server.cpu_percent);
            if self.messages > 0 {
                let each = server.cpu_us_per_message;
                write!(cpu, ", {each:.2} us a {}", self.unit)?;
            }
            line("server CPU", cpu)?;
            if let [_, _, ..] = server.threads.as_slice() {
                let threads = server.threads.iter();
                let threads = threads.map(|(name, percent)| format!("{name} {percent:.1} %"));
                line("its threads", threads.collect::<Vec<_>>().join("  "))?;
            }
            let (now, before) = (server.rss_kib, server.rss_before_kib);
            let each = server.rss_kib_per_player;
            line(
                "server memory",
                format!("{now} KiB, {before} before players, {each:.1} a player"),
            )?;
        }
        if let Some(late) = self.late {
            let Late { players, ended, .. } = late;
            line("joined late", format!("{players} players, {ended} ended"))?;
            line("  first keyframe", spread(late.first_frame_ms))?;
            line("  delay of others", spread(late.video_delay_ms))?;
            line("  afterwards", spread(late.later_delay_ms))?;
            line("  frames lost", late.lost.to_string())?;
        }
        for step in &self.ramp {
            let verdict = if step.held { "held" } else { "failed" };
            line(
                &format!("{} players", step.players),
                format!(
                    "{verdict}: p50 {:.2}  p99 {:.2} ms, {} lost, {} behind, server {:.0} %, this {:.0} %",
                    step.video_delay_ms.p50,
                    step.video_delay_ms.p99,
                    step.lost,
                    step.behind,
                    step.server_cpu_percent,
                    step.own_cpu_percent,
                ),
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
