//! One channel: its members, what they publish, subscribe to and mute, and what follows from it.
//!
//! Pure and synchronous: each call changes the state and lists its effects, in the order in which
//! they are to be carried out. Invariant: a client is told of a user's mutes only between that
//! user's `StreamAdded` and `StreamRemove`.

use std::collections::HashMap;

use lockgate_media::Track;
use lockgate_routing::Source;

use crate::code::Code;
use crate::hooks::{Happened, Leave};
use crate::names::Uid;
use crate::outbox::Close;
use crate::url::UrlId;
use crate::wire::{Mutes, Notice, Role, Target};

mod member;
mod mutes;

#[cfg(test)]
mod tests;

pub(crate) use member::{Member, Publication, Shown};

/// A session, as the channel tells one from another.
pub(crate) trait Key {
    /// A number that no other session has.
    fn key(&self) -> u64;
}

/// What follows from a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect<S> {
    /// The answer to its Login, before anything else it is told here.
    Welcome(S, Uid),
    /// To one session, all at once.
    Tell(S, Vec<Notice>),
    /// To every connected member but the one it is about.
    Announce(Notice),
    /// The session is over.
    Close(S, Close),
    /// A push URL stands from here on.
    OpenPublication {
        id: UrlId,
        uid: Uid,
        only: Option<Track>,
        muted: Mutes,
        by_operator: Mutes,
    },
    /// A pull URL stands from here on.
    OpenSubscription { id: UrlId, of: Uid, muted: Mutes },
    /// A push URL is dead, and so is the stream.
    EndPublication(UrlId),
    /// A pull URL is dead.
    EndSubscription(UrlId),
    /// What a URL's gate holds back now.
    Turn(UrlId, Source, Mutes),
    /// For those who listen. The session tells where the member came from.
    Happened(S, Uid, Happened),
}

/// The effects of a call, in order.
pub(crate) type Effects<S> = Vec<Effect<S>>;

/// The members of a channel.
#[derive(Debug)]
pub(crate) struct Channel<S> {
    members: HashMap<Uid, Member<S>>,
    /// The uids that the node picked, by the name of the session that got them.
    picked: HashMap<Box<str>, Uid>,
    /// How many streams have begun here.
    shows: u64,
}

impl<S> Default for Channel<S> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            picked: HashMap::new(),
            shows: 0,
        }
    }
}

impl<S: Key + Clone> Channel<S> {
    /// Nobody is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everybody.
    pub(crate) fn members(&self) -> &HashMap<Uid, Member<S>> {
        &self.members
    }

    /// The uid that a session of this name gets: its own, or one that nobody has.
    pub(crate) fn uid(&self, wanted: Option<Uid>, sid: &str, mut pick: impl FnMut() -> Uid) -> Uid {
        if let Some(uid) = wanted {
            return uid;
        }
        if let Some(uid) = self.picked.get(sid) {
            return uid.clone();
        }
        loop {
            let uid = pick();
            if !self.members.contains_key(&uid) {
                return uid;
            }
        }
    }

    /// A session comes in. The same session coming back takes up where it was; another one of the
    /// same uid replaces it.
    ///
    /// # Errors
    /// The channel is full.
    pub(crate) fn join(
        &mut self,
        uid: &Uid,
        sid: &str,
        was_picked: bool,
        session: S,
        max_members: usize,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        let is_full = self.members.len() >= max_members;
        match self.members.get_mut(uid) {
            Some(member) if !sid.is_empty() && *member.sid == *sid => {
                let was_connected = member.connected;
                let old = member.resume(session.clone());
                if was_connected {
                    out.push(Effect::Close(old, Close::Resumed));
                }
                out.push(Effect::Welcome(session.clone(), uid.clone()));
                let missed = self.missed(uid);
                self.tell(uid, missed, out);
                return Ok(());
            }
            Some(_) => self.remove(uid, Leave::Replaced, out),
            None if is_full => return Err(Code::TooMany),
            None => {}
        }
        if was_picked && !sid.is_empty() {
            self.picked.insert(sid.into(), uid.clone());
        }
        self.members
            .insert(uid.clone(), Member::new(sid, session.clone()));
        out.push(Effect::Welcome(session.clone(), uid.clone()));
        out.push(Effect::Happened(session, uid.clone(), Happened::Joined));
        let shown = self.shown_to(uid).flat_map(|(of, shown)| added(of, shown));
        let shown: Vec<_> = shown.collect();
        self.tell(uid, shown, out);
        Ok(())
    }

    /// Its WebSocket is gone; `false` when another session has its place.
    pub(crate) fn detach(&mut self, uid: &Uid, key: u64) -> bool {
        let known: HashMap<_, _> = self
            .shown_to(uid)
            .map(|(of, shown)| (of.clone(), shown))
            .collect();
        match self.member(uid, key) {
            Ok(member) => {
                member.connected = false;
                member.known = known;
                true
            }
            Err(_) => false,
        }
    }

