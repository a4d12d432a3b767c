//! From how many bytes on a publisher's socket is worth reading.
//!
//! Audio may wait for the video frame that it goes out with, so it need not cost a wake-up and a read
//! of its own before that. The socket is read once it holds as much as the smallest of the last video
//! packets, which one packet of audio alone does not come to.
//!
//! Invariant: no video packet waits for that, but one smaller than all of the last ones, and that one
//! no longer than audio may. What is not read is not acknowledged, and a publisher with Nagle's
//! algorithm on keeps a frame back for that: so the first frames that are gathered are compared with
//! those before, and where they come later, it is left at reading what comes as it comes.

use std::time::Duration;

use lockgate_media::{Class, Track, classify};
use lockgate_rtmp::connection::Arrival;
use tokio::time::Instant;
use tracing::debug;

/// Video packets that sizes and lateness are judged by: some GOPs' beginnings are among them.
const WINDOW: u32 = 64;
/// How many microseconds later, on average, video may come while bytes are gathered.
const LATER_US: i64 = 3_000;
/// What is later or earlier by this is a publisher's clock that jumped.
const JUMP_US: i64 = 10_000_000;
/// Most bytes to gather: the kernel holds them.
const MOST: usize = 16 << 10;
/// What comes within this time is read in one go while nobody plays the stream: reading costs by the
/// read, and who joins meanwhile starts at the GOP's keyframe anyway.
const UNWATCHED: Duration = Duration::from_millis(50);
/// As much as is read sooner then, in bytes: half of what one read takes.
const BATCH: usize = 32 << 10;

const UNSEEN: Sizes = Sizes {
    video: usize::MAX,
    audio: 0,
};

/// The smallest video frame and the largest packet of audio.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    video: usize,
    audio: usize,
}

/// What is known of how late video comes.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// Nothing: a publisher that has just come may send in bursts.
    Settling,
    /// It is being measured, read as it comes.
    Apart(Lateness),
    /// It is being measured, gathered, after it was that late before.
    Gathered(Lateness, i64),
    /// It comes no later by that.
    Passed,
    /// It comes later: a trial is enough.
    Failed,
}

/// How late video comes, beside its first.
#[derive(Debug, Clone, Copy)]
struct Lateness {
    began: Instant,
    first: u32,
    sum_us: i64,
}

/// One publisher.
#[derive(Debug)]
pub(crate) struct Gather {
    /// Of this window and of the last.
    sizes: [Sizes; 2],
    left: u32,
    trial: Trial,
    gathering: bool,
    /// Nobody plays the stream.
    batched: bool,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            sizes: [UNSEEN; 2],
            left: WINDOW,
            trial: Trial::Settling,
            gathering: false,
            batched: false,
        }
    }
}

impl Gather {
    /// Takes note of a packet, and says since when it counts as received.
    pub(crate) fn note(
        &mut self,
        track: Track,
        timestamp: u32,
        payload: &[u8],
        arrived: Arrival,
    ) -> std::time::Instant {
        let [sizes, _] = &mut self.sizes;
        let is_video = track == Track::Video && is_frame(payload);
        if is_video {
            sizes.video = sizes.video.min(payload.len());
            self.time(timestamp, arrived.read);
        } else if track == Track::Audio {
            sizes.audio = sizes.audio.max(payload.len());
        }
        // Audio may have lain there since the last read, and so may video that nobody waited for. For
        // what nobody was there to wait for it is no measure.
        if self.batched || is_video && !arrived.early {
            arrived.read.into_std()
        } else {
            arrived.since.into_std()
        }
    }

    /// How many bytes are to be there before the socket is read, or for how long less may wait.
    /// `patience` is how long audio may, if anybody plays the stream.
    pub(crate) fn next(&mut self, patience: Option<Duration>) -> (usize, Duration) {
        let bytes = self.bytes(patience.is_some_and(|patience| !patience.is_zero()));
        self.batched = patience.is_none();
        patience.map_or((BATCH, UNWATCHED), |patience| (bytes, patience))
    }

    /// How many bytes are to be there before the socket is read; 1, which is any, where nothing
    /// `may` wait, and where it would be no use or did harm.
    fn bytes(&mut self, may: bool) -> usize {
        let [now, before] = self.sizes;
        let (video, audio) = (now.video.min(before.video), now.audio.max(before.audio));
        let tried = matches!(self.trial, Trial::Gathered(..) | Trial::Passed);
        let gathering = may && tried && audio < video && video < usize::MAX;
        let changed = std::mem::replace(&mut self.gathering, gathering) != gathering;
        // What was measured half this way and half that way says nothing.
        match &mut self.trial {
            Trial::Apart(_) if !may => self.begin(Trial::Settling),
            Trial::Gathered(..) if changed && !gathering => self.begin(Trial::Settling),
            &mut Trial::Gathered(lateness, before) if changed => {
                let lateness = Lateness {
                    sum_us: 0,
                    ..lateness
                };
                self.begin(Trial::Gathered(lateness, before));
            }
            _ => {}
        }
        if gathering { video.min(MOST) } else { 1 }
    }

