//! One signed request to an app's service, over http or https.
//!
//! `Lockgate-Signature: t=<seconds after 1970>,v1=<hex>`, where `v1` is the HMAC-SHA256, keyed with
//! `webhooks.secret`, of the seconds, a dot and the body. A receiver that refuses old seconds cannot
//! be fed a recorded request. The URL's path and query are never logged: they may hold secrets.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;

/// The most of an answer that is read.
const ANSWER_MAX: usize = 4096;

/// How long a connection may wait for its next request: less than servers commonly allow.
const IDLE: Duration = Duration::from_secs(20);

/// An http or https URL that requests go to.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// Why a URL is none that requests can go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an http:// or https:// URL with a host, and no user or password in it")]
pub struct BadUrl;

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is none, or not one of http or https.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let uri: Uri = text.parse().map_err(|_| BadUrl)?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let secret = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        (scheme && host && !secret)
            .then_some(Self(uri))
            .ok_or(BadUrl)
    }
}

impl Endpoint {
    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}/…")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("it answered {0}")]
    Status(u16),
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("its answer broke off or is too long")]
    Answer,
    #[error("it took too long")]
    Timeout,
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
}

/// Sends requests; keeps connections open between them.
pub(super) struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    secret: Vec<u8>,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster(…)")
    }
}

impl Poster {
    /// `https`: whether any endpoint needs it.
    pub(super) fn new(secret: &str, https: bool) -> Result<Self, rustls::Error> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(https)?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(16)
            .build(connector);
        Ok(Self {
            client,
            secret: secret.as_bytes().to_vec(),
        })
    }

    /// Sends a JSON body and reads the answer, all within `timeout`.
    pub(super) async fn post(
        &self,
        to: &Endpoint,
        body: String,
        timeout: Duration,
    ) -> Result<Answer, Failed> {
        let request = Request::post(to.0.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("lockgate/", env!("CARGO_PKG_VERSION")),
            )
            .header("lockgate-signature", self.sign(&body, SystemTime::now()))
            .body(Full::from(body))?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(Failed::Unreachable)?;
            let status: StatusCode = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX)
                .collect()
                .await
                .map_err(|_| Failed::Answer)?;
            Ok(Answer {
                status: status.as_u16(),
                body: body.to_bytes(),
            })
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(Failed::Timeout))
    }

    pub(super) fn sign(&self, body: &str, now: SystemTime) -> String {
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut header = format!("t={seconds},v1=");
        // A key of any length will do, so this never comes to nothing.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) {
            mac.update(format!("{seconds}.{body}").as_bytes());
            for byte in mac.finalize().into_bytes() {
                let _ = write!(header, "{byte:02x}");
            }
        }
        header
    }
}

/// TLS that trusts what the system trusts. Without a single root every https service is refused,
/// and the log says why.
fn tls(used: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    if used {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(
                "this system has no CA certificates (on Debian: the package ca-certificates); \
                 webhooks over https will fail"
            );
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
