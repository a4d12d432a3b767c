//! What has happened so far: who is there, which stream was announced to whom, and when.

use std::time::{Duration, Instant};

use super::member::News;
use crate::histogram::Histogram;

/// The run's books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) joined: usize,
    pub(crate) failed: usize,
    /// When the last member joined.
    pub(crate) last_join: Option<Instant>,
    /// Microseconds from a member's turn to its Login's answer.
    pub(crate) join: Histogram,
    /// By place: when a member's first media was sent.
    sent: Vec<Option<Instant>>,
    pub(crate) sending: usize,
    /// Microseconds from a stream's first media to each StreamAdded.
    pub(crate) added: Histogram,
    pub(crate) playing: usize,
    /// URLs that came and are not served yet: of whom, for whom.
    pub(crate) push: Vec<(usize, String)>,
    pub(crate) pull: Vec<(usize, String)>,
    pub(crate) failure: Option<String>,
}

impl Books {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            sent: vec![None; members],
            ..Self::default()
        }
    }

    /// Writes down what happened to the member at `place`.
    pub(crate) fn take(&mut self, place: usize, news: News) {
        match news {
            News::Joined { asked } => {
                let now = Instant::now();
                self.joined += 1;
                self.last_join = Some(now);
                self.join
                    .record(micros(now.saturating_duration_since(asked)));
            }
            News::Failed(error) => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| format!("{error:#}"));
            }
            News::PushUrl(url) => self.push.push((place, url)),
            News::PullUrl { of, url } => {
                debug_assert_ne!(of, place);
                self.pull.push((place, url));
            }
            News::Sent(at) => {
                self.sending += 1;
                if let Some(sent) = self.sent.get_mut(place) {
                    *sent = Some(at);
                }
            }
            News::Added { of, at } => {
                if let Some(Some(sent)) = self.sent.get(of) {
                    self.added
                        .record(micros(at.saturating_duration_since(*sent)));
                }
            }
            News::Playing => self.playing += 1,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_timed_from_its_own_stream_alone() {
        let mut books = Books::new(3);
        let start = Instant::now();
        let added = |of| News::Added {
            of,
            at: start + Duration::from_millis(3),
        };
        books.take(0, News::Sent(start));
        books.take(1, added(0));
        books.take(1, added(2));
        books.take(1, added(9));
        assert_eq!((books.added.count(), books.added.max()), (1, 3000));
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let mut books = Books::new(1);
        books.take(0, News::Failed(anyhow::anyhow!("first")));
        books.take(0, News::Failed(anyhow::anyhow!("second")));
        assert_eq!((books.failed, books.failure.as_deref()), (2, Some("first")));
    }
}
