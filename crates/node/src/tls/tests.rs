//! Files that are no pair, files that change, handshakes, and bytes across the bridge.

mod bridge;
mod files;
mod handshake;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::tls::pair::PairError;

/// Nothing here takes long; what takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate and its key in files of their own.
struct Issued {
    folder: TempDir,
}

impl Issued {
    fn new() -> Self {
        let issued = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        issued.renew();
        issued
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Another certificate of the same name in the same files.
    fn renew(&self) {
        self.renew_until(2036);
    }

    /// The same, until the first day of a year.
    fn renew_until(&self, year: i32) {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        std::fs::write(self.cert(), cert.pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    fn load(&self) -> Result<Pair, PairError> {
        Pair::load(&self.cert(), &self.key())
    }

    fn tls(&self) -> (Tls, Watch) {
        self.tls_told_to(&Registry::new())
    }

    fn tls_told_to(&self, registry: &Registry) -> (Tls, Watch) {
        Tls::new(&self.load().unwrap(), &self.cert(), &self.key(), registry).unwrap()
    }

    fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.cert()).unwrap()
    }

    /// A client that trusts what is in the file now.
    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.leaf()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// Both ends of a connection over loopback.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Both ends of an encrypted connection.
async fn shaken(
    client: &TlsConnector,
    server: &Terminator,
) -> (
    std::io::Result<client::TlsStream<TcpStream>>,
    Result<TlsStream<TcpStream>, HandshakeError>,
) {
    let (near, far) = sockets().await;
    let name = ServerName::try_from("localhost").unwrap();
    tokio::join!(client.connect(name, near), server.accept(far, PATIENCE))
}
