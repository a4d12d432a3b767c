//! Who is muted, and who is told of it.

use super::*;

#[test]
fn a_mute_of_its_own_is_told_only_when_it_changes_something() {
    let mut room = Room::of(&["a", "b"]);
    let id = room.go_live("a");
    room.out.clear();
    room.mute_local("a", mutes(true, false));
    room.mute_local("a", mutes(true, false));
    assert_eq!(
        room.effects(),
        [
            Effect::Turn(id, Source::Publisher, mutes(true, false)),
            Effect::Announce(Notice::Audio(uid("a"), false)),
        ]
    );
    // What an operator muted stays off whatever the publisher does.
    let by_operator = |_| mutes(true, false);
    assert!(
        room.channel
            .mute_by_operator(&uid("a"), by_operator, &mut room.out)
    );
    room.mute_local("a", mutes(false, false));
    assert_eq!(
        room.effects(),
        [
            Effect::Turn(id, Source::Operator, mutes(true, false)),
            Effect::Turn(id, Source::Publisher, mutes(false, false)),
        ]
    );
    let none = |_| Mutes::default();
    room.channel
        .mute_by_operator(&uid("a"), none, &mut room.out);
    assert_eq!(
        room.effects(),
        [
            Effect::Turn(id, Source::Operator, Mutes::default()),
            Effect::Announce(Notice::Audio(uid("a"), true)),
        ]
    );
}

#[test]
fn a_publication_of_one_kind_shows_the_other_as_muted() {
    let mut room = Room::of(&["a", "b"]);
    let id = room.publish("a", Target::Audio).unwrap();
    let [Effect::OpenPublication { only, .. }] = room.effects()[..] else {
        panic!("no publication")
    };
    assert_eq!(only, Some(Track::Audio));
    room.channel.began(&uid("a"), id, &mut room.out);
    assert_eq!(
        room.effects(),
        [
            Effect::Announce(Notice::Added(uid("a"))),
            Effect::Announce(Notice::Video(uid("a"), false)),
        ]
    );
}

#[test]
fn a_mute_before_subscribing_counts_from_the_first_packet_on() {
    let mut room = Room::of(&["a", "b"]);
    room.go_live("a");
    room.out.clear();
    room.mute("b", "a", mutes(true, false)).unwrap();
    assert_eq!(room.effects(), []);
    let id = room.subscribe("b", "a").unwrap();
    assert_eq!(
        room.effects(),
        [Effect::OpenSubscription {
            id,
            of: uid("a"),
            muted: mutes(true, false)
        }]
    );
    // It survives unsubscribing and subscribing again.
    let key = room.key("b");
    room.channel
        .unsubscribe(&uid("b"), key, &uid("a"), &mut room.out)
        .unwrap();
    assert_eq!(room.effects(), [Effect::EndSubscription(id)]);
    let again = room.subscribe("b", "a").unwrap();
    assert_ne!(again, id);
    assert_eq!(
        room.effects(),
        [Effect::OpenSubscription {
            id: again,
            of: uid("a"),
            muted: mutes(true, false)
        }]
    );
    room.mute("b", "a", mutes(false, false)).unwrap();
    assert_eq!(
        room.effects(),
        [Effect::Turn(again, Source::Subscriber, mutes(false, false))]
    );
}

#[test]
fn a_mute_of_its_own_before_publishing_counts_too() {
    let mut room = Room::of(&["a"]);
    room.mute_local("a", mutes(false, true));
    room.publish("a", Target::All).unwrap();
    let effects = room.effects();
    let [Effect::OpenPublication { muted, .. }] = &effects[..] else {
        panic!("no publication")
    };
    assert_eq!(*muted, mutes(false, true));
}
