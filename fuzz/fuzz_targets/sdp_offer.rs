//! SDP offers: an answer or an error, for either side.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use lockgate_rtc::{Answered, Listener, Port, Role, Settings};
use tokio::runtime::Runtime;

static PORT: LazyLock<(Runtime, Arc<Port>)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let settings = Settings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        public: Vec::new(),
    };
    let port = runtime.block_on(async {
        let registry = prometheus::Registry::new();
        Listener::bind(&settings, &registry).expect("a free port").port()
    });
    (runtime, port)
});

fuzz_target!(|input: &[u8]| {
    let Ok(offer) = std::str::from_utf8(input) else {
        return;
    };
    for role in [Role::Send, Role::Receive] {
        if let Ok(answered) = Answered::to(offer, role, &PORT.1, Instant::now()) {
            assert!(answered.has_audio() || answered.has_video());
            assert!(answered.answer.starts_with("v=0"));
        }
    }
});