    fn begin(&mut self, trial: Trial) {
        self.trial = trial;
        self.left = WINDOW;
    }

    /// Takes note of when a frame came.
    fn time(&mut self, timestamp: u32, read: Instant) {
        if let Trial::Apart(lateness) | Trial::Gathered(lateness, _) = &mut self.trial {
            let passed = i64::try_from((read - lateness.began).as_micros()).unwrap_or(i64::MAX);
            let stamped = i64::from(timestamp.wrapping_sub(lateness.first).cast_signed()) * 1000;
            let late = passed.saturating_sub(stamped);
            if late.abs() > JUMP_US {
                self.trial = Trial::Settling;
            } else {
                lateness.sum_us += late;
            }
        }
        self.left -= 1;
        if self.left > 0 {
            return;
        }
        self.left = WINDOW;
        self.sizes = [UNSEEN, self.sizes[0]];
        self.trial = match self.trial {
            Trial::Settling => Trial::Apart(Lateness {
                began: read,
                first: timestamp,
                sum_us: 0,
            }),
            Trial::Apart(apart) => {
                let before = apart.sum_us;
                Trial::Gathered(Lateness { sum_us: 0, ..apart }, before)
            }
            Trial::Gathered(..) if !self.gathering => Trial::Settling,
            Trial::Gathered(gathered, before) => {
                let later_us = (gathered.sum_us - before) / i64::from(WINDOW);
                debug!(later_us, "audio was read with the video it goes out with");
                if later_us > LATER_US {
                    Trial::Failed
                } else {
                    Trial::Passed
                }
            }
            done => done,
        };
    }
}

