//! Secrets that are only ever compared: stream keys and the API's token.
//!
//! Kept as a digest, so that comparing takes the same time whatever was offered, and so that no
//! log line or crash can show one.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret, as its SHA-256.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// True if the offered text is the secret.
    pub(crate) fn matches(&self, offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered.as_bytes()).into();
        self.0.ct_eq(&offered).into()
    }

    /// True if the offered text is one of the secrets; looks at all of them either way.
    pub(crate) fn any_matches(secrets: &[Self], offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered.as_bytes()).into();
        let found = secrets
            .iter()
            .fold(subtle::Choice::from(0), |found, secret| {
                found | secret.0.ct_eq(&offered)
            });
        found.into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The query of a URL, fit for a log: that there is one, never what it says.
#[derive(Clone, Copy)]
pub(crate) struct Redacted<'a>(pub(crate) &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "?…" })
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches() {
        let secrets = [Secret::new("one"), Secret::new("two")];
        assert!(Secret::any_matches(&secrets, "two"));
        for wrong in ["", "on", "one ", "three", "ONE"] {
            assert!(!Secret::any_matches(&secrets, wrong), "{wrong:?}");
        }
        assert!(!Secret::any_matches(&[], ""));
        assert!(secrets.iter().any(|secret| secret.matches("one")));
    }

    #[test]
    fn neither_a_secret_nor_a_query_is_shown() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
        assert_eq!(Redacted("key=hunter2").to_string(), "?…");
        assert_eq!(Redacted("").to_string(), "");
    }
}
