//! What is wrong with a config, in one line that names the key, the value, what is allowed and
//! where the value came from. Values of secret keys are never repeated.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a config file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A `--set` of the command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// Why a config cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} line {line}, column {column}: not TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// A `--set` that is no `key=value`.
    #[error("--set {argument}: expected key=value, such as --set rtmp.listen=127.0.0.1:19350")]
    NotAssignment {
        /// What was given.
        argument: String,
    },
    /// A key that does not exist, or whose value is not allowed.
    #[error("{key}{}: {problem} (from {origin})", value.as_ref().map(|v| format!(" = {v}")).unwrap_or_default())]
    Key {
        /// The key, as in `rtmp.listen` or `apps[0].name`.
        key: String,
        /// Its value, unless the key is unknown, missing, or a secret.
        value: Option<String>,
        /// What is wrong and what is allowed.
        problem: String,
        /// Where the value came from.
        origin: Origin,
    },
}

/// True for keys whose values must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    matches!(key, "api.token" | "apps")
        || key.contains("_keys")
        || matches!(
            key,
            "webhooks.secret" | "webhooks.url" | "webhooks.auth_url"
        )
}

/// A value as an error shows it: scalars only, and no secrets.
pub(super) fn shown(key: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Array(_) | toml::Value::Table(_) => None,
        _ if is_secret(key) => Some("…".to_owned()),
        scalar => Some(scalar.to_string()),
    }
}
