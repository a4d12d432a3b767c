//! A session's times: what is due next, and whether it may be read from.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;

/// How long before its end a client hears of it.
const WARNING: Duration = Duration::from_secs(30);

/// A token that holds longer than this is looked at again then; clocks have an end.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far ahead of its rate a session may be: a burst of a second.
const BURST: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It may be read from again.
    Reading,
    /// It said nothing for too long.
    Silence,
    /// It did not log in.
    Login,
    /// Its token ends in this time.
    Warning(Duration),
    /// Its token has ended.
    Expiry,
    /// What it may publish has changed with the time.
    PublishExpiry,
}

pub(super) struct Clock {
    silence: Duration,
    /// The time that one message takes up.
    interval: Duration,
    heard: Instant,
    /// Where the messages so far reach to, each taking its time.
    busy_until: Instant,
    login_by: Option<Instant>,
    expires: Option<Instant>,
    warned: bool,
    publish_expires: Option<Instant>,
}

impl Clock {
    pub(super) fn new(now: Instant, config: &Config) -> Self {
        Self {
            silence: config.keepalive_timeout,
            interval: Duration::from_secs(1) / config.messages_per_second.max(1),
            heard: now,
            busy_until: now,
            login_by: Some(now + config.login_timeout),
            expires: None,
            warned: false,
            publish_expires: None,
        }
    }

    /// A frame came.
    pub(super) fn heard(&mut self) {
        let now = Instant::now();
        self.heard = now;
        self.busy_until = self.busy_until.max(now) + self.interval;
    }

    /// It has joined.
    pub(super) fn joined(&mut self) {
        self.login_by = None;
    }

    /// Its token holds for so long, and what it may publish for so long.
    pub(super) fn granted(&mut self, join: Option<Duration>, publish: Option<Duration>) {
        let now = Instant::now();
        let within = |left: &Duration| *left < FAR;
        self.expires = join.filter(within).map(|left| now + left);
        self.publish_expires = publish.filter(within).map(|left| now + left);
        self.warned = false;
    }

    /// It was warned of its token's end.
    pub(super) fn warned(&mut self) {
        self.warned = true;
    }

    /// Its token has ended: nothing of it is due any more.
    pub(super) fn over(&mut self) {
        self.expires = None;
        self.publish_expires = None;
    }

    /// Whether its rate allows another message.
    pub(super) fn may_read(&self) -> bool {
        self.busy_until <= Instant::now() + BURST
    }

    /// What is due next, and when.
    pub(super) fn next(&self) -> (Instant, Due) {
        let silence = (self.heard + self.silence, Due::Silence);
        let login = self.login_by.map(|at| (at, Due::Login));
        let reading = (!self.may_read())
            .then(|| self.busy_until.checked_sub(BURST))
            .flatten()
            .map(|at| (at, Due::Reading));
        let expiry = self.expires.map(|at| (at, Due::Expiry));
        let warning = self.expires.filter(|_| !self.warned).map(|at| {
            let warn = at.checked_sub(WARNING).unwrap_or_else(Instant::now);
            (
                warn,
                Due::Warning(at.saturating_duration_since(warn.max(Instant::now()))),
            )
        });
        let publish = self.publish_expires.map(|at| (at, Due::PublishExpiry));
        [login, reading, warning, expiry, publish]
            .into_iter()
            .flatten()
            .fold(
                silence,
                |first, next| if next.0 < first.0 { next } else { first },
            )
    }
}
