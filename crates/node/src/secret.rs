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
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
