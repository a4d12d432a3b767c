//! What waits to be sent to one session, in order, and how it is to end.
//!
//! It holds no memory while nothing waits. Past its bound the session is closed: who does not read
//! costs nobody else anything.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::hooks::Leave;
use crate::transport::Text;

/// How a session ends from the node's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Close {
    /// Its member left, or was made to.
    Left(Leave),
    /// A newer WebSocket of the same session is there.
    Resumed,
    /// It did not read.
    Overflow,
    /// It said nothing for too long, or did not log in.
    Silent,
    /// It was refused and stays, or sends what nobody can read.
    Junk,
}

impl Close {
    /// All but those of members that left.
    pub(crate) const UNLEFT: [Self; 4] = [Self::Resumed, Self::Overflow, Self::Silent, Self::Junk];

    /// Code and reason, as clients read them: 1000 with `NETWORK_ERROR` brings them back, 1000 with
    /// another reason means that they have left, any other code brings them back too.
    pub(crate) fn code_and_reason(self) -> (u16, &'static str) {
        match self {
            Self::Left(Leave::Logout) => (1000, "LEAVE"),
            Self::Left(Leave::Replaced) => (1000, "UID_REPLACED"),
            Self::Left(Leave::Kicked) => (1000, "KICKED"),
            Self::Left(Leave::Banned) => (1000, "UID_BANNED"),
            Self::Left(Leave::TokenExpired) => (1000, "TOKEN_EXPIRED"),
            Self::Left(Leave::Shutdown) => (1001, "SHUTDOWN"),
            Self::Left(Leave::Lost) | Self::Overflow | Self::Silent => (1000, "NETWORK_ERROR"),
            Self::Resumed => (1000, "RESUMED"),
            Self::Junk => (1000, "PROTOCOL_ERROR"),
        }
    }

    /// A short name for metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Left(leave) => leave.label(),
            Self::Resumed => "resumed",
            Self::Overflow => "overflow",
            Self::Silent => "silent",
            Self::Junk => "junk",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Text>,
    /// How many more may wait than the bound says, until the queue is empty again.
    allowance: usize,
    close: Option<Close>,
    /// How many notices were queued since the start.
    told: u32,
}

/// What there is to send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) texts: VecDeque<Text>,
    /// The number of the last notice among them, and of all before.
    pub(crate) told: u32,
    /// The end that follows.
    pub(crate) close: Option<Close>,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Queues an answer; past the bound the session is closed instead.
    pub(crate) fn push(&self, text: Text) {
        self.queue(text, 0);
    }

    /// Queues a notice; the same bound holds.
    pub(crate) fn tell(&self, text: Text) {
        self.queue(text, 1);
    }

    fn queue(&self, text: Text, told: u32) {
        let mut state = self.state.lock();
        state.told = state.told.saturating_add(told);
        if state.close.is_some() {
            return;
        }
        if state.queue.len() < self.limit + state.allowance {
            state.queue.push_back(text);
        } else {
            state.queue = VecDeque::new();
            state.close = Some(Close::Overflow);
        }
        let wakes = state.queue.len() == 1 || state.close.is_some();
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Queues notices that belong together and are bounded by what a channel holds: a joiner's list.
    pub(crate) fn tell_all(&self, texts: impl Iterator<Item = Text>) {
        let mut state = self.state.lock();
        let before = state.queue.len();
        state.queue.extend(texts);
        let count = state.queue.len() - before;
        state.allowance += count;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        state.told = state.told.saturating_add(count);
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the session once what waits is sent. The first end counts.
    pub(crate) fn close(&self, close: Close) {
        self.state.lock().close.get_or_insert(close);
        self.wake.notify_one();
    }

    /// Waits until there is something to send, or the end. Cancel-safe.
    pub(crate) async fn ready(&self) {
        loop {
            {
                let state = self.state.lock();
                if !state.queue.is_empty() || state.close.is_some() {
                    return;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes what there is to send.
    pub(crate) fn take(&self) -> Waiting {
        let mut state = self.state.lock();
        state.allowance = 0;
        Waiting {
            texts: std::mem::take(&mut state.queue),
            told: state.told,
            close: state.close,
        }
    }

    /// Whether it overflowed: what is being written is not worth waiting for.
    pub(crate) async fn overflowed(&self) {
        loop {
            if self.state.lock().close == Some(Close::Overflow) {
                return;
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::from(text.to_owned())
    }

    #[tokio::test]
    async fn what_waits_goes_out_in_order_and_then_the_end() {
        let outbox = Outbox::new(4);
        outbox.push(text("a"));
        outbox.push(text("b"));
        outbox.close(Close::Left(Leave::Kicked));
        outbox.push(text("too late"));
        outbox.ready().await;
        let waiting = outbox.take();
        assert_eq!(waiting.texts, [text("a"), text("b")]);
        assert_eq!(waiting.close, Some(Close::Left(Leave::Kicked)));
    }

    #[tokio::test]
    async fn past_its_bound_it_closes_its_session_alone() {
        let outbox = Outbox::new(2);
        for _ in 0..3 {
            outbox.push(text("a"));
        }
        outbox.overflowed().await;
        let waiting = outbox.take();
        assert_eq!(
            (waiting.texts.len(), waiting.close),
            (0, Some(Close::Overflow))
        );
    }

    #[test]
    fn a_joiners_list_does_not_count() {
        let outbox = Outbox::new(2);
        outbox.tell_all((0..100).map(|_| text("a")));
        outbox.push(text("b"));
        outbox.push(text("c"));
        assert_eq!(outbox.take().texts.len(), 102);
        outbox.push(text("d"));
        outbox.push(text("e"));
        outbox.push(text("f"));
        assert_eq!(outbox.take().close, Some(Close::Overflow));
    }
}
