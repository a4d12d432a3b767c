//! One WebSocket session, from its first frame to its last.
//!
//! Everything that goes out waits in the session's outbox, so that answers and notices keep their
//! order. Dropping a session, on whatever path, gives its member the grace to come back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lockgate_media::Track;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::channels::{Handle, Joining, Place};
use crate::code::Code;
use crate::core::{Core, Seat};
use crate::gateway::Arrival;
use crate::hooks::{Leave, Who, Wish};
use crate::outbox::{Close, Outbox};
use crate::token::{Expiry, Privileges};
use crate::transport::{Broken, Received, Transport};
use crate::url::{Kind, UrlId};
use crate::wire::{Answer, Caps, Envelope, Login, Request, Target, token_notice};

mod clock;

#[cfg(test)]
mod tests;

use clock::{Clock, Due};

/// Frames that are no envelope, until the session is closed: a client that sends many is none.
const JUNK_MAX: u32 = 16;

/// The longest command that an answer repeats.
const CMD_MAX: usize = 32;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long hooks may take, whatever they do.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Code and reason when an address has too many sessions: the client tries again.
const TOO_MANY: (u16, &str) = (1013, "TOO_MANY_SESSIONS");

/// A session.
pub(crate) struct Session<T> {
    transport: T,
    talk: Talk,
}

/// All of a session but its WebSocket.
struct Talk {
    core: Arc<Core>,
    arrival: Arrival,
    handle: Arc<Handle>,
    clock: Clock,
    member: Option<Member>,
    junk: u32,
    /// A Login of its was refused: it has nothing to come back for.
    refused: bool,
    seat: Option<Seat>,
}

/// What a session is once it has joined.
struct Member {
    place: Place,
    caps: Caps,
    privileges: Privileges,
}

enum Step {
    Write,
    Read(Received),
    Due(Due),
    Stop,
}

impl<T: Transport> Session<T> {
    /// A session that has just connected.
    pub(crate) fn new(core: &Arc<Core>, transport: T, arrival: Arrival) -> Self {
        let handle = Handle {
            key: core.key(),
            outbox: Outbox::new(core.config.send_queue),
            ip: arrival.peer,
            sdk: Mutex::default(),
        };
        Self {
            transport,
            talk: Talk {
                clock: Clock::new(Instant::now(), &core.config),
                seat: core.seat(arrival.peer),
                core: Arc::clone(core),
                arrival,
                handle: Arc::new(handle),
                member: None,
                junk: 0,
                refused: false,
            },
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(mut self) {
        if self.talk.seat.is_none() {
            let (code, reason) = TOO_MANY;
            let _ = timeout(GOODBYE, self.transport.close(code, reason)).await;
            return;
        }
        let close = self.serve().await;
        self.talk.core.metrics.closed(close);
        debug!(peer = %self.talk.arrival.peer, ?close, "session ended");
        if let Some(close) = close {
            let (code, reason) = close.code_and_reason();
            let _ = timeout(GOODBYE, self.transport.close(code, reason)).await;
        }
    }

    /// Serves until it ends from here, for the reason given, or from there.
    async fn serve(&mut self) -> Option<Close> {
        let handle = Arc::clone(&self.talk.handle);
        let mut probed = 0;
        loop {
            let (at, due) = self.talk.clock.next();
            let reads = self.talk.clock.may_read();
            let step = tokio::select! {
                biased;
                () = handle.outbox.ready() => Step::Write,
                received = self.transport.receive(), if reads => Step::Read(received),
                () = sleep_until(at) => Step::Due(due),
                () = self.talk.core.stop.cancelled() => Step::Stop,
            };
            match step {
                Step::Write => {
                    if let Some(close) = self.write(&handle.outbox, &mut probed).await.ok()? {
                        return Some(close);
                    }
                }
                Step::Read(Received::Text(text)) => {
                    self.talk.clock.heard();
                    self.talk.take(text.as_str()).await;
                }
                Step::Read(Received::Pong(told)) => {
                    self.talk.clock.heard();
                    self.talk.confirm(told);
                }
                Step::Read(Received::Alive) => self.talk.clock.heard(),
                Step::Read(Received::Other) => {
                    self.talk.clock.heard();
                    self.talk.junk();
                }
                Step::Read(Received::Gone) => return None,
                Step::Due(due) => {
                    if let Some(close) = self.talk.due(due) {
                        return Some(close);
                    }
                }
                Step::Stop => return Some(Close::Left(Leave::Shutdown)),
            }
        }
    }

    /// Sends what waits; the end, if it follows.
    async fn write(&mut self, outbox: &Outbox, probed: &mut u32) -> Result<Option<Close>, Broken> {
        let waiting = outbox.take();
        let transport = &mut self.transport;
        let write = async {
            for text in waiting.texts {
                transport.feed(text).await?;
            }
            // One ping for all notices of a write: its pong proves that they arrived.
            if waiting.told != *probed {
                *probed = waiting.told;
                transport.probe(waiting.told).await?;
            }
            transport.flush().await
        };
        let limit = self.talk.core.config.write_timeout;
        tokio::select! {
            biased;
            written = timeout(limit, write) => written.unwrap_or(Err(Broken))?,
            () = outbox.overflowed(), if waiting.close.is_none() => return Ok(Some(Close::Overflow)),
        }
        Ok(waiting.close)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            self.core.channels.detach(&member.place);
        }
    }
}

impl Talk {
    /// Takes a frame.
    async fn take(&mut self, text: &str) {
        let Some(mut envelope) = Envelope::read(text).filter(|it| it.cmd.len() <= CMD_MAX) else {
            return self.junk();
        };
        let core = Arc::clone(&self.core);
        core.metrics.request(&envelope.cmd);
        let answered = match envelope.request() {
            Ok(request) => self.answer(&envelope, request).await,
            Err(code) => Err(code),
        };
        if let Err(code) = answered {
            core.metrics.refused(code);
            self.refused |= envelope.cmd == "Login";
            let user = envelope.user();
            let refusal = Answer {
                user_id: user.as_ref().filter(|_| envelope.cmd != "Login"),
                ..Answer::refusal(code)
            };
            self.say(&envelope.cmd, &refusal);
        }
    }

