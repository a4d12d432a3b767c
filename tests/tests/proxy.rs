//! Mini-program clients behind nginx, with the config that `deploy/` has for it: where they are sent,
//! and whom the node takes them for.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lockgate_tests::child::{self, Running};
use lockgate_tests::member::{Closed, Member, Ticket, gateway};
use lockgate_tests::node::{PATIENCE, TestNode};
use lockgate_tests::tools;
use serde_json::{Value, json};

/// What nginx connects from, so that it differs from its clients.
const PROXY: &str = "127.0.0.9";

/// nginx in front of a node, with and without TLS.
struct Proxy {
    https: SocketAddr,
    http: SocketAddr,
    folder: tempfile::TempDir,
    _running: Running,
}

impl Proxy {
    fn start(node: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let names = ["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        std::fs::write(path("cert.pem"), made.cert.pem())?;
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem())?;
        let https = free_port()?;
        let http = free_port()?;
        let site = tools::workspace().join("deploy/nginx/lockgate.conf");
        let mut site = std::fs::read_to_string(site)?;
        for (documented, here) in [
            (
                "listen 443 ssl;",
                format!("listen {https} ssl; listen {http};"),
            ),
            (
                "http://127.0.0.1:8080;",
                format!("http://{node}; proxy_bind {PROXY};"),
            ),
            ("/etc/lockgate", folder.path().display().to_string()),
        ] {
            ensure!(site.contains(documented), "{documented}");
            site = site.replace(documented, &here);
        }
        std::fs::write(path("nginx.conf"), frame(folder.path(), &site))?;
        let mut nginx = tools::nginx()?;
        nginx.arg("-p").arg(folder.path()).args(["-e", "stderr"]);
        nginx.arg("-c").arg(path("nginx.conf"));
        let running = Running::start(nginx)?;
        let start = std::time::Instant::now();
        while std::net::TcpStream::connect(http).is_err() {
            ensure!(
                start.elapsed() < PATIENCE,
                "nginx does not listen: {}",
                running.stderr()
            );
            std::thread::yield_now();
        }
        Ok(Self {
            https,
            http,
            folder,
            _running: running,
        })
    }

    /// Asks the gateway through TLS, as a mini program that was given `https://` would, with headers
    /// that a client has no business sending.
    fn gateway(&self, host: &str, headers: &[&str]) -> Result<Value> {
        let ticket = Ticket::new("c", "1");
        let body = json!({"sid": ticket.sid, "appId": "live", "cname": "c", "uid": "1", "token": "",
            "extend": "", "wss": true});
        let mut curl = tools::curl()?;
        curl.arg("--cacert")
            .arg(self.folder.path().join("cert.pem"));
        curl.args(["--header", "content-type: application/json"]);
        curl.args([
            "--header",
            &format!("host: {host}"),
            "--data",
            &body.to_string(),
        ]);
        for header in headers {
            curl.args(["--header", header]);
        }
        curl.arg(format!(
            "https://{}/arapi/v1?action=wapp_gateway",
            self.https
        ));
        let answer = child::run(curl, PATIENCE)?.success()?;
        Ok(serde_json::from_slice(&answer.stdout)?)
    }
}

/// The rest of an nginx.conf: one process, all of whose files are in `folder`.
fn frame(folder: &Path, site: &str) -> String {
    let folder = folder.display();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp = temp.map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
    format!(
        "daemon off; master_process off; pid {folder}/pid; events {{}}\n\
         http {{ access_log off; {} {site} }}\n",
        temp.join(" ")
    )
}

/// nginx takes no port 0, so this is the nearest: one that nobody had a moment ago.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn ban(node: &TestNode, ip: &str) -> Result<()> {
    let url = format!("http://{}/api/v1/bans", node.addresses().http);
    ureq::post(&url).send_json(json!({"ip": ip}))?;
    Ok(())
}

#[test]
fn behind_nginx_clients_are_sent_back_to_nginx_and_known_by_their_own_address() -> Result<()> {
    let trusted = PROXY.parse().map_err(anyhow::Error::msg)?;
    let node = TestNode::with(|config| config.http.trusted_proxies = vec![trusted])?;
    let proxy = Proxy::start(node.addresses().http)?;
    let welcome = proxy.gateway(&proxy.https.to_string(), &[])?;
    let here = json!([{"type": 0, "addr": "127.0.0.1", "port": proxy.https.port()}]);
    assert_eq!(
        (&welcome["code"], &welcome["addresses"]),
        (&json!(0), &here)
    );
    // On 443 a client's Host has no port.
    let welcome = proxy.gateway("rtc.example.com", &[])?;
    let there = json!([{"type": 0, "addr": "rtc.example.com", "port": 443}]);
    assert_eq!(welcome["addresses"], there);

    let member = Member::join(proxy.http, &Ticket::new("c", "1"))?;
    let shown = node.get("/api/v1/channels/live/c/members/1")?;
    assert_eq!(shown["ip"], "127.0.0.1");

    // The ban hits the client and not the proxy, whatever the client says of itself.
    ban(&node, "127.0.0.1")?;
    let banned = Closed {
        code: 1000,
        reason: "UID_BANNED".to_owned(),
    };
    assert_eq!(member.wait_closed()?, banned);
    for headers in [
        &[][..],
        &["x-forwarded-for: 203.0.113.9"],
        &["forwarded: for=203.0.113.9"],
    ] {
        let refused = proxy.gateway("rtc.example.com", headers)?;
        assert_eq!(refused["code"], 15, "{headers:?}");
    }
    Ok(())
}

#[test]
fn a_proxy_that_is_not_trusted_is_taken_for_the_client() -> Result<()> {
    let node = TestNode::start()?;
    let proxy = Proxy::start(node.addresses().http)?;
    let welcome = proxy.gateway("rtc.example.com", &[])?;
    assert_eq!(welcome["addresses"][0]["port"], 443);
    let _member = Member::join(proxy.http, &Ticket::new("c", "1"))?;
    let shown = node.get("/api/v1/channels/live/c/members/1")?;
    assert_eq!(shown["ip"].as_str().context("ip")?, PROXY);
    ban(&node, "203.0.113.9")?;
    let welcome = proxy.gateway("rtc.example.com", &["x-forwarded-for: 203.0.113.9"])?;
    assert_eq!(welcome["code"], 0);
    let direct = gateway(node.addresses().http, &Ticket::new("c", "2"))?;
    assert_eq!(direct["addresses"][0]["port"], node.addresses().http.port());
    Ok(())
}

#[test]
fn nginx_keeps_the_api_and_the_metrics_within() -> Result<()> {
    let node = TestNode::start()?;
    let proxy = Proxy::start(node.addresses().http)?;
    for path in ["/metrics", "/api/v1/streams", "/openapi.json"] {
        let answer = ureq::get(&format!("http://{}{path}", proxy.http)).call();
        assert!(
            matches!(answer, Err(ureq::Error::StatusCode(404))),
            "{path}: {answer:?}"
        );
    }
    Ok(())
}
