//! RTMPS and HTTPS with the clients that people have: media bit for bit, certificates that are
//! checked, renewed and spoilt under load, limits shared with the plain listeners, and a stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockgate_tests::authority::{Authority, https, rtmps};
use lockgate_tests::child::{self, Running};
use lockgate_tests::clips::Clip;
use lockgate_tests::flv::{self, Kind, Tag};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;

/// ffmpeg that pushes the clip over RTMPS.
fn push(authority: &Authority, url: &str, options: &[&str]) -> Result<Command> {
    let mut ffmpeg = tools::ffmpeg()?;
    ffmpeg.args(["-v", "error"]).args(options).arg("-i");
    ffmpeg.arg(Clip::H264Aac.path()?);
    ffmpeg.args(["-c", "copy", "-f", "flv"]);
    authority.checked(&mut ffmpeg);
    ffmpeg.arg(url);
    Ok(ffmpeg)
}

/// The media of a recording, without what muxers add.
fn media(tags: Vec<Tag>) -> Vec<Tag> {
    let mut tags = tags;
    tags.retain(|tag| tag.kind != Kind::Script);
    tags
}

#[test]
fn ffmpeg_pushes_and_pulls_over_rtmps_bit_for_bit() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|config| config.routing.publisher_grace = Duration::ZERO)?;
    let url = rtmps(&node, "bits")?;
    let folder = tempfile::tempdir()?;
    let [behind_tls, plain] = ["tls.flv", "plain.flv"].map(|name| folder.path().join(name));
    let mut pulls = Vec::new();
    for (url, file) in [(&url, &behind_tls), (&node.url("bits"), &plain)] {
        let mut ffmpeg = tools::ffmpeg()?;
        ffmpeg.args(["-v", "error"]);
        if url.starts_with("rtmps") {
            authority.checked(&mut ffmpeg);
        }
        ffmpeg
            .args(["-i", url, "-c", "copy", "-f", "flv"])
            .arg(file);
        pulls.push(Running::start(ffmpeg)?);
    }
    // Both wait for the publisher, so they are there from its first packet on.
    node.wait_players("bits", 2)?;
    let publisher = Running::start(push(&authority, &url, &["-readrate", "2"])?)?;
    let stream = node.wait_live("bits")?;
    assert_eq!(stream["publisher"]["protocol"], "rtmps");
    let open = |protocol| node.metric("lockgate_connections", protocol);
    assert_eq!((open("\"rtmps\"")?, open("\"rtmp\"")?), (2.0, 1.0));
    publisher.wait_with_deadline(PATIENCE)?.success()?;
    for pull in pulls {
        pull.wait_with_deadline(PATIENCE)?.success()?;
    }

    let pushed = media(flv::read_flv(&Clip::H264Aac.path()?)?);
    for protocol in ["\"rtmp\"", "\"rtmps\""] {
        let bytes = node.metric("lockgate_egress_bytes_total", protocol)?;
        ensure!(bytes > 100_000.0, "{bytes} bytes by {protocol}");
    }
    let pushed_by = |protocol| node.metric("lockgate_ingest_bytes_total", protocol);
    ensure!(pushed_by("\"rtmps\"")? > 100_000.0 && pushed_by("\"rtmp\"")? == 0.0);
    for file in [behind_tls, plain] {
        let pulled = media(flv::read_flv(&file)?);
        ensure!(
            pulled.len() > 400,
            "{} tags in {}",
            pulled.len(),
            file.display()
        );
        if let Some(difference) = flv::first_difference(&pushed, &pulled) {
            anyhow::bail!("{}: {difference:?}", file.display());
        }
    }
    node.wait_for("every connection to be gone", |_| {
        Ok((open("\"rtmps\"")? == 0.0).then_some(()))
    })
}

