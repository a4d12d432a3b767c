//! A config shown to people: as TOML, and in `Debug`, with keys and tokens replaced.

use std::fmt;

use super::{Api, App, Config};

const HIDDEN: &str = "…";

/// The config as TOML without its secrets.
pub(super) fn redacted_toml(config: &Config) -> String {
    let mut config = config.clone();
    if !config.api.token.is_empty() {
        config.api.token = HIDDEN.to_owned();
    }
    for app in &mut config.apps {
        for key in app.publish_keys.iter_mut().chain(&mut app.play_keys) {
            *key = HIDDEN.to_owned();
        }
        if !app.certificate.is_empty() {
            app.certificate = HIDDEN.to_owned();
        }
    }
    // Every type of a config has a TOML form, so this cannot fail; if it ever does, say so.
    toml::to_string(&config).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_empty() { "" } else { HIDDEN };
        f.debug_struct("Api").field("token", &token).finish()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("access", &self.access)
            .field("publish_keys", &self.publish_keys.len())
            .field("play_keys", &self.play_keys.len())
            .field("certificate", &!self.certificate.is_empty())
            .field("signalling", &self.signalling)
            .field("max_members", &self.max_members)
            .field("max_channels", &self.max_channels)
            .finish()
    }
}
