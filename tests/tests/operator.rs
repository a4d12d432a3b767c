//! What an operator and an app's own service have a say in, on a real node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result, ensure};
use lockgate_tests::member::{Closed, Member, Ticket, gateway};
use lockgate_tests::node::TestNode;
use serde_json::{Value, json};

fn post(node: &TestNode, path: &str, body: &Value) -> Result<Value> {
    let url = format!("http://{}{path}", node.addresses().http);
    let text = ureq::post(&url)
        .send_json(body)?
        .body_mut()
        .read_to_string()?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn join(node: &TestNode, channel: &str, uid: &str) -> Result<Member> {
    Member::join(node.addresses().http, &Ticket::new(channel, uid))
}

#[test]
fn bans_survive_a_restart_and_end_when_they_are_lifted() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let start =
        || TestNode::with(|config| config.signalling.store = directory.path().join("bans.redb"));
    let codes = |node: &TestNode| -> Result<Vec<Value>> {
        let tickets = [("room", "alice"), ("closed", "bob"), ("room", "bob")];
        let ask = |(channel, uid)| {
            let answer = gateway(node.addresses().http, &Ticket::new(channel, uid))?;
            Ok(answer["code"].clone())
        };
        tickets.into_iter().map(ask).collect()
    };

    let node = start()?;
    let alice = join(&node, "room", "alice")?;
    let bob = join(&node, "room", "bob")?;
    let ban = post(
        &node,
        "/api/v1/bans",
        &json!({"app": "live", "uid": "alice"}),
    )?;
    assert_eq!(ban["removed"], 1);
    let closed = Closed {
        code: 1000,
        reason: "UID_BANNED".to_owned(),
    };
    assert_eq!(alice.wait_closed()?, closed);
    let hour = json!({"app": "live", "channel": "closed", "seconds": 3600});
    post(&node, "/api/v1/bans", &hour)?;
    assert_eq!(codes(&node)?, [14, 16, 0]);
    drop(bob);
    node.join()?;

    let node = start()?;
    assert_eq!(codes(&node)?, [14, 16, 0]);
    for ban in node.get("/api/v1/bans")?["items"]
        .as_array()
        .context("items")?
    {
        node.delete(&format!("/api/v1/bans/{}", ban["id"]))?;
    }
    assert_eq!(codes(&node)?, [0, 0, 0]);
    let everywhere = json!({"ip": "127.0.0.1"});
    post(&node, "/api/v1/bans", &everywhere)?;
    assert_eq!(codes(&node)?, [15, 15, 15]);
    node.join()
}

#[test]
fn a_kicked_member_is_told_and_may_come_back() -> Result<()> {
    let node = TestNode::start()?;
    let member = join(&node, "room", "alice")?;
    post(
        &node,
        "/api/v1/channels/live/room/members/alice/kick",
        &json!({}),
    )?;
    let closed = member.wait_closed()?;
    ensure!(
        closed.code == 1000 && closed.reason != "NETWORK_ERROR",
        "{closed:?}"
    );
    join(&node, "room", "alice")?;
    Ok(())
}

#[test]
fn an_apps_service_hears_who_comes_and_goes_and_may_refuse() -> Result<()> {
    let (heard, requests) = channel();
    let address = service(heard)?;
    let node = TestNode::with(|config| {
        config.webhooks.url = format!("http://{address}/events");
        config.webhooks.auth_url = format!("http://{address}/auth");
        config.webhooks.secret = "secret".to_owned();
    })?;
    let mut member = join(&node, "room", "alice")?;
    member.publish()?;
    let refused = join(&node, "room", "mallory").map(|member| member.uid);
    let refused = format!("{:?}", refused.err().context("mallory was let in")?);
    ensure!(refused.contains("2002"), "{refused}");
    member.send_raw("Logout", "")?;
    member.answer("Logout")?;
    node.join()?;

    let requests: Vec<(String, Value)> = requests.try_iter().collect();
    let of = |path: &str| -> Vec<&Value> {
        let on_path = requests.iter().filter(|(to, _)| to == path);
        on_path.map(|(_, body)| body).collect()
    };
    let questions: Vec<_> = of("/auth")
        .iter()
        .map(|it| (&it["event"], &it["uid"]))
        .collect();
    ensure!(
        questions.contains(&(&json!("publish"), &json!("alice"))),
        "{questions:?}"
    );
    ensure!(
        questions.contains(&(&json!("join"), &json!("mallory"))),
        "{questions:?}"
    );
    let batches = of("/events");
    let events = batches
        .iter()
        .filter_map(|batch| batch["events"].as_array());
    let events: Vec<_> = events
        .flatten()
        .map(|it| (&it["event"], &it["uid"]))
        .collect();
    let alice = json!("alice");
    assert_eq!(
        events,
        [(&json!("joined"), &alice), (&json!("left"), &alice)]
    );
    Ok(())
}

/// A service that keeps mallory out, and hands on what it is sent.
fn service(heard: Sender<(String, Value)>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let heard = heard.clone();
            // A connection that the node drops ends its thread; nobody waits for that.
            std::thread::spawn(move || answer(socket, &heard));
        }
    });
    Ok(address)
}

fn answer(socket: TcpStream, heard: &Sender<(String, Value)>) -> Result<()> {
    let mut writer = socket.try_clone()?;
    let mut reader = BufReader::new(socket);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).context("a path")?.to_owned();
        let (mut length, mut signed) = (0, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "lockgate-signature" => signed = true,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body)?;
        let allow = signed && body.get("uid") != Some(&json!("mallory"));
        heard.send((path, body))?;
        let status = if allow {
            "204 No Content"
        } else {
            "403 Forbidden"
        };
        write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
    }
}