#[test]
fn librtmp_plays_over_rtmps() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let url = rtmps(&node, "dump")?;
    let _publisher = Running::start(push(&authority, &url, &["-re", "-stream_loop", "-1"])?)?;
    node.wait_live("dump")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("dump.flv");
    let mut rtmpdump = tools::rtmpdump()?;
    rtmpdump.args(["-q", "--live", "-r", &url, "-o"]).arg(&file);
    let recording = Running::start(rtmpdump)?;
    node.wait_for("rtmpdump to record", |_| {
        Ok(std::fs::metadata(&file)
            .is_ok_and(|it| it.len() > 200_000)
            .then_some(()))
    })?;
    // It goes on for as long as the stream does, and ends with its file whole.
    recording.signal("INT")?;
    recording.wait_with_deadline(PATIENCE)?;
    let tags = media(flv::read_flv(&file)?);
    ensure!(tags.len() > 50, "{} tags", tags.len());
    Ok(())
}

#[test]
fn curl_gets_the_same_over_https_and_trusts_nobody_else() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    for version in ["--tlsv1.3", "--tls-max"] {
        let mut curl = authority.curl(&https(&node, "/healthz")?)?;
        curl.arg(version);
        if version == "--tls-max" {
            curl.arg("1.2");
        }
        let answer = child::run(curl, PATIENCE)?;
        assert_eq!(answer.stdout, b"ok\n");
    }
    let answer = child::run(authority.curl(&https(&node, "/api/v1/streams")?)?, PATIENCE)?;
    let streams: serde_json::Value = serde_json::from_slice(&answer.stdout)?;
    ensure!(streams["items"].is_array(), "{streams}");
    assert!(node.metric("lockgate_connections_total", "\"https\"")? >= 3.0);

    // By HTTP/2 as well; there too a page of another name (DNS rebinding) needs the token.
    let mut curl = authority.curl(&https(&node, "/api/v1/streams")?)?;
    curl.args(["--http2", "--write-out", "%{http_version}"]);
    let answer = child::run(curl, PATIENCE)?.output();
    ensure!(answer.ends_with("}2"), "{answer}");
    let port = node.addresses().https.context("HTTPS")?.port();
    let rebound = format!("https://evil.example:{port}/api/v1/streams");
    let mut curl = authority.curl(&rebound)?;
    curl.args(["--http2", "--insecure", "--resolve"]);
    curl.arg(format!("evil.example:{port}:127.0.0.1"));
    curl.args(["--write-out", "%{http_version} %{http_code}"]);
    let refused = Running::start(curl)?.wait_with_deadline(PATIENCE)?;
    assert_eq!(refused.stdout, b"2 401");

    // A session of signalling begins over TLS as well: "101 Switching Protocols".
    let mut curl = authority.curl(&https(&node, "/")?)?;
    curl.args(["--http1.1", "--include", "--max-time", "1"]);
    for header in [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        curl.args(["--header", header]);
    }
    let upgraded = Running::start(curl)?.wait_with_deadline(PATIENCE)?;
    let head = upgraded.text();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");

    let stranger = Authority::new()?;
    let curl = stranger.curl(&https(&node, "/healthz")?)?;
    let refused = Running::start(curl)?.wait_with_deadline(PATIENCE)?;
    // "Peer certificate cannot be authenticated".
    assert_eq!(refused.status.code(), Some(60), "{}", refused.text());
    node.wait_for("the refusal to be counted", |node| {
        let failed = node.metric("lockgate_handshake_failures_total", "\"tls\"")?;
        Ok((failed >= 1.0).then_some(()))
    })
}

