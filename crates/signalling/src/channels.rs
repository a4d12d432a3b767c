//! The channels of a node: the one owner of who is in which.
//!
//! Each channel has one lock, under which its state changes and the effects are carried out, so
//! that everybody is told in the same order. Nothing that happens under it waits.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use lockgate_routing::{Router, StreamId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channel::{Channel, Effects, Key};
use crate::code::Code;
use crate::hooks::{Hooks, Leave, Who};
use crate::members::{ChannelReport, MemberReport, PublicationReport, SubscriptionReport};
use crate::metrics::Metrics;
use crate::names::{AppId, ChannelName, Uid};
use crate::outbox::Outbox;
use crate::url::Book;
use crate::wire::{Mutes, Role};

mod apply;

use apply::Media;

/// A session, as its channel holds it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) key: u64,
    pub(crate) outbox: Outbox,
    pub(crate) ip: IpAddr,
    pub(crate) sdk: Mutex<Box<str>>,
}

impl Key for Arc<Handle> {
    fn key(&self) -> u64 {
        self.key
    }
}

/// A channel and its lock.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) app: AppId,
    pub(crate) name: ChannelName,
    since: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    channel: Channel<Arc<Handle>>,
    /// It was empty and is forgotten: who wants in makes another.
    forgotten: bool,
}

impl Room {
    /// The stream of a member. Neither name holds a `/`, so no two members share one.
    fn stream(&self, uid: &Uid) -> Option<StreamId> {
        StreamId::new(self.app.as_str(), &format!("{}/{uid}", self.name)).ok()
    }

    /// One of its members.
    pub(crate) fn who(&self, uid: &Uid, ip: IpAddr) -> Who {
        Who {
            app: self.app.clone(),
            channel: self.name.clone(),
            uid: Some(uid.clone()),
            ip,
        }
    }
}

/// A member's place: what its session asks through.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) room: Arc<Room>,
    pub(crate) uid: Uid,
    key: u64,
}

/// Bounds of an app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) members: usize,
    pub(crate) channels: usize,
}

/// What a session asks for when it joins.
#[derive(Debug)]
pub(crate) struct Joining<'a> {
    pub(crate) app: &'a AppId,
    pub(crate) bounds: Bounds,
    pub(crate) channel: &'a ChannelName,
    pub(crate) uid: Option<Uid>,
    pub(crate) sid: &'a str,
}

