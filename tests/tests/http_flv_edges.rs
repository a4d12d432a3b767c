//! FLV over HTTP at its edges: who is refused and how, heads of every kind, players that stop reading,
//! limits, kicks and a node that stops.

#![allow(
    clippy::indexing_slicing,
    reason = "a helper that panics fails its test"
)]

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Result, ensure};
use lockgate_node::config::{App, AppAccess};
use lockgate_tests::authority::{Authority, https};
use lockgate_tests::child::Running;
use lockgate_tests::client::{Publisher, avc_frame, avc_header, tag};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::Kind;
use lockgate_tests::http::{Watcher, answer, ask, connect};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::recording::Recording;
use lockgate_tests::tools;
use serde_json::Value;
use tungstenite::Message;

/// A stream with one picture in it.
fn publish(node: &TestNode, name: &str) -> Result<Publisher> {
    let mut publisher = Publisher::start(node.rtmp(), name)?;
    publisher.send(&tag(Kind::Video, 0, avc_header(1)))?;
    publisher.send(&tag(Kind::Video, 0, avc_frame(true, 0)))?;
    node.wait_live(name)?;
    Ok(publisher)
}

fn socket_url(node: &TestNode, name: &str) -> String {
    node.flv(name).replace("http:", "ws:")
}

#[test]
fn refusals_are_statuses_with_a_reason() -> Result<()> {
    let node = TestNode::with(|config| {
        config.egress.wait_for_publisher = Duration::from_millis(50);
        config.apps.push(App {
            play_keys: vec!["watch".to_owned()],
            publish_keys: vec!["push".to_owned()],
            ..App::new("studio", AppAccess::Keys)
        });
        config.apps.push(App::new("mini", AppAccess::Signed));
    })?;
    let _publisher = publish(&node, "here")?;
    for (path, status, code) in [
        ("/live/none.flv", 404, "not_found"),
        ("/nope/here.flv", 404, "unknown_app"),
        ("/live/.flv", 404, "bad_name"),
        ("/studio/a.flv", 403, "key_missing"),
        ("/studio/a.flv?key=push", 403, "key_wrong"),
        ("/studio/a.flv?key=watch", 404, "not_found"),
        ("/mini/a.flv", 403, "signed_only"),
        ("/live/paaaaaaaaaaaaaaaaaaaaaaaaaaaaa.flv", 403, "url_dead"),
        ("/live/here", 404, "no_such_route"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&node, method, path, "")?;
            ensure!(answer.status == status, "{method} {path}: {answer:?}");
            if method == "GET" {
                let body: Value = serde_json::from_slice(&answer.body)?;
                assert_eq!(body["code"], code, "{path}");
            } else {
                assert_eq!(answer.body, b"", "{path}");
            }
        }
    }
    let answer = ask(&node, "POST", "/live/here.flv", "Content-Length: 0\r\n")?;
    assert_eq!(answer.status, 405);
    let refused = node.metric("lockgate_play_refused_total", r#"reason="key_wrong""#)?;
    assert_eq!(refused, 2.0);
    Ok(())
}

#[test]
fn head_says_what_get_would_and_takes_nothing() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = publish(&node, "here")?;
    let answer = ask(&node, "HEAD", "/live/here.flv", "")?;
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
    assert_eq!(answer.header("content-type"), Some("video/x-flv"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-length"), None, "{}", answer.head);
    assert_eq!(node.metric("lockgate_players", "http-flv")?, 0.0);
    Ok(())
}

#[test]
fn pages_of_the_origins_in_the_config_may_read_and_others_may_not() -> Result<()> {
    let any = TestNode::start()?;
    let page = "Origin: https://example.com\r\n";
    let answer = ask(&any, "HEAD", "/live/none.flv", page)?;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let preflight = format!("{page}Access-Control-Request-Method: GET\r\n");
    let answer = ask(&any, "OPTIONS", "/live/none.flv", &preflight)?;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("get, head")
    );

    let node = TestNode::with(|config| {
        config.http.cors_origins = vec!["https://example.com".to_owned()];
    })?;
    let _publisher = publish(&node, "here")?;
    let answer = ask(&node, "HEAD", "/live/here.flv", page)?;
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://example.com"));
    assert_eq!(answer.header("vary"), Some("origin"));
    let evil = "Origin: https://evil.example\r\n";
    let answer = ask(&node, "HEAD", "/live/here.flv", evil)?;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    // Browsers let any page open a WebSocket: the node looks at where it comes from.
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = ask(&node, "GET", "/live/here.flv", &format!("{evil}{upgrade}"))?;
    assert_eq!(answer.status, 403);
    Ok(())
}

