//! GStreamer's webrtcbin as a client of WHEP and WHIP: `tests/gstreamer/webrtc.py` says what it does.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::child::Running;
use crate::node::PATIENCE;
use crate::tools;

/// A client and the certificate that it shows.
#[derive(Debug)]
pub struct Client {
    running: Running,
    _certificate: tempfile::NamedTempFile,
}

impl Client {
    /// Plays until so many pictures have been decoded.
    ///
    /// # Errors
    /// Something that it needs is not installed.
    pub fn play(url: &str, codec: &str, frames: u32) -> Result<Self> {
        Self::start("play", url, codec, frames)
    }

    /// Publishes for so many seconds.
    ///
    /// # Errors
    /// Something that it needs is not installed.
    pub fn publish(url: &str, codec: &str, seconds: u32) -> Result<Self> {
        Self::start("publish", url, codec, seconds)
    }

    fn start(role: &str, url: &str, codec: &str, goal: u32) -> Result<Self> {
        // What webrtcbin makes for itself is RSA's, which the node's DTLS does not take.
        let made = rcgen::generate_simple_self_signed(["client".to_owned()])?;
        let certificate = tempfile::NamedTempFile::new()?;
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        std::fs::write(certificate.path(), pem)?;
        let mut command: Command = tools::gstreamer_python()?;
        command
            .arg(tools::workspace().join("tests/gstreamer/webrtc.py"))
            .args([role, url, codec, &goal.to_string()])
            .arg(certificate.path());
        Ok(Self {
            running: Running::start(command)?,
            _certificate: certificate,
        })
    }

    /// Waits until media can flow.
    ///
    /// # Errors
    /// It never can.
    pub fn wait_connected(&self) -> Result<()> {
        self.running.wait_for_stderr("state: connected", PATIENCE)
    }

    /// Waits for its end: what it saw or sent.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub fn finish(self) -> Result<Value> {
        let finished = self.running.wait_with_deadline(PATIENCE)?.success()?;
        let output = finished.output();
        let last = output.lines().last().context("it said nothing")?;
        serde_json::from_str(last).with_context(|| finished.text())
    }
}
