//! Carrying out what follows from a change: to sessions, to URLs, to the media.
//!
//! Runs under the channel's lock. Media calls back from under its own locks, so it only leaves a
//! note here, and a task reads the notes.

use std::sync::{Arc, Weak};

use lockgate_media::Track;
use lockgate_routing::{Lease, Source, Watcher};
use tokio::sync::mpsc;

use super::{Channels, Handle, Room};
use crate::channel::{Channel, Effect, Effects};
use crate::hooks::Happened;
use crate::names::Uid;
use crate::url::{Kind, UrlId};
use crate::wire::{Answer, Mutes};

/// A note from the media path.
#[derive(Debug)]
pub(super) struct Media {
    room: Arc<Room>,
    uid: Uid,
    id: UrlId,
    began: bool,
}

/// Leaves notes about one publication.
struct Notes {
    room: Arc<Room>,
    uid: Uid,
    id: UrlId,
    to: mpsc::UnboundedSender<Media>,
}

impl Notes {
    fn leave(&self, began: bool) {
        // Nobody reads it when the node is going down.
        let _ = self.to.send(Media {
            room: Arc::clone(&self.room),
            uid: self.uid.clone(),
            id: self.id,
            began,
        });
    }
}

impl Watcher for Notes {
    fn began(&self) {
        self.leave(true);
    }

    fn ended(&self) {
        self.leave(false);
    }
}

/// Reads the notes of the media path for as long as there are channels.
pub(super) async fn hear(channels: Weak<Channels>, mut heard: mpsc::UnboundedReceiver<Media>) {
    while let Some(media) = heard.recv().await {
        let Some(channels) = channels.upgrade() else {
            return;
        };
        let stands = channels.change(&media.room, |channel, out| {
            if media.began {
                channel.began(&media.uid, media.id, out)
            } else {
                channel.ended(&media.uid, media.id, out);
                true
            }
        });
        // A pusher that got in just as its URL ended has nobody to push for.
        if !stands
            && let Some(stream) = media.room.stream(&media.uid)
            && !channels.book.owns(&stream)
        {
            channels.router.end(&stream);
        }
    }
}

impl Channels {
    pub(super) fn apply(
        &self,
        room: &Arc<Room>,
        channel: &Channel<Arc<Handle>>,
        effects: Effects<Arc<Handle>>,
    ) {
        for effect in effects {
            match effect {
                Effect::Welcome(session, uid) => {
                    let answer = Answer {
                        user_id: Some(&uid),
                        ..Answer::default()
                    };
                    session.outbox.push(answer.to("Login"));
                }
                Effect::Tell(session, notices) => {
                    self.metrics.notices.inc_by(notices.len() as u64);
                    let texts = notices.iter().map(|notice| notice.text(&room.name));
                    session.outbox.tell_all(texts);
                }
                Effect::Announce(notice) => {
                    let text = notice.text(&room.name);
                    let mut told = 0;
                    for (uid, member) in channel.members() {
                        if member.connected && uid != notice.about() {
                            member.session.outbox.tell(text.clone());
                            told += 1;
                        }
                    }
                    self.metrics.notices.inc_by(told);
                }
                Effect::Close(session, close) => session.outbox.close(close),
                Effect::OpenPublication {
                    id,
                    uid,
                    only,
                    muted,
                    by_operator,
                } => {
                    let Some(stream) = room.stream(&uid) else {
                        continue;
                    };
                    let notes = Notes {
                        room: Arc::clone(room),
                        uid,
                        id,
                        to: self.media.clone(),
                    };
                    let lease = Lease::publication(only, Box::new(notes));
                    preset(&lease, Source::Publisher, muted);
                    preset(&lease, Source::Operator, by_operator);
                    self.book.bind(Kind::Push, id, stream, lease);
                }
                Effect::OpenSubscription { id, of, muted } => {
                    let Some(stream) = room.stream(&of) else {
                        continue;
                    };
                    let lease = Lease::subscription();
                    preset(&lease, Source::Subscriber, muted);
                    self.book.bind(Kind::Pull, id, stream, lease);
                }
                Effect::EndPublication(id) => {
                    if let Some(grant) = self.book.end(id) {
                        self.router.end(&grant.stream);
                    }
                }
                Effect::EndSubscription(id) => {
                    self.book.end(id);
                }
                Effect::Turn(id, source, mutes) => self.turn(id, source, mutes),
                Effect::Happened(session, uid, what) => {
                    match &what {
                        Happened::Joined => self.metrics.members.inc(),
                        Happened::Left(why) => {
                            self.metrics.members.dec();
                            self.metrics.left(*why);
                        }
                        _ => {}
                    }
                    self.hooks.happened(&room.who(&uid, session.ip), what);
                }
            }
        }
    }

    fn turn(&self, id: UrlId, source: Source, mutes: Mutes) {
        let Some(grant) = self.book.get(id) else {
            return;
        };
        let Some(lease) = &grant.lease else { return };
        for (track, closed) in tracks(mutes) {
            self.router
                .turn(&grant.stream, lease, source, track, closed);
        }
    }
}

/// Sets a gate that nobody goes through yet.
fn preset(lease: &Lease, source: Source, mutes: Mutes) {
    for (track, closed) in tracks(mutes) {
        if closed {
            lease.gate().turn(source, track, closed);
        }
    }
}

fn tracks(mutes: Mutes) -> [(Track, bool); 2] {
    [(Track::Audio, mutes.audio), (Track::Video, mutes.video)]
}
