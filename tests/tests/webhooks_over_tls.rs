//! Webhooks over https, to a service with a certificate: told and asked where the node trusts it, and
//! never where it does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result};
use lockgate_tests::member::{Member, Ticket, gateway};
use lockgate_tests::node::{PATIENCE, TestNode};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// What the service got: the header that signs it, and the body.
type Request = (Option<String>, Value);

/// An app's service behind TLS. It says yes to everything.
struct Service {
    address: SocketAddr,
    folder: tempfile::TempDir,
    requests: mpsc::Receiver<Request>,
    failures: mpsc::Receiver<std::io::Error>,
}

impl Service {
    fn start() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem())?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (got, requests) = mpsc::channel();
        let (failed, failures) = mpsc::channel();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, got, failed) = (Arc::clone(&config), got.clone(), failed.clone());
                std::thread::spawn(move || {
                    let Ok(session) = ServerConnection::new(config) else {
                        return;
                    };
                    let mut stream = BufReader::new(StreamOwned::new(session, socket));
                    loop {
                        match serve(&mut stream) {
                            Ok(Some(request)) => drop(got.send(request)),
                            Ok(None) => return,
                            Err(error) => return drop(failed.send(error)),
                        }
                    }
                });
            }
        });
        Ok(Self {
            address,
            folder,
            requests,
            failures,
        })
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// A node that trusts this certificate alone, and tells and asks the service.
    fn node(&self, trusted: &Path) -> Result<TestNode> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node-under-test"));
        command.arg("run").env("SSL_CERT_FILE", trusted);
        command.env_remove("SSL_CERT_DIR");
        let url = |key: &str, path: &str| format!("{key}=https://{}{path}", self.address);
        let sets = [
            "webhooks.secret=secret",
            "webhooks.auth_timeout=30s",
            &url("webhooks.url", "/events"),
            &url("webhooks.auth_url", "/ask"),
        ];
        TestNode::spawn(command, &sets)
    }
}

/// Reads one request and answers it; `None` when the peer has no more.
fn serve(stream: &mut BufReader<impl Read + Write>) -> std::io::Result<Option<Request>> {
    let (mut length, mut signature) = (0, None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(("lockgate-signature", value)) => signature = Some(value.to_owned()),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer)?;
    stream.get_mut().flush()?;
    Ok(Some((signature, serde_json::from_slice(&body)?)))
}

#[test]
fn a_service_whose_certificate_is_trusted_is_asked_and_told() -> Result<()> {
    let service = Service::start()?;
    let node = service.node(&service.cert())?;
    let _member = Member::join(node.addresses().http, &Ticket::new("c", "1"))?;
    let mut events = Vec::new();
    while events != ["join", "joined"] {
        let (signature, body) = service.requests.recv_timeout(PATIENCE)?;
        assert!(signature.context("a signature")?.starts_with("t="));
        let event = body["events"].get(0).unwrap_or(&body);
        assert_eq!(
            (&event["channel"], &event["uid"]),
            (&"c".into(), &"1".into())
        );
        events.push(event["event"].as_str().context("an event")?.to_owned());
    }
    node.wait_metric("lockgate_webhook_events_total", "\"delivered\"", 1.0)
}

#[test]
fn a_service_whose_certificate_is_not_trusted_hears_nothing() -> Result<()> {
    let (service, stranger) = (Service::start()?, Service::start()?);
    let node = service.node(&stranger.cert())?;
    // Nobody says yes, so it is "not now", and the client will ask again.
    let welcome = gateway(node.addresses().http, &Ticket::new("c", "1"))?;
    let refused = Member::join(node.addresses().http, &Ticket::new("c", "1"));
    let refused = refused.err().context("it was let in")?.to_string();
    assert!(refused.contains("2001"), "{welcome} {refused}");
    let failure = service.failures.recv_timeout(PATIENCE)?;
    // The node says why it hangs up: nobody it trusts has signed this.
    let said = failure.to_string();
    assert!(said.contains("received fatal alert"), "{said}");
    node.wait_metric("lockgate_auth_webhook_total", "\"failed\"", 1.0)?;
    assert!(service.requests.try_recv().is_err());
    Ok(())
}
