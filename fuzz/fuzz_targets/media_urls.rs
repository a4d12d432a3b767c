//! The stream of a media URL, made up or bent from one that stands: the one that stands is let in for
//! what it is for, and nothing else is.

#![no_main]

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use lockgate_routing::{Admission, Grant, Refusal};
use lockgate_signalling::hooks::NoHooks;
use lockgate_signalling::transport::{Broken, Received, Text, Transport};
use lockgate_signalling::{App, Arrival, Config, Signalling};
use prometheus::Registry;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A node in which one member publishes.
struct Node {
    _runtime: Runtime,
    admission: Arc<dyn Admission>,
    name: String,
}

thread_local! {
    static NODE: OnceCell<Node> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    NODE.with(|node| {
        let node = node.get_or_init(start);
        let name = if mode & 1 == 0 {
            match std::str::from_utf8(input) {
                Ok(text) => text.to_owned(),
                Err(_) => return,
            }
        } else {
            let (cut, add) = input.split_at(input.len() / 2);
            let gone = cut.first().map_or(0, |&it| usize::from(it) % (node.name.len() + 1));
            // Each byte that is left turns one of the name.
            let mut bytes = node.name.clone().into_bytes();
            for (byte, by) in bytes.iter_mut().zip(cut.iter().skip(1)) {
                *byte ^= by;
            }
            bytes.truncate(node.name.len() - gone);
            bytes.extend(add);
            match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => return,
            }
        };
        let (app, query) = if mode & 2 == 0 { ("live", "") } else { ("other", "key=x") };
        let pushed = node.admission.publish(app, &name, query);
        assert_eq!(pushed.is_ok(), name == node.name && app == "live", "{name}");
        if let Err(refusal) = pushed {
            assert!(matches!(refusal, Refusal::UrlDead | Refusal::SignedOnly));
        }
        assert!(node.admission.play(app, &name, query).is_err(), "{name}");
    });
});

/// Nobody gets in without a signed URL.
struct Nobody;

impl Admission for Nobody {
    fn publish(&self, _: &str, _: &str, _: &str) -> Result<Grant, Refusal> {
        Err(Refusal::SignedOnly)
    }

    fn play(&self, _: &str, _: &str, _: &str) -> Result<Grant, Refusal> {
        Err(Refusal::SignedOnly)
    }
}

/// Sends what it has, and stays.
struct Wire(Vec<&'static str>, Arc<Mutex<String>>);

impl Transport for Wire {
    async fn receive(&mut self) -> Received {
        match self.0.pop() {
            Some(frame) => Received::Text(frame.to_owned().into()),
            None => std::future::pending().await,
        }
    }

    async fn feed(&mut self, text: Text) -> Result<(), Broken> {
        let envelope: Value = serde_json::from_str(text.as_str()).expect("an envelope");
        let content: Value = serde_json::from_str(envelope["Content"].as_str().expect("text")).expect("JSON");
        if let Some(url) = content["PushUrl"].as_str() {
            let name = url.rsplit('/').next().expect("a name");
            name.clone_into(&mut self.1.lock().expect("nobody panicked"));
        }
        Ok(())
    }

    async fn probe(&mut self, _: u32) -> Result<(), Broken> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    async fn close(&mut self, _: u16, _: &'static str) {}
}

const LOGIN: &str = r#"{"Cmd":"Login","AppId":"live","Content":"{\"ChanId\":\"c\",\"ChanSId\":\"s\",\"UserId\":\"1\",\"UserSId\":\"sid\",\"SdkVer\":\"1\",\"SessionId\":\"\",\"AcsToken\":\"\"}"}"#;
const PUBLISH: &str = r#"{"Cmd":"Publish","Content":""}"#;

fn start() -> Node {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let registry = Registry::new();
    let name = Arc::new(Mutex::new(String::new()));
    let wire = Wire(vec![PUBLISH, LOGIN], Arc::clone(&name));
    let admission = runtime.block_on(async {
        let router = lockgate_routing::Router::new(lockgate_routing::Config::default(), &registry).expect("a router");
        let config = Config { apps: vec![App::open("live"), App::open("other")], ..Config::default() };
        let signalling = Signalling::new(config, Arc::new(NoHooks), router, &registry).expect("signalling");
        let admission = signalling.admission(Arc::new(Nobody));
        let arrival = Arrival { peer: IpAddr::from([192, 0, 2, 1]), host: "rtc.example".to_owned(), port: None, secure: false };
        tokio::spawn(async move { signalling.session(wire, arrival).await });
        while name.lock().expect("nobody panicked").is_empty() {
            tokio::task::yield_now().await;
        }
        admission
    });
    // The session stays as long as its runtime, which nobody drives any more.
    let name = name.lock().expect("nobody panicked").clone();
    Node { _runtime: runtime, admission, name }
}
