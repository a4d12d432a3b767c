//! What players do with what they get.

/// What a player does with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Parses every message and judges it.
    Judge,
    /// Counts bytes from the first frame on.
    Count,
    /// Stops reading at the first frame.
    Stall,
}

impl Habit {
    /// The habit of each of `players`. A server serves players in some order, often that of their
    /// joining, so judges and those who stall are spread evenly over it.
    pub(crate) fn spread(players: usize, judges: usize, stalled: usize) -> Vec<Self> {
        let picked = |at: usize, some: usize, all: usize| {
            let some = some.min(all);
            all > 0 && (at + 1) * some / all > at * some / all
        };
        let reading = players.saturating_sub(stalled);
        let mut read = 0;
        let habit = |at| {
            if picked(at, stalled, players) {
                return Self::Stall;
            }
            read += 1;
            if picked(read - 1, judges, reading) {
                Self::Judge
            } else {
                Self::Count
            }
        };
        (0..players).map(habit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_and_those_who_stall_are_as_many_as_asked_for_and_evenly_spread() {
        for (players, judges, stalled) in [
            (200, 180, 20),
            (1000, 20, 0),
            (7, 3, 2),
            (5, 9, 0),
            (0, 1, 1),
        ] {
            let habits = Habit::spread(players, judges, stalled);
            let count = |wanted| habits.iter().filter(|habit| **habit == wanted).count();
            assert_eq!(habits.len(), players);
            assert_eq!(count(Habit::Stall), stalled.min(players));
            assert_eq!(
                count(Habit::Judge),
                judges.min(players.saturating_sub(stalled))
            );
            let half = habits.iter().take(players / 2);
            let judges = half.filter(|habit| **habit == Habit::Judge).count();
            assert!(judges.abs_diff(count(Habit::Judge) / 2) <= 1);
        }
    }
}