/// Whether a video tag's body is a frame and no header, which may be as small as it likes: a
/// keyframe follows it at once.
fn is_frame(payload: &[u8]) -> bool {
    matches!(
        classify(Track::Video, payload),
        Class::Keyframe | Class::Frame
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYFRAME: u8 = 0x17;
    const HEADER: &[u8] = &[0x17, 0, 0, 0, 0];

    /// A publisher of 25 frames a second, whose frames are `video` bytes long and come that late while
    /// their audio is gathered.
    struct Publisher {
        gather: Gather,
        epoch: Instant,
        frames: u32,
        video: usize,
        late: Duration,
        /// How late it is while it is not gathered.
        batched: Duration,
        may: bool,
        bytes: usize,
    }

    impl Publisher {
        fn new() -> Self {
            Self {
                gather: Gather::default(),
                epoch: Instant::now(),
                frames: 0,
                video: 1000,
                late: Duration::ZERO,
                batched: Duration::ZERO,
                may: true,
                bytes: 1,
            }
        }

        /// Sends frames, each with 300 bytes of audio before it; how much is gathered afterwards.
        fn send(&mut self, frames: u32) -> usize {
            for _ in 0..frames {
                let timestamp = self.frames * 40;
                self.frames += 1;
                let due = self.epoch + Duration::from_millis(timestamp.into());
                let late = if self.bytes > 1 {
                    self.late
                } else {
                    self.batched
                };
                let arrived = Arrival {
                    read: due + late,
                    since: due,
                    early: false,
                };
                self.gather
                    .note(Track::Audio, timestamp, &[0xaf; 300], arrived);
                let mut frame = vec![1; self.video];
                frame[0] = KEYFRAME;
                self.gather.note(Track::Video, timestamp, &frame, arrived);
                self.bytes = self.gather.bytes(self.may);
            }
            self.bytes
        }
    }

    #[test]
    fn what_is_gathered_is_the_smallest_of_the_last_frames_once_it_was_tried() {
        let mut publisher = Publisher::new();
        assert_eq!(publisher.send(2 * WINDOW - 1), 1, "not known yet");
        assert_eq!(publisher.send(1), 1000);
        publisher.video = 700;
        assert_eq!(publisher.send(1), 700);
        publisher.video = 2000;
        assert_eq!(publisher.send(2 * WINDOW - 2), 700);
        assert_eq!(publisher.send(1), 2000);
        publisher.video = 100_000;
        assert_eq!(publisher.send(2 * WINDOW), MOST);
    }

    #[test]
    fn a_publisher_whose_frames_then_come_later_is_read_as_it_comes_for_good() {
        let mut publisher = Publisher::new();
        publisher.late = Duration::from_millis(12);
        assert_eq!(publisher.send(2 * WINDOW), 1000);
        assert_eq!(publisher.send(WINDOW), 1);
        assert_eq!(publisher.send(10 * WINDOW), 1);
        let mut jittery = Publisher::new();
        jittery.late = Duration::from_millis(2);
        assert_eq!(jittery.send(3 * WINDOW), 1000);
    }

    #[test]
    fn audio_that_is_larger_than_frames_is_not_gathered() {
        let mut publisher = Publisher::new();
        publisher.video = 300;
        assert_eq!(publisher.send(4 * WINDOW), 1);
        publisher.video = 1000;
        assert_eq!(publisher.send(WINDOW - 1), 1);
        let tried = (0..4 * WINDOW).any(|_| publisher.send(1) == 1000);
        assert!(tried, "it is once it is smaller");
    }

    #[test]
    fn nothing_is_gathered_where_nothing_may_wait_and_the_trial_begins_anew() {
        let mut publisher = Publisher::new();
        assert_eq!(publisher.send(2 * WINDOW + 1), 1000);
        publisher.may = false;
        publisher.late = Duration::from_millis(12);
        assert_eq!(publisher.send(5), 1);
        publisher.may = true;
        assert_eq!(publisher.send(2 * WINDOW), 1000);
        assert_eq!(publisher.send(WINDOW), 1, "what it found is of this trial");
    }

    #[test]
    fn only_whole_windows_of_a_stream_that_is_read_as_it_comes_are_compared() {
        // Nobody watches: it is read in batches, and late.
        let mut publisher = Publisher::new();
        publisher.may = false;
        publisher.batched = Duration::from_millis(25);
        assert_eq!(publisher.send(WINDOW + WINDOW / 2), 1);
        publisher.may = true;
        publisher.batched = Duration::ZERO;
        publisher.late = Duration::from_millis(12);
        let tried = (0..3 * WINDOW).any(|_| publisher.send(1) == 1000);
        assert!(tried);
        assert_eq!(publisher.send(WINDOW), 1, "beside what comes as it comes");

        // Somebody who could not wait leaves shortly before the window's end.
        let mut publisher = Publisher::new();
        publisher.late = Duration::from_millis(12);
        publisher.send(2 * WINDOW - 1);
        publisher.may = false;
        assert_eq!(publisher.send(1 + WINDOW - 8), 1);
        publisher.may = true;
        assert_eq!(publisher.send(WINDOW), 1000);
        assert_eq!(publisher.send(1), 1);
    }

    #[test]
    fn a_clock_that_jumps_is_not_taken_for_lateness() {
        let mut publisher = Publisher::new();
        publisher.send(2 * WINDOW + 1);
        publisher.epoch += Duration::from_secs(3600);
        publisher.send(4 * WINDOW);
        assert_eq!(publisher.send(1), 1000);
    }

    #[test]
    fn headers_say_nothing_of_frames_and_audio_counts_as_received_when_it_may_have_come() {
        let mut publisher = Publisher::new();
        publisher.send(3 * WINDOW);
        let (since, read) = (publisher.epoch, publisher.epoch + Duration::from_secs(9));
        let mut arrived = Arrival {
            read,
            since,
            early: false,
        };
        let gather = &mut publisher.gather;
        let frame = [&[0x27, 1][..], &[0; 898]].concat();
        let mut note = |track, payload, arrived| gather.note(track, 7680, payload, arrived);
        assert_eq!(note(Track::Audio, &[0xaf, 1], arrived), since.into_std());
        assert_eq!(note(Track::Video, &frame, arrived), read.into_std());
        note(Track::Video, HEADER, arrived);
        arrived.early = true;
        assert_eq!(note(Track::Video, &frame, arrived), since.into_std());
        assert_eq!(publisher.gather.bytes(true), 900);
    }

    #[test]
    fn what_nobody_plays_is_read_in_batches_and_counts_as_received_when_it_is_read() {
        let mut publisher = Publisher::new();
        publisher.send(3 * WINDOW);
        let gather = &mut publisher.gather;
        assert_eq!(gather.next(None), (BATCH, UNWATCHED));
        let since = publisher.epoch;
        let arrived = Arrival {
            read: since + UNWATCHED,
            since,
            early: true,
        };
        let mut note = |track| gather.note(track, 7680, &[0x27, 1, 0, 0, 0], arrived);
        let read = arrived.read.into_std();
        assert_eq!([note(Track::Audio), note(Track::Video)], [read, read]);
        // Who has come by then waits for it from now on.
        let hold = Duration::from_millis(40);
        assert_eq!(gather.next(Some(hold)), (1, hold));
        assert_eq!(gather.next(Some(Duration::ZERO)).0, 1);
        let since = since.into_std();
        assert_eq!(gather.note(Track::Audio, 7680, &[0xaf, 1], arrived), since);
    }
}
