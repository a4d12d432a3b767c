//! One channel's behaviour: who is told what, in which order, and what becomes of URLs.

mod mutes;
mod sessions;

use super::*;
use crate::outbox::Close;

impl Key for u64 {
    fn key(&self) -> u64 {
        *self
    }
}

/// A channel whose members' sessions are numbers, and the effects since the last look.
#[derive(Default)]
struct Room {
    channel: Channel<u64>,
    out: Effects<u64>,
    urls: u64,
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn mutes(audio: bool, video: bool) -> Mutes {
    Mutes { audio, video }
}

impl Room {
    /// Members `a`, `b` and so on, with the sessions 1, 2 and so on.
    fn of(names: &[&str]) -> Self {
        let mut room = Self::default();
        for (at, name) in names.iter().enumerate() {
            room.join(name, name, at as u64 + 1).unwrap();
        }
        room.out.clear();
        room
    }

    fn join(&mut self, name: &str, sid: &str, session: u64) -> Result<(), Code> {
        let (uid, out) = (uid(name), &mut self.out);
        self.channel.join(&uid, sid, false, session, 4, out)
    }

    fn key(&self, name: &str) -> u64 {
        self.channel.members()[name].session
    }

    fn fresh(&mut self) -> UrlId {
        self.urls += 1;
        UrlId(self.urls)
    }

    fn publish(&mut self, name: &str, target: Target) -> Result<UrlId, Code> {
        let (key, fresh) = (self.key(name), self.fresh());
        self.channel
            .publish(&uid(name), key, target, fresh, &mut self.out)
    }

    /// Publishes, and media comes.
    fn go_live(&mut self, name: &str) -> UrlId {
        let id = self.publish(name, Target::All).unwrap();
        assert!(self.channel.began(&uid(name), id, &mut self.out));
        id
    }

    fn subscribe(&mut self, name: &str, of: &str) -> Result<UrlId, Code> {
        let (key, fresh) = (self.key(name), self.fresh());
        self.channel
            .subscribe(&uid(name), key, &uid(of), fresh, &mut self.out)
    }

    fn mute(&mut self, name: &str, of: &str, mutes: Mutes) -> Result<(), Code> {
        let key = self.key(name);
        self.channel
            .mute_remote(&uid(name), key, &uid(of), mutes, &mut self.out)
    }

    fn mute_local(&mut self, name: &str, mutes: Mutes) {
        let key = self.key(name);
        self.channel
            .mute_local(&uid(name), key, mutes, &mut self.out)
            .unwrap();
    }

    fn leave(&mut self, name: &str) {
        let key = self.key(name);
        let out = &mut self.out;
        assert!(self.channel.leave(&uid(name), key, Leave::Logout, out));
    }

    /// Every notice so far has arrived.
    fn confirm_all(&mut self) {
        let members: Vec<_> = self.channel.members().keys().cloned().collect();
        for uid in members {
            let key = self.key(uid.as_str());
            self.channel.confirm(&uid, key, u32::MAX);
        }
    }

    /// The effects since the last look, those for listeners left out.
    fn effects(&mut self) -> Vec<Effect<u64>> {
        let effects = std::mem::take(&mut self.out).into_iter();
        effects
            .filter(|effect| !matches!(effect, Effect::Happened(..)))
            .collect()
    }

