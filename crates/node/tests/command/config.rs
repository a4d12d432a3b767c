//! `lockgate config`, `--help`, `--version`, and what bad usage and bad configs end with.

use std::io::Write;

use tempfile::NamedTempFile;

use crate::process::{lockgate, output};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn run(args: &[&str]) -> (i32, String, String) {
    output(lockgate().args(args))
}

#[test]
fn version_and_help_are_no_errors_and_teach() {
    let (code, stdout, _) = run(&["--version"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, concat!("lockgate ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let (code, stdout, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for taught in [
        "lockgate run\n",
        "ffmpeg -re -i",
        "ffplay rtmp://",
        "Exit codes: 0",
        "LOCKGATE_LOG__FORMAT",
    ] {
        assert!(stdout.contains(taught), "{taught:?} is not in {stdout}");
    }
    let (code, stdout, _) = run(&["run", "--help"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("--set rtmp.listen="), "{stdout}");
}

#[test]
fn bad_usage_exits_64() {
    for args in [
        &[][..],
        &["fly"],
        &["run", "--fast"],
        &["config"],
        &["config", "check"],
        &["run", "--config"],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (64, ""), "{args:?}");
        assert!(stderr.contains("--help"), "{stderr}");
    }
}

#[test]
fn a_bad_config_exits_64_with_one_line_before_anything_starts() {
    let unknown = file("[rtmp]\nport = 1935\n");
    let broken = file("[rtmp\n");
    let [unknown, broken] = [&unknown, &broken].map(|file| file.path().to_str().unwrap());
    for (args, expected) in [
        (
            &["run", "--config", "/nonexistent"][..],
            "lockgate: cannot read the config file /nonexistent: ",
        ),
        (
            &["run", "--config", unknown],
            "lockgate: rtmp.port: no such key; expected one of `listen`",
        ),
        (
            &["config", "check", unknown],
            "lockgate: rtmp.port: no such key; expected one of `listen`",
        ),
        (
            &["run", "--config", broken],
            " line 1, column 6: not TOML: ",
        ),
        (
            &["run", "--set", "rtmp.listen=1935"],
            "lockgate: rtmp.listen = \"1935\": expected an IP address and a port",
        ),
        (
            &["run", "--set", "http.listen=0.0.0.0:0"],
            "lockgate: http.listen = \"0.0.0.0:0\": off loopback the API needs a bearer token: set api.token",
        ),
        (
            &["config", "show", "--set", "limits.players=0"],
            "lockgate: limits.players = 0: expected a nonzero u32 (from --set)",
        ),
        (
            &["run", "--set", "rtmp.listen"],
            "lockgate: --set rtmp.listen: expected key=value",
        ),
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (64, ""), "{args:?} {stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn check_judges_a_file_as_run_would_with_the_environment_over_it() {
    let file = file("[http]\nlisten = \"0.0.0.0:8080\"\n");
    let path = file.path().to_str().unwrap();
    let (code, _, stderr) = run(&["config", "check", path]);
    assert_eq!(code, 64);
    assert!(
        stderr.contains(&format!("(from {path} line 2)")),
        "{stderr}"
    );
    let (code, stdout, _) = output(
        lockgate()
            .args(["config", "check", path])
            .env("LOCKGATE_API__TOKEN", "secret"),
    );
    assert_eq!((code, stdout), (0, format!("{path}: ok\n")));
}

#[test]
fn show_layers_file_environment_and_set() {
    let file =
        file("[log]\nfilter = \"debug\"\n[egress]\nmax_hold = \"20ms\"\n[limits]\nplayers = 3\n");
    let (code, stdout, _) = output(
        lockgate()
            .args(["config", "show", "--config", file.path().to_str().unwrap()])
            .args(["--set", "limits.players=5"])
            .env("LOCKGATE_EGRESS__MAX_HOLD", "30ms")
            .env("LOCKGATE_LIMITS__PLAYERS", "4")
            .env("LOCKGATE_API__TOKEN", "hunter2"),
    );
    assert_eq!(code, 0);
    let shown: toml::Table = stdout.parse().unwrap();
    assert_eq!(shown["log"]["filter"].as_str(), Some("debug"));
    assert_eq!(shown["egress"]["max_hold"].as_str(), Some("30ms"));
    assert_eq!(shown["limits"]["players"].as_integer(), Some(5));
    assert_eq!(shown["rtmp"]["listen"].as_str(), Some("127.0.0.1:1935"));
    assert_eq!(shown["api"]["token"].as_str(), Some("…"));
}

#[test]
fn a_bad_variable_is_named() {
    let (code, _, stderr) = output(
        lockgate()
            .arg("run")
            .env("LOCKGATE_SHUTDOWN__GRACE", "soon"),
    );
    assert_eq!(code, 64);
    assert!(
        stderr.starts_with("lockgate: shutdown.grace = \"soon\": expected a duration"),
        "{stderr}"
    );
    assert!(
        stderr.ends_with("(from LOCKGATE_SHUTDOWN__GRACE)\n"),
        "{stderr}"
    );
}
