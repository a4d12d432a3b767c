//! Gates: who closed audio or video for one player, and since when.
//!
//! A gate is a value of one word, read without a lock for each packet. Each source has a switch
//! of its own for each track, so no one opens what another closed: a track flows when every
//! switch is open.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lockgate_media::Track;

use crate::config::MutedAudio;

/// Who turns a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The subscriber: `mute`.
    Subscriber,
    /// The publisher, for all its players: `muteLocal`.
    Publisher,
    /// An operator, by the API.
    Operator,
    /// The player itself: RTMP `receiveAudio` and `receiveVideo`.
    Player,
    /// The player's `pause`.
    Pause,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Subscriber,
        Self::Publisher,
        Self::Operator,
        Self::Player,
        Self::Pause,
    ];

    /// A short name for metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
            Self::Player => "player",
            Self::Pause => "pause",
        }
    }

    /// The bit of its audio switch; video is eight bits up.
    fn bit(self) -> u16 {
        match self {
            Self::Subscriber => 1,
            Self::Publisher => 1 << 1,
            Self::Operator => 1 << 2,
            Self::Player => 1 << 3,
            Self::Pause => 1 << 4,
        }
    }
}

/// The state of every switch of a gate; all open by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Switches(u16);

const VIDEO_SHIFT: u32 = 8;
const AUDIO_MASK: u16 = 0x00ff;

impl Switches {
    /// With one switch turned. Data has no switch.
    #[must_use]
    pub fn with(self, source: Source, track: Track, closed: bool) -> Self {
        let bit = mask(source, track);
        Self(if closed { self.0 | bit } else { self.0 & !bit })
    }

    /// Closed where either is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What becomes of an audio frame.
    pub fn audio(self, muted: MutedAudio) -> AudioGate {
        // Who asked for no audio, or paused, gets none; who was muted gets silence.
        let unwanted = Source::Player.bit() | Source::Pause.bit();
        match self.0 & AUDIO_MASK {
            0 => AudioGate::Open,
            closed if closed & unwanted == 0 && muted == MutedAudio::Silence => AudioGate::Silence,
            _ => AudioGate::Shut,
        }
    }

    /// Whether video flows.
    pub fn video_open(self) -> bool {
        self.0 >> VIDEO_SHIFT == 0
    }

    /// Whether audio flows.
    pub fn audio_open(self) -> bool {
        self.0 & AUDIO_MASK == 0
    }

    /// Who closed a track.
    pub fn closed_by(self, track: Track) -> impl Iterator<Item = Source> {
        Source::ALL
            .into_iter()
            .filter(move |&source| self.0 & mask(source, track) != 0)
    }
}

fn mask(source: Source, track: Track) -> u16 {
    match track {
        Track::Audio => source.bit(),
        Track::Video => source.bit() << VIDEO_SHIFT,
        Track::Data => 0,
    }
}

/// What becomes of an audio frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioGate {
    /// It is sent.
    Open,
    /// Its silent stand-in is sent, or nothing where it has none.
    Silence,
    /// Nothing is sent.
    Shut,
}

/// A gate that others turn while a fan-out task reads it.
#[derive(Debug)]
pub struct Gate {
    switches: AtomicU16,
    /// Microseconds from `epoch` to the last turn.
    turned_at: AtomicU64,
    epoch: Instant,
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self {
            switches: AtomicU16::new(0),
            turned_at: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// Turns one switch; `true` when that changed it.
    pub fn turn(&self, source: Source, track: Track, closed: bool) -> bool {
        let bit = mask(source, track);
        let micros = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.turned_at.store(micros, Ordering::Relaxed);
        let before = if closed {
            self.switches.fetch_or(bit, Ordering::Release)
        } else {
            self.switches.fetch_and(!bit, Ordering::Release)
        };
        (before & bit != 0) != closed && bit != 0
    }

    /// The switches now.
    pub fn switches(&self) -> Switches {
        Switches(self.switches.load(Ordering::Acquire))
    }

    /// How long ago a switch was last turned.
    pub fn since_turn(&self) -> Duration {
        let turned = Duration::from_micros(self.turned_at.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(turned)
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_flows_when_every_switch_is_open() {
        let gate = Gate::new();
        assert!(gate.turn(Source::Subscriber, Track::Audio, true));
        assert!(gate.turn(Source::Operator, Track::Audio, true));
        assert!(
            !gate.turn(Source::Operator, Track::Audio, true),
            "it was closed already"
        );
        gate.turn(Source::Subscriber, Track::Audio, false);
        assert!(
            !gate.switches().audio_open(),
            "no one opens what another closed"
        );
        assert!(gate.switches().video_open());
        gate.turn(Source::Operator, Track::Audio, false);
        assert_eq!(gate.switches(), Switches::default());
    }

    #[test]
    fn muted_is_silence_and_unwanted_is_nothing() {
        let silence = MutedAudio::Silence;
        let cases = [
            (None, silence, AudioGate::Open),
            (Some(Source::Subscriber), silence, AudioGate::Silence),
            (Some(Source::Publisher), silence, AudioGate::Silence),
            (Some(Source::Operator), silence, AudioGate::Silence),
            (Some(Source::Player), silence, AudioGate::Shut),
            (Some(Source::Pause), silence, AudioGate::Shut),
            (Some(Source::Subscriber), MutedAudio::Drop, AudioGate::Shut),
        ];
        for (source, muted, expected) in cases {
            let mut switches = Switches::default();
            if let Some(source) = source {
                switches = switches.with(source, Track::Audio, true);
            }
            assert_eq!(switches.audio(muted), expected, "{source:?}");
        }
    }

    #[test]
    fn a_report_names_who_closed_a_track() {
        let closed = Switches::default()
            .with(Source::Subscriber, Track::Video, true)
            .with(Source::Publisher, Track::Video, true)
            .with(Source::Pause, Track::Audio, true);
        let names: Vec<_> = closed.closed_by(Track::Video).map(Source::name).collect();
        assert_eq!(names, ["subscriber", "publisher"]);
        assert!(!closed.video_open());
    }
}
