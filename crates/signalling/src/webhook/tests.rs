//! Against a real HTTP server on loopback. Time runs: what is awaited is what the server got.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::hooks::Leave;
use crate::names::{AppId, ChannelName, Uid};

/// An app's service: answers each request with the next of `answers`, the last for ever.
struct Service {
    address: SocketAddr,
    requests: UnboundedReceiver<(HeaderMap, String)>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn service(answers: &[(u16, &'static str)]) -> Service {
    let answers: Arc<Vec<_>> = Arc::new(answers.to_vec());
    let (sender, requests) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    let handler = move |State(()): State<()>, headers: HeaderMap, body: String| {
        let at = count.fetch_add(1, Ordering::Relaxed);
        let answer = answers[at.min(answers.len() - 1)];
        sender.send((headers, body)).unwrap();
        async move { (StatusCode::from_u16(answer.0).unwrap(), answer.1) }
    };
    let app = axum::Router::new().route("/hook", axum::routing::post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Service {
        address,
        requests,
        task,
    }
}

fn endpoint(address: SocketAddr) -> Option<Endpoint> {
    Some(Endpoint::parse(&format!("http://{address}/hook?key=hidden")).unwrap())
}

fn config() -> Config {
    Config {
        url: None,
        auth_url: None,
        secret: "secret".into(),
        timeout: Duration::from_secs(30),
        auth_timeout: Duration::from_secs(30),
        queue: 1000,
    }
}

fn start(config: Config) -> (Webhooks, Registry) {
    let registry = Registry::new();
    (Webhooks::start(config, &registry).unwrap(), registry)
}

fn count(registry: &Registry, name: &str, result: &str) -> f64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == name)
        .unwrap();
    let metric = family
        .get_metric()
        .iter()
        .find(|metric| metric.get_label()[0].value() == result);
    metric.unwrap().get_counter().get_value()
}

fn who(uid: &str) -> Who {
    Who {
        app: AppId::of_config("live"),
        channel: ChannelName::parse("room 1?#&%").unwrap(),
        uid: Uid::parse(uid),
        ip: "::ffff:10.0.0.1".parse().unwrap(),
    }
}

fn events(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn events_arrive_in_order_signed_and_with_what_they_are_about() {
    let mut service = service(&[(204, "")]).await;
    let (webhooks, registry) = start(Config {
        url: endpoint(service.address),
        ..config()
    });
    let of = Uid::parse("u2");
    let happenings = [
        Happened::Joined,
        Happened::Published,
        Happened::Muted {
            of,
            audio: true,
            video: false,
        },
        Happened::Unpublished,
        Happened::Left(Leave::Kicked),
        Happened::TokenRefused("expired"),
    ];
    for what in &happenings {
        webhooks.tell(&who("u1"), what);
    }
    let mut got = Vec::new();
    while got.len() < happenings.len() {
        let (headers, body) = service.requests.recv().await.unwrap();
        let signature = headers["lockgate-signature"].to_str().unwrap();
        let seconds = signature[2..].split_once(',').unwrap().0.parse().unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(signature, webhooks.poster.sign(&body, at));
        assert_eq!(headers["content-type"], "application/json");
        got.extend(events(&body));
    }
    let names: Vec<_> = got
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "joined",
            "published",
            "muted",
            "unpublished",
            "left",
            "token_refused"
        ]
    );
    for event in &got {
        assert_eq!(event["app"], "live");
        assert_eq!(event["channel"], "room 1?#&%");
        assert_eq!(event["uid"], "u1");
        assert_eq!(event["ip"], "10.0.0.1");
        assert!(event["time"].as_u64().unwrap() > 1_600_000_000_000);
    }
    assert_eq!(got[2]["of"], "u2");
    assert_eq!(
        (&got[2]["audio_muted"], &got[2]["video_muted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(got[4]["reason"], "kicked");
    assert_eq!(got[5]["reason"], "expired");
    webhooks.shutdown(Duration::from_secs(30)).await;
    assert_eq!(
        count(&registry, "lockgate_webhook_events_total", "delivered"),
        6.0
    );
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_with_the_same_ids() {
    let mut service = service(&[(500, ""), (302, ""), (200, "")]).await;
    let (webhooks, registry) = start(Config {
        url: endpoint(service.address),
        ..config()
    });
    webhooks.tell(&who("u1"), &Happened::Joined);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (_, body) = service.requests.recv().await.unwrap();
        ids.push(events(&body)[0]["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    webhooks.shutdown(Duration::from_secs(30)).await;
    let attempts = |result| count(&registry, "lockgate_webhook_attempts_total", result);
    assert_eq!((attempts("ok"), attempts("status")), (1.0, 2.0));
}

#[tokio::test]
async fn a_service_that_is_gone_costs_no_more_than_the_queue() {
    // Nobody accepts here: the first batch waits for its attempt.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (webhooks, registry) = start(Config {
        url: endpoint(listener.local_addr().unwrap()),
        queue: 10,
        timeout: Duration::from_millis(50),
        ..config()
    });
    // Without a pause the courier cannot take any of these.
    for _ in 0..25 {
        webhooks.tell(&who("u1"), &Happened::Joined);
    }
    let told = |result| count(&registry, "lockgate_webhook_events_total", result);
    assert_eq!(told("dropped"), 15.0);
    webhooks.shutdown(Duration::from_secs(30)).await;
    assert_eq!(told("failed"), 10.0);
    webhooks.tell(&who("u1"), &Happened::Joined);
    assert_eq!(told("dropped"), 16.0);
}

#[tokio::test]
async fn the_auth_webhook_decides_and_silence_is_no_consent() {
    for (status, body, verdict) in [
        (204, "", Ok(())),
        (200, r#"{"allow":true}"#, Ok(())),
        (200, r#"{"allow":false}"#, Err(Code::Refused)),
        (403, "", Err(Code::Refused)),
        (401, "<html>", Err(Code::Refused)),
        (200, "<html>", Err(Code::TryAgain)),
        (404, r#"{"allow":true}"#, Err(Code::TryAgain)),
        (500, "", Err(Code::TryAgain)),
    ] {
        let mut service = service(&[(status, body)]).await;
        let (webhooks, _) = start(Config {
            auth_url: endpoint(service.address),
            ..config()
        });
        assert!(webhooks.asks());
        let answer = webhooks.ask(&who("u1"), Wish::Publish).await;
        assert_eq!(answer, verdict, "{status} {body}");
        let (headers, question) = service.requests.recv().await.unwrap();
        assert!(headers.contains_key("lockgate-signature"));
        let question: Value = serde_json::from_str(&question).unwrap();
        assert_eq!(question["event"], "publish");
        assert_eq!(question["uid"], "u1");
        assert_eq!(question["ip"], "10.0.0.1");
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_keeps_a_client_waiting_for_its_timeout_only() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (webhooks, registry) = start(Config {
        auth_url: endpoint(listener.local_addr().unwrap()),
        auth_timeout: Duration::from_millis(20),
        ..config()
    });
    let answer = webhooks.ask(&who(""), Wish::Join).await;
    assert_eq!(answer, Err(Code::TryAgain));
    assert_eq!(
        count(&registry, "lockgate_auth_webhook_total", "failed"),
        1.0
    );
}

#[test]
fn only_urls_that_can_be_posted_to_are_taken_and_their_paths_are_not_shown() {
    let shown = Endpoint::parse("https://app.example:8443/hook?key=hidden").unwrap();
    assert_eq!(shown.to_string(), "https://app.example:8443/…");
    assert_eq!(format!("{shown:?}"), shown.to_string());
    for wrong in [
        "",
        "app.example",
        "/hook",
        "ftp://a/",
        "http://",
        "http://u:p@a/",
    ] {
        assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_signature_is_what_the_docs_say() {
    let poster = Poster::new("secret", false).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    // printf '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac secret
    assert_eq!(
        poster.sign(r#"{"events":[]}"#, at),
        "t=1700000000,v1=3947de27ec923573170fccda604ddfb25583ff98dc51e96cca2e11c59545026a"
    );
}

#[test]
fn back_off_doubles_up_to_a_minute_and_no_two_nodes_keep_step() {
    for attempt in 0..ATTEMPTS {
        let full = BACK_OFF.saturating_mul(1 << attempt).min(BACK_OFF_MAX);
        for _ in 0..100 {
            let wait = back_off(attempt);
            assert!(wait >= full / 2 && wait <= full, "{attempt}: {wait:?}");
        }
    }
    assert!(back_off(u32::MAX) <= BACK_OFF_MAX);
}