#[test]
fn a_head_that_comes_byte_by_byte_is_a_head() -> Result<()> {
    let node = TestNode::start()?;
    let _publisher = publish(&node, "here")?;
    let request = b"GET /live/here.flv HTTP/1.0\r\nHost: a\r\n\r\n";
    for split in 1..request.len() {
        let mut socket = connect(node.addresses().http)?;
        socket.write_all(&request[..split])?;
        socket.write_all(&request[split..])?;
        let mut begin = [0; 12];
        socket.read_exact(&mut begin)?;
        assert_eq!(&begin, b"HTTP/1.0 200", "split at {split}");
    }
    node.wait_metric("lockgate_players", "http-flv", 0.0)
}

#[test]
fn heads_that_are_none_and_what_follows_a_request_harm_nobody() -> Result<()> {
    let node = TestNode::start()?;
    let mut publisher = publish(&node, "here")?;
    let mut watcher = Watcher::http(&node, "here")?;
    let refused = |request: &[u8]| -> Result<Vec<u8>> {
        let mut socket = connect(node.addresses().http)?;
        // It may be refused before it is whole.
        let _ = socket.write_all(request);
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        Ok(bytes)
    };
    let long = format!(
        "GET /live/here.flv HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    for (request, status) in [
        (long.as_bytes(), 431),
        (&b"GET /live/here.flv HTTP/9.9\r\n\r\n"[..], 400),
        (&b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..], 400),
    ] {
        let said = refused(request)?;
        if !said.is_empty() {
            assert_eq!(answer(&said)?.status, status);
        }
    }
    // Garbage behind a request is not read while its stream goes out, and breaks nothing.
    let mut socket = connect(node.addresses().http)?;
    socket.write_all(b"GET /live/here.flv HTTP/1.1\r\nHost: a\r\n\r\n\0\xff garbage \r\n\r\n")?;
    let mut begin = [0; 12];
    socket.read_exact(&mut begin)?;
    assert_eq!(&begin, b"HTTP/1.1 200");
    node.wait_players("here", 2)?;
    // A WebSocket's player that breaks the protocol is gone, and nobody else.
    let mut hostile = connect(node.addresses().http)?;
    hostile.write_all(
        b"GET /live/here.flv HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    node.wait_players("here", 3)?;
    hostile.write_all(&[
        0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3,
    ])?;
    hostile.read_to_end(&mut Vec::new())?;
    node.wait_players("here", 2)?;

    publisher.send(&tag(Kind::Video, 33, avc_frame(false, 1)))?;
    let last = avc_frame(false, 1);
    watcher.until(|tags| tags.iter().any(|tag| tag.body == last))?;
    drop(socket);
    // That it is gone shows in the next writes.
    let mut time = 33;
    node.wait_for("one player", |node| {
        time += 33;
        publisher.send(&tag(Kind::Video, time, avc_frame(false, time)))?;
        Ok((node.players("here")?.len() == 1).then_some(()))
    })
}

#[test]
fn pings_are_answered_between_two_messages_and_a_goodbye_too() -> Result<()> {
    let node = TestNode::start()?;
    let mut publisher = publish(&node, "here")?;
    let mut watcher = Watcher::messages(&socket_url(&node, "here"))?;
    watcher.until(|tags| tags.len() == 2)?;
    let ping = Message::Ping(b"are you there".as_slice().into());
    watcher.say(ping)?;
    let pong = watcher.hear()?;
    assert_eq!(pong, Message::Pong(b"are you there".as_slice().into()));
    watcher.say(Message::text("nobody asked"))?;
    publisher.send(&tag(Kind::Video, 33, avc_frame(false, 1)))?;
    watcher.until(|tags| tags.len() == 3)?;
    watcher.say(Message::Close(None))?;
    assert!(watcher.hear()?.is_close());
    node.wait_players("here", 0)
}

#[test]
fn limits_hold_for_every_protocol_alike() -> Result<()> {
    let node = TestNode::with(|config| {
        config.limits.connections_per_ip = NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN);
        config.limits.players_per_stream = NonZeroU32::MIN;
    })?;
    let _publisher = publish(&node, "here")?;
    let first = Watcher::http(&node, "here")?;
    for _ in 0..2 {
        let full = ask(&node, "GET", "/live/here.flv", "")?;
        assert_eq!(full.status, 503);
        assert_eq!(full.header("retry-after"), Some("5"));
        let body: Value = serde_json::from_slice(&full.body)?;
        assert_eq!(body["code"], "stream_full");
    }
    let _other = publish(&node, "other")?;
    let full = ask(&node, "GET", "/live/other.flv", "")?;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")));
    let body: Value = serde_json::from_slice(&full.body)?;
    assert_eq!(body["code"], "connections_per_ip");
    drop(first);
    node.wait_players("here", 0)?;
    node.wait_for("the seat to be free", |node| {
        Ok(Watcher::messages(&socket_url(node, "other")).ok())
    })?;
    Ok(())
}

