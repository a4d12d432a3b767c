//! Stopping: the signals, the drain and its end.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::process::{PATIENCE, Running};
use crate::rtmp_peer::RtmpPeer;

#[test]
fn sigterm_and_ctrl_c_stop_it_gracefully() {
    for name in ["TERM", "INT"] {
        let mut node = Running::start(&[]);
        let (rtmp, http) = (node.rtmp(), node.http());
        node.signal(&[name]);
        assert_eq!(node.wait().code(), Some(0), "{name}");
        assert!(TcpStream::connect(rtmp).is_err() && TcpStream::connect(http).is_err());
        node.until_log("stopped");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut node = Running::start(&["shutdown.grace=\"10m\""]);
    // A request that never ends holds the drain for a while.
    let mut slow = TcpStream::connect(node.http()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    node.until_metric("lockgate_connections{protocol=\"http\"}", 2.0);
    node.signal(&["TERM", "INT"]);
    let code = node.wait().code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
}

#[test]
fn a_publisher_is_told_and_given_time_to_leave() {
    let mut node = Running::start(&["shutdown.grace=\"1m\""]);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
    node.signal(&["TERM"]);
    assert_eq!(peer.until_status(), "NetStream.Publish.Failed");
    drop(peer);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn connections_that_stay_are_cut_after_the_grace() {
    let mut node = Running::start(&["shutdown.grace=\"50ms\""]);
    let mut peer = RtmpPeer::connect(node.rtmp(), "live");
    assert_eq!(peer.publish("a"), "NetStream.Publish.Start");
    node.signal(&["TERM"]);
    // It neither reads nor closes, and the node does not wait for it.
    assert_eq!(node.wait().code(), Some(0));
    node.until_log("stopped");
}

#[test]
fn a_silent_socket_does_not_hold_the_drain() {
    let mut node = Running::start(&["shutdown.grace=\"10m\"", "rtmp.handshake_timeout=\"10m\""]);
    let mut silent = TcpStream::connect(node.rtmp()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    node.until_metric("lockgate_connections{protocol=\"rtmp\"}", 1.0);
    node.signal(&["TERM"]);
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(node.wait().code(), Some(0));
}
