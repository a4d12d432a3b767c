//! A node on ports that the system picks, in this process or in one of its own, gone when it is
//! dropped.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockgate_node::{Addresses, Config, Node};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::child::Running;

/// How long a condition may take to come true before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub struct TestNode {
    addresses: Addresses,
    rtmp: SocketAddr,
    http: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<Result<()>>>,
    process: Option<Running>,
}

impl TestNode {
    /// The default config.
    ///
    /// # Errors
    /// When the node does not start.
    pub fn start() -> Result<Self> {
        Self::with(|_| {})
    }

    /// The default config with changes.
    ///
    /// # Errors
    /// When the node does not start.
    pub fn with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let mut config = Config::default();
        config.rtmp.listen.set_port(0);
        config.http.listen.set_port(0);
        config.webrtc.listen = config.webrtc.listen.map(|listen| (listen.ip(), 0).into());
        change(&mut config);
        let stop = CancellationToken::new();
        let (bound, started) = mpsc::channel();
        let until = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let node = Node::load(config).await?;
                bound.send(node.addresses())?;
                node.run(until).await
            })
        });
        let addresses = started.recv().context("the node did not start")?;
        Ok(Self {
            addresses,
            rtmp: addresses.rtmp,
            http: addresses.http,
            stop,
            thread: Some(thread),
            process: None,
        })
    }

    /// A process of its own, by a command that ends in `lockgate run`, with these keys set.
    ///
    /// # Errors
    /// When the node does not start.
    pub fn spawn(mut command: Command, sets: &[&str]) -> Result<Self> {
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
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LOCKGATE_") {
                command.env_remove(name);
            }
        }
        let process = Running::start(command)?;
        process.wait_for_stdout("Ctrl-C", PATIENCE)?;
        let banner = process.stdout();
        let address = |scheme: &str| -> Result<SocketAddr> {
            let rest = banner.split_once(scheme).context("no address")?.1;
            Ok(rest.split_once('/').context("no address")?.0.parse()?)
        };
        let (rtmp, http) = (address("rtmp://")?, address("http://")?);
        Ok(Self {
            addresses: Addresses {
                rtmp,
                http,
                rtmps: None,
                https: None,
                webrtc: None,
            },
            rtmp,
            http,
            stop: CancellationToken::new(),
            thread: None,
            process: Some(process),
        })
    }

    /// Where everything listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The process of a node that has one.
    pub fn process(&self) -> Option<&Running> {
        self.process.as_ref()
    }

    /// Where RTMP listens.
    pub fn rtmp(&self) -> SocketAddr {
        self.rtmp
    }

    /// The URL of a stream in the default app.
    pub fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.rtmp)
    }

    /// The URL of a stream in the default app, as FLV over HTTP.
    pub fn flv(&self, name: &str) -> String {
        format!("http://{}/live/{name}.flv", self.http)
    }

    /// GETs a path of the API.
    ///
    /// # Errors
    /// Anything but 200 and JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        let url = format!("http://{}{path}", self.http);
        Ok(agent().get(&url).call()?.body_mut().read_json()?)
    }

    /// PATCHes a path of the API with JSON.
    ///
    /// # Errors
    /// Anything but success.
    pub fn patch(&self, path: &str, body: &Value) -> Result<()> {
        let url = format!("http://{}{path}", self.http);
        agent().patch(&url).send_json(body)?;
        Ok(())
    }

    /// DELETEs a path of the API.
    ///
    /// # Errors
    /// Anything but success.
    pub fn delete(&self, path: &str) -> Result<()> {
        let url = format!("http://{}{path}", self.http);
        agent().delete(&url).call()?;
        Ok(())
    }

    /// The sum of a metric over its labels that contain `label`; 0 when it is not there.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let url = format!("http://{}/metrics", self.http);
        let text = agent().get(&url).call()?.body_mut().read_to_string()?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let bare = series.split('{').next()?;
            (bare == name && series.contains(label)).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// Waits until `condition` gives something.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub fn wait_for<T>(
        &self,
        what: &str,
        mut condition: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = condition(self)? {
                return Ok(found);
            }
            ensure!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a stream of the default app has a publisher and media.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_live(&self, name: &str) -> Result<Value> {
        self.wait_for(&format!("live/{name} to be live"), |node| {
            let Ok(stream) = node.get(&format!("/api/v1/streams/live/{name}")) else {
                return Ok(None);
            };
            let has_media = stream["ring"]["packets"].as_u64() > Some(0);
            Ok((stream["state"] == "live" && has_media).then_some(stream))
        })
    }

    /// The players of a stream of the default app, as the API shows them, oldest first.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn players(&self, name: &str) -> Result<Vec<Value>> {
        let page = self.get(&format!("/api/v1/players?app=live&name={name}"))?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }

    /// Turns the operator's switches on the gate of a stream's only player.
    ///
    /// # Errors
    /// When it has none, or the node refuses.
    pub fn turn(&self, name: &str, switches: &Value) -> Result<()> {
        let players = self.players(name)?;
        let [player] = players.as_slice() else {
            anyhow::bail!("live/{name} has {} players", players.len());
        };
        self.patch(
            &format!("/api/v1/players/{}/gate", player["connection"]),
            switches,
        )
    }

    /// Waits until nobody is connected and nothing is held: every gauge is back at 0.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn wait_quiet(&self) -> Result<()> {
        for gauge in [
            "lockgate_connections",
            "lockgate_publishers",
            "lockgate_players",
            "lockgate_streams",
            "lockgate_ring_bytes",
            "lockgate_ring_packets",
        ] {
            // Who asks for the metrics is connected by HTTP.
            let label = if gauge == "lockgate_connections" {
                "rtmp"
            } else {
                ""
            };
            self.wait_metric(gauge, label, 0.0)?;
        }
        Ok(())
    }

    /// Waits until a metric has this value.
    ///
    /// # Errors
    /// When it never has.
    pub fn wait_metric(&self, name: &str, label: &str, value: f64) -> Result<()> {
        let mut last = 0.0;
        self.wait_for("a metric", |node| {
            last = node.metric(name, label)?;
            Ok((last == value).then_some(()))
        })
        .with_context(|| format!("{name} of {label:?} is {last} and not {value}"))
    }

    /// Bytes of memory the node's process uses.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn memory(&self) -> Result<f64> {
        self.metric("process_resident_memory_bytes", "")
    }

    /// Waits until a stream has this many players.
    ///
    /// # Errors
    /// When it never has.
    pub fn wait_players(&self, name: &str, count: u64) -> Result<()> {
        self.wait_for(&format!("{count} players of live/{name}"), |node| {
            let stream = node.get(&format!("/api/v1/streams/live/{name}")).ok();
            let players = stream
                .and_then(|stream| stream["players"].as_u64())
                .unwrap_or(0);
            Ok((players == count).then_some(()))
        })
    }

    /// Asks the node to stop, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops the node and says how that went.
    ///
    /// # Errors
    /// What its run returned, or that it panicked.
    pub fn join(mut self) -> Result<()> {
        self.stop.cancel();
        let thread = self.thread.take().context("joined once")?;
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("the node panicked"))?
    }
}

/// A node that answers nobody fails a test instead of holding it for ever.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE));
    config.build().into()
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A failed test is already failing; what the node's end adds is not news.
            let _ = thread.join();
        }
    }
}
