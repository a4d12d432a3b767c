//! What `deploy/` holds is accepted by its own checkers, and fits the node that it deploys.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lockgate_node::{Config, Node};
use lockgate_tests::child::{self, Running};
use lockgate_tests::clips::Clip;
use lockgate_tests::tools;

const LONG: Duration = Duration::from_secs(60);

/// `systemd-analyze security` counts from 0 to 10; this is 1.5 of it.
const EXPOSURE: &str = "--threshold=15";

#[test]
fn prometheus_takes_its_config_and_the_rules_pass_their_tests() {
    let checks = [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ];
    for [verb, what, file] in checks {
        let mut promtool = tools::promtool().unwrap();
        promtool
            .args([verb, what])
            .arg(deploy("prometheus").join(file));
        child::run(promtool, LONG).unwrap();
    }
}

#[test]
fn every_alert_has_a_severity_and_a_runbook() {
    let rules = read("prometheus/rules.yaml");
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        for key in ["severity: ", "summary: ", "description: ", "runbook: |"] {
            assert_eq!(alert.matches(key).count(), 1, "{name}: {key}");
        }
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (index, query) in dashboard_queries().iter().enumerate() {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*");
        // JSON strings are YAML strings.
        let query = serde_json::to_string(&query).unwrap();
        writeln!(
            rules,
            "      - record: panel:query{index}\n        expr: {query}"
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dashboard.yaml");
    fs::write(&file, rules).unwrap();
    let mut promtool = tools::promtool().unwrap();
    promtool.args(["check", "rules"]).arg(file);
    child::run(promtool, LONG).unwrap();
}

#[test]
fn panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(
                taken.insert(cell),
                "{} lies on another panel",
                panel["title"]
            );
        }
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    // The check insists on the program's being there, which it is only where the unit is installed.
    let installed = read("systemd/lockgate.service");
    let program = "ExecStart=/usr/bin/lockgate ";
    assert_eq!(installed.matches(program).count(), 1);
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("lockgate.service");
    fs::write(&unit, installed.replace(program, "ExecStart=/bin/true ")).unwrap();

    let mut verify = tools::systemd_analyze().unwrap();
    verify.arg("verify").arg(&unit);
    let verified = child::run(verify, LONG).unwrap();
    assert_eq!(verified.text(), "", "warnings are mistakes as well");

    let mut security = tools::systemd_analyze().unwrap();
    security
        .args(["security", "--no-pager", "--offline=true", EXPOSURE])
        .arg(&unit);
    child::run(security, LONG).unwrap();
}

#[test]
fn tls_adds_the_right_to_port_443_to_the_unit_and_little_else() {
    let unit = read("systemd/lockgate.service").replace("/usr/bin/lockgate ", "/bin/true ");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lockgate.service");
    // A drop-in is read as if it stood at the unit's end.
    fs::write(&path, unit + &read("systemd/tls.conf")).unwrap();
    let mut verify = tools::systemd_analyze().unwrap();
    verify.arg("verify").arg(&path);
    let verified = child::run(verify, LONG).unwrap();
    assert_eq!(verified.text(), "", "warnings are mistakes as well");
    let mut security = tools::systemd_analyze().unwrap();
    security
        .args(["security", "--no-pager", "--offline=true", EXPOSURE])
        .arg(&path);
    child::run(security, LONG).unwrap();
}

#[test]
fn every_way_to_turn_tls_on_names_keys_of_the_config() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let pair = [
        ("CERT", made.cert.pem()),
        ("KEY", made.signing_key.serialize_pem()),
    ];
    let pair = pair.map(|(name, pem)| {
        let path = directory.path().join(name);
        fs::write(&path, pem).unwrap();
        (format!("LOCKGATE_TLS__{name}"), path.display().to_string())
    });
    for file in [
        "compose.tls.yaml",
        "systemd/tls.conf",
        "kubernetes-tls/deployment.yaml",
    ] {
        // NAME: value, NAME=value, and NAME above "value: value".
        let text = read(file).replace("value: ", "");
        let words: Vec<_> = text
            .split(|c: char| c.is_whitespace() || c == '=')
            .filter(|word| !word.is_empty())
            .collect();
        let named = words.windows(2).filter_map(|pair| {
            let name = pair[0].trim_end_matches(':');
            (name.starts_with("LOCKGATE_TLS__")).then_some((name, pair[1]))
        });
        let mut env: Vec<_> = named.collect();
        assert_eq!(env.len(), 4, "{file}: {env:?}");
        for (name, value) in &mut env {
            let files = pair.iter().find(|(key, _)| key == name);
            *value = files.map_or(*value, |(_, path)| path);
        }
        env.push(TOKEN);
        let tls = config(None, &env).unwrap().tls;
        assert!(tls.https.is_some() && tls.rtmps.is_some(), "{file}");
    }
}

