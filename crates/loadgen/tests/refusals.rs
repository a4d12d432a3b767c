//! Servers that refuse, that are none, or that say nothing sensible: the run ends, and says why.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails as the test does"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::time::Duration;

use lockgate_loadgen::{Load, Protocol, Report, Target};

/// A server that gives everybody the same answer, for as long as the test's process lasts.
fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            // The head, and an offer behind it if there is one.
            while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
                let read = socket.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
                if read == 0 {
                    break;
                }
            }
            let _ = socket.write_all(answer.as_bytes());
            // What was not read when a socket is closed resets it, and the answer is lost.
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            while socket.read(&mut part).is_ok_and(|read| read > 0) {}
        }
    });
    address
}

fn load(protocol: Protocol, address: SocketAddr) -> Load {
    Load {
        lead: Duration::ZERO,
        warmup: Duration::ZERO,
        duration: Duration::ZERO,
        ..Load::new(Target::by(protocol, address, "live", "a"))
    }
}

fn play(protocol: Protocol, address: SocketAddr) -> Report {
    let load = Load {
        publishers: 0,
        players: 3,
        ..load(protocol, address)
    };
    lockgate_loadgen::run(&load, |_| ControlFlow::Continue(())).unwrap()
}

const PLAYING: [Protocol; 3] = [Protocol::HttpFlv, Protocol::WsFlv, Protocol::Whep];

#[test]
fn players_that_are_refused_are_counted_and_the_reason_is_told() {
    for (answer, told) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 27\r\n\r\n{\"code\":\"stream_not_found\"}",
            "the server answered 404 Not Found: {\"code\":\"stream_not_found\"}",
        ),
        (
            "HTTP/1.1 406 Not Acceptable\r\ncontent-length: 0\r\n\r\n",
            "the server answered 406 Not Acceptable",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\nno room",
            "the server answered 503 Service Unavailable: no room",
        ),
        ("220 mail.example.org\r\n\r\n", "no HTTP/1.1"),
        ("HTTP/1.1 404 No", "the server"),
        ("", "the server"),
    ] {
        let address = server(answer);
        for protocol in PLAYING {
            let report = play(protocol, address);
            assert_eq!((report.playing, report.ended), (0, 3), "{report}");
            assert!(!report.is_complete());
            let failure = report.failure.unwrap();
            assert!(failure.starts_with("a player: "), "{failure}");
            assert!(failure.contains(told), "{protocol:?} {answer:?}: {failure}");
        }
    }
}

#[test]
fn an_answer_that_is_no_media_is_told() {
    for (protocol, answer, told) in [
        (
            Protocol::HttpFlv,
            "HTTP/1.1 200 OK\r\n\r\n<!doctype html><html>",
            "no FLV",
        ),
        (
            Protocol::WsFlv,
            "HTTP/1.1 101 Switching Protocols\r\n\r\n\u{7f}\u{7f}\u{7f}\u{7f}",
            "the server",
        ),
        (
            Protocol::Whep,
            "HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello",
            "the server's SDP",
        ),
        (
            Protocol::Whep,
            "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
            "the server's SDP",
        ),
    ] {
        let failure = play(protocol, server(answer)).failure.unwrap();
        assert!(failure.contains(told), "{answer:?}: {failure}");
    }
}

#[test]
fn a_publisher_that_is_refused_ends_the_run_with_the_reason() {
    let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\nkey_wrong";
    let load = Load {
        players: 0,
        ..load(Protocol::Whip, server(answer))
    };
    let error = lockgate_loadgen::run(&load, |_| ControlFlow::Continue(())).unwrap_err();
    let told = format!("{error:#}");
    assert!(
        told.contains("nobody could publish to http://127.0.0.1:"),
        "{told}"
    );
    assert!(told.contains("401 Unauthorized: key_wrong"), "{told}");
}

#[test]
fn nobody_there_is_a_failure_and_no_panic() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    for protocol in PLAYING {
        let report = play(protocol, address);
        assert_eq!(report.ended, 3, "{report}");
        assert!(report.failure.unwrap().contains("refused"));
    }
}