    /// Its grace has passed: it leaves, unless it is back.
    pub(crate) fn expire(&mut self, uid: &Uid, key: u64, out: &mut Effects<S>) {
        if self.member(uid, key).is_ok_and(|member| !member.connected) {
            self.remove(uid, Leave::Lost, out);
        }
    }

    /// It leaves; `false` when the session is not a member.
    pub(crate) fn leave(&mut self, uid: &Uid, key: u64, why: Leave, out: &mut Effects<S>) -> bool {
        let is_member = self.member(uid, key).is_ok();
        if is_member {
            self.remove(uid, why, out);
        }
        is_member
    }

    /// Removes a member, whichever session it has; `false` when there is none.
    pub(crate) fn expel(&mut self, uid: &Uid, why: Leave, out: &mut Effects<S>) -> bool {
        let is_member = self.members.contains_key(uid);
        if is_member {
            self.remove(uid, why, out);
        }
        is_member
    }

    /// What arrived at the client, by the count of notices it was told.
    pub(crate) fn confirm(&mut self, uid: &Uid, key: u64, told: u32) {
        if let Ok(member) = self.member(uid, key) {
            member.confirm(told);
        }
    }

    /// It becomes a host or an audience.
    ///
    /// # Errors
    /// The session is not a member.
    pub(crate) fn set_role(
        &mut self,
        uid: &Uid,
        key: u64,
        role: Role,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        self.member(uid, key)?.role = role;
        if role == Role::Audience {
            self.end_publication(uid, out);
        }
        Ok(())
    }

    /// It publishes. While it does, it gets the same URL again; `fresh` names a new one.
    ///
    /// # Errors
    /// It is no member, or an audience.
    pub(crate) fn publish(
        &mut self,
        uid: &Uid,
        key: u64,
        target: Target,
        fresh: UrlId,
        out: &mut Effects<S>,
    ) -> Result<UrlId, Code> {
        let member = self.member(uid, key)?;
        if member.role == Role::Audience {
            return Err(Code::AudienceMayNotPublish);
        }
        match &member.publication {
            Some(publication) if publication.target == target => return Ok(publication.id),
            Some(_) => self.end_publication(uid, out),
            None => {}
        }
        let member = self.member(uid, key)?;
        member.publication = Some(Publication {
            id: fresh,
            target,
            shown: None,
        });
        out.push(Effect::OpenPublication {
            id: fresh,
            uid: uid.clone(),
            only: match target {
                Target::All => None,
                Target::Audio => Some(Track::Audio),
                Target::Video => Some(Track::Video),
            },
            muted: member.muted,
            by_operator: member.muted_by_operator,
        });
        Ok(fresh)
    }

    /// It publishes no more.
    ///
    /// # Errors
    /// The session is not a member.
    pub(crate) fn unpublish(
        &mut self,
        uid: &Uid,
        key: u64,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        self.member(uid, key)?;
        self.end_publication(uid, out);
        Ok(())
    }

    /// The first media of a publication has arrived; `false` when it has ended meanwhile.
    pub(crate) fn began(&mut self, uid: &Uid, id: UrlId, out: &mut Effects<S>) -> bool {
        self.shows += 1;
        let number = self.shows;
        let Some(member) = self.members.get_mut(uid) else {
            return false;
        };
        let Some(shown) = member.show(id, number) else {
            return member.publishes(id);
        };
        let session = member.session.clone();
        for notice in added(uid, shown) {
            self.announce(notice, None, out);
        }
        out.push(Effect::Happened(session, uid.clone(), Happened::Published));
        true
    }

    /// The media of a publication is over; its URL stands, and media may come again.
    pub(crate) fn ended(&mut self, uid: &Uid, id: UrlId, out: &mut Effects<S>) {
        let Some(member) = self.members.get_mut(uid) else {
            return;
        };
        if member.publishes(id)
            && let Some(shown) = member.hide()
        {
            self.end_show(uid, shown, out);
        }
    }

    /// It subscribes to another's publication; again gets the same URL again.
    ///
    /// # Errors
    /// It is no member, or there is no such publication.
    pub(crate) fn subscribe(
        &mut self,
        uid: &Uid,
        key: u64,
        of: &Uid,
        fresh: UrlId,
        out: &mut Effects<S>,
    ) -> Result<UrlId, Code> {
        let is_there = self
            .members
            .get(of)
            .is_some_and(|member| member.publication.is_some());
        let member = self.member(uid, key)?;
        if !is_there {
            return Err(Code::UnknownUser);
        }
        member.knows(of);
        if let Some(id) = member.subscriptions.get(of) {
            return Ok(*id);
        }
        member.subscriptions.insert(of.clone(), fresh);
        out.push(Effect::OpenSubscription {
            id: fresh,
            of: of.clone(),
            muted: member.mutes.get(of).copied().unwrap_or_default(),
        });
        Ok(fresh)
    }

