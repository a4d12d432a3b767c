//! Limits and hostile peers: refused, counted, and told in one line; the node lives on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::process::{PATIENCE, Running, until};
use crate::rtmp_peer::RtmpPeer;

/// True once the node has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Closing with unread bytes is a reset.
    matches!(stream.read(&mut [0]), Ok(0))
        || matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn refused(reason: &str) -> String {
    format!("lockgate_connections_refused_total{{reason=\"{reason}\"}}")
}

fn failed(reason: &str) -> String {
    format!("lockgate_handshake_failures_total{{reason=\"{reason}\"}}")
}

#[test]
fn connections_beyond_a_limit_are_closed_counted_and_logged_once() {
    for (limit, reason) in [
        ("limits.connections=1", "connections"),
        ("limits.connections_per_ip=1", "connections_per_ip"),
        ("limits.pending_handshakes=1", "pending_handshakes"),
    ] {
        let mut node = Running::start(&[limit]);
        let _first = TcpStream::connect(node.rtmp()).unwrap();
        node.until_metric("lockgate_connections{protocol=\"rtmp\"}", 1.0);
        for _ in 0..3 {
            assert!(
                is_closed(&mut TcpStream::connect(node.rtmp()).unwrap()),
                "{reason}"
            );
        }
        node.until_metric(&refused(reason), 3.0);
        let line = node.until_log("connections refused");
        assert!(
            line.contains(&format!("limits.{reason} is reached")),
            "{line}"
        );
        let lines = node
            .log()
            .iter()
            .filter(|line| line.contains("refused"))
            .count();
        assert_eq!(lines, 1);
    }
}

#[test]
fn players_behind_a_trusted_proxy_are_counted_one_by_one() {
    let node = Running::start(&[
        "limits.connections_per_ip=1",
        "http.trusted_proxies=[\"127.0.0.1\"]",
        "egress.wait_for_publisher=\"10ms\"",
    ]);
    let _first = TcpStream::connect(node.rtmp()).unwrap();
    node.until_metric("lockgate_connections{protocol=\"rtmp\"}", 1.0);
    for (ask, answer) in [
        ("GET /live/a.flv HTTP/1.1\r\n", 404),
        (
            "POST /live/a/whep HTTP/1.1\r\nContent-Type: application/sdp\r\n",
            400,
        ),
        (
            "POST /live/a/whip HTTP/1.1\r\nContent-Type: application/sdp\r\n",
            400,
        ),
    ] {
        let own = format!("{ask}Host: localhost\r\n");
        assert_eq!(node.request(&own).0, 503, "{ask}");
        let told = format!("{own}X-Forwarded-For: 192.0.2.1\r\n");
        assert_eq!(node.request(&told).0, answer, "{ask}");
    }
}

#[test]
fn a_place_is_free_again_once_its_connection_ends() {
    let node = Running::start(&["limits.connections=1"]);
    for _ in 0..3 {
        let first = TcpStream::connect(node.rtmp()).unwrap();
        node.until_metric("lockgate_connections{protocol=\"rtmp\"}", 1.0);
        drop(first);
        until(
            || node.metric("lockgate_connections{protocol=\"rtmp\"}") < 1.0,
            "the place",
        );
    }
    assert_eq!(node.metric(&refused("connections")), 0.0);
}

#[test]
fn peers_that_speak_no_rtmp_or_nothing_end_alone() {
    let node = Running::start(&["rtmp.handshake_timeout=\"100ms\""]);
    let mut silent = TcpStream::connect(node.rtmp()).unwrap();
    assert!(is_closed(&mut silent));
    node.until_metric(&failed("timeout"), 1.0);
    let mut browser = TcpStream::connect(node.rtmp()).unwrap();
    browser
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(is_closed(&mut browser));
    let mut undecided = RtmpPeer::connect(node.rtmp(), "live");
    undecided.until_closed();
    node.until_metric(&failed("no_request"), 1.0);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
}

#[test]
fn running_out_of_file_descriptors_passes() {
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -n 40; exec {} run \"$@\"",
        env!("CARGO_BIN_EXE_lockgate")
    );
    command.args(["-c", &script, "sh"]);
    let mut node = Running::spawn(command, &[]);
    let warning = node.until_log("too few open files");
    assert!(warning.contains(r#""wanted":36200"#), "{warning}");
    assert!(warning.contains("signalling.sessions"), "{warning}");
    let crowd: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(node.rtmp()).unwrap())
        .collect();
    node.until_log("cannot accept a connection");
    drop(crowd);
    node.until_metric("lockgate_accept_errors_total{listener=\"rtmp\"}", 1.0);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
}

const KEYS: &str = "apps=[{name='studio', access='keys', publish_keys=['hunter2'], play_keys=['hunter3']}, {name='mini'}]";

#[test]
fn an_app_with_keys_takes_its_keys_alone_and_no_log_shows_them() {
    let mut node = Running::start(&[KEYS, "log.filter=trace"]);
    for (name, status) in [
        ("a?key=hunter2", "NetStream.Publish.Start"),
        ("b?key=hunter3", "NetStream.Publish.BadName"),
        ("b?key=guess-hunter2", "NetStream.Publish.BadName"),
        ("b", "NetStream.Publish.BadName"),
    ] {
        let mut peer = RtmpPeer::connect(node.rtmp(), "studio");
        assert_eq!(peer.publish(name), status, "{name}");
    }
    for (name, status) in [
        ("a?key=hunter3", "NetStream.Play.Reset"),
        ("a?key=hunter2", "NetStream.Play.Failed"),
    ] {
        let mut peer = RtmpPeer::connect(node.rtmp(), "studio");
        assert_eq!(peer.play(name), status, "{name}");
    }
    // The key may come with the app just as well.
    let mut peer = RtmpPeer::connect(node.rtmp(), "studio?key=hunter2");
    assert_eq!(peer.publish("c"), "NetStream.Publish.Start");
    let mut peer = RtmpPeer::connect(node.rtmp(), "mini");
    assert_eq!(peer.publish("a"), "NetStream.Publish.BadName");
    drop(peer);

    node.signal(&["TERM"]);
    node.until_log("stopped");
    let log = node.log().join("\n");
    assert!(log.contains("publishing"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn an_unknown_app_is_refused_at_connect() {
    let node = Running::start(&[]);
    let said = RtmpPeer::refused(node.rtmp(), "nowhere");
    assert!(said.contains("no app of this name"), "{said}");
    node.until_metric(&refused("unknown_app"), 1.0);
}
