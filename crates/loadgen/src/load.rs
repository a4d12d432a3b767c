//! What a run is to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::clip::Clip;
use crate::mutes::Mutes;
use crate::source::Shape;
use crate::target::{Protocol, Target};

/// A load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where it goes.
    pub target: Target,
    /// Where players get it from, if not there.
    pub play: Option<Target>,
    /// Publishers, each of a stream of its own. With none, players play what others publish.
    pub publishers: usize,
    /// Players, spread evenly over the streams.
    pub players: usize,
    /// How many of the players parse and judge what they get; the others count bytes.
    pub judges: usize,
    /// How many of the players stop reading once they have joined.
    pub stalled: usize,
    /// Connections made a second.
    pub join_rate: u32,
    /// How long publishers send before players join.
    pub lead: Duration,
    /// How long after the last player has joined measuring starts.
    pub warmup: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// Who is muted once all have joined.
    pub mutes: Option<Mutes>,
    /// Brings more and more players after what was measured.
    pub ramp: Option<Ramp>,
    /// Players that join after what was measured, while the load is on.
    pub late: usize,
    /// How many of these a second.
    pub late_rate: u32,
    /// How often progress is told.
    pub tick: Duration,
    /// Never sleeps, but looks for what is there all the time.
    pub spin: bool,
    /// What publishers send.
    pub shape: Shape,
    /// What they send instead, if it is something recorded.
    pub clip: Option<Arc<Clip>>,
    /// The node's HTTP listener, to ask how long packets stayed in it.
    pub api: Option<SocketAddr>,
    /// The server's process, to read its CPU time and memory; on this machine, of course.
    pub server: Option<u32>,
}

/// Why a load cannot be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Publishers at a URL of players.
    #[error(
        "{0}: nobody publishes there; publish to a URL of rtmp:// or one that ends in /whip, and say \
         with --play where players play, or with --publishers 0 that nobody publishes"
    )]
    Publish(String),
    /// Players at a URL of publishers.
    #[error("{0}: nobody plays there; say with --play where, or with --players 0 that nobody does")]
    Play(String),
    /// A file by WHIP.
    #[error("a file goes to a URL of rtmp:// alone: its AAC is not for WebRTC")]
    Clip,
}

/// How players become more, step by step, each measured as the first was.
#[derive(Debug, Clone, Copy)]
pub struct Ramp {
    /// How many percent more each step has.
    pub percent: usize,
    /// What p99 of video's delay may not reach.
    pub bound: Duration,
    /// The most players that there may be.
    pub most: usize,
}

impl Ramp {
    /// How many players the step after one of `players` adds; 0 at the end.
    pub(crate) fn more(self, players: usize) -> usize {
        let more = (players * self.percent).div_ceil(100).max(1);
        more.min(self.most.saturating_sub(players))
    }
}

impl Load {
    /// Where players play.
    pub(crate) fn played(&self) -> &Target {
        self.play.as_ref().unwrap_or(&self.target)
    }

    /// Whether the URLs take the publishers and players that there are to be.
    ///
    /// # Errors
    /// What does not fit, and what would.
    pub fn check(&self) -> Result<(), LoadError> {
        let plays = self.players + self.late > 0 || self.play.is_some();
        if self.publishers > 0 && !self.target.protocol().publishes() {
            return Err(LoadError::Publish(self.target.to_string()));
        }
        if plays && !self.played().protocol().plays() {
            return Err(LoadError::Play(self.played().to_string()));
        }
        if self.publishers > 0 && self.clip.is_some() && self.target.protocol() == Protocol::Whip {
            return Err(LoadError::Clip);
        }
        Ok(())
    }

    /// One publisher and a hundred players for ten seconds.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            play: None,
            publishers: 1,
            players: 100,
            judges: 10,
            stalled: 0,
            join_rate: 500,
            lead: Duration::from_secs(2),
            warmup: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            mutes: None,
            ramp: None,
            late: 0,
            late_rate: 20,
            tick: Duration::from_secs(1),
            spin: false,
            shape: Shape::default(),
            clip: None,
            api: None,
            server: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_must_take_the_publishers_and_players_that_there_are() {
        let target = |url: &str| url.parse().unwrap();
        let load = Load::new(target("rtmp://127.0.0.1/live/a"));
        load.check().unwrap();
        let whip = Load::new(target("http://127.0.0.1/live/a/whip"));
        assert!(matches!(whip.check(), Err(LoadError::Play(_))));
        let unwatched = Load {
            players: 0,
            ..whip.clone()
        };
        unwatched.check().unwrap();
        let play = Some(target("http://127.0.0.1/live/a.flv"));
        Load {
            play: play.clone(),
            ..whip
        }
        .check()
        .unwrap();
        let flv = Load {
            play,
            ..Load::new(target("http://127.0.0.1/live/a/whep"))
        };
        assert!(matches!(flv.check(), Err(LoadError::Publish(_))));
        Load {
            publishers: 0,
            ..flv
        }
        .check()
        .unwrap();
    }

    #[test]
    fn a_ramp_grows_by_its_percent_and_ends_at_its_most() {
        let ramp = Ramp {
            percent: 10,
            bound: Duration::from_millis(100),
            most: 1_150,
        };
        assert_eq!(
            [1, 1_000, 1_100, 1_150].map(|at| ramp.more(at)),
            [1, 100, 50, 0]
        );
    }
}
