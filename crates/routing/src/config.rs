//! What routing can be told, in runtime types. Defaults live with the node's config file.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Routing's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long players stay attached after their publisher broke off.
    pub publisher_grace: Duration,
    /// What an audio-muted player gets.
    pub muted_audio: MutedAudio,
    /// What happens when a name that is being published is published again.
    pub conflict: Conflict,
    /// Bounds of a stream's ring.
    pub ring: RingLimits,
    /// How long audio waits for a video frame to go out with. Zero sends each packet at once.
    pub max_hold: Duration,
    /// A player further behind than this skips video to the newest keyframe.
    pub skip_after: Duration,
    /// A player that took no byte for this long, with bytes waiting, is cut.
    pub cut_after: Duration,
    /// Most fan-out tasks a stream has for a protocol: the number of cores that send.
    pub fanout_tasks: NonZeroUsize,
    /// How many of each there may be.
    pub limits: Limits,
}

/// Counts that bound a node.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Streams, those that players wait for included.
    pub streams: usize,
    /// Publishers.
    pub publishers: usize,
    /// Players.
    pub players: usize,
    /// Players of one stream.
    pub players_per_stream: usize,
}

/// Bounds of a stream's ring. The current GOP is kept past `duration`, but never past the others.
#[derive(Debug, Clone, Copy)]
pub struct RingLimits {
    /// How long packets are kept for players that are behind.
    pub duration: Duration,
    /// Most bytes.
    pub bytes: usize,
    /// Most packets.
    pub packets: usize,
}

/// What an audio-muted player gets in place of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutedAudio {
    /// Silent frames where the codec has them: players that clock on audio go on.
    Silence,
    /// Nothing.
    Drop,
}

/// What happens when a name that is being published is published again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The newest wins and the old connection is cut.
    Replace,
    /// The newcomer is refused.
    Reject,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            publisher_grace: Duration::from_secs(10),
            muted_audio: MutedAudio::Silence,
            conflict: Conflict::Replace,
            ring: RingLimits {
                duration: Duration::from_secs(5),
                bytes: 16 << 20,
                packets: 8192,
            },
            max_hold: Duration::from_millis(40),
            skip_after: Duration::from_secs(3),
            cut_after: Duration::from_secs(10),
            fanout_tasks: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits {
                streams: 10_000,
                publishers: 10_000,
                players: 100_000,
                players_per_stream: 100_000,
            },
        }
    }
}