    fn say(&self, cmd: &str, answer: &Answer<'_>) {
        self.handle.outbox.push(answer.to(cmd));
    }

    async fn answer(&mut self, envelope: &Envelope, request: Request) -> Result<(), Code> {
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
            Request::Publish(target) => {
                let url = self.publish(target).await?;
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
            Request::Subscribe(of) => {
                let fresh = UrlId::random();
                let id = channels.ask(place, |channel, uid, key, out| {
                    channel.subscribe(uid, key, &of, fresh, out)
                })?;
                let url = self
                    .core
                    .url(Kind::Pull, &place.room.app, id, &self.arrival);
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

    async fn publish(&self, target: Target) -> Result<String, Code> {
        let member = self.member.as_ref().ok_or(Code::NotJoined)?;
        let target = allowed(&member.privileges, target)?;
        let place = &member.place;
        let who = place.room.who(&place.uid, self.arrival.peer);
        self.permitted(&who, Wish::Publish).await?;
        let fresh = UrlId::random();
        let id = self.core.channels.ask(place, |channel, uid, key, out| {
            channel.publish(uid, key, target, fresh, out)
        })?;
        Ok(self
            .core
            .url(Kind::Push, &place.room.app, id, &self.arrival))
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
    fn grant(&mut self, privileges: Privileges) {
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

    fn confirm(&self, told: u32) {
        if let Some(member) = &self.member {
            self.core
                .channels
                .ask(&member.place, |channel, uid, key, _| {
                    channel.confirm(uid, key, told);
                });
        }
    }

    fn junk(&mut self) {
        self.core.metrics.junk.inc();
        self.junk += 1;
        if self.junk > JUNK_MAX {
            self.handle.outbox.close(Close::Junk);
        }
    }

    /// Something is due; the end, if that is it.
    fn due(&mut self, due: Due) -> Option<Close> {
        match due {
            Due::Reading => None,
            Due::Silence => Some(Close::Silent),
            Due::Login if self.refused => Some(Close::Junk),
            Due::Login => Some(Close::Silent),
            Due::Warning(left) => {
                self.clock.warned();
                self.tell_of_token("TokenWillExpire", left);
                None
            }
            Due::Expiry => {
                self.tell_of_token("TokenExpired", Duration::ZERO);
                let member = self.member.take()?;
                self.core
                    .channels
                    .ask(&member.place, |channel, uid, key, out| {
                        channel.leave(uid, key, Leave::TokenExpired, out)
                    });
                // The outbox has its end now, and what goes before it.
                self.clock.over();
                None
            }
            Due::PublishExpiry => {
                self.publish_expired();
                None
            }
        }
    }

    fn tell_of_token(&self, cmd: &str, left: Duration) {
        if let Some(member) = self.member.as_ref().filter(|it| it.caps.token_events) {
            let text = token_notice(cmd, &member.place.room.name, left.as_secs());
            self.handle.outbox.push(text);
        }
    }

    /// Ends a publication that holds what may no longer be published.
    fn publish_expired(&mut self) {
        let Some(member) = &self.member else { return };
        let privileges = member.privileges;
        self.core
            .channels
            .ask(&member.place, |channel, uid, key, out| {
                let publication = channel.members().get(uid)?.publication.as_ref()?;
                let target = publication.target;
                (allowed(&privileges, target) != Ok(target))
                    .then(|| channel.unpublish(uid, key, out))
            });
        self.grant(privileges);
    }
}

/// What of a target a token lets its bearer publish.
fn allowed(privileges: &Privileges, target: Target) -> Result<Target, Code> {
    let now = SystemTime::now();
    let may = |track| privileges.may_publish(track, now);
    let code = |error| match error {
        crate::token::TokenError::Expired => Code::TokenExpired,
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