#[test]
fn a_renewed_certificate_is_taken_up_under_load_and_a_bad_one_is_not() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let url = rtmps(&node, "load")?;
    let mut publisher = Running::start(push(&authority, &url, &["-re", "-stream_loop", "-1"])?)?;
    node.wait_live("load")?;
    let mut pull = tools::ffmpeg()?;
    pull.args(["-v", "error"]);
    authority.checked(&mut pull);
    pull.args(["-i", &url, "-c", "copy", "-f", "null", "-"]);
    let mut player = Running::start(pull)?;
    node.wait_players("load", 1)?;
    let seen = |node: &TestNode| -> Result<(serde_json::Value, u64)> {
        let stream = node.get("/api/v1/streams/live/load")?;
        let bytes = stream["publisher"]["bytes"].as_u64().context("bytes")?;
        Ok((stream["publisher"]["connection"].clone(), bytes))
    };
    let (connection, before) = seen(&node)?;

    let old = authority.copy()?;
    let served = |authority: &Authority| -> Result<bool> {
        let curl = authority.curl(&https(&node, "/healthz")?)?;
        let answer = Running::start(curl)?.wait_with_deadline(PATIENCE)?;
        Ok(answer.status.success())
    };
    assert!(served(&old)?);
    authority.renew()?;
    node.wait_for("the new certificate", |_| {
        Ok(served(&authority)?.then_some(()))
    })?;
    assert!(!served(&old)?);

    let good = authority.copy()?;
    // A certificate whose key has not come.
    std::fs::copy(old.cert(), authority.cert())?;
    let (_, then) = seen(&node)?;
    node.wait_for(
        "seconds of media, in which the pair was looked at",
        |node| Ok((seen(node)?.1 > then + 500_000).then_some(())),
    )?;
    assert!(served(&good)?);
    let (same, after) = seen(&node)?;
    assert_eq!(same, connection);
    assert!(after > before && publisher.is_running()? && player.is_running()?);
    Ok(())
}

#[test]
fn plain_and_encrypted_connections_share_their_limits() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|config| config.limits.connections = std::num::NonZeroU32::MIN)?;
    let rtmps = node.addresses().rtmps.context("an RTMPS listener")?;
    let is_refused = |address| -> Result<bool> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(!matches!(socket.read(&mut [0]), Ok(count) if count > 0))
    };
    let held = TcpStream::connect(rtmps)?;
    let open = |count: f64| {
        node.wait_for("the connections", |node| {
            let now = node.metric("lockgate_connections", "rtmp")?;
            Ok(((now - count).abs() < 0.5).then_some(()))
        })
    };
    open(1.0)?;
    assert!(is_refused(node.rtmp())? && is_refused(rtmps)?);
    let refused = node.metric("lockgate_connections_refused_total", "\"connections\"")?;
    assert_eq!(refused, 2.0);
    drop(held);
    open(0.0)?;

    // Who speaks RTMP to the port of RTMPS gives the place back as well.
    let mut plain = TcpStream::connect(rtmps)?;
    plain.write_all(&[3; 1537])?;
    plain.set_read_timeout(Some(PATIENCE))?;
    // TLS says why it hangs up, in a record of type 21; the reset behind it may overtake that.
    let mut said = [0; 1];
    if plain.read(&mut said).unwrap_or(0) == 1 {
        assert_eq!(said, [21]);
    }
    open(0.0)
}

#[test]
fn a_node_that_stops_says_goodbye_through_tls() -> Result<()> {
    let authority = Authority::new()?;
    let node = authority.node(|_| {})?;
    let url = rtmps(&node, "stop")?;
    let _publisher = Running::start(push(&authority, &url, &["-re", "-stream_loop", "-1"])?)?;
    node.wait_live("stop")?;
    let mut pull = tools::ffmpeg()?;
    pull.args(["-v", "error", "-i", &url, "-c", "copy", "-f", "null", "-"]);
    let player = Running::start(pull)?;
    node.wait_players("stop", 1)?;
    node.wait_for("media at the player", |node| {
        Ok((node.metric("lockgate_egress_bytes_total", "")? > 100_000.0).then_some(()))
    })?;
    node.join()?;
    // It was told that the stream is over: no error.
    player.wait_with_deadline(PATIENCE)?.success()?;
    Ok(())
}
