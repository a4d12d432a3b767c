//! What a run is to do.

use std::time::Duration;

use crate::source::Shape;
use crate::target::Target;

/// A load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where it goes.
    pub target: Target,
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
    /// How often progress is told.
    pub tick: Duration,
    /// What publishers send.
    pub shape: Shape,
    /// The server's process, to read its CPU time and memory; on this machine, of course.
    pub server: Option<u32>,
}

impl Load {
    /// One publisher and a hundred players for ten seconds.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            publishers: 1,
            players: 100,
            judges: 10,
            stalled: 0,
            join_rate: 500,
            lead: Duration::from_secs(2),
            warmup: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            tick: Duration::from_secs(1),
            shape: Shape::default(),
            server: None,
        }
    }
}
