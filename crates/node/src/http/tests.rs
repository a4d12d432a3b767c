//! The HTTP service, asked in process by peers of the tests' choosing.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use lockgate_media::Track;
use lockgate_routing::{ConnectionId, Origin, Publication, StreamId, Subscription};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::*;
use crate::access::Access;
use crate::config::Config;

mod channels;

const HOME: &str = "127.0.0.1:50000";
const AWAY: &str = "192.0.2.1:50000";

struct Asked {
    router: Arc<Router>,
    ready: Arc<AtomicBool>,
    signalling: Signalling,
    service: axum::Router,
}

fn node(token: &str) -> Asked {
    let mut config = Config::default();
    config.api.token = token.to_owned();
    let settings = Settings::try_from(&config).unwrap();
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let router = Router::new(settings.routing(), &registry).unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let desk = Desk {
        bans: Arc::new(lockgate_signalling::bans::Bans::in_memory()),
        webhooks: Arc::new(
            lockgate_signalling::webhook::Webhooks::start(settings.webhooks(), &registry).unwrap(),
        ),
        reports: Arc::new(lockgate_signalling::report::Reports::new(&registry).unwrap()),
    };
    let signalling = Signalling::new(
        settings.signalling(1935),
        Arc::new(desk.clone()),
        Arc::clone(&router),
        &registry,
    )
    .unwrap();
    let admission = Arc::new(Access::new(&settings.config.apps));
    let wait = settings.config.egress.wait_for_publisher;
    let play = lockgate_egress::PlayMetrics::new(&registry).unwrap();
    let egress = Egress::new(Arc::clone(&router), admission, wait, play);
    let media = Media {
        router: Arc::clone(&router),
        egress: Arc::new(egress),
        seats: Seats::new(&settings.config.limits),
    };
    let state = State::new(
        &settings,
        media,
        registry,
        metrics,
        Arc::clone(&ready),
        signalling.clone(),
        desk,
    );
    Asked {
        router,
        ready,
        signalling,
        service: service(state),
    }
}

