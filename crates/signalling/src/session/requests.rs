//! What a session's requests do: each asks the channel and says its answer.

use std::sync::Arc;
use std::time::SystemTime;

use lockgate_media::Track;
use tokio::time::timeout;

use super::{HOOK_TIMEOUT, Member, Talk};
use crate::channels::Joining;
use crate::code::Code;
use crate::form::PushForm;
use crate::hooks::{Leave, Who, Wish};
use crate::token::{Expiry, Privileges, TokenError};
use crate::url::UrlId;
use crate::wire::{Answer, Envelope, Login, Request, Target};

impl Talk {
    pub(super) async fn answer(
        &mut self,
        envelope: &Envelope,
        request: Request,
    ) -> Result<(), Code> {
        let done = Answer::default();
        let key = match request {
            Request::KeepAlive => {
                self.say("KeepAlive", &done);
                return Ok(());
            }
            Request::Login(login) => return self.login(envelope.app.as_deref(), *login).await,
            request => request,
        };
        let member = self.member.as_ref().ok_or(Code::NotJoined)?;
        let (channels, place) = (&self.core.channels, &member.place);
        let answer = match key {
            Request::SetRole(role) => {
                channels.ask(place, |channel, uid, key, out| {
                    channel.set_role(uid, key, role, out)
                })?;
                done
            }
            Request::Publish(target, form) => {
                let url = self.publish(target, form).await?;
                self.say(
                    "Publish",
                    &Answer {
                        push_url: Some(&url),
                        ..done
                    },
                );
                return Ok(());
            }
            Request::UnPublish => {
                channels.ask(place, |channel, uid, key, out| {
                    channel.unpublish(uid, key, out)
                })?;
                done
            }
            Request::Subscribe(of, form) => {
                let fresh = UrlId::random();
                let id = channels.ask(place, |channel, uid, key, out| {
                    channel.subscribe(uid, key, &of, fresh, out)
                })?;
                let url = self.core.pull_url(form, &place.room.app, id, &self.arrival);
                let answer = Answer {
                    user_id: Some(&of),
                    pull_url: Some(&url),
                    ..done
                };
                self.say("Subscribe", &answer);
                return Ok(());
            }
            Request::UnSubscribe(of) => {
                channels.ask(place, |channel, uid, key, out| {
                    channel.unsubscribe(uid, key, &of, out)
                })?;
                done
            }
            Request::MuteRemote(of, mutes) => {
                return channels.ask(place, |channel, uid, key, out| {
                    channel.mute_remote(uid, key, &of, mutes, out)
                });
            }
            Request::MuteLocal(mutes) => {
                return channels.ask(place, |channel, uid, key, out| {
                    channel.mute_local(uid, key, mutes, out)
                });
            }
            Request::Logout => {
                self.say("Logout", &done);
                channels.ask(place, |channel, uid, key, out| {
                    channel.leave(uid, key, Leave::Logout, out)
                });
                self.member = None;
                return Ok(());
            }
            Request::RenewToken(token) => {
                let app = self.core.app(place.room.app.as_str())?;
                let who = place.room.who(&place.uid, self.arrival.peer);
                let privileges = self.core.privileges(app, &who, &token)?;
                self.grant(privileges);
                done
            }
            Request::Report(report) => {
                let who = place.room.who(&place.uid, self.arrival.peer);
                self.core.hooks.report(&who, &report);
                done
            }
            Request::KeepAlive | Request::Login(_) => return Ok(()),
        };
        self.say(&envelope.cmd, &answer);
        Ok(())
    }

    async fn login(&mut self, app: Option<&str>, login: Login) -> Result<(), Code> {
        let core = Arc::clone(&self.core);
        let app = core.app(app.unwrap_or_default())?;
        if let Some(member) = &self.member {
            let (room, uid) = (&member.place.room, &member.place.uid);
            let same = room.app == app.id
                && room.name == login.channel
                && login.uid.as_ref().is_none_or(|wanted| wanted == uid);
            if !same {
                return Err(Code::AlreadyJoined);
            }
            let answer = Answer {
                user_id: Some(uid),
                ..Answer::default()
            };
            self.say("Login", &answer);
            return Ok(());
        }
        let who = Who {
            app: app.id.clone(),
            channel: login.channel.clone(),
            uid: login.uid.clone(),
            ip: self.arrival.peer,
        };
        if let Some(code) = core.hooks.banned(&who) {
            return Err(code);
        }
        let privileges = core.privileges(app, &who, &login.token)?;
        self.permitted(&who, Wish::Join).await?;
        *self.handle.sdk.lock() = login.sdk.into();
        let joining = Joining {
            app: &app.id,
            bounds: app.bounds,
            channel: &login.channel,
            uid: login.uid,
            sid: &login.sid,
        };
        let place = core.channels.join(&joining, &self.handle)?;
        self.member = Some(Member {
            place,
            caps: login.caps,
            privileges,
        });
        self.clock.joined();
        self.grant(privileges);
        Ok(())
    }

    async fn publish(&self, target: Target, form: PushForm) -> Result<String, Code> {
        let member = self.member.as_ref().ok_or(Code::NotJoined)?;
        let target = allowed(&member.privileges, target)?;
        let place = &member.place;
        let who = place.room.who(&place.uid, self.arrival.peer);
        self.permitted(&who, Wish::Publish).await?;
        let fresh = UrlId::random();
        let id = self.core.channels.ask(place, |channel, uid, key, out| {
            channel.publish(uid, key, target, fresh, out)
        })?;
        Ok(self.core.push_url(form, &place.room.app, id, &self.arrival))
    }

    /// Waits for those who have a say, if there are any.
    async fn permitted(&self, who: &Who, wish: Wish) -> Result<(), Code> {
        match self.core.hooks.may(who, wish) {
            None => Ok(()),
            Some(answer) => timeout(HOOK_TIMEOUT, answer)
                .await
                .unwrap_or(Err(Code::TryAgain)),
        }
    }

    /// Takes what a token allows, and until when.
    pub(super) fn grant(&mut self, privileges: Privileges) {
        let now = SystemTime::now();
        let remaining = |expiry: Option<Expiry>| expiry.and_then(|it| it.remaining(now));
        let publish = [privileges.publish_audio, privileges.publish_video];
        let publish = publish.into_iter().filter_map(remaining);
        let publish = publish.filter(|remaining| !remaining.is_zero()).min();
        if let Some(member) = &mut self.member {
            member.privileges = privileges;
            self.clock.granted(remaining(privileges.join), publish);
        }
    }
}

/// What of a target a token lets its bearer publish.
pub(super) fn allowed(privileges: &Privileges, target: Target) -> Result<Target, Code> {
    let now = SystemTime::now();
    let may = |track| privileges.may_publish(track, now);
    let code = |error| match error {
        TokenError::Expired => Code::TokenExpired,
        _ => Code::MayNotPublish,
    };
    match target {
        Target::Audio => may(Track::Audio).map(|()| target).map_err(code),
        Target::Video => may(Track::Video).map(|()| target).map_err(code),
        Target::All => match (may(Track::Audio), may(Track::Video)) {
            (Ok(()), Ok(())) => Ok(Target::All),
            (Ok(()), Err(_)) => Ok(Target::Audio),
            (Err(_), Ok(())) => Ok(Target::Video),
            (Err(error), Err(_)) => Err(code(error)),
        },
    }
}
