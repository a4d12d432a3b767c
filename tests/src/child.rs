//! A client under test: a child process that ends with its guard.
//!
//! What it prints is drained as it comes, so a chatty child never blocks on a full pipe, and kept within
//! bounds. Waiting always has a deadline.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The end of stderr is where a client says why it failed.
const STDERR_KEPT: usize = 64 * 1024;
/// Enough for a clip or a report; past it a child has run away.
const STDOUT_KEPT: usize = 64 * 1024 * 1024;
/// How often a child that has closed its pipes is asked whether it has exited.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// A started child. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Arc<Capture>,
    stderr: Arc<Capture>,
}

/// A child that has exited by itself.
#[derive(Debug)]
pub struct Finished {
    name: String,
    /// How it exited.
    pub status: ExitStatus,
    /// The first 64 MiB that it wrote.
    pub stdout: Vec<u8>,
    /// The last 64 KiB that it wrote.
    pub stderr: String,
}

impl Running {
    /// Starts `command` with no stdin, and with stdout and stderr captured.
    pub fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stdout = Capture::of(child.stdout.take(), Keep::First(STDOUT_KEPT));
        let stderr = Capture::of(child.stderr.take(), Keep::Last(STDERR_KEPT));
        Ok(Self {
            name,
            child,
            stdout,
            stderr,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr, the last 64 KiB of it.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to stdout, the first 64 MiB of it.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Whether it has not exited yet.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self
            .child
            .try_wait()
            .with_context(|| format!("asking after {}", self.name))?
            .is_none())
    }

    /// Returns once stderr holds `text`.
    ///
    /// # Errors
    /// When the deadline passes, or stderr ends without it.
    pub fn wait_for_stderr(&self, text: &str, deadline: Duration) -> Result<()> {
        self.wait_for("stderr", &self.stderr, text, deadline)
    }

    /// Returns once stdout holds `text`.
    ///
    /// # Errors
    /// When the deadline passes, or stdout ends without it.
    pub fn wait_for_stdout(&self, text: &str, deadline: Duration) -> Result<()> {
        self.wait_for("stdout", &self.stdout, text, deadline)
    }

    /// Sends a signal by its name without `SIG`, such as `TERM`, `INT`, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        // The shell has `kill` built in, and the workspace forbids the unsafe call.
        let status = Command::new("sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "sh",
                signal,
                &self.id().to_string(),
            ])
            .status()
            .context("running sh")?;
        if !status.success() {
            bail!("sending {signal} to {}: {status}", self.name);
        }
        Ok(())
    }

    /// Kills it at once and reaps it, as a crash would.
    pub fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it exits by itself; past the deadline it is killed.
    ///
    /// Blocks the thread: in async tests use [`Running::finished`].
    ///
    /// # Errors
    /// When the deadline passes. How it exited is no error: see [`Finished::success`].
    pub fn wait_with_deadline(mut self, deadline: Duration) -> Result<Finished> {
        let end = Instant::now() + deadline;
        // Pipes end when the child does, so they wake this thread; only a child that closes them early is polled.
        let closed =
            self.stderr.wait(end, |seen| seen.ended) && self.stdout.wait(end, |seen| seen.ended);
        let status = loop {
            match self
                .child
                .try_wait()
                .with_context(|| format!("waiting for {}", self.name))?
            {
                Some(status) => break status,
                None if !closed || Instant::now() >= end => {
                    self.kill();
                    bail!(
                        "{} did not end within {deadline:?}; its stderr: {}",
                        self.name,
                        self.stderr()
                    );
                }
                None => std::thread::sleep(EXIT_POLL),
            }
        };
        Ok(Finished {
            name: self.name.clone(),
            status,
            stdout: self.stdout.take(),
            stderr: self.stderr(),
        })
    }

    /// [`Running::wait_with_deadline`] for async tests: the runtime's threads stay free.
    pub async fn finished(self, deadline: Duration) -> Result<Finished> {
        tokio::task::spawn_blocking(move || self.wait_with_deadline(deadline))
            .await
            .context("waiting for a child")?
    }

    fn wait_for(
        &self,
        pipe: &str,
        capture: &Capture,
        text: &str,
        deadline: Duration,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        if capture.wait(end, |seen| seen.holds(text) || seen.ended) && capture.lock().holds(text) {
            return Ok(());
        }
        bail!(
            "{} did not say {text:?} on {pipe} within {deadline:?}; its stderr: {}",
            self.name,
            self.stderr()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Finished {
    /// Itself, when it exited with 0.
    ///
    /// # Errors
    /// Any other exit, with what it wrote to stderr.
    pub fn success(self) -> Result<Self> {
        if !self.status.success() {
            bail!("{} ended with {}: {}", self.name, self.status, self.text());
        }
        Ok(self)
    }

    /// What it wrote to stdout: what a client answers, where warnings on stderr are none of it.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Everything that it wrote, as far as it was kept.
    pub fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), self.stderr)
    }
}

