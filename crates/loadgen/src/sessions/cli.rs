//! `lockgate-loadgen sessions`: its arguments, and the plan they make.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Plan, Report};
use crate::cli::seconds;
use crate::source::Shape;

const EXAMPLES: &str = "\
Examples:
  lockgate-loadgen sessions --channels 1 --members 1000 --publishers 1 --pid $(pidof lockgate)
      A channel of 1,000: joins a second, and when the last one hears of a stream.
  lockgate-loadgen sessions --channels 500 --members 5000 --pid $(pidof lockgate)
      Sessions that do nothing: what one takes of the node's memory.
  lockgate-loadgen sessions --channels 50 --members 200 --publishers 4 --players 3 --mutes 50
      Everybody sees everybody, and 50 mutes a second: how fast one takes effect.

All members come from one address: raise signalling.sessions_per_ip of the node for more than it
allows. The node names itself to its clients, so ask it by an address, not by a name.";

/// Joins members to channels by the gateway and a WebSocket each; some publish, play and mute.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sessions {
    /// The node's HTTP listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = node)]
    node: SocketAddr,
    /// The app, one without a certificate.
    #[arg(long, value_name = "NAME", default_value = "live")]
    app: String,
    /// Channels.
    #[arg(long, value_name = "N", default_value_t = 1)]
    channels: usize,
    /// Members, spread evenly over the channels.
    #[arg(long, value_name = "N", default_value_t = 100)]
    members: usize,
    /// Members that are joining at a time.
    #[arg(long, value_name = "N", default_value_t = 64)]
    at_once: usize,
    /// Members of each channel that publish.
    #[arg(long, value_name = "N", default_value_t = 0)]
    publishers: usize,
    /// Players of each stream: other members of its channel.
    #[arg(long, value_name = "N", default_value_t = 0)]
    players: usize,
    /// Mutes and unmutes a second.
    #[arg(long, value_name = "N", default_value_t = 0)]
    mutes: u32,
    /// How long to mute, or how long streams stay.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    duration: Duration,
    /// How long to wait once all have joined, before memory is read.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    settle: Duration,
    /// Video of each stream, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 300)]
    bitrate: u64,
    /// Frames a second.
    #[arg(long, value_name = "N", default_value_t = 15)]
    fps: u32,
    /// The server's process, to report its CPU and memory.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write the report as JSON to a file too, or with "-" to stdout instead of the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// No progress lines on stderr.
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Sessions {
    /// Files that are open at a time.
    pub(crate) fn files(&self) -> usize {
        let streams = self.channels * self.publishers;
        self.members + self.at_once + streams + streams * self.players + 16
    }

    pub(crate) fn carry_out(&self, tell: impl FnMut(&str)) -> anyhow::Result<Report> {
        super::run(&self.plan()?, tell)
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let smallest = self.members / self.channels.max(1);
        anyhow::ensure!(smallest > 0, "a channel has one member at least");
        anyhow::ensure!(
            self.publishers <= smallest,
            "a channel of {smallest} has no {} publishers",
            self.publishers
        );
        anyhow::ensure!(
            self.players < smallest || self.players == 0,
            "a channel of {smallest} has no {} players of one of its streams",
            self.players
        );
        Ok(Plan {
            node: self.node,
            app: self.app.clone(),
            channels: self.channels.max(1),
            members: self.members,
            at_once: self.at_once,
            publishers: self.publishers,
            players: self.players,
            mutes: self.mutes,
            duration: self.duration,
            settle: self.settle,
            shape: Shape {
                video_bitrate: self.bitrate * 1000,
                frame_rate: self.fps,
                gop: self.fps.saturating_mul(2),
                audio_bitrate: 48_000,
            },
            server: self.pid,
        })
    }
}

fn node(url: &str) -> Result<SocketAddr, String> {
    let authority = url.strip_prefix("http://").unwrap_or(url);
    let authority = authority.trim_end_matches('/');
    let found = authority.to_socket_addrs();
    let found = found.map_err(|_| "expected http://host:port".to_owned())?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| format!("{authority} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_url_of_host_and_port() {
        let at: SocketAddr = ([127, 0, 0, 1], 8080).into();
        assert_eq!(node("http://127.0.0.1:8080/"), Ok(at));
        assert!(node("http://127.0.0.1").is_err());
    }
}
