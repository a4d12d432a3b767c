//! Mutes: of others for oneself, of one's own for everybody, and by an operator.
//!
//! All of them hold before there is anything to mute, and act on it when it comes.

use lockgate_routing::Source;

use super::{Channel, Effect, Effects, Key};
use crate::code::Code;
use crate::hooks::Happened;
use crate::names::Uid;
use crate::wire::{Mutes, Notice};

impl<S: Key + Clone> Channel<S> {
    /// It mutes another for itself, subscribed or not yet.
    ///
    /// # Errors
    /// It is no member, or the other is none.
    pub(crate) fn mute_remote(
        &mut self,
        uid: &Uid,
        key: u64,
        of: &Uid,
        mutes: Mutes,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        let is_there = self.members.contains_key(of);
        let member = self.member(uid, key)?;
        if !is_there {
            return Err(Code::UnknownUser);
        }
        member.knows(of);
        let before = match mutes == Mutes::default() {
            true => member.mutes.remove(of),
            false => member.mutes.insert(of.clone(), mutes),
        };
        if before.unwrap_or_default() == mutes {
            return Ok(());
        }
        if let Some(id) = member.subscriptions.get(of) {
            out.push(Effect::Turn(*id, Source::Subscriber, mutes));
        }
        let what = Happened::Muted {
            of: Some(of.clone()),
            audio: mutes.audio,
            video: mutes.video,
        };
        out.push(Effect::Happened(member.session.clone(), uid.clone(), what));
        Ok(())
    }

    /// It mutes what it publishes, now or later, for everybody.
    ///
    /// # Errors
    /// The session is not a member.
    pub(crate) fn mute_local(
        &mut self,
        uid: &Uid,
        key: u64,
        mutes: Mutes,
        out: &mut Effects<S>,
    ) -> Result<(), Code> {
        self.member(uid, key)?;
        self.mute_publication(uid, Source::Publisher, |_| mutes, out);
        Ok(())
    }

    /// An operator mutes what a member publishes, now or later; `false` when there is no such member.
    pub(crate) fn mute_by_operator(
        &mut self,
        uid: &Uid,
        change: impl Fn(Mutes) -> Mutes,
        out: &mut Effects<S>,
    ) -> bool {
        self.mute_publication(uid, Source::Operator, change, out)
    }

    fn mute_publication(
        &mut self,
        uid: &Uid,
        source: Source,
        change: impl Fn(Mutes) -> Mutes,
        out: &mut Effects<S>,
    ) -> bool {
        let Some(member) = self.members.get_mut(uid) else {
            return false;
        };
        let mutes = match source {
            Source::Operator => &mut member.muted_by_operator,
            _ => &mut member.muted,
        };
        let now = change(*mutes);
        if *mutes == now {
            return true;
        }
        *mutes = now;
        if let Some(publication) = &member.publication {
            out.push(Effect::Turn(publication.id, source, now));
        }
        let session = member.session.clone();
        if let Some((before, shown)) = member.refresh() {
            let audio =
                (before.audio != shown.audio).then(|| Notice::Audio(uid.clone(), shown.audio));
            let video =
                (before.video != shown.video).then(|| Notice::Video(uid.clone(), shown.video));
            for notice in audio.into_iter().chain(video) {
                self.announce(notice, Some(before), out);
            }
        }
        let what = Happened::Muted {
            of: None,
            audio: now.audio,
            video: now.video,
        };
        out.push(Effect::Happened(session, uid.clone(), what));
        true
    }
}
