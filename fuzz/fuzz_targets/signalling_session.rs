//! A client's frames, one a line, beside a member that follows the protocol: whatever comes, each frame
//! that goes out is an envelope whose `Content` is JSON, the other member gets its answer and stays, and
//! nothing is left when all are gone.

#![no_main]

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lockgate_signalling::hooks::NoHooks;
use lockgate_signalling::transport::{Broken, Received, Text, Transport};
use lockgate_signalling::{App, Arrival, Config, Signalling};
use prometheus::Registry;
use serde_json::Value;
use tokio::runtime::Runtime;

thread_local! {
    static NODE: OnceCell<(Runtime, Signalling)> = const { OnceCell::new() };
}

/// Frames that come, and those that go out.
struct Wire {
    frames: VecDeque<String>,
    sent: Arc<Mutex<Vec<Value>>>,
    /// It stays until the other is over.
    until: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Transport for Wire {
    async fn receive(&mut self) -> Received {
        match self.frames.pop_front() {
            // A frame that is no text, too.
            Some(frame) if frame == "\u{0}" => Received::Other,
            Some(frame) => Received::Text(frame.into()),
            None => {
                if let Some(until) = &mut self.until {
                    let _ = until.await;
                }
                Received::Gone
            }
        }
    }

    async fn feed(&mut self, text: Text) -> Result<(), Broken> {
        let envelope: Value = serde_json::from_str(text.as_str()).expect("an envelope");
        assert!(envelope["Cmd"].is_string());
        let content = envelope["Content"].as_str().expect("Content is text");
        serde_json::from_str::<Value>(content).expect("Content is JSON");
        self.sent.lock().expect("nobody panicked").push(envelope);
        Ok(())
    }

    async fn probe(&mut self, _: u32) -> Result<(), Broken> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        assert!(matches!(code, 1000 | 1001 | 1013) && !reason.is_empty());
    }
}

const LOGIN: &str = r#"{"Cmd":"Login","AppId":"live","Content":"{\"ChanId\":\"c\",\"ChanSId\":\"s\",\"UserId\":\"other\",\"UserSId\":\"sid\",\"SdkVer\":\"1\",\"SessionId\":\"\",\"AcsToken\":\"\"}"}"#;
const PUBLISH: &str = r#"{"Cmd":"Publish","Content":""}"#;

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else { return };
    NODE.with(|node| {
        let (runtime, signalling) = node.get_or_init(start);
        runtime.block_on(async {
            let frames = input.lines().take(32).map(str::to_owned).collect();
            let (over, until) = tokio::sync::oneshot::channel();
            let [theirs, others] = [(), ()].map(|()| Arc::new(Mutex::new(Vec::new())));
            let stranger = Wire { frames, sent: Arc::clone(&theirs), until: None };
            let member = Wire {
                frames: [LOGIN, PUBLISH].map(str::to_owned).into(),
                sent: Arc::clone(&others),
                until: Some(until),
            };
            let member = tokio::spawn({
                let signalling = signalling.clone();
                async move { signalling.session(member, arrival(2)).await }
            });
            while others.lock().expect("nobody panicked").len() < 2 {
                tokio::task::yield_now().await;
            }
            signalling.session(stranger, arrival(1)).await;
            // At most an answer a frame, and a few notices.
            assert!(theirs.lock().expect("nobody panicked").len() <= 2 * 32 + 8);
            drop(over);
            member.await.expect("no panic");
            while !signalling.channels().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    });
});

fn arrival(last: u8) -> Arrival {
    Arrival { peer: IpAddr::from([192, 0, 2, last]), host: "rtc.example".to_owned(), port: None, secure: false }
}

fn start() -> (Runtime, Signalling) {
    // Time jumps to what is waited for.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let registry = Registry::new();
    let config = Config {
        apps: vec![App::open("live")],
        session_grace: Duration::ZERO,
        messages_per_second: u32::MAX,
        ..Config::default()
    };
    let signalling = {
        let _inside = runtime.enter();
        let router = lockgate_routing::Router::new(lockgate_routing::Config::default(), &registry).expect("a router");
        Signalling::new(config, Arc::new(NoHooks), router, &registry).expect("signalling")
    };
    (runtime, signalling)
}
