//! A certificate and its key, read from two PEM files and known to fit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys};
use x509_parser::parse_x509_certificate;

use super::reload::Stamp;

/// What a listener proves itself with.
pub(crate) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When the certificate ends, in seconds since 1970 (RFC 5280 §4.1.2.5, `notAfter`).
    pub(super) expires: i64,
    /// What the files were when they were read.
    pub(super) stamp: Stamp,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// Why two files are no pair. Says what is wrong with which file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        file: File,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} holds no {file} in PEM{}", path.display(), detail(*file))]
    Missing { file: File, path: PathBuf },
    #[error("{} is not PEM: {problem}", path.display())]
    NotPem {
        file: File,
        path: PathBuf,
        problem: String,
    },
    #[error("the {file} in {} cannot be used: {source}", path.display())]
    Unusable {
        file: File,
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("the private key in {} is not that of the first certificate in {}", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Certificate,
    Key,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        })
    }
}

/// What is often in the file instead.
fn detail(file: File) -> &'static str {
    match file {
        File::Certificate => " (\"-----BEGIN CERTIFICATE-----\")",
        File::Key => " that is not encrypted (\"-----BEGIN PRIVATE KEY-----\")",
    }
}

impl PairError {
    /// The config key whose file it is.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Unreadable { file, .. }
            | Self::Missing { file, .. }
            | Self::NotPem { file, .. }
            | Self::Unusable { file, .. } => match file {
                File::Certificate => "tls.cert",
                File::Key => "tls.key",
            },
            Self::Mismatch { .. } => "tls.key",
        }
    }
}

impl Pair {
    /// Reads the pair.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, PairError> {
        // Before the files are read: what changes from here on is seen as a change.
        let stamp = Stamp::of(cert, key);
        let chain = read(File::Certificate, cert)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| not_pem(File::Certificate, cert, &error))?;
        let Some(leaf) = chain.first() else {
            return Err(PairError::Missing {
                file: File::Certificate,
                path: cert.to_owned(),
            });
        };
        ParsedCertificate::try_from(leaf)
            .map_err(|source| unusable(File::Certificate, cert, source))?;
        let expires = parse_x509_certificate(leaf)
            .map(|(_, leaf)| leaf.validity().not_after.timestamp())
            .map_err(|_| {
                let source = rustls::CertificateError::BadEncoding.into();
                unusable(File::Certificate, cert, source)
            })?;
        let private = PrivateKeyDer::from_pem_slice(&read(File::Key, key)?)
            .map_err(|error| not_pem(File::Key, key, &error))?;
        let certified = CertifiedKey::from_der(chain, private, &super::provider()).map_err(
            |error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    PairError::Mismatch {
                        cert: cert.to_owned(),
                        key: key.to_owned(),
                    }
                }
                source => unusable(File::Key, key, source),
            },
        )?;
        Ok(Self {
            key: Arc::new(certified),
            expires,
            stamp,
        })
    }
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, PairError> {
    std::fs::read(path).map_err(|source| PairError::Unreadable {
        file,
        path: path.to_owned(),
        source,
    })
}

fn not_pem(file: File, path: &Path, error: &pem::Error) -> PairError {
    let path = path.to_owned();
    match error {
        pem::Error::NoItemsFound => PairError::Missing { file, path },
        // Its other errors say where the text breaks off, never what it says.
        pem::Error::Base64Decode(_) => PairError::NotPem {
            file,
            path,
            problem: "its base64 is broken".to_owned(),
        },
        _ => PairError::NotPem {
            file,
            path,
            problem: "a section does not begin or end as it should".to_owned(),
        },
    }
}

fn unusable(file: File, path: &Path, source: rustls::Error) -> PairError {
    PairError::Unusable {
        file,
        path: path.to_owned(),
        source,
    }
}
