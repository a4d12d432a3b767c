//! A `lockgate` process: started with free ports, read from, and gone when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Nothing here takes long; what takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command that no variable of the tests' environment reaches.
pub(crate) fn lockgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a command that ends by itself said: exit code, stdout, stderr.
pub(crate) fn output(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A node in a process of its own.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// What it printed once it listened.
    pub(crate) banner: String,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts a node on free ports, with these keys set.
    pub(crate) fn start(sets: &[&str]) -> Self {
        let mut command = lockgate();
        command.arg("run");
        Self::spawn(command, sets)
    }

    /// Starts a node by a command that ends in `lockgate run`.
    pub(crate) fn spawn(mut command: Command, sets: &[&str]) -> Self {
        for set in [
            "rtmp.listen=127.0.0.1:0",
            "http.listen=127.0.0.1:0",
            "webrtc.listen=127.0.0.1:0",
        ]
        .iter()
        .chain(sets)
        {
            command.args(["--set", set]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let stdout = lines(child.stdout.take().unwrap());
        let mut banner = String::new();
        while let Ok(line) = stdout.recv_timeout(PATIENCE) {
            banner.push_str(&line);
            banner.push('\n');
            if line.contains("Ctrl-C") {
                break;
            }
        }
        assert!(
            banner.contains("Ctrl-C"),
            "it did not start: {banner} {:?}",
            log.try_iter().collect::<Vec<_>>()
        );
        Self {
            child,
            banner,
            log,
            seen: Vec::new(),
        }
    }

    /// Where it listens for RTMP, as it printed.
    pub(crate) fn rtmp(&self) -> SocketAddr {
        self.address("rtmp://")
    }

    /// Where it listens for HTTP, as it printed.
    pub(crate) fn http(&self) -> SocketAddr {
        self.address("http://")
    }

    fn address(&self, scheme: &str) -> SocketAddr {
        let url = self.banner.split(scheme).nth(1).unwrap();
        url.split('/').next().unwrap().parse().unwrap()
    }

    /// `GET path`: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"))
    }

    /// Sends a request's head, to which this adds what ends it, and reads the whole answer.
    pub(crate) fn request(&self, head: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    /// The value of a metric, 0 if it is not there. `name` is the whole left side of the line.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric is at least `value`.
    pub(crate) fn until_metric(&self, name: &str, value: f64) {
        until(
            || self.metric(name) >= value,
            &format!("{name} to be {value}"),
        );
    }

    /// Waits for a log line that holds `text`, and returns it.
    pub(crate) fn until_log(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("no {text:?} in {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Every log line so far.
    pub(crate) fn log(&mut self) -> &[String] {
        self.seen.extend(self.log.try_iter());
        &self.seen
    }

    /// Sends signals by their names, one right after the other.
    pub(crate) fn signal(&self, names: &[&str]) {
        let id = self.child.id();
        let script: String = names
            .iter()
            .map(|name| format!("kill -{name} {id};"))
            .collect();
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until(
            || self.child.try_wait().unwrap().is_some(),
            "the process to end",
        );
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is yes.
pub(crate) fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