    /// It subscribes no more.
    ///
    /// # Errors
    /// The session is not a member.
    pub(crate) fn unsubscribe(
        &mut self,
        uid: &Uid,
        key: u64,
        of: &Uid,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        if let Some(id) = self.member(uid, key)?.subscriptions.remove(of) {
            out.push(Effect::EndSubscription(id));
        }
        Ok(())
    }

    /// The member that this session is.
    fn member(&mut self, uid: &Uid, key: u64) -> Result<&mut Member<S>, Code> {
        let member = self.members.get_mut(uid);
        member
            .filter(|member| member.session.key() == key)
            .ok_or(Code::NotJoined)
    }

    /// Ends what a member has, and its membership.
    fn remove(&mut self, uid: &Uid, why: Leave, out: &mut Effects<S>) {
        self.end_publication(uid, out);
        let Some(member) = self.members.remove(uid) else {
            return;
        };
        if self.picked.get(&member.sid) == Some(uid) {
            self.picked.remove(&member.sid);
        }
        for id in member.subscriptions.into_values() {
            out.push(Effect::EndSubscription(id));
        }
        if self.members.is_empty() {
            self.members = HashMap::new();
        }
        out.push(Effect::Happened(
            member.session.clone(),
            uid.clone(),
            Happened::Left(why),
        ));
        if member.connected {
            out.push(Effect::Close(member.session, Close::Left(why)));
        }
    }

    fn end_publication(&mut self, uid: &Uid, out: &mut Effects<S>) {
        let Some(member) = self.members.get_mut(uid) else {
            return;
        };
        let Some(publication) = member.publication.take() else {
            return;
        };
        out.push(Effect::EndPublication(publication.id));
        match publication.shown {
            Some(shown) => self.end_show(uid, shown, out),
            None => self.forget(uid, out),
        }
    }

    /// A stream that the others were told of is over.
    fn end_show(&mut self, uid: &Uid, shown: Shown, out: &mut Effects<S>) {
        self.forget(uid, out);
        self.announce(Notice::Removed(uid.clone()), Some(shown), out);
        if let Some(member) = self.members.get(uid) {
            let session = member.session.clone();
            out.push(Effect::Happened(
                session,
                uid.clone(),
                Happened::Unpublished,
            ));
        }
    }

    /// What the others have of a stream ends with it: clients begin anew when it comes again.
    fn forget(&mut self, uid: &Uid, out: &mut Effects<S>) {
        for member in self.members.values_mut() {
            member.mutes.remove(uid);
            if let Some(id) = member.subscriptions.remove(uid) {
                out.push(Effect::EndSubscription(id));
            }
        }
    }

    /// Tells everybody but whom it is about; `before` is what they knew of it.
    fn announce(&mut self, notice: Notice, before: Option<Shown>, out: &mut Effects<S>) {
        let about = notice.about();
        for (uid, member) in &mut self.members {
            if member.connected && uid != about {
                member.told(about, before);
            }
        }
        out.push(Effect::Announce(notice));
    }

    /// Tells one member.
    fn tell(&mut self, uid: &Uid, notices: Vec<Notice>, out: &mut Effects<S>) {
        let Some(member) = self.members.get_mut(uid).filter(|_| !notices.is_empty()) else {
            return;
        };
        for notice in &notices {
            member.told(notice.about(), None);
        }
        out.push(Effect::Tell(member.session.clone(), notices));
    }

    /// The streams that this member is told of.
    fn shown_to<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = (&'a Uid, Shown)> + 'a {
        let others = self.members.iter().filter(move |(of, _)| *of != uid);
        others.filter_map(|(of, member)| Some((of, member.publication.as_ref()?.shown?)))
    }

    /// What a member that came back has to be told, and from here on has been.
    fn missed(&mut self, uid: &Uid) -> Vec<Notice> {
        let now: HashMap<_, _> = self
            .shown_to(uid)
            .map(|(of, shown)| (of.clone(), shown))
            .collect();
        match self.members.get_mut(uid) {
            Some(member) => member.catch_up(&now),
            None => Vec::new(),
        }
    }
}

/// What tells a client of a stream: that it is there, and what is muted in it.
fn added(uid: &Uid, shown: Shown) -> impl Iterator<Item = Notice> + use<> {
    let audio = (!shown.audio).then(|| Notice::Audio(uid.clone(), false));
    let video = (!shown.video).then(|| Notice::Video(uid.clone(), false));
    let added = Notice::Added(uid.clone());
    std::iter::once(added).chain(audio).chain(video)
}
