//! HTTP as clients meet it: on a socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::{PATIENCE, Running};
use crate::rtmp_peer::RtmpPeer;

#[test]
fn probes_scrapers_and_people_get_their_pages() {
    let node = Running::start(&[]);
    assert_eq!(node.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(node.get("/readyz"), (200, "ready\n".to_owned()));
    let (status, page) = node.get("/");
    assert_eq!(status, 200);
    assert!(
        page.contains("/metrics") && page.contains("/api/v1/openapi.json"),
        "{page}"
    );
    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    let version = concat!(
        "lockgate_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    );
    assert!(text.lines().any(|line| line == version), "{text}");
    assert!(text.contains("\nprocess_open_fds "), "{text}");
    let (status, document) = node.get("/api/v1/openapi.json");
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn a_publisher_is_seen_and_kicked() {
    let node = Running::start(&[]);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
    let (status, stream) = node.get("/api/v1/streams/live/a");
    assert_eq!(status, 200, "{stream}");
    let stream: Value = serde_json::from_str(&stream).unwrap();
    assert_eq!(stream["state"], "live");
    assert_eq!(stream["publisher"]["peer"], peer.local_addr().to_string());
    let id = stream["publisher"]["connection"].as_u64().unwrap();
    let kick = format!("DELETE /api/v1/connections/{id} HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!(node.request(&kick).0, 204);
    assert_eq!(peer.until_status(), "NetStream.Publish.Failed");
    assert_eq!(node.request(&kick).0, 404);
}

#[test]
fn a_token_is_judged_wherever_it_comes_from() {
    let node = Running::start(&["api.token=the-token"]);
    let ask = |headers: &str| {
        let head = format!("GET /api/v1/streams HTTP/1.1\r\n{headers}");
        let (status, body) = node.request(&head);
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask("Host: localhost\r\n").0, 200);
    assert_eq!(
        ask("Host: proxy.example\r\n"),
        (401, "token_missing".to_owned())
    );
    assert_eq!(
        ask("Host: proxy.example\r\nAuthorization: Bearer the-token\r\n").0,
        200
    );
    assert_eq!(
        ask("Host: localhost\r\nAuthorization: Bearer a-token\r\n"),
        (401, "token_wrong".to_owned())
    );
}

#[test]
fn one_connection_serves_many_requests() {
    let node = Running::start(&[]);
    let mut stream = TcpStream::connect(node.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn the_json_log_is_json_and_carries_the_connection() {
    let mut node = Running::start(&["log.format=json"]);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
    let line = node.until_log("\"publishing\"");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["app"], "live");
    assert_eq!(line["span"]["stream"], "a");
    assert_eq!(line["span"]["peer"], peer.local_addr().to_string());
    for line in node.log() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}