    fn happened(&mut self) -> Vec<(String, Happened)> {
        let effects = std::mem::take(&mut self.out).into_iter();
        let happened = effects.filter_map(|effect| match effect {
            Effect::Happened(_, uid, what) => Some((uid.to_string(), what)),
            _ => None,
        });
        happened.collect()
    }
}

#[test]
fn a_stream_is_announced_when_its_media_arrives_and_once() {
    let mut room = Room::of(&["a", "b"]);
    let id = room.publish("a", Target::All).unwrap();
    assert!(matches!(
        room.effects()[..],
        [Effect::OpenPublication { .. }]
    ));
    assert!(room.channel.began(&uid("a"), id, &mut room.out));
    assert!(room.channel.began(&uid("a"), id, &mut room.out));
    assert_eq!(room.effects(), [Effect::Announce(Notice::Added(uid("a")))]);
}

#[test]
fn publishing_again_gives_the_same_url_and_says_nothing() {
    let mut room = Room::of(&["a"]);
    let id = room.go_live("a");
    room.out.clear();
    assert_eq!(room.publish("a", Target::All), Ok(id));
    assert_eq!(room.effects(), []);
    // Another target is another publication.
    assert_ne!(room.publish("a", Target::Audio), Ok(id));
}

#[test]
fn a_late_joiner_is_welcomed_then_told_of_streams_then_of_what_is_muted() {
    let mut room = Room::of(&["a", "b"]);
    room.go_live("a");
    room.mute_local("a", mutes(true, false));
    room.publish("b", Target::All).unwrap();
    room.out.clear();
    room.join("c", "c", 3).unwrap();
    assert_eq!(
        room.effects(),
        [
            Effect::Welcome(3, uid("c")),
            Effect::Tell(
                3,
                vec![Notice::Added(uid("a")), Notice::Audio(uid("a"), false)]
            ),
        ]
    );
}

#[test]
fn nothing_is_said_about_a_stream_that_was_not_announced() {
    let mut room = Room::of(&["a", "b"]);
    room.mute_local("a", mutes(true, true));
    let id = room.publish("a", Target::All).unwrap();
    room.mute_local("a", mutes(false, true));
    assert!(
        !room
            .effects()
            .iter()
            .any(|effect| matches!(effect, Effect::Announce(_)))
    );
    room.channel.began(&uid("a"), id, &mut room.out);
    assert_eq!(
        room.effects(),
        [
            Effect::Announce(Notice::Added(uid("a"))),
            Effect::Announce(Notice::Video(uid("a"), false)),
        ]
    );
    room.channel.ended(&uid("a"), id, &mut room.out);
    room.out.clear();
    room.mute_local("a", mutes(true, true));
    assert_eq!(
        room.effects(),
        [Effect::Turn(id, Source::Publisher, mutes(true, true))]
    );
}

#[test]
fn subscribing_again_gives_the_same_url() {
    let mut room = Room::of(&["a", "b"]);
    room.go_live("a");
    let id = room.subscribe("b", "a").unwrap();
    room.out.clear();
    assert_eq!(room.subscribe("b", "a"), Ok(id));
    assert_eq!(room.effects(), []);
}

#[test]
fn strangers_and_members_without_a_stream_cannot_be_subscribed_to() {
    let mut room = Room::of(&["a", "b"]);
    assert_eq!(room.subscribe("b", "nobody"), Err(Code::UnknownUser));
    assert_eq!(room.subscribe("b", "a"), Err(Code::UnknownUser));
    assert_eq!(
        room.mute("b", "nobody", mutes(true, true)),
        Err(Code::UnknownUser)
    );
    assert_eq!(room.mute("b", "a", mutes(true, true)), Ok(()));
}

#[test]
fn what_ends_a_publication_kills_its_url_and_its_subscriptions_and_is_told() {
    type End = fn(&mut Room);
    let ways: [(&str, End); 5] = [
        ("UnPublish", |room| {
            let key = room.key("a");
            room.channel
                .unpublish(&uid("a"), key, &mut room.out)
                .unwrap();
        }),
        ("SetRole", |room| {
            let key = room.key("a");
            room.channel
                .set_role(&uid("a"), key, Role::Audience, &mut room.out)
                .unwrap();
        }),
        ("Logout", |room| room.leave("a")),
        ("kick", |room| {
            room.channel.expel(&uid("a"), Leave::Kicked, &mut room.out);
        }),
        ("replaced", |room| {
            room.join("a", "another", 9).unwrap();
        }),
    ];
    for (way, end) in ways {
        let mut room = Room::of(&["a", "b"]);
        let push = room.go_live("a");
        let pull = room.subscribe("b", "a").unwrap();
        room.mute("b", "a", mutes(true, false)).unwrap();
        room.out.clear();
        end(&mut room);
        let effects = room.effects();
        assert_eq!(
            effects[..3],
            [
                Effect::EndPublication(push),
                Effect::EndSubscription(pull),
                Effect::Announce(Notice::Removed(uid("a"))),
            ],
            "{way}"
        );
        // The mute went with it: clients begin anew.
        assert!(room.channel.members()["b"].mutes.is_empty(), "{way}");
    }
}

#[test]
fn a_publication_that_never_began_ends_without_a_word() {
    let mut room = Room::of(&["a", "b"]);
    let push = room.publish("a", Target::All).unwrap();
    let pull = room.subscribe("b", "a").unwrap();
    room.out.clear();
    room.leave("a");
    assert_eq!(
        room.effects(),
        [
            Effect::EndPublication(push),
            Effect::EndSubscription(pull),
            Effect::Close(1, Close::Left(Leave::Logout)),
        ]
    );
}

#[test]
fn media_that_is_gone_for_good_is_removed_and_may_come_back_to_the_same_url() {
    let mut room = Room::of(&["a", "b"]);
    let id = room.go_live("a");
    room.out.clear();
    room.channel.ended(&uid("a"), id, &mut room.out);
    assert_eq!(
        room.effects(),
        [Effect::Announce(Notice::Removed(uid("a")))]
    );
    assert_eq!(room.publish("a", Target::All), Ok(id));
    assert!(room.channel.began(&uid("a"), id, &mut room.out));
    assert_eq!(room.effects(), [Effect::Announce(Notice::Added(uid("a")))]);
    // What the media path says late of a publication that is over means nothing.
    room.leave("a");
    room.out.clear();
    assert!(!room.channel.began(&uid("a"), id, &mut room.out));
    room.channel.ended(&uid("a"), id, &mut room.out);
    assert_eq!(room.effects(), []);
}

#[test]
fn an_audience_does_not_publish_until_it_is_a_host() {
    let mut room = Room::of(&["a"]);
    let key = room.key("a");
    let role = |room: &mut Room, role| {
        room.channel
            .set_role(&uid("a"), key, role, &mut room.out)
            .unwrap();
    };
    role(&mut room, Role::Audience);
    assert_eq!(
        room.publish("a", Target::All),
        Err(Code::AudienceMayNotPublish)
    );
    role(&mut room, Role::Host);
    assert!(room.publish("a", Target::All).is_ok());
}