/// Runs `command` to its end and takes nothing but success.
pub fn run(command: Command, deadline: Duration) -> Result<Finished> {
    Running::start(command)?
        .wait_with_deadline(deadline)?
        .success()
}

/// Which part of a pipe's bytes is kept when there are too many.
#[derive(Debug, Clone, Copy)]
enum Keep {
    First(usize),
    Last(usize),
}

/// What has come out of one pipe so far.
#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

#[derive(Debug)]
struct Capture {
    keep: Keep,
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Seen {
    fn holds(&self, text: &str) -> bool {
        text.is_empty()
            || self
                .bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
    }
}

impl Capture {
    /// Drains `pipe` on a thread of its own, which ends with the pipe.
    fn of(pipe: Option<impl Read + Send + 'static>, keep: Keep) -> Arc<Self> {
        let capture = Arc::new(Self {
            keep,
            seen: Mutex::default(),
            changed: Condvar::new(),
        });
        let Some(mut pipe) = pipe else {
            capture.lock().ended = true;
            return capture;
        };
        let writer = Arc::clone(&capture);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(read) if read > 0 => writer.push(buffer.get(..read).unwrap_or_default()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => break,
                }
            }
            writer.lock().ended = true;
            writer.changed.notify_all();
        });
        capture
    }

    fn push(&self, bytes: &[u8]) {
        let mut seen = self.lock();
        match self.keep {
            Keep::First(bound) => {
                let room = bound.saturating_sub(seen.bytes.len()).min(bytes.len());
                seen.bytes
                    .extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            Keep::Last(bound) => {
                seen.bytes.extend_from_slice(bytes);
                let excess = seen.bytes.len().saturating_sub(bound);
                seen.bytes.drain(..excess);
            }
        }
        drop(seen);
        self.changed.notify_all();
    }

    /// Waits until `done` holds; false when `end` comes first.
    fn wait(&self, end: Instant, done: impl Fn(&Seen) -> bool) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), left, |seen| !done(seen));
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&seen)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_captured() {
        let done = Running::start(shell("echo out; echo err >&2; exit 3"))
            .unwrap()
            .wait_with_deadline(LONG)
            .unwrap();
        assert_eq!(
            (done.stdout.as_slice(), done.stderr.as_str()),
            (b"out\n".as_slice(), "err\n")
        );
        assert_eq!(done.status.code(), Some(3));
        let error = done.success().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("err"),
            "{error}"
        );
    }

    #[test]
    fn a_child_past_its_deadline_is_killed_and_named() {
        let running = Running::start(shell("echo stuck >&2; exec sleep 600")).unwrap();
        running.wait_for_stderr("stuck", LONG).unwrap();
        let id = running.id();
        let error = running
            .wait_with_deadline(Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("did not end within 50ms") && error.contains("stuck"),
            "{error}"
        );
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn dropping_the_guard_ends_the_child() {
        let running = Running::start(shell("exec sleep 600")).unwrap();
        let id = running.id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_chatty_child_is_drained_and_its_last_words_kept() {
        let script =
            "head -c 300000 /dev/zero | tr '\\0' x >&2; echo last >&2; head -c 300000 /dev/zero";
        let done = run(shell(script), LONG).unwrap();
        assert_eq!(done.stderr.len(), STDERR_KEPT);
        assert!(done.stderr.ends_with("xlast\n"));
        assert_eq!(done.stdout.len(), 300_000);
    }

    #[test]
    fn signals_reach_the_child() {
        let running = Running::start(shell(
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        ))
        .unwrap();
        running.wait_for_stdout("ready", LONG).unwrap();
        running.signal("TERM").unwrap();
        assert_eq!(
            running.wait_with_deadline(LONG).unwrap().status.code(),
            Some(7)
        );
    }

    #[test]
    fn waiting_for_words_ends_when_the_pipe_does() {
        let running = Running::start(shell("echo something else >&2")).unwrap();
        let begun = Instant::now();
        assert!(running.wait_for_stderr("never said", LONG).is_err());
        assert!(begun.elapsed() < LONG);
    }
}
