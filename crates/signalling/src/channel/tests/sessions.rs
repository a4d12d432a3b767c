//! Members' sessions: replaced, come back, gone; and how many there may be.

use super::*;

#[test]
fn another_session_of_a_uid_replaces_the_older_one() {
    let mut room = Room::of(&["a", "b"]);
    let push = room.go_live("a");
    room.out.clear();
    room.join("a", "another", 9).unwrap();
    assert_eq!(
        room.effects(),
        [
            Effect::EndPublication(push),
            Effect::Announce(Notice::Removed(uid("a"))),
            Effect::Close(1, Close::Left(Leave::Replaced)),
            Effect::Welcome(9, uid("a")),
        ]
    );
    // The old session is nobody here.
    let refused = room
        .channel
        .publish(&uid("a"), 1, Target::All, UrlId(77), &mut room.out);
    assert_eq!(refused, Err(Code::NotJoined));
    assert!(!room.channel.detach(&uid("a"), 1));
    assert!(
        !room
            .channel
            .leave(&uid("a"), 1, Leave::Logout, &mut room.out)
    );
    assert_eq!(room.effects(), []);
}

#[test]
fn a_session_without_a_name_never_comes_back_as_itself() {
    let mut room = Room::default();
    room.join("a", "", 1).unwrap();
    room.out.clear();
    room.join("a", "", 2).unwrap();
    assert_eq!(
        room.effects(),
        [
            Effect::Close(1, Close::Left(Leave::Replaced)),
            Effect::Welcome(2, uid("a")),
        ]
    );
}

#[test]
fn a_session_that_comes_back_has_what_it_had_and_is_told_what_it_missed() {
    let mut room = Room::of(&["a", "b", "c", "d"]);
    let push = room.go_live("a");
    room.go_live("b");
    room.go_live("c");
    room.mute_local("c", mutes(false, true));
    let pull = room.subscribe("a", "c").unwrap();
    room.confirm_all();
    assert!(room.channel.detach(&uid("a"), 1));
    room.out.clear();

    room.leave("b");
    room.go_live("d");
    room.mute_local("d", mutes(true, false));
    room.mute_local("c", mutes(true, false));
    room.out.clear();
    room.join("a", "a", 9).unwrap();
    assert_eq!(
        room.effects(),
        [
            Effect::Welcome(9, uid("a")),
            Effect::Tell(
                9,
                vec![
                    Notice::Removed(uid("b")),
                    Notice::Audio(uid("c"), false),
                    Notice::Video(uid("c"), true),
                    Notice::Added(uid("d")),
                    Notice::Audio(uid("d"), false),
                ]
            ),
        ]
    );
    assert_eq!(room.publish("a", Target::All), Ok(push));
    assert_eq!(room.subscribe("a", "c"), Ok(pull));
    // The grace of the session before is over, and nothing to it.
    room.channel.expire(&uid("a"), 1, &mut room.out);
    assert!(room.channel.members().contains_key("a"));
}

#[test]
fn a_stream_that_ended_and_began_anew_meanwhile_is_removed_and_added() {
    let mut room = Room::of(&["a", "b"]);
    let id = room.go_live("b");
    room.confirm_all();
    room.channel.detach(&uid("a"), 1);
    room.channel.ended(&uid("b"), id, &mut room.out);
    room.channel.began(&uid("b"), id, &mut room.out);
    room.out.clear();
    room.join("a", "a", 9).unwrap();
    assert_eq!(
        room.effects()[1],
        Effect::Tell(9, vec![Notice::Removed(uid("b")), Notice::Added(uid("b"))])
    );
}

#[test]
fn what_may_not_have_arrived_is_told_so_that_it_is_right_either_way() {
    let mut room = Room::of(&["a", "b", "c", "d"]);
    room.go_live("b");
    let c = room.go_live("c");
    room.confirm_all();
    // The phone is in a tunnel, and nobody knows yet.
    room.mute_local("b", mutes(true, false));
    room.channel.ended(&uid("c"), c, &mut room.out);
    room.go_live("d");
    room.out.clear();
    // It comes back before its old WebSocket was found broken.
    room.join("a", "a", 9).unwrap();
    assert_eq!(
        room.effects(),
        [
            Effect::Close(1, Close::Resumed),
            Effect::Welcome(9, uid("a")),
            Effect::Tell(
                9,
                vec![
                    Notice::Audio(uid("b"), false),
                    Notice::Video(uid("b"), true),
                    Notice::Removed(uid("c")),
                    Notice::Removed(uid("d")),
                    Notice::Added(uid("d")),
                ]
            ),
        ]
    );
}

#[test]
fn who_subscribes_to_a_stream_has_heard_of_it() {
    let mut room = Room::of(&["a", "b"]);
    room.go_live("b");
    room.subscribe("a", "b").unwrap();
    room.channel.detach(&uid("a"), 1);
    room.out.clear();
    room.join("a", "a", 9).unwrap();
    assert_eq!(room.effects(), [Effect::Welcome(9, uid("a"))]);
}

#[test]
fn a_member_that_does_not_come_back_leaves() {
    let mut room = Room::of(&["a", "b"]);
    let push = room.go_live("a");
    room.channel.detach(&uid("a"), 1);
    assert!(room.effects().len() == 2);
    room.channel.expire(&uid("a"), 1, &mut room.out);
    assert_eq!(
        room.effects(),
        [
            Effect::EndPublication(push),
            Effect::Announce(Notice::Removed(uid("a"))),
        ]
    );
    assert!(!room.channel.members().contains_key("a"));
}

#[test]
fn a_picked_uid_is_free_and_stays_with_its_session() {
    let mut room = Room::of(&["a"]);
    let mut picks = ["a", "7"].into_iter();
    let picked = room.channel.uid(None, "sid", || uid(picks.next().unwrap()));
    assert_eq!(picked, uid("7"));
    room.channel
        .join(&picked, "sid", true, 9, 4, &mut room.out)
        .unwrap();
    let again = room.channel.uid(None, "sid", || uid("8"));
    assert_eq!(again, uid("7"));
    room.leave("7");
    assert_eq!(room.channel.uid(None, "sid", || uid("8")), uid("8"));
    assert_eq!(
        room.channel.uid(Some(uid("x")), "sid", || uid("8")),
        uid("x")
    );
}

#[test]
fn a_full_channel_takes_nobody_but_those_who_come_back() {
    let mut room = Room::of(&["a", "b", "c", "d"]);
    assert_eq!(room.join("e", "e", 5), Err(Code::TooMany));
    room.channel.detach(&uid("a"), 1);
    assert_eq!(room.join("a", "a", 6), Ok(()));
    assert_eq!(room.join("a", "other", 7), Ok(()));
}

#[test]
fn listeners_hear_what_happened_in_order() {
    let mut room = Room::default();
    room.join("a", "a", 1).unwrap();
    room.go_live("a");
    room.mute_local("a", mutes(true, false));
    room.leave("a");
    let muted = Happened::Muted {
        of: None,
        audio: true,
        video: false,
    };
    let happened = [
        Happened::Joined,
        Happened::Published,
        muted,
        Happened::Unpublished,
        Happened::Left(Leave::Logout),
    ];
    assert_eq!(room.happened(), happened.map(|what| ("a".to_owned(), what)));
    assert!(room.channel.is_empty());
}