#[derive(Debug)]
pub(crate) struct Channels {
    rooms: DashMap<(AppId, ChannelName), Arc<Room>>,
    counts: DashMap<AppId, usize>,
    pub(crate) book: Arc<Book>,
    router: Arc<Router>,
    hooks: Arc<dyn Hooks>,
    metrics: Metrics,
    media: mpsc::UnboundedSender<Media>,
    grace: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Channels {
    /// With a task of its own that hears of media, for as long as this lives.
    pub(crate) fn new(
        router: Arc<Router>,
        hooks: Arc<dyn Hooks>,
        metrics: Metrics,
        grace: Duration,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let (media, heard) = mpsc::unbounded_channel();
        let channels = Arc::new(Self {
            rooms: DashMap::new(),
            counts: DashMap::new(),
            book: Arc::new(Book::new()),
            router,
            hooks,
            metrics,
            media,
            grace,
            stop,
            tasks,
        });
        tokio::spawn(apply::hear(Arc::downgrade(&channels), heard));
        channels
    }

    /// Brings a session into a channel; its Login is answered here.
    pub(crate) fn join(
        self: &Arc<Self>,
        ask: &Joining<'_>,
        handle: &Arc<Handle>,
    ) -> Result<Place, Code> {
        let was_picked = ask.uid.is_none();
        loop {
            let room = self.room(ask)?;
            let mut state = room.state.lock();
            if state.forgotten {
                continue;
            }
            let uid = state.channel.uid(ask.uid.clone(), ask.sid, || {
                Uid::of_number(u64::from(rand::random_range(1..=u32::MAX)))
            });
            let mut effects = Vec::new();
            let banned = if was_picked {
                self.hooks.banned(&room.who(&uid, handle.ip))
            } else {
                None
            };
            let joined = match banned {
                Some(code) => Err(code),
                None => {
                    let (session, most) = (Arc::clone(handle), ask.bounds.members);
                    let channel = &mut state.channel;
                    channel.join(&uid, ask.sid, was_picked, session, most, &mut effects)
                }
            };
            self.settle(&room, &mut state, effects);
            drop(state);
            let key = handle.key;
            return joined.map(|()| Place { room, uid, key });
        }
    }

    /// The room of a channel, made when there is none.
    fn room(&self, ask: &Joining<'_>) -> Result<Arc<Room>, Code> {
        match self.rooms.entry((ask.app.clone(), ask.channel.clone())) {
            Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            Entry::Vacant(entry) => {
                let mut count = self.counts.entry(ask.app.clone()).or_insert(0);
                if *count >= ask.bounds.channels {
                    return Err(Code::TooMany);
                }
                *count += 1;
                let room = Arc::new(Room {
                    app: ask.app.clone(),
                    name: ask.channel.clone(),
                    since: Instant::now(),
                    state: Mutex::default(),
                });
                entry.insert(Arc::clone(&room));
                self.metrics.channels.inc();
                Ok(room)
            }
        }
    }

    /// Asks a member's channel, and carries out what follows.
    pub(crate) fn ask<R>(
        &self,
        place: &Place,
        ask: impl FnOnce(&mut Channel<Arc<Handle>>, &Uid, u64, &mut Effects<Arc<Handle>>) -> R,
    ) -> R {
        self.change(&place.room, |channel, effects| {
            ask(channel, &place.uid, place.key, effects)
        })
    }

    fn change<R>(
        &self,
        room: &Arc<Room>,
        change: impl FnOnce(&mut Channel<Arc<Handle>>, &mut Effects<Arc<Handle>>) -> R,
    ) -> R {
        let mut state = room.state.lock();
        let mut effects = Vec::new();
        let result = change(&mut state.channel, &mut effects);
        self.settle(room, &mut state, effects);
        result
    }

    /// Carries out effects, and forgets a room that nobody is in.
    fn settle(&self, room: &Arc<Room>, state: &mut State, effects: Effects<Arc<Handle>>) {
        self.apply(room, &state.channel, effects);
        if state.channel.is_empty() && !state.forgotten {
            state.forgotten = true;
            let key = (room.app.clone(), room.name.clone());
            // Whoever holds the entry does not wait for a room's lock meanwhile.
            self.rooms
                .remove_if(&key, |_, held| Arc::ptr_eq(held, room));
            if let Some(mut count) = self.counts.get_mut(&room.app) {
                *count = count.saturating_sub(1);
            }
            self.metrics.channels.dec();
        }
    }

    /// A session's WebSocket is gone: its member has the grace to come back.
    pub(crate) fn detach(self: &Arc<Self>, place: &Place) {
        let attached = self.ask(place, |channel, uid, key, _| channel.detach(uid, key));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !attached {
            return;
        }
        let (channels, place) = (Arc::downgrade(self), place.clone());
        let (grace, stop) = (self.grace, self.stop.clone());
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = tokio::time::sleep(grace) => {}
                    () = stop.cancelled() => return,
                }
                if let Some(channels) = Weak::upgrade(&channels) {
                    channels.ask(&place, |channel, uid, key, out| {
                        channel.expire(uid, key, out);
                    });
                }
            },
            &runtime,
        );
    }

    fn find(&self, app: &str, channel: &str) -> Option<Arc<Room>> {
        let key = (AppId::of_config(app), ChannelName::parse(channel)?);
        self.rooms.get(&key).map(|room| Arc::clone(&room))
    }

    fn rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.iter().map(|room| Arc::clone(&room)).collect()
    }

    /// Removes a member.
    pub(crate) fn expel(&self, app: &str, channel: &str, uid: &str, why: Leave) -> bool {
        let Some((room, uid)) = self.find(app, channel).zip(Uid::parse(uid)) else {
            return false;
        };
        self.change(&room, |channel, out| channel.expel(&uid, why, out))
    }

    /// Removes the members that a question is answered yes for.
    pub(crate) fn expel_all(&self, why: Leave, expelled: impl Fn(&Who) -> bool) -> usize {
        let mut count = 0;
        for room in self.rooms() {
            self.change(&room, |channel, out| {
                let members = channel.members().iter();
                let uids: Vec<_> = members
                    .filter(|(uid, member)| expelled(&room.who(uid, member.session.ip)))
                    .map(|(uid, _)| uid.clone())
                    .collect();
                count += uids.len();
                for uid in uids {
                    channel.expel(&uid, why, out);
                }
            });
        }
        count
    }

    /// Mutes a member's stream as an operator.
    pub(crate) fn mute(
        &self,
        app: &str,
        channel: &str,
        uid: &str,
        change: impl Fn(Mutes) -> Mutes,
    ) -> bool {
        let Some((room, uid)) = self.find(app, channel).zip(Uid::parse(uid)) else {
            return false;
        };
        self.change(&room, |channel, out| {
            channel.mute_by_operator(&uid, &change, out)
        })
    }

    pub(crate) fn reports(&self) -> Vec<ChannelReport> {
        self.rooms()
            .iter()
            .filter_map(|room| report(room))
            .collect()
    }

    pub(crate) fn report(&self, app: &str, channel: &str) -> Option<ChannelReport> {
        report(&*self.find(app, channel)?)
    }

    pub(crate) fn members(&self, app: &str, channel: &str) -> Option<Vec<MemberReport>> {
        let room = self.find(app, channel)?;
        let state = room.state.lock();
        let members = state.channel.members().iter();
        let report = |(uid, member): (&Uid, &crate::channel::Member<Arc<Handle>>)| MemberReport {
            uid: uid.clone(),
            ip: member.session.ip,
            sdk: member.session.sdk.lock().to_string(),
            since: member.since.elapsed(),
            connected: member.connected,
            role: match member.role {
                Role::Host => "host",
                Role::Audience => "audience",
            },
            publication: room.stream(uid).and_then(|stream| {
                let publication = member.publication.as_ref()?;
                let shown = member.look();
                Some(PublicationReport {
                    stream,
                    begun: publication.shown.is_some(),
                    audio: shown.audio,
                    video: shown.video,
                    muted_by_operator: (
                        member.muted_by_operator.audio,
                        member.muted_by_operator.video,
                    ),
                })
            }),
            subscriptions: member
                .subscriptions
                .iter()
                .map(|(of, id)| {
                    let mutes = member.mutes.get(of).copied().unwrap_or_default();
                    SubscriptionReport {
                        uid: of.clone(),
                        audio_muted: mutes.audio,
                        video_muted: mutes.video,
                        player: self
                            .book
                            .get(*id)
                            .and_then(|grant| grant.lease?.connection()),
                    }
                })
                .collect(),
        };
        Some(members.map(report).collect())
    }
}

fn report(room: &Room) -> Option<ChannelReport> {
    let state = room.state.lock();
    let members = state.channel.members();
    (!members.is_empty()).then(|| ChannelReport {
        app: room.app.clone(),
        channel: room.name.clone(),
        age: room.since.elapsed(),
        members: members.len(),
        publications: members
            .values()
            .filter(|member| member.publication.is_some())
            .count(),
    })
}
