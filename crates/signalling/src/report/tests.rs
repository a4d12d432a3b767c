use super::*;
use serde_json::json;

fn who(uid: &str) -> Who {
    Who {
        app: AppId::of_config("live"),
        channel: ChannelName::parse("c").unwrap(),
        uid: Uid::parse(uid),
        ip: "10.0.0.1".parse().unwrap(),
    }
}

fn reports() -> (Reports, Registry) {
    let registry = Registry::new();
    (Reports::new(&registry).unwrap(), registry)
}

fn last(reports: &Reports, uid: &str) -> Option<Heard> {
    let who = who(uid);
    reports.last(&who.app, &who.channel, &who.uid.unwrap())
}

/// A report such as the SDK sends.
fn report() -> Value {
    json!({
        "Time": 1_700_000_000_000_u64,
        "Pusher": {
            "States": [{"Code": -1307, "Message": "broken"}, {"Code": 1002, "Message": "pushing"}],
            "Net": {"videoFPS": 15, "netSpeed": "800"},
        },
        "Players": [
            {
                "UserId": "bob",
                "States": [{"Code": 2007, "Message": ""}, {"Code": 2004, "Message": "playing"}],
                "Net": {"videoFPS": 24, "videoCache": 300, "audioCache": 400},
            },
            {"UserId": 7, "States": [{"Code": 2105, "Message": "lag"}]},
        ],
    })
}

#[test]
fn the_last_of_each_part_is_kept() {
    let (reports, _) = reports();
    let bob = Uid::parse("bob").unwrap();
    reports.take(&who("u1"), &report());
    reports.take(
        &who("u1"),
        &json!({"Players": [{"UserId": "bob", "States": [{"Code": 2007}]}]}),
    );
    let heard = last(&reports, "u1").unwrap();
    let pusher = heard.pusher.unwrap();
    assert_eq!(pusher.state.unwrap().message, "pushing");
    assert_eq!(
        (pusher.net["videoFPS"], pusher.net["netSpeed"]),
        (15.0, 800.0)
    );
    assert_eq!(pusher.errors, 1);
    let player = &heard.players[&bob];
    assert_eq!(player.state.as_ref().unwrap().code, 2007);
    assert_eq!((player.net["videoFPS"], player.stalls), (24.0, 2));
    assert_eq!(heard.players[&Uid::parse("7").unwrap()].stalls, 1);

    reports.take(&who("u1"), &json!({"Log": ["one", "two"]}));
    reports.take(&who("u1"), &json!({"Log": ["three"]}));
    assert_eq!(last(&reports, "u1").unwrap().log, ["one", "two", "three"]);
    reports.forget(&who("u1"));
    assert!(last(&reports, "u1").is_none());
}

#[test]
fn reports_feed_the_metrics() {
    let (reports, registry) = reports();
    reports.take(&who("u1"), &report());
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        "lockgate_client_player_delay_seconds_sum 0.4",
        "lockgate_client_frames_per_second_sum{side=\"player\"} 24",
        "lockgate_client_frames_per_second_sum{side=\"pusher\"} 15",
        "lockgate_client_stalls_total 2",
        "lockgate_client_errors_total{side=\"pusher\"} 1",
        "lockgate_client_errors_total{side=\"player\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
}

#[test]
fn numbers_that_cannot_be_do_not_spoil_the_sums() {
    let (reports, registry) = reports();
    let net = json!({"videoFPS": 1e300, "videoCache": -1e300});
    let player = json!({"UserId": "bob", "Net": net});
    reports.take(&who("u1"), &json!({"Players": [player]}));
    for family in registry.gather() {
        for metric in family.get_metric() {
            let sum = metric.get_histogram().get_sample_sum();
            assert!((0.0..=1000.0).contains(&sum), "{} {sum}", family.name());
        }
    }
}

#[test]
fn whatever_is_sent_is_bounded() {
    let (reports, _) = reports();
    let net: serde_json::Map<_, _> = (0..1000).map(|at| (format!("n{at}"), json!(1))).collect();
    let side = |uid: usize| {
        json!({
            "UserId": format!("u{uid}"),
            "States": vec![json!({"Code": -1, "Message": "长".repeat(100)}); 30],
            "Net": net,
        })
    };
    for round in 0..3 {
        let players: Vec<_> = (0..100).map(|at| side(round * 100 + at)).collect();
        let log = vec!["长".repeat(200); 300];
        reports.take(
            &who("u1"),
            &json!({"Pusher": side(0), "Players": players, "Log": log}),
        );
    }
    let heard = last(&reports, "u1").unwrap();
    assert_eq!(heard.players.len(), PLAYERS_MAX);
    assert!(heard.players.contains_key(&Uid::parse("u200").unwrap()));
    let pusher = heard.pusher.unwrap();
    assert_eq!(pusher.net.len(), NUMBERS_MAX);
    assert_eq!(pusher.errors, 60);
    assert!(pusher.state.unwrap().message.len() <= MESSAGE_MAX);
    assert_eq!(heard.log.len(), LINES_MAX);
    assert!(heard.log.iter().all(|line| line.len() <= LINE_MAX));
}

#[test]
fn junk_is_left_out() {
    let (reports, _) = reports();
    for junk in [
        json!(null),
        json!([1]),
        json!("Pusher"),
        json!({"Pusher": 1, "Players": {"bob": {}}, "Log": "text"}),
        json!({"Pusher": {"States": "x", "Net": {"a": "nan", "b": [1], "c": "1e999"}}}),
        json!({"Pusher": {"States": [1, null, {"Code": "x"}, {"Code": 1.5}], "Net": [1]}}),
        json!({"Players": [1, {}, {"UserId": "a/b"}, {"UserId": ""}], "Log": [1, null]}),
    ] {
        reports.take(&who("u1"), &junk);
    }
    let heard = last(&reports, "u1").unwrap();
    let pusher = heard.pusher.unwrap();
    assert_eq!((pusher.state, pusher.net.len()), (None, 0));
    assert!(heard.players.is_empty() && heard.log.is_empty());
    reports.take(&who(""), &json!({}));
    assert_eq!(reports.members.len(), 1);
}