#[test]
fn a_player_that_is_kicked_is_gone_and_others_are_not() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let mut publisher = publish(&node, "here")?;
    let mut stays = Watcher::http(&node, "here")?;
    node.wait_players("here", 1)?;
    let mut gone = vec![
        Watcher::http(&node, "here")?,
        Watcher::messages(&socket_url(&node, "here"))?,
    ];
    let mut fetching = Vec::new();
    for version in ["--http1.1", "--http2"] {
        let mut curl = authority.curl(&https(&node, "/live/here.flv")?)?;
        curl.arg(version);
        fetching.push(Running::start(curl)?);
    }
    node.wait_players("here", 5)?;
    for player in &node.players("here")?[1..] {
        node.delete(&format!("/api/v1/connections/{}", player["connection"]))?;
    }
    for watcher in gone.drain(..) {
        watcher.to_end()?;
    }
    for curl in fetching {
        // Its stream was ended, and well: every tag is whole.
        curl.wait_with_deadline(PATIENCE)?.success()?;
    }
    node.wait_players("here", 1)?;
    publisher.send(&tag(Kind::Video, 33, avc_frame(false, 1)))?;
    stays.until(|tags| tags.len() == 3)?;
    Ok(())
}

#[test]
fn players_that_stop_reading_are_cut_and_others_lose_nothing() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|config| {
        config.egress.cut_after = Duration::from_secs(2);
        config.routing.ring_duration = Duration::from_secs(1);
    })?;
    let mut push = tools::ffmpeg()?;
    // Much more than sockets hold: 16 Mbit/s of noise.
    push.args(["-v", "error", "-re", "-f", "lavfi", "-i"]);
    push.arg("nullsrc=size=640x360:rate=30,geq=random(1)*255:128:128");
    push.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
    ]);
    push.args(["-qp", "10", "-g", "30", "-pix_fmt", "yuv420p", "-f", "flv"]);
    push.arg(node.url("noise"));
    let _publisher = Running::start(push)?;
    node.wait_live("noise")?;
    let reader = Recording::start(&node.flv("noise"))?;
    let secure = https(&node, "/live/noise.flv")?;
    let mut stuck = Vec::new();
    for options in [&["--http1.1"], &["--http2"]] {
        let mut curl = authority.curl(&secure)?;
        curl.args(options).args(["--output", "/dev/null"]);
        stuck.push(Running::start(curl)?);
    }
    let mut plain = connect(node.addresses().http)?;
    plain.write_all(b"GET /live/noise.flv HTTP/1.1\r\nHost: a\r\n\r\n")?;
    node.wait_players("noise", 4)?;
    for curl in &stuck {
        curl.signal("STOP")?;
    }
    node.wait_metric("lockgate_players_cut_total", "too_slow", 3.0)?;
    node.wait_players("noise", 1)?;
    reader.grow(&node, Kind::Video, 2000)?;
    reader.end()?.never_stops(Kind::Video)?;
    for curl in &stuck {
        curl.signal("CONT")?;
    }
    for curl in stuck {
        // Cut off in the middle: an error, and never a stream that seems whole.
        ensure!(!curl.wait_with_deadline(PATIENCE)?.status.success());
    }
    Ok(())
}

#[test]
fn a_node_that_stops_ends_its_streams_and_lets_nobody_in() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    ffmpeg.arg(Clip::H264Aac.path()?);
    ffmpeg
        .args(["-c", "copy", "-f", "flv"])
        .arg(node.url("stop"));
    let _publisher = Running::start(ffmpeg)?;
    node.wait_live("stop")?;
    let mut fetching = Vec::new();
    let secure = https(&node, "/live/stop.flv")?;
    for (url, version) in [
        (node.flv("stop"), "--http1.1"),
        (secure.clone(), "--http1.1"),
        (secure, "--http2"),
    ] {
        let mut curl = authority.curl(&url)?;
        curl.args([version, "--output", "/dev/null"]);
        fetching.push(Running::start(curl)?);
    }
    let mut waiting = connect(node.addresses().http)?;
    waiting.write_all(b"GET /live/none.flv HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut watcher = Watcher::messages(&socket_url(&node, "stop"))?;
    watcher.until(|tags| tags.len() > 10)?;
    node.wait_players("stop", 4)?;
    node.wait_players("none", 1)?;
    node.stop();
    let mut said = vec![0; 4096];
    let count = waiting.read(&mut said)?;
    said.truncate(count);
    let refused = answer(&said)?;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5"))
    );
    for curl in fetching {
        curl.wait_with_deadline(PATIENCE)?.success()?;
    }
    let goodbye = watcher.hear()?;
    let Message::Close(Some(frame)) = goodbye else {
        anyhow::bail!("{goodbye:?}")
    };
    assert_eq!(u16::from(frame.code), 1001);
    drop(watcher);
    node.join()
}
