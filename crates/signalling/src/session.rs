//! One WebSocket session, from its first frame to its last.
//!
//! Everything that goes out waits in the session's outbox, so that answers and notices keep their
//! order. Dropping a session, on whatever path, gives its member the grace to come back.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::channels::{Handle, Place};
use crate::core::{Core, Seat};
use crate::gateway::Arrival;
use crate::hooks::Leave;
use crate::outbox::{Close, Outbox};
use crate::token::Privileges;
use crate::transport::{Broken, Received, Transport};
use crate::wire::{Answer, Caps, Envelope, token_notice};

mod clock;
mod requests;

#[cfg(test)]
mod tests;

use clock::{Clock, Due};
use requests::allowed;

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
            self.talk.core.metrics.turned_away();
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
