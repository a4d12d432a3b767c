//! The codecs, each behind a wall: what one of them panics at ends that codec, not its stream.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that may panic on what a peer sent, until it has.
pub(crate) struct Walled<C>(Option<C>);

impl<C> Walled<C> {
    pub(crate) fn new(codec: C) -> Self {
        Self(Some(codec))
    }

    /// Runs `work`; `None` once it has panicked, now or before.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce(&mut C) -> T) -> Option<T> {
        let codec = self.0.as_mut()?;
        // Nothing of it is looked at again after a panic.
        let done = catch_unwind(AssertUnwindSafe(|| work(codec)));
        if done.is_err() {
            self.0 = None;
        }
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panicked_once_is_not_asked_again() {
        let mut walled = Walled::new(1);
        assert_eq!(walled.run(|value| *value + 1), Some(2));
        assert_eq!(walled.run(|_| -> i32 { panic!("on purpose") }), None);
        assert_eq!(walled.run(|value| *value), None);
    }
}
