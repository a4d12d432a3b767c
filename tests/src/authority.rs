//! A certificate of the tests' own, a node that uses it, and clients that trust it alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use lockgate_node::Config;
use tempfile::TempDir;

use crate::node::TestNode;
use crate::tools;

/// A certificate for this machine, in files of its own, that is its own authority.
#[derive(Debug)]
pub struct Authority(TempDir);

impl Authority {
    /// A fresh one.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn new() -> Result<Self> {
        let authority = Self(tempfile::tempdir()?);
        authority.renew()?;
        Ok(authority)
    }

    /// The certificate's file.
    pub fn cert(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    /// The private key's file.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// Another certificate of the same names in the same files.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn renew(&self) -> Result<()> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        std::fs::write(self.cert(), made.cert.pem())?;
        std::fs::write(self.key(), made.signing_key.serialize_pem())?;
        Ok(())
    }

    /// The same certificate, without its key, in a file of its own.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self(tempfile::tempdir()?);
        std::fs::copy(self.cert(), copy.cert())?;
        Ok(copy)
    }

    /// A node with both listeners behind TLS, beside the plain ones.
    ///
    /// # Errors
    /// When it does not start.
    pub fn node(&self, change: impl FnOnce(&mut Config)) -> Result<TestNode> {
        TestNode::with(|config| {
            config.tls.cert = self.cert();
            config.tls.key = self.key();
            config.tls.rtmps = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            config.tls.https = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            change(config);
        })
    }

    /// ffmpeg's options, so that it does what it does not do by default: check.
    pub fn checked(&self, ffmpeg: &mut Command) {
        ffmpeg
            .args(["-tls_verify", "1", "-ca_file"])
            .arg(self.cert());
    }

    /// curl that trusts this and nothing else.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn curl(&self, url: &str) -> Result<Command> {
        let mut curl = tools::curl()?;
        curl.arg("--cacert").arg(self.cert()).arg(url);
        Ok(curl)
    }
}

/// The URL of a stream of the default app behind TLS.
///
/// # Errors
/// When the node has no such listener.
pub fn rtmps(node: &TestNode, name: &str) -> Result<String> {
    let address = node.addresses().rtmps.context("an RTMPS listener")?;
    Ok(format!("rtmps://{address}/live/{name}"))
}

/// The URL of a path behind TLS.
///
/// # Errors
/// When the node has no such listener.
pub fn https(node: &TestNode, path: &str) -> Result<String> {
    let address = node.addresses().https.context("an HTTPS listener")?;
    Ok(format!("https://{address}{path}"))
}
