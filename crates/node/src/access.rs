//! Who may use which app: the config's answer to [`Admission`].
//!
//! Ingest and egress ask through that trait alone. Signed URLs are the third kind of access: today
//! they refuse everybody, and what verifies a signature takes that place.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use lockgate_routing::{Admission, Grant, Refusal, StreamId};

use crate::config::{App, AppAccess};
use crate::secret::Secret;
use crate::tickets::Tickets;

/// The query's parameter that carries an app's key.
const KEY_PARAMETER: &str = "key";

/// The apps of the config, and who may use them.
#[derive(Debug)]
pub(crate) struct Access {
    apps: HashMap<String, Policy>,
    tickets: Arc<Tickets>,
}

/// Who may use one app.
#[derive(Debug)]
enum Policy {
    Open,
    Keys {
        publish: Vec<Secret>,
        play: Vec<Secret>,
    },
    Signed,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Action {
    Publish,
    Play,
}

impl Access {
    pub(crate) fn new(apps: &[App]) -> Self {
        let secrets = |keys: &[String]| keys.iter().map(|key| Secret::new(key)).collect();
        let policy = |app: &App| match app.access {
            AppAccess::Open => Policy::Open,
            AppAccess::Keys => Policy::Keys {
                publish: secrets(&app.publish_keys),
                play: secrets(&app.play_keys),
            },
            AppAccess::Signed => Policy::Signed,
        };
        Self {
            apps: apps
                .iter()
                .map(|app| (app.name.clone(), policy(app)))
                .collect(),
            tickets: Arc::new(Tickets::new()),
        }
    }

    /// What opens a stream to an operator's page.
    pub(crate) fn tickets(&self) -> Arc<Tickets> {
        Arc::clone(&self.tickets)
    }

    /// True if the config has the app: what a connection learns before it names a stream.
    pub(crate) fn knows(&self, app: &str) -> bool {
        self.apps.contains_key(app)
    }

    fn admit(&self, action: Action, app: &str, name: &str, query: &str) -> Result<Grant, Refusal> {
        match (self.apps.get(app), action) {
            (None, _) => Err(Refusal::UnknownApp),
            (Some(Policy::Signed), _) => Err(Refusal::SignedOnly),
            (Some(Policy::Open), _) => Ok(()),
            (Some(Policy::Keys { publish, .. }), Action::Publish) => check_key(publish, query),
            (Some(Policy::Keys { play, .. }), Action::Play) => check_key(play, query),
        }?;
        StreamId::new(app, name).map(Grant::from)
    }
}

impl Admission for Access {
    fn publish(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal> {
        self.admit(Action::Publish, app, name, query)
    }

    fn play(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal> {
        if self.knows(app) && self.tickets.admit(app, name, query, SystemTime::now()) {
            return StreamId::new(app, name).map(Grant::from);
        }
        self.admit(Action::Play, app, name, query)
    }
}

/// Looks for one of the keys in a query. Keys need no escaping (the config sees to that), so the
/// text is compared as it came.
fn check_key(keys: &[Secret], query: &str) -> Result<(), Refusal> {
    let mut offered = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == KEY_PARAMETER).then_some(value)
    });
    match offered.next() {
        None | Some("") => Err(Refusal::KeyMissing),
        Some(key) if Secret::any_matches(keys, key) => Ok(()),
        Some(_) => Err(Refusal::KeyWrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let app = |name: &str, access, publish: &[&str], play: &[&str]| App {
            publish_keys: publish.iter().map(|&key| key.to_owned()).collect(),
            play_keys: play.iter().map(|&key| key.to_owned()).collect(),
            ..App::new(name, access)
        };
        Access::new(&[
            app("live", AppAccess::Open, &[], &[]),
            app("studio", AppAccess::Keys, &["push-1", "push-2"], &["watch"]),
            app("ingest-only", AppAccess::Keys, &["push"], &[]),
            app("mini", AppAccess::Signed, &[], &[]),
        ])
    }

    #[test]
    fn an_open_app_takes_any_valid_name() {
        let id = access().publish("live", "a", "key=ignored").unwrap().stream;
        assert_eq!((id.app(), id.name()), ("live", "a"));
        assert!(access().play("live", "a", "").is_ok());
        assert_eq!(
            access().play("live", "", "").map(drop),
            Err(Refusal::BadName)
        );
    }

    #[test]
    fn an_app_with_keys_takes_its_own_keys_alone() {
        let access = access();
        for (query, expected) in [
            ("key=push-1", Ok(())),
            ("x=1&key=push-2", Ok(())),
            ("key=watch", Err(Refusal::KeyWrong)),
            ("key=push-1 ", Err(Refusal::KeyWrong)),
            ("key=no&key=push-1", Err(Refusal::KeyWrong)),
            ("Key=push-1", Err(Refusal::KeyMissing)),
            ("key=", Err(Refusal::KeyMissing)),
            ("", Err(Refusal::KeyMissing)),
        ] {
            let answer = access.publish("studio", "a", query).map(drop);
            assert_eq!(answer, expected, "{query:?}");
        }
        assert!(access.play("studio", "a", "key=watch").is_ok());
        assert_eq!(
            access.play("studio", "a", "key=push-1").map(drop),
            Err(Refusal::KeyWrong)
        );
    }

    #[test]
    fn a_side_without_keys_is_closed() {
        assert!(access().publish("ingest-only", "a", "key=push").is_ok());
        assert_eq!(
            access().play("ingest-only", "a", "key=push").map(drop),
            Err(Refusal::KeyWrong)
        );
        assert_eq!(
            access().play("ingest-only", "a", "").map(drop),
            Err(Refusal::KeyMissing)
        );
    }

    #[test]
    fn a_ticket_opens_a_stream_to_players_and_not_to_publishers() {
        let access = access();
        for app in ["studio", "mini", "live"] {
            let ticket = access.tickets().issue(app, "a", SystemTime::now());
            let query = format!("ticket={ticket}");
            assert!(access.play(app, "a", &query).is_ok(), "{app}");
            let other = access.play(app, "b", &query).map(drop);
            assert_eq!(other.is_ok(), app == "live", "{app}");
            let publish = access.publish(app, "a", &query).map(drop);
            assert_eq!(publish.is_ok(), app == "live", "{app}");
        }
        let ticket = access.tickets().issue("nope", "a", SystemTime::now());
        let refused = access.play("nope", "a", &format!("ticket={ticket}"));
        assert_eq!(refused.map(drop), Err(Refusal::UnknownApp));
    }

    #[test]
    fn a_signed_app_and_an_unknown_app_take_nobody() {
        assert_eq!(
            access().publish("mini", "a", "").map(drop),
            Err(Refusal::SignedOnly)
        );
        assert_eq!(
            access().play("nope", "a", "").map(drop),
            Err(Refusal::UnknownApp)
        );
        assert!(access().knows("mini") && !access().knows("nope"));
    }
}