#[test]
fn shell_scripts_pass_their_checker() {
    let mut scripts = vec![deploy("healthcheck.sh"), tools::workspace().join(".ci/run")];
    let entries = fs::read_dir(tools::workspace().join("scripts")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    scripts.extend(files.filter(|path| path.extension().is_some_and(|ending| ending == "sh")));
    let mut shellcheck = tools::shellcheck().unwrap();
    shellcheck.args(scripts);
    child::run(shellcheck, LONG).unwrap();
}

#[test]
fn shipped_configs_load_and_insist_on_a_token() {
    for file in ["lockgate.toml", "kubernetes/lockgate.toml"] {
        let bare = config(Some(file), &[]).unwrap_err();
        assert!(bare.contains("api.token"), "{file}: {bare}");
        config(Some(file), &[TOKEN]).unwrap();
    }
}

#[test]
fn apps_with_keys_come_from_the_environment_as_the_guide_says() {
    let guide = read("README.md");
    let (_, rest) = guide.split_once("--from-literal=LOCKGATE_APPS='").unwrap();
    let apps = rest
        .split('\'')
        .next()
        .unwrap()
        .replace('…', "a-long-enough-key");
    let secrets = [TOKEN, ("LOCKGATE_APPS", &apps)];
    let apps = config(Some("kubernetes/lockgate.toml"), &secrets)
        .unwrap()
        .apps;
    assert_eq!(apps.len(), 1);
    assert_eq!(apps[0].publish_keys.len(), 1);
}

#[test]
fn whoever_stops_the_node_gives_it_longer_than_its_grace() {
    let grace = |file| config(file, &[TOKEN]).unwrap().shutdown.grace;
    let given = |file: &str, key: &str| {
        let text = read(file);
        let (_, rest) = text.split_once(key).unwrap();
        let seconds: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Duration::from_secs(seconds.parse().unwrap())
    };
    let systemd = given("systemd/lockgate.service", "TimeoutStopSec=");
    assert!(systemd > grace(None));
    let compose = given("compose.yaml", "stop_grace_period: ");
    assert!(compose > grace(Some("lockgate.toml")));
    let kubernetes = given(
        "kubernetes/deployment.yaml",
        "terminationGracePeriodSeconds: ",
    );
    assert!(kubernetes > grace(Some("kubernetes/lockgate.toml")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_tells_a_live_node_from_one_that_hangs() {
    let node = node().await;
    let http = node.http_addr();
    let running = tokio::spawn(node.run(Default::default()));
    assert!(health_check(http.port()).await);
    running.abort();

    // Takes connections, as the kernel does for a node that hangs, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!health_check(mute.local_addr().unwrap().port()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_dashboard_name_what_the_node_exports_and_the_dashboard_leaves_nothing_out() {
    let node = node().await;
    let (rtmp, http) = (node.rtmp_addr(), node.http_addr());
    let running = tokio::spawn(node.run(Default::default()));
    // Counters by protocol or reason appear with their first event, so there has to be one of each.
    refuse_a_handshake(rtmp).await;
    refuse_a_publisher_and_a_player(rtmp).await;
    push_and_play(rtmp).await;
    let exported = exported(&get(http, "/metrics").await);
    running.abort();

    let rules = read("prometheus/rules.yaml");
    let recorded: BTreeSet<_> = rules
        .split("- record: ")
        .skip(1)
        .map(|rule| rule.lines().next().unwrap().to_owned())
        .collect();
    for (place, text) in [
        ("the rules", rules),
        ("the dashboard", read("grafana/lockgate.json")),
    ] {
        for name in metric_names(&text) {
            let known = exported.contains(base(&name, &exported)) || recorded.contains(&name);
            assert!(
                known,
                "{place} name {name}, which nothing exports; there are {exported:?}"
            );
        }
    }

    let shown = metric_names(&read("grafana/lockgate.json"));
    let shown: BTreeSet<_> = shown
        .iter()
        .map(|name| base(name, &exported).to_owned())
        .collect();
    let forgotten: Vec<_> = exported
        .iter()
        .filter(|name| name.starts_with("lockgate_") && !shown.contains(*name))
        .collect();
    assert!(forgotten.is_empty(), "not on the dashboard: {forgotten:?}");
}

const TOKEN: (&str, &str) = ("LOCKGATE_API__TOKEN", "0123456789abcdef");

/// The config of a file of `deploy/`, or the defaults, under an environment.
fn config(file: Option<&str>, env: &[(&str, &str)]) -> Result<Config, String> {
    let env = env
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let sets: [&str; 0] = [];
    Config::load(file.map(deploy).as_deref(), env, sets).map_err(|error| error.to_string())
}

async fn node() -> Node {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let sets = [
        "rtmp.listen=127.0.0.1:0",
        "http.listen=127.0.0.1:0",
        "tls.https=127.0.0.1:0",
        &format!("tls.cert={}", cert.display()),
        &format!("tls.key={}", key.display()),
        "webrtc.listen=127.0.0.1:0",
        r#"apps=[{name = "live", access = "open"}, {name = "closed", access = "signed"}]"#,
    ];
    Node::load(Config::load(None, [], sets).unwrap())
        .await
        .unwrap()
}

fn deploy(path: &str) -> PathBuf {
    tools::workspace().join("deploy").join(path)
}

fn read(path: &str) -> String {
    let path = deploy(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> serde_json::Value {
    serde_json::from_str(&read("grafana/lockgate.json")).unwrap()
}

fn dashboard_queries() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() > 30);
    queries
}

/// Every metric that `text` names, and every recorded one, which has colons.
fn metric_names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| {
            let name = word.strip_prefix("instance:").unwrap_or(word);
            name.starts_with("lockgate_") || name.starts_with("process_")
        })
        .map(str::to_owned)
        .collect()
}

/// The metric that a series belongs to: a histogram's has three suffixes.
fn base<'a>(series: &'a str, exported: &BTreeSet<String>) -> &'a str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| series.strip_suffix(suffix))
        .find(|name| exported.contains(*name))
        .unwrap_or(series)
}

