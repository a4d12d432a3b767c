//! What the gateway, tokens and hooks let a client do.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::hooks::{Happened, Who, Wish};

#[tokio::test(start_paused = true)]
async fn the_gateway_tells_where_to_connect_or_why_not() {
    let node = node();
    let ask = |app: &str, channel: &str, wss: bool| {
        node.gateway(
            &json!({"sid": "s", "appId": app, "cname": channel, "uid": "",
            "token": "", "extend": "", "wss": wss}),
        )
    };
    let reply = ask("live", "room #1?", true);
    assert_eq!(reply.code, Code::Ok);
    assert!(!reply.session_id.is_empty());
    let json = serde_json::to_value(&reply).unwrap();
    assert_eq!(
        json["addresses"],
        json!([{"type": 0, "addr": "rtc.example", "port": 443}])
    );
    assert_eq!(ask("live", "c", false).addresses[0].port, 80);
    for (app, channel, code) in [
        ("none", "c", Code::AppInvalid),
        ("shut", "c", Code::NotOpen),
        ("live", "a/b", Code::DeveloperInvalid),
        (SECURED, "c", Code::TokenInvalid),
    ] {
        assert_eq!(ask(app, channel, true).code, code, "{app} {channel}");
    }
    assert_eq!(node.gateway(&json!([])).code, Code::Malformed);
    assert_eq!(node.gateway(&json!({})).code, Code::AppInvalid);
    assert_eq!(
        node.signalling.gateway(b"{", &arrival()).code,
        Code::Malformed
    );
}

/// A token of version 006 for anybody in channel `c`, each privilege until so long from now.
fn token(privileges: &[(u16, u64)]) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = u32::try_from(now.unwrap().as_secs()).unwrap();
    let mut message = Vec::new();
    message.extend(7_u32.to_le_bytes());
    message.extend((now + 3600).to_le_bytes());
    message.extend(u16::try_from(privileges.len()).unwrap().to_le_bytes());
    for (privilege, seconds) in privileges {
        message.extend(privilege.to_le_bytes());
        message.extend((now + u32::try_from(*seconds).unwrap()).to_le_bytes());
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(CERTIFICATE.as_bytes()).unwrap();
    mac.update(SECURED.as_bytes());
    mac.update(b"c");
    mac.update(&message);
    let signature = mac.finalize().into_bytes();
    let text = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap();
        [&length.to_le_bytes(), bytes].concat()
    };
    let content = [
        text(&signature),
        crc32fast::hash(b"c").to_le_bytes().to_vec(),
        crc32fast::hash(b"").to_le_bytes().to_vec(),
        text(&message),
    ];
    format!("006{SECURED}{}", STANDARD.encode(content.concat()))
}

#[tokio::test(start_paused = true)]
async fn a_session_is_warned_of_its_tokens_end_and_renews_it_or_ends() {
    let node = node();
    let mut client = node.connect();
    let answer = client.login(SECURED, "a", "s", &token(&[(1, 45)])).await;
    assert_eq!(answer["Code"], 0);
    let (cmd, content) = client.frame().await;
    assert_eq!(cmd, "TokenWillExpire");
    assert!(
        content["Seconds"]
            .as_u64()
            .is_some_and(|it| (29..=30).contains(&it))
    );
    let refused = client.ask("RenewToken", json!({"AcsToken": "junk"})).await;
    assert_eq!(refused["Code"], 110);
    let renewed = client
        .ask("RenewToken", json!({"AcsToken": token(&[(1, 60)])}))
        .await;
    assert_eq!(renewed["Code"], 0);
    let started = Instant::now();
    client.to.send(Received::Alive).unwrap();
    assert_eq!(client.frame().await.0, "TokenWillExpire");
    client.to.send(Received::Alive).unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    client.to.send(Received::Alive).unwrap();
    assert_eq!(client.frame().await.0, "TokenExpired");
    assert!(started.elapsed() > Duration::from_secs(57));
    assert_eq!(client.got().await, Got::Close(1000, "TOKEN_EXPIRED"));
}

#[tokio::test(start_paused = true)]
async fn a_token_decides_what_may_be_published() {
    let node = node();
    let mut client = node.connect();
    client.login(SECURED, "a", "s", &token(&[(1, 600)])).await;
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 2009);
    let audio_alone = token(&[(1, 600), (2, 600)]);
    client
        .ask("RenewToken", json!({"AcsToken": audio_alone}))
        .await;
    assert_eq!(
        client.ask("Publish", json!({"Target": "video"})).await["Code"],
        2009
    );
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 0);
    let mut late = node.connect();
    assert_eq!(
        late.login(SECURED, "b", "s", &token(&[(1, 0)])).await["Code"],
        109
    );
}

/// Bans one uid, and lets nobody publish.
#[derive(Debug)]
struct Strict(parking_lot::Mutex<Vec<Happened>>);

impl Hooks for Strict {
    fn banned(&self, who: &Who) -> Option<Code> {
        let is_bad = who.uid.as_ref().is_some_and(|uid| uid.as_str() == "bad");
        is_bad.then_some(Code::UidBanned)
    }

    fn may(&self, _: &Who, wish: Wish) -> Option<crate::hooks::Answer<'_>> {
        (wish == Wish::Publish).then(|| -> crate::hooks::Answer<'_> {
            Box::pin(std::future::ready(Err(Code::Refused)))
        })
    }

    fn happened(&self, _: &Who, what: Happened) {
        self.0.lock().push(what);
    }

    fn report(&self, _: &Who, _: &Value) {}
}

#[tokio::test(start_paused = true)]
async fn hooks_refuse_and_hear() {
    let hooks = Arc::new(Strict(parking_lot::Mutex::default()));
    let node = node_with(hooks.clone(), |_| ());
    let mut client = node.connect();
    assert_eq!(client.login("live", "bad", "s", "").await["Code"], 14);
    assert_eq!(client.login(SECURED, "a", "s", "").await["Code"], 110);
    assert_eq!(client.login("live", "a", "s", "").await["Code"], 0);
    assert_eq!(client.ask("Publish", Value::Null).await["Code"], 2002);
    client.ask("Logout", Value::Null).await;
    assert_eq!(
        *hooks.0.lock(),
        [
            Happened::TokenRefused("missing"),
            Happened::Joined,
            Happened::Left(Leave::Logout)
        ]
    );
}
