use super::*;
use crate::names::{AppId, ChannelName, Uid};

fn who(app: &str, channel: &str, uid: &str, ip: &str) -> Who {
    Who {
        app: AppId::of_config(app),
        channel: ChannelName::parse(channel).unwrap(),
        uid: Uid::parse(uid),
        ip: ip.parse().unwrap(),
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn uid(uid: &str) -> Target {
    Target::Uid {
        app: "live".into(),
        uid: uid.into(),
    }
}

fn channel(channel: &str) -> Target {
    Target::Channel {
        app: "live".into(),
        channel: channel.into(),
    }
}

fn ip(ip: &str) -> Target {
    Target::Ip(ip.parse().unwrap())
}

#[test]
fn each_kind_of_ban_hits_whom_it_names_with_its_own_code() {
    let bans = Bans::in_memory();
    for target in [uid("u1"), channel("c1"), ip("::ffff:10.0.0.1")] {
        bans.add(target, None, "", at(100)).unwrap();
    }
    for (who, code) in [
        (who("live", "c", "u", "10.0.0.2"), None),
        (who("live", "c", "u1", "10.0.0.2"), Some(14)),
        (who("other", "c", "u1", "10.0.0.2"), None),
        (who("live", "c", "", "10.0.0.1"), Some(15)),
        (who("other", "c", "u", "::ffff:10.0.0.1"), Some(15)),
        (who("live", "c1", "u", "10.0.0.2"), Some(16)),
        (who("other", "c1", "u", "10.0.0.2"), None),
        // A uid is no channel, whatever it is called.
        (who("live", "u1", "c1", "10.0.0.2"), None),
    ] {
        let told = bans.check(&who, at(200)).map(Code::number);
        assert_eq!(told, code, "{who:?}");
        let hit = bans.list(at(200)).iter().any(|ban| ban.target.hits(&who));
        assert_eq!(hit, code.is_some(), "{who:?}");
    }
}

#[test]
fn a_ban_for_a_time_ends_by_itself_and_is_forgotten() {
    let bans = Bans::in_memory();
    let minute = Some(Duration::from_secs(60));
    bans.add(uid("u1"), minute, "spam", at(100)).unwrap();
    let banned = who("live", "c", "u1", "10.0.0.1");
    assert_eq!(bans.check(&banned, at(159)), Some(Code::UidBanned));
    assert_eq!(bans.check(&banned, at(160)), None);
    assert!(bans.list(at(160)).is_empty());
    bans.add(uid("u2"), None, "", at(161)).unwrap();
    assert_eq!(bans.list.read().bans.len(), 1);
}

#[test]
fn banning_again_replaces_and_lifting_lifts() {
    let bans = Bans::in_memory();
    let first = bans.add(uid("u1"), None, "", at(1)).unwrap();
    let minute = Some(Duration::from_secs(60));
    let second = bans.add(uid("u1"), minute, "again", at(2)).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(bans.list(at(3)), std::slice::from_ref(&second));
    assert_eq!(bans.lift(first.id).unwrap(), None);
    assert_eq!(bans.lift(second.id).unwrap(), Some(second));
    assert!(bans.list(at(3)).is_empty());
}

#[test]
fn bans_survive_a_restart_and_numbers_are_not_reused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans.redb");
    let open = || Bans::open(&path).unwrap();

    let bans = open();
    let minute = Some(Duration::from_secs(60));
    let kept = [
        bans.add(uid("u1"), None, "for ever", at(100)).unwrap(),
        bans.add(ip("2001:db8::1"), minute, "", at(100)).unwrap(),
        bans.add(channel("c #?&%/"), None, "", at(100)).unwrap(),
    ];
    let lifted = bans.add(uid("u2"), None, "", at(100)).unwrap();
    bans.lift(lifted.id).unwrap();
    drop(bans);

    let bans = open();
    assert_eq!(bans.list(at(101)), kept);
    let banned = who("live", "c", "u1", "10.0.0.1");
    assert_eq!(bans.check(&banned, at(101)), Some(Code::UidBanned));
    let next = bans.add(uid("u3"), None, "", at(200)).unwrap();
    assert!(next.id > lifted.id);
    drop(bans);

    // What was over when the last ban was made is no longer in the file.
    let ids: Vec<_> = open().list(at(101)).iter().map(|ban| ban.id).collect();
    assert_eq!(ids, [kept[0].id, kept[2].id, next.id]);
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Bans::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("signalling.store"), "{error}");
    let path = directory.path().join("bans.redb");
    let first = Bans::open(&path).unwrap();
    let error = Bans::open(&path).unwrap_err().to_string();
    assert!(error.contains("bans.redb"), "{error}");
    drop(first);
}
