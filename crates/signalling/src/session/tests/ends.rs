//! How sessions end, and what one client may burden the node with.

use super::*;

#[tokio::test(start_paused = true)]
async fn logout_is_answered_and_then_the_session_ends() {
    let node = node();
    let mut client = node.join("a").await;
    assert_eq!(client.ask("Logout", Value::Null).await, json!({"Code": 0}));
    assert_eq!(client.got().await, Got::Close(1000, "LEAVE"));
    assert!(node.signalling.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_session_of_the_same_uid_ends_the_older() {
    let node = node();
    let mut old = node.join("a").await;
    let mut new = node.connect();
    new.login("live", "a", "another", "").await;
    assert_eq!(old.got().await, Got::Close(1000, "UID_REPLACED"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_websocket_leaves_the_media_its_grace() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let push = a.publish().await;
    let publication = node.push(&push);
    b.frame().await;
    drop(a);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(b.ask("KeepAlive", json!({})).await["Code"], 0);
    assert!(!node.is_dead(&push));
    // It comes back in time, and publishes to the same URL.
    let mut a = node.join("a").await;
    assert_eq!(a.publish().await, push);
    drop(a);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(b.ask("KeepAlive", json!({})).await["Code"], 0);
    // The second time it does not.
    publication.cut().await;
    assert_eq!(b.frame().await, notice("StreamRemove", "a"));
    assert!(node.is_dead(&push));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_says_nothing_is_closed_for_its_client_to_come_back() {
    let node = node();
    let started = Instant::now();
    let mut client = node.join("a").await;
    assert_eq!(client.got().await, Got::Close(1000, "NETWORK_ERROR"));
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    // One that never logs in is not waited for as long.
    let started = Instant::now();
    let mut client = node.connect();
    assert_eq!(client.got().await, Got::Close(1000, "NETWORK_ERROR"));
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    // One that was refused has nothing to come back for.
    let mut client = node.connect();
    client.login("none", "a", "s", "").await;
    assert_eq!(client.got().await, Got::Close(1000, "PROTOCOL_ERROR"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_alone() {
    let node = node();
    let mut reader = node.join("reader").await;
    let mut stuck = node.connect_as(true);
    stuck.send_frame(
        &json!({"Cmd": "Login", "AppId": "live", "Content":
            json!({"ChanId": "c", "UserId": "stuck", "UserSId": "s"}).to_string()})
        .to_string(),
    );
    tokio::time::sleep(Duration::from_secs(11)).await;
    let members = node.signalling.members("live", "c").unwrap();
    let stuck_one = members
        .iter()
        .find(|it| it.uid.as_str() == "stuck")
        .unwrap();
    assert!(!stuck_one.connected);
    assert_eq!(reader.ask("KeepAlive", json!({})).await["Code"], 0);
    assert!(stuck.from.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_at_its_rate_and_answered_to_the_last() {
    let node = node();
    let mut client = node.join("a").await;
    let started = Instant::now();
    for _ in 0..200 {
        client.send("UnPublish", &Value::Null);
    }
    for _ in 0..200 {
        assert_eq!(client.frame().await.0, "UnPublish");
    }
    let took = started.elapsed();
    assert!(took > Duration::from_millis(2900), "{took:?}");
    assert!(took < Duration::from_millis(3100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn junk_is_passed_over_until_it_is_too_much() {
    let node = node();
    let mut client = node.join("a").await;
    for junk in ["", "{", "7", "null", r#"{"Cmd":null}"#] {
        client.send_frame(junk);
    }
    assert_eq!(client.ask("KeepAlive", json!({})).await["Code"], 0);
    for _ in 0..20 {
        client.send_frame("junk");
    }
    assert_eq!(client.got().await, Got::Close(1000, "PROTOCOL_ERROR"));
}

#[tokio::test(start_paused = true)]
async fn an_address_has_only_so_many_sessions() {
    let node = node_with(Arc::new(NoHooks), |config| config.sessions_per_ip = 1);
    let first = node.join("a").await;
    assert!(matches!(node.connect().got().await, Got::Close(1013, _)));
    drop(first);
    tokio::task::yield_now().await;
    node.join("b").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_kicked_or_banned_is_told_which() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    assert!(node.signalling.kick("live", "c", "a"));
    assert_eq!(a.got().await, Got::Close(1000, "KICKED"));
    assert_eq!(node.signalling.expel(|who| who.uid.is_some()), 1);
    assert_eq!(b.got().await, Got::Close(1000, "UID_BANNED"));
    assert!(!node.signalling.kick("live", "c", "a"));
}

#[tokio::test(start_paused = true)]
async fn an_operator_mutes_for_everybody() {
    let node = node();
    let (mut a, mut b) = (node.join("a").await, node.join("b").await);
    let _publication = node.push(&a.publish().await);
    b.frame().await;
    assert!(node.signalling.mute("live", "c", "a", Some(true), None));
    let (cmd, content) = b.frame().await;
    assert_eq!(
        (cmd.as_str(), &content["Audio"]),
        ("UserAudStatus", &json!(false))
    );
    let members = node.signalling.members("live", "c").unwrap();
    let a = members.iter().find(|it| it.uid.as_str() == "a").unwrap();
    let publication = a.publication.as_ref().unwrap();
    assert_eq!(publication.muted_by_operator, (true, false));
    assert_eq!(publication.stream, StreamId::new("live", "c/a").unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_sends_its_clients_to_come_back() {
    let node = node();
    let mut client = node.join("a").await;
    let (_, got) = tokio::join!(node.signalling.shutdown(), client.got());
    assert_eq!(got, Got::Close(1001, "SHUTDOWN"));
}