impl Asked {
    async fn send(&self, peer: &str, request: Request<Body>) -> (StatusCode, String) {
        let (parts, body) = self.raw(peer, request).await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn raw(&self, peer: &str, mut request: Request<Body>) -> Response<Body> {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let carrier = carrier::Carrier::new(permit, None);
        request.extensions_mut().insert(carrier);
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        self.service.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, "").await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let (status, text) = self.send(HOME, request(method, path, body)).await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    fn publish(&self, app: &str, name: &str) -> (u64, Publication) {
        let origin = origin();
        let id = StreamId::new(app, name).unwrap();
        (
            origin.connection.get(),
            self.router.publish(&id.clone().into(), origin).unwrap(),
        )
    }

    fn subscribe(&self, app: &str, name: &str) -> (u64, Subscription) {
        let origin = origin();
        let id = StreamId::new(app, name).unwrap();
        (
            origin.connection.get(),
            self.router.subscribe(&id.clone().into(), origin).unwrap(),
        )
    }
}

fn origin() -> Origin {
    Origin {
        connection: ConnectionId::next(),
        protocol: "rtmp",
        peer: AWAY.parse().unwrap(),
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn with_header(path: &str, name: &str, value: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header(name, value)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn streams_are_listed_in_pages_and_shown_by_name() {
    let node = node("");
    let _held: Vec<_> = ["c", "a", "b"]
        .map(|name| node.publish("live", name))
        .into();
    let (_, _player) = node.subscribe("other", "waited-for");

    let (status, page) = node.get("/api/v1/streams?limit=2&offset=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page["total"], 4);
    let names: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["name"])
        .collect();
    assert_eq!(names, ["b", "c"]);

    let (_, page) = node.get("/api/v1/streams?app=other").await;
    assert_eq!(page["total"], 1);
    assert_eq!(page["items"][0]["state"], "waiting");
    assert_eq!(page["items"][0]["players"], 1);
    assert_eq!(page["items"][0]["publisher"], Value::Null);

    let (status, stream) = node.get("/api/v1/streams/live/a").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(stream["state"], "live");
    assert_eq!(stream["publisher"]["peer"], AWAY);

    let (status, error) = node.get("/api/v1/streams/live/none").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["code"], "stream_not_found");
    assert_eq!(error["next"], "GET /api/v1/streams lists those that are");
}

#[tokio::test]
async fn a_page_is_never_longer_than_a_thousand() {
    let node = node("");
    let (_, page) = node.get("/api/v1/players?limit=5000").await;
    assert_eq!(page["limit"], 1000);
    let (_, page) = node.get("/api/v1/players").await;
    assert_eq!(page["limit"], 100);
}

#[tokio::test]
async fn publishers_tell_their_codec_and_what_they_sent() {
    let node = node("");
    let (id, mut publication) = node.publish("live", "a");
    // An AAC sequence header: AAC-LC, 44.1 kHz, stereo.
    let header = bytes(&[0xaf, 0x00, 0x12, 0x10]);
    publication
        .push(Track::Audio, 0, header, Instant::now())
        .unwrap();
    publication.flush();
    let (_, page) = node.get("/api/v1/publishers?app=live&name=a").await;
    let publisher = &page["items"][0];
    assert_eq!(publisher["connection"], id);
    assert_eq!(
        publisher["audio"],
        json!({"codec": "AAC", "sample_rate": 44100, "channels": 2})
    );
    assert_eq!(publisher["video"], Value::Null);
    assert_eq!(publisher["packets"], 1);
}

#[tokio::test]
async fn the_operator_mutes_and_unmutes_a_player() {
    let node = node("");
    let (id, _player) = node.subscribe("live", "a");
    let path = format!("/api/v1/players/{id}/gate");
    let (status, player) = node.ask("PATCH", &path, r#"{"audio":"closed"}"#).await;
    assert_eq!(status, StatusCode::OK, "{player}");
    assert_eq!(player["gate"]["audio"], "closed");
    assert_eq!(player["gate"]["video"], "open");
    assert_eq!(player["gate"]["audio_closed_by"], json!(["operator"]));
    let (_, player) = node
        .ask("PATCH", &path, r#"{"audio":"open","video":"closed"}"#)
        .await;
    assert_eq!(player["gate"]["audio"], "open");
    assert_eq!(player["gate"]["video"], "closed");

    for (path, body, status, code) in [
        (path.as_str(), "{}", 400, "nothing_to_switch"),
        (&path, r#"{"audio":"shut"}"#, 422, "bad_body"),
        (&path, r#"{"sound":"closed"}"#, 422, "bad_body"),
        (&path, "{", 400, "bad_body"),
        (
            "/api/v1/players/999999/gate",
            r#"{"audio":"closed"}"#,
            404,
            "player_not_found",
        ),
        (
            "/api/v1/players/me/gate",
            r#"{"audio":"closed"}"#,
            400,
            "bad_path",
        ),
    ] {
        let (got, error) = node.ask("PATCH", path, body).await;
        assert_eq!(
            (got.as_u16(), &error["code"]),
            (status, &json!(code)),
            "{path} {body}"
        );
        assert!(error["next"].as_str().is_some_and(|next| !next.is_empty()));
    }
}

#[tokio::test]
async fn kicked_connections_are_told() {
    let node = node("");
    let (id, publication) = node.publish("live", "a");
    let (status, _) = node
        .ask("DELETE", &format!("/api/v1/connections/{id}"), "")
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(publication.cut().await, lockgate_routing::Cut::Kicked);
    let (status, error) = node.ask("DELETE", "/api/v1/connections/999999", "").await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::NOT_FOUND, &json!("connection_not_found"))
    );
}

#[tokio::test]
async fn errors_of_routing_are_json_too() {
    let node = node("");
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "no_such_route"),
        ("GET", "/api/v1/nowhere", 404, "no_such_route"),
        ("POST", "/api/v1/streams", 405, "method_not_allowed"),
        ("GET", "/api/v1/streams?limit=many", 400, "bad_query"),
    ] {
        let (got, error) = node.ask(method, path, "").await;
        assert_eq!(
            (got.as_u16(), &error["code"]),
            (status, &json!(code)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn off_loopback_the_api_needs_the_token_and_nothing_else_does() {
    let node = node("the-token");
    let api = "/api/v1/streams";
    let get = |path: &str| request("GET", path, "");
    let bearer = |token: &str| with_header(api, "authorization", token);
    let from_page = |origin: &str| {
        let mut request = with_header(api, "host", "localhost:8080");
        let headers = request.headers_mut();
        headers.insert("origin", origin.parse().unwrap());
        request
    };
    for (peer, request, status) in [
        (AWAY, get(api), 401),
        (AWAY, get("/api/v1/openapi.json"), 401),
        (AWAY, get("/api/v1/nowhere"), 401),
        (AWAY, get("/api/"), 401),
        (AWAY, bearer("Bearer the-token"), 200),
        (AWAY, bearer("bearer  the-token"), 200),
        (AWAY, bearer("Bearer the-toke"), 401),
        (AWAY, bearer("Basic the-token"), 401),
        (AWAY, get("/metrics"), 200),
        (AWAY, get("/healthz"), 200),
        (AWAY, get("/readyz"), 200),
        (AWAY, get("/"), 200),
        (HOME, get(api), 200),
        (HOME, bearer("Bearer wrong"), 401),
        (HOME, with_header(api, "host", "localhost:8080"), 200),
        (HOME, with_header(api, "host", "evil.example"), 401),
        (HOME, with_header(api, "x-forwarded-for", "192.0.2.1"), 401),
        (HOME, from_page("http://localhost:8080"), 200),
        (HOME, from_page("https://evil.example"), 401),
        (HOME, from_page("http://localhost:9090"), 401),
        (HOME, from_page("null"), 401),
        ("[::ffff:127.0.0.1]:5", get(api), 200),
    ] {
        let line = format!("{peer} {request:?}");
        assert_eq!(node.send(peer, request).await.0.as_u16(), status, "{line}");
    }
    let refused = node.raw(AWAY, get(api)).await;
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn without_a_token_in_the_config_no_token_is_right() {
    let node = node("");
    for token in ["Bearer ", "Bearer x"] {
        let request = with_header("/api/v1/streams", "authorization", token);
        assert_eq!(node.send(AWAY, request).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_root_is_a_page_for_browsers_and_text_for_others() {
    let node = node("the-token");
    for (accept, kind) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
    ] {
        let answer = node.raw(AWAY, with_header("/", "accept", accept)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], kind);
        assert!(
            answer.headers()["vary"]
                .to_str()
                .unwrap()
                .contains("accept")
        );
    }
    let (status, error) = node.get("/_console/none.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["code"], "no_such_route");
}

#[tokio::test]
async fn a_ticket_is_for_a_stream_that_is_there() {
    let node = node("the-token");
    let _held = node.publish("live", "room 1/alice");
    let path = "/api/v1/streams/live/room%201%2Falice/ticket";
    let (status, ticket) = node.ask("POST", path, "").await;
    assert_eq!(status, StatusCode::CREATED, "{ticket}");
    assert!(ticket["query"].as_str().unwrap().starts_with("ticket="));
    assert_eq!(ticket["seconds"], 60);
    let (status, error) = node
        .ask("POST", "/api/v1/streams/live/none/ticket", "")
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["code"], "stream_not_found");
    let (status, _) = node.send(AWAY, request("POST", path, "")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_node_tells_of_its_apps_and_not_of_their_keys() {
    let node = node("");
    let (status, shown) = node.get("/api/v1/node").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(shown["ready"], true);
    let live = json!({"name": "live", "access": "open", "channels": true, "tokens": false});
    assert_eq!(shown["apps"], json!([live]));
}

#[tokio::test]
async fn readiness_follows_the_node_and_health_does_not() {
    let node = node("");
    assert_eq!(node.get("/readyz").await.0, StatusCode::OK);
    node.ready
        .store(false, std::sync::atomic::Ordering::Relaxed);
    let (status, text) = node.get("/readyz").await;
    assert_eq!(
        (status, text),
        (StatusCode::SERVICE_UNAVAILABLE, json!("draining\n"))
    );
    assert_eq!(node.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let node = node("");
    let (status, text) = node.send(HOME, request("GET", "/metrics", "")).await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "lockgate_build_info{version=\"",
        "process_resident_memory_bytes ",
        "lockgate_streams 0",
    ] {
        assert!(
            text.lines().any(|l| l.starts_with(line)),
            "no {line} in {text}"
        );
    }
}

#[tokio::test]
async fn the_document_describes_every_route_and_every_route_answers() {
    let node = node("");
    let (_, document) = node.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                operation["summary"].is_string(),
                "{method} {path} has no summary"
            );
            described.push(format!("{} {path}", method.to_ascii_uppercase()));
        }
    }
    described.sort();
    assert_eq!(
        described,
        [
            "DELETE /api/v1/bans/{id}",
            "DELETE /api/v1/connections/{id}",
            "DELETE /{app}/{name}/whep/{session}",
            "DELETE /{app}/{name}/whip/{session}",
            "GET /",
            "GET /api/v1/bans",
            "GET /api/v1/channels",
            "GET /api/v1/channels/{app}/{channel}",
            "GET /api/v1/channels/{app}/{channel}/members",
            "GET /api/v1/channels/{app}/{channel}/members/{uid}",
            "GET /api/v1/node",
            "GET /api/v1/openapi.json",
            "GET /api/v1/players",
            "GET /api/v1/publishers",
            "GET /api/v1/streams",
            "GET /api/v1/streams/{app}/{name}",
            "GET /healthz",
            "GET /metrics",
            "GET /readyz",
            "OPTIONS /{app}/{name}/whep",
            "OPTIONS /{app}/{name}/whep/{session}",
            "OPTIONS /{app}/{name}/whip",
            "OPTIONS /{app}/{name}/whip/{session}",
            "PATCH /api/v1/channels/{app}/{channel}/members/{uid}/gate",
            "PATCH /api/v1/players/{id}/gate",
            "PATCH /{app}/{name}/whep/{session}",
            "PATCH /{app}/{name}/whip/{session}",
            "POST /api/v1/bans",
            "POST /api/v1/channels/{app}/{channel}/members/{uid}/kick",
            "POST /api/v1/streams/{app}/{name}/ticket",
            "POST /arapi/v1",
            "POST /{app}/{name}/whep",
            "POST /{app}/{name}/whip",
        ]
    );
    for route in described {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path
            .replace("{id}", "999999")
            .replace("{app}", "a")
            .replace("{name}", "b");
        let (status, answer) = node.ask(method, &path, "{}").await;
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{route}");
        assert_ne!(answer["code"], "no_such_route", "{route}");
    }
    // Every schema that is pointed to is there.
    let text = document.to_string();
    for reference in text
        .split("\"$ref\":\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(
            document.pointer(reference).is_some(),
            "{reference} is not in the document"
        );
    }
}

#[tokio::test]
async fn a_body_beyond_what_the_api_reads_is_refused() {
    let node = node("");
    let body = format!("{{\"audio\":\"{}\"}}", "x".repeat(BODY_MAX));
    let request = request(Method::PATCH.as_str(), "/api/v1/players/1/gate", &body);
    assert_eq!(
        node.send(HOME, request).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

fn bytes(body: &'static [u8]) -> axum::body::Bytes {
    axum::body::Bytes::from_static(body)
}
