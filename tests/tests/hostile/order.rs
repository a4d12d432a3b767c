//! Commands out of order.

use anyhow::Result;
use lockgate_tests::client::avc_frame;
use lockgate_tests::raw::{self, RawPeer};

use crate::{FAILURES, Healthy, node, part};

#[test]
fn commands_out_of_order_are_refused_and_those_that_mean_nothing_ignored() -> Result<()> {
    let node = node(&[])?;
    let mut healthy = Healthy::start(&node, "healthy")?;
    for command in [
        raw::publish("a"),
        raw::play("healthy"),
        raw::create_stream(),
        raw::command("pause", 0.0, &[raw::NULL, &[1, 1]]),
        [raw::connect("live"), raw::connect("live")].concat(),
    ] {
        let mut peer = RawPeer::greeted(node.rtmp())?;
        peer.say(&command)?;
        peer.wait_closed()?;
    }
    node.wait_metric(FAILURES, "session", 5.0)?;

    // An app that is no string is none.
    let mut peer = RawPeer::greeted(node.rtmp())?;
    let object = [&[3, 0, 3][..], b"app", &[0; 9], &[0, 0, 9]].concat();
    peer.say(&raw::command("connect", 1.0, &[&object]))?;
    assert!(
        peer.wait_closed()?
            .contains("NetConnection.Connect.Rejected")
    );
    node.wait_metric("lockgate_connections_refused_total", "unknown_app", 1.0)?;

    // Media before there is a stream, ends of streams that never began: the connection goes on.
    let mut peer = RawPeer::greeted(node.rtmp())?;
    peer.say(&raw::message(6, 9, 1, &avc_frame(true, 1)))?;
    peer.say(&raw::connect("live"))?;
    peer.until_said(b"NetConnection.Connect.Success")?;
    for command in [
        "deleteStream",
        "closeStream",
        "FCUnpublish",
        "receiveAudio",
        "pause",
    ] {
        peer.say(&raw::command(command, 4.0, &[raw::NULL, &[1, 0]]))?;
    }
    peer.say(&raw::message(4, 8, 1, &[0xaf, 1, 2]))?;
    peer.say(&raw::message(5, 18, 1, b"\x02\x00\x0aonMetaData\x05"))?;
    peer.ping(1)?;

    // Names that are none, and streams beside the one there is.
    peer.say(&raw::publish(""))?;
    peer.until_said(b"NetStream.Publish.BadName")?;
    peer.say(&raw::publish("second\nline"))?;
    peer.until_said(b"NetStream.Publish.BadName")?;
    peer.say(&raw::command("play", 3.0, &[raw::NULL, &[0; 9]]))?;
    peer.until_said(b"NetStream.Play.Failed")?;
    peer.say(&raw::publish("own"))?;
    peer.until_said(b"NetStream.Publish.Start")?;
    peer.say(&raw::publish("other"))?;
    peer.until_said(b"NetStream.Publish.BadName")?;
    peer.say(&raw::play("healthy"))?;
    peer.until_said(b"NetStream.Play.Failed")?;
    peer.ping(2)?;
    node.wait_metric("lockgate_streams", "", 2.0)?;
    // It publishes all the while.
    peer.say(&raw::message(6, 9, 1, &avc_frame(true, 1)))?;
    node.wait_live("own")?;
    // Ended, it may play on the same connection, and ended again, publish.
    peer.say(&raw::command("deleteStream", 0.0, &[raw::NULL, &[0; 9]]))?;
    peer.say(&raw::play("healthy"))?;
    peer.until_said(b"NetStream.Play.Start")?;
    peer.ping(3)?;
    peer.say(&raw::command("closeStream", 0.0, &[raw::NULL]))?;
    peer.say(&raw::publish("again"))?;
    peer.until_said(b"NetStream.Publish.Start")?;
    healthy.beat()?;
    drop(peer);
    part(&node, vec![healthy])
}