/// The names of `/metrics`, from its `# TYPE name kind` lines.
fn exported(metrics: &str) -> BTreeSet<String> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect()
}

async fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let answer = blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    })
    .await;
    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    answer
}

/// Sends what no version of the handshake begins with, and waits until the node hangs up.
async fn refuse_a_handshake(rtmp: SocketAddr) {
    blocking(move || {
        let mut socket = TcpStream::connect(rtmp).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // A reset is as good as an end.
        let _ = socket.read_to_end(&mut Vec::new());
    })
    .await;
}

async fn refuse_a_publisher_and_a_player(rtmp: SocketAddr) {
    let url = format!("rtmp://{rtmp}/closed/deploy");
    let clip = blocking(|| Clip::H264Aac.path().unwrap()).await;
    let mut push = tools::ffmpeg().unwrap();
    push.arg("-i")
        .arg(clip)
        .args(["-c", "copy", "-f", "flv", &url]);
    let mut play = tools::ffmpeg().unwrap();
    play.args(["-i", &url, "-f", "null", "-"]);
    for client in [push, play] {
        let refused = Running::start(client)
            .unwrap()
            .finished(LONG)
            .await
            .unwrap();
        assert!(!refused.status.success());
    }
}

async fn push_and_play(rtmp: SocketAddr) {
    let url = format!("rtmp://{rtmp}/live/deploy");
    let clip = blocking(|| Clip::H264Aac.path().unwrap()).await;
    let mut push = tools::ffmpeg().unwrap();
    push.arg("-re")
        .arg("-i")
        .arg(clip)
        .args(["-c", "copy", "-f", "flv", &url]);
    let publisher = Running::start(push).unwrap();
    let mut play = tools::ffmpeg().unwrap();
    play.args(["-i", &url, "-t", "1", "-c", "copy", "-f", "null", "-"]);
    let played = Running::start(play).unwrap().finished(LONG).await.unwrap();
    assert!(
        played.status.success(),
        "{}; the publisher: {}",
        played.text(),
        publisher.stderr()
    );
}

async fn health_check(port: u16) -> bool {
    let mut script = Command::new(deploy("healthcheck.sh"));
    script.arg(port.to_string());
    Running::start(script)
        .unwrap()
        .finished(LONG)
        .await
        .unwrap()
        .status
        .success()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
