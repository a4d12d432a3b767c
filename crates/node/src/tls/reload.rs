//! The certificate in use, and the task that looks whether its files have changed.
//!
//! A pair that does not fit never replaces one that does.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::{IntGauge, Registry};
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{error, info, warn};

use super::pair::{Pair, PairError};

/// How often the files are looked at. Whoever renews a certificate does so days ahead; a person who
/// replaces one by hand wants to see it.
const INTERVAL: Duration = Duration::from_secs(2);

/// What handshakes prove the node with.
#[derive(Debug)]
pub(crate) struct Certificate {
    key: RwLock<Arc<CertifiedKey>>,
    expiry: IntGauge,
}

impl Certificate {
    /// Tells `registry` when it ends, which is news only where there is one.
    pub(super) fn new(pair: &Pair, registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let expiry = IntGauge::new(
            "lockgate_tls_certificate_expiry_timestamp_seconds",
            "When the TLS certificate in use ends, in seconds since 1970.",
        )?;
        registry.register(Box::new(expiry.clone()))?;
        expiry.set(pair.expires);
        Ok(Arc::new(Self {
            key: RwLock::new(Arc::clone(&pair.key)),
            expiry,
        }))
    }

    fn replace(&self, pair: Pair) {
        *self.key.write() = pair.key;
        self.expiry.set(pair.expires);
    }
}

impl ResolvesServerCert for Certificate {
    /// The same for every name: whoever checks names is the client.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read()))
    }
}

/// What tells a file from the one it was: a file that is replaced has another inode, one that is
/// written to has another time of change, which nothing can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(cert: &Path, key: &Path) -> Self {
        Self([cert, key].map(|path| {
            let file = std::fs::metadata(path).ok()?;
            Some(FileStamp {
                place: (file.dev(), file.ino()),
                size: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            })
        }))
    }
}

/// Looks after the files of a certificate.
#[derive(Debug)]
pub(crate) struct Watch {
    certificate: Arc<Certificate>,
    cert: PathBuf,
    key: PathBuf,
    /// The files that were loaded, or refused, last.
    judged: Stamp,
    /// The files at the last look.
    seen: Stamp,
}

/// What a look at the files found.
#[derive(Debug)]
pub(super) enum Look {
    Unchanged,
    /// They are changing: the other half of the pair may be on its way.
    Settling,
    Loaded,
    Refused(PairError),
}

impl Watch {
    pub(super) fn new(certificate: Arc<Certificate>, pair: &Pair, cert: &Path, key: &Path) -> Self {
        Self {
            certificate,
            cert: cert.to_owned(),
            key: key.to_owned(),
            judged: pair.stamp,
            seen: pair.stamp,
        }
    }

    /// Looks after the files for ever.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A file system may hang.
            let looked = tokio::task::spawn_blocking(move || {
                let look = self.look();
                (self, look)
            });
            let look;
            (self, look) = match looked.await {
                Ok(looked) => looked,
                Err(error) => {
                    error!(%error, "the TLS certificate is no longer looked after");
                    return std::future::pending().await;
                }
            };
            match look {
                Look::Unchanged | Look::Settling => {}
                Look::Loaded => info!(cert = %self.cert.display(), "TLS certificate reloaded"),
                Look::Refused(error) => warn!(
                    key = error.key(),
                    "the new TLS certificate cannot be used, the old one stays: {error}"
                ),
            }
        }
    }

    /// Loads the files if they have changed and have come to rest since the last look. Files that
    /// were refused are not tried again until they change.
    pub(super) fn look(&mut self) -> Look {
        let now = Stamp::of(&self.cert, &self.key);
        let before = std::mem::replace(&mut self.seen, now);
        if now == self.judged {
            return Look::Unchanged;
        }
        if now != before {
            return Look::Settling;
        }
        self.judged = now;
        match Pair::load(&self.cert, &self.key) {
            Ok(pair) => {
                self.certificate.replace(pair);
                Look::Loaded
            }
            Err(error) => Look::Refused(error),
        }
    }
}
