//! A config shown to people: as TOML, and in `Debug`, with keys and tokens replaced.

use std::fmt;

use lockgate_signalling::webhook::Endpoint;

use super::{Api, App, Config, IceServer, Webhooks};

const HIDDEN: &str = "…";

/// The config as TOML without its secrets.
pub(super) fn redacted_toml(config: &Config) -> String {
    let mut config = config.clone();
    if !config.api.token.is_empty() {
        config.api.token = HIDDEN.to_owned();
    }
    config.webhooks = redacted(&config.webhooks);
    for server in &mut config.webrtc.ice_servers {
        if !server.credential.is_empty() {
            server.credential = HIDDEN.to_owned();
        }
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

/// A webhook's URL may hold a secret in its path or query as well.
fn redacted(webhooks: &Webhooks) -> Webhooks {
    let url = |url: &String| match Endpoint::parse(url) {
        Ok(endpoint) => endpoint.to_string(),
        Err(_) if url.is_empty() => String::new(),
        Err(_) => HIDDEN.to_owned(),
    };
    let secret = if webhooks.secret.is_empty() {
        ""
    } else {
        HIDDEN
    };
    Webhooks {
        url: url(&webhooks.url),
        auth_url: url(&webhooks.auth_url),
        secret: secret.to_owned(),
        ..webhooks.clone()
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = redacted(self);
        f.debug_struct("Webhooks")
            .field("url", &shown.url)
            .field("auth_url", &shown.auth_url)
            .field("secret", &shown.secret)
            .field("timeout", &self.timeout)
            .field("auth_timeout", &self.auth_timeout)
            .field("queue", &self.queue)
            .finish()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_empty() { "" } else { HIDDEN };
        f.debug_struct("Api").field("token", &token).finish()
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("url", &self.url)
            .field("username", &self.username)
            .field("credential", &!self.credential.is_empty())
            .finish()
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
