//! One member: what it publishes, subscribes to and mutes, and what its client has been told.
//!
//! What a client was told is in doubt until a pong proves that it arrived: a phone in a tunnel looks
//! connected for a while. When it comes back, it is told again what it may have missed, in a way that
//! is right whether it had or not.

use std::collections::HashMap;
use std::time::Instant;

use super::added;
use crate::names::Uid;
use crate::url::UrlId;
use crate::wire::{Mutes, Notice, Role, Target};

#[derive(Debug)]
pub(crate) struct Member<S> {
    /// Its session, the last one while it is broken.
    pub(crate) session: S,
    pub(crate) connected: bool,
    pub(crate) since: Instant,
    /// The name by which it comes back.
    pub(super) sid: Box<str>,
    pub(crate) role: Role,
    /// What it muted of its own.
    pub(super) muted: Mutes,
    pub(crate) muted_by_operator: Mutes,
    pub(crate) publication: Option<Publication>,
    pub(crate) subscriptions: HashMap<Uid, UrlId>,
    /// What it muted of others.
    pub(crate) mutes: HashMap<Uid, Mutes>,
    /// While it is broken: the streams it was told of before.
    pub(super) known: HashMap<Uid, Shown>,
    /// Whom it was told of since its last proof.
    doubts: HashMap<Uid, Doubt>,
    /// How many notices this session was told.
    told: u32,
}

#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) id: UrlId,
    pub(crate) target: Target,
    /// What the others were told, while media is here.
    pub(crate) shown: Option<Shown>,
}

/// A stream as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The same uid's next stream has another.
    number: u64,
    /// Its audio is on.
    pub(crate) audio: bool,
    /// Its video is on.
    pub(crate) video: bool,
}

/// What a client was sent and may not have.
#[derive(Debug)]
struct Doubt {
    /// What it has surely.
    sure: Option<Shown>,
    /// The last notice about it.
    told: u32,
}

impl<S> Member<S> {
    pub(super) fn new(sid: &str, session: S) -> Self {
        Self {
            session,
            connected: true,
            since: Instant::now(),
            sid: sid.into(),
            role: Role::default(),
            muted: Mutes::default(),
            muted_by_operator: Mutes::default(),
            publication: None,
            subscriptions: HashMap::new(),
            mutes: HashMap::new(),
            known: HashMap::new(),
            doubts: HashMap::new(),
            told: 0,
        }
    }

    /// Takes a new session, and gives the old one.
    pub(super) fn resume(&mut self, session: S) -> S {
        self.told = 0;
        std::mem::replace(&mut self.session, session)
    }

    /// Whether this is its publication.
    pub(super) fn publishes(&self, id: UrlId) -> bool {
        self.publication.as_ref().is_some_and(|it| it.id == id)
    }

    /// Media is here; `None` when that is no news.
    pub(super) fn show(&mut self, id: UrlId, number: u64) -> Option<Shown> {
        let shown = Shown {
            number,
            ..self.look()
        };
        let publication = self.publication.as_mut()?;
        if publication.id != id || publication.shown.is_some() {
            return None;
        }
        publication.shown = Some(shown);
        Some(shown)
    }

    /// Media is gone.
    pub(super) fn hide(&mut self) -> Option<Shown> {
        self.publication.as_mut()?.shown.take()
    }

    /// After a mute: what was shown and what is now, when a stream is shown.
    pub(super) fn refresh(&mut self) -> Option<(Shown, Shown)> {
        let look = self.look();
        let shown = self.publication.as_mut()?.shown.as_mut()?;
        let before = *shown;
        *shown = Shown {
            number: before.number,
            ..look
        };
        Some((before, *shown))
    }

    /// What of its media is on.
    pub(crate) fn look(&self) -> Shown {
        let target = self.publication.as_ref().map(|it| it.target);
        let (own, operator) = (self.muted, self.muted_by_operator);
        Shown {
            number: 0,
            audio: !(own.audio || operator.audio || target == Some(Target::Video)),
            video: !(own.video || operator.video || target == Some(Target::Audio)),
        }
    }

    /// It is told something of a stream, of which it knew `before`.
    pub(super) fn told(&mut self, about: &Uid, before: Option<Shown>) {
        self.told = self.told.saturating_add(1);
        let told = self.told;
        match self.doubts.get_mut(about) {
            Some(doubt) => doubt.told = told,
            None => {
                let doubt = Doubt { sure: before, told };
                self.doubts.insert(about.clone(), doubt);
            }
        }
    }

    /// So many notices have arrived.
    pub(super) fn confirm(&mut self, told: u32) {
        if told >= self.told {
            // Memory that is seldom needed is given back.
            self.doubts = HashMap::new();
        } else {
            self.doubts.retain(|_, doubt| doubt.told > told);
        }
    }

    /// It has proved that it knows of a stream.
    pub(super) fn knows(&mut self, of: &Uid) {
        self.doubts.remove(of);
    }

    /// What it has to be told when it comes back and `now` are the streams.
    pub(super) fn catch_up(&mut self, now: &HashMap<Uid, Shown>) -> Vec<Notice> {
        // A session that was replaced before it was known to be broken was told of all there is.
        let known = match self.connected {
            true => now.clone(),
            false => std::mem::take(&mut self.known),
        };
        self.connected = true;
        let doubts = std::mem::take(&mut self.doubts);
        let mut notices = Vec::new();
        let everybody = known.keys().chain(doubts.keys()).chain(now.keys());
        let mut everybody: Vec<_> = everybody.collect();
        everybody.sort_unstable();
        everybody.dedup();
        for uid in everybody {
            let now = now.get(uid).copied();
            match doubts.get(uid) {
                None => notices.extend(difference(uid, known.get(uid).copied(), now)),
                Some(doubt) => notices.extend(in_doubt(uid, doubt.sure, now)),
            }
        }
        notices
    }
}

/// What to tell a client that knows `known`.
fn difference(uid: &Uid, known: Option<Shown>, now: Option<Shown>) -> Vec<Notice> {
    match (known, now) {
        (None, None) => Vec::new(),
        (None, Some(now)) => added(uid, now).collect(),
        (Some(_), None) => vec![Notice::Removed(uid.clone())],
        (Some(known), Some(now)) if known.number == now.number => {
            let audio = (known.audio != now.audio).then(|| Notice::Audio(uid.clone(), now.audio));
            let video = (known.video != now.video).then(|| Notice::Video(uid.clone(), now.video));
            audio.into_iter().chain(video).collect()
        }
        (Some(_), Some(now)) => {
            let removed = Notice::Removed(uid.clone());
            std::iter::once(removed).chain(added(uid, now)).collect()
        }
    }
}

/// What to tell a client that knows `sure`, or what it was told since.
fn in_doubt(uid: &Uid, sure: Option<Shown>, now: Option<Shown>) -> Vec<Notice> {
    match (sure, now) {
        (_, None) => vec![Notice::Removed(uid.clone())],
        (Some(sure), Some(now)) if sure.number == now.number => vec![
            Notice::Audio(uid.clone(), now.audio),
            Notice::Video(uid.clone(), now.video),
        ],
        // Added twice would list it twice; removed without having been there does nothing.
        (_, Some(now)) => {
            let removed = Notice::Removed(uid.clone());
            std::iter::once(removed).chain(added(uid, now)).collect()
        }
    }
}
