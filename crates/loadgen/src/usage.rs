//! What a process has used, read from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Clock ticks a second in `/proc`: the kernel's ABI fixes it at 100.
const TICK: Duration = Duration::from_millis(10);

/// A process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time since it started, in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory in KiB.
    pub rss_kib: u64,
}

impl Usage {
    /// Looks at a process.
    ///
    /// # Errors
    /// When there is no such process, or no `/proc`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "/proc has another form here");
        Ok(Self {
            cpu: cpu(&stat).ok_or_else(odd)?,
            // A process that is ending has no memory left to show.
            rss_kib: rss_kib(&status).unwrap_or(0),
        })
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id()).unwrap_or_default()
    }
}

/// One thread of a process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thread {
    id: u32,
    name: String,
    cpu: Duration,
}

impl Thread {
    /// The threads of a process, as far as they can be read: they come and go meanwhile.
    pub(crate) fn all(pid: u32) -> Vec<Self> {
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let threads = threads.into_iter().flatten().flatten();
        let threads = threads.filter_map(|thread| {
            let id = thread.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            let (_, name) = stat.split_once('(')?;
            let (name, _) = name.rsplit_once(')')?;
            let name = name.to_owned();
            let cpu = cpu(&stat)?;
            Some(Self { id, name, cpu })
        });
        threads.collect()
    }

    /// What each thread used between two looks, the busiest first, without those that used nothing.
    pub(crate) fn spent(before: &[Self], after: &[Self]) -> Vec<(String, Duration)> {
        let spent = after.iter().map(|now| {
            let then = before.iter().find(|then| then.id == now.id);
            let then = then.map_or(Duration::ZERO, |then| then.cpu);
            (now.name.clone(), now.cpu.saturating_sub(then))
        });
        let mut spent: Vec<_> = spent.filter(|(_, cpu)| !cpu.is_zero()).collect();
        spent.sort_by_key(|(_, cpu)| std::cmp::Reverse(*cpu));
        spent
    }
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn rss_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(rss_kib("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1234));
    }

    #[test]
    fn threads_are_told_with_what_they_used_between_two_looks() {
        let thread = |id, name: &str, ms| Thread {
            id,
            name: name.to_owned(),
            cpu: Duration::from_millis(ms),
        };
        let before = [thread(1, "main", 10), thread(2, "idle", 20)];
        let after = [
            thread(1, "main", 30),
            thread(2, "idle", 20),
            thread(3, "new", 40),
        ];
        let spent = Thread::spent(&before, &after);
        let expected = [("new", 40), ("main", 20)];
        let expected = expected.map(|(name, ms)| (name.to_owned(), Duration::from_millis(ms)));
        assert_eq!(spent, expected);
        assert!(!Thread::all(std::process::id()).is_empty());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Usage::own().rss_kib > 100);
        assert!(Usage::of(0).is_err());
    }
}
