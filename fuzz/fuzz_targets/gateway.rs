//! A body for the gateway: the answer is always one that clients read, and names an address exactly
//! when it is a welcome.

#![no_main]

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lockgate_signalling::hooks::NoHooks;
use lockgate_signalling::token::Certificate;
use lockgate_signalling::{App, Arrival, Config, Signalling};
use prometheus::Registry;
use tokio::runtime::Runtime;

thread_local! {
    static NODE: OnceCell<(Runtime, Signalling)> = const { OnceCell::new() };
}

fuzz_target!(|body: &[u8]| {
    NODE.with(|node| {
        let (_, signalling) = node.get_or_init(start);
        let arrival = Arrival {
            peer: IpAddr::from([192, 0, 2, 1]),
            host: "rtc.example".to_owned(),
            port: None,
            secure: false,
        };
        let reply = signalling.gateway(body, &arrival);
        let text = serde_json::to_string(&reply).expect("JSON");
        assert!(text.len() < 512, "{text}");
        let welcome = reply.code.number() == 0;
        assert_eq!(reply.addresses.len(), usize::from(welcome));
        assert_eq!(reply.session_id.len(), if welcome { 32 } else { 0 });
        for address in reply.addresses {
            assert!(address.addr == "rtc.example" && matches!(address.port, 80 | 443));
        }
    });
});

fn start() -> (Runtime, Signalling) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let registry = Registry::new();
    let apps = vec![
        App::open("live"),
        App { closed: true, ..App::open("shut") },
        App {
            certificate: Certificate::new("fedcba9876543210fedcba9876543210"),
            ..App::open("0123456789abcdef0123456789abcdef")
        },
    ];
    let config = Config { apps, ..Config::default() };
    let signalling = {
        let _inside = runtime.enter();
        let router = lockgate_routing::Router::new(lockgate_routing::Config::default(), &registry).expect("a router");
        Signalling::new(config, Arc::new(NoHooks), router, &registry).expect("signalling")
    };
    (runtime, signalling)
}
