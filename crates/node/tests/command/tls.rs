//! TLS as an operator meets it: what a bad `[tls]` ends with, and what a good one prints and logs.

use std::fs;

use tempfile::TempDir;

use crate::process::{Running, lockgate, output};

/// A folder with a certificate and its key, and another key.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "other-"] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = |file: &str| folder.path().join(format!("{name}{file}"));
        fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    }
    folder
}

#[test]
fn a_pair_that_does_not_fit_exits_64_and_names_key_and_file() {
    let folder = folder();
    let set = |key: &str, file: &str| format!("tls.{key}={}/{file}", folder.path().display());
    let rtmps = "tls.rtmps=127.0.0.1:0".to_owned();
    let https = "tls.https=127.0.0.1:0".to_owned();
    for (sets, expected) in [
        (
            vec![rtmps.clone()],
            "tls.cert: expected a PEM file, because tls.rtmps is set",
        ),
        (
            vec![https.clone(), set("cert", "cert.pem")],
            "tls.key: expected a PEM file, because tls.https is set",
        ),
        (
            vec![set("key", "key.pem")],
            "tls.cert: expected a PEM file: a certificate and its key go together",
        ),
        (
            vec![
                rtmps.clone(),
                set("cert", "absent.pem"),
                set("key", "key.pem"),
            ],
            "/absent.pem: No such file or directory",
        ),
        (
            vec![
                rtmps.clone(),
                set("cert", "cert.pem"),
                set("key", "other-key.pem"),
            ],
            "/other-key.pem is not that of the first certificate in ",
        ),
        (
            vec!["tls.https=0.0.0.0:0".to_owned()],
            "tls.https = \"0.0.0.0:0\": off loopback the API needs a bearer token",
        ),
        (
            vec!["tls.rtmps=443".to_owned()],
            "tls.rtmps = \"443\": expected an IP address and a port such as \"0.0.0.0:443\"",
        ),
    ] {
        let mut command = lockgate();
        command.args(["run", "--set", "rtmp.listen=127.0.0.1:0"]);
        command.args(["--set", "webrtc.listen=127.0.0.1:0"]);
        for set in &sets {
            command.args(["--set", set]);
        }
        let (code, stdout, stderr) = output(&mut command);
        assert_eq!((code, stdout.as_str()), (64, ""), "{sets:?} {stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(
            stderr.starts_with("lockgate: tls.") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn listeners_behind_tls_are_printed_and_a_spoilt_pair_is_logged_once() {
    let folder = folder();
    let set = |key: &str| format!("tls.{key}={}/{key}.pem", folder.path().display());
    let mut node = Running::start(&[
        &set("cert"),
        &set("key"),
        "tls.rtmps=127.0.0.1:0",
        "tls.https=127.0.0.1:0",
    ]);
    assert!(
        node.banner.contains("  TLS      rtmps://127.0.0.1:"),
        "{}",
        node.banner
    );
    assert!(
        node.banner.contains("  TLS      https://127.0.0.1:"),
        "{}",
        node.banner
    );

    fs::write(folder.path().join("key.pem"), "half a ke").unwrap();
    let line = node.until_log("the old one stays");
    assert!(line.contains("WARN") && line.contains("tls.key"), "{line}");
    assert!(!line.contains("half a ke"), "{line}");
    for file in ["cert.pem", "key.pem"] {
        let other = folder.path().join(format!("other-{file}"));
        fs::copy(other, folder.path().join(file)).unwrap();
    }
    node.until_log("TLS certificate reloaded");
    let told = node
        .log()
        .iter()
        .filter(|line| line.contains("the old one stays"))
        .count();
    assert_eq!(told, 1);
}
