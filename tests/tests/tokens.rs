//! Tokens of the published builders, npm's and PyPI's, are taken; spoiled ones are not.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use lockgate_media::Track;
use lockgate_node::config::{App, AppAccess};
use lockgate_signalling::token::{Bearer, Certificate, Privileges, TokenError, verify};
use lockgate_tests::member::{Member, Ticket, gateway};
use lockgate_tests::node::TestNode;
use lockgate_tests::tools;
use serde::Serialize;
use serde_json::{Value, json};

const APP: &str = "970ca35de60c44645bbae8a00c3af71f";
const CERTIFICATE: &str = "5cfd2fd1755d40ecb72977518be15d3b";

/// Every character that a channel's name can have.
const CHANNEL: &str = "aZ9 !#$%&()+-:;<=.>?@[]^_{}|~,";

const HOUR: u32 = 3600;

/// Each package, and each way of its that packs differently.
const BUILDERS: [&str; 5] = [
    "agora-access-token",
    "agora-token",
    "agora-token with messages",
    "agora-token by privilege",
    PYTHON,
];
const PYTHON: &str = "agora-token-builder";

/// What an app's server asks a builder for.
#[derive(Debug, Clone, Serialize)]
struct Request {
    builder: &'static str,
    app: &'static str,
    certificate: &'static str,
    channel: &'static str,
    uid: Value,
    publisher: bool,
    /// Seconds from now.
    expire: i64,
}

/// A publisher's request to each builder: an hour, for one uid.
fn requests() -> Vec<Request> {
    let request = |builder| Request {
        builder,
        app: APP,
        certificate: CERTIFICATE,
        channel: CHANNEL,
        uid: "user7".into(),
        publisher: true,
        expire: HOUR.into(),
    };
    BUILDERS.map(request).into()
}

/// Has the packages build tokens, each request by its own.
fn build(requests: &[Request]) -> Result<Vec<String>> {
    let scripts = tools::workspace().join("tests/tokens");
    let packages = tools::target().join("test-tools");
    let (python, npm): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.builder == PYTHON);
    let mut command = Command::new("node");
    command.arg(scripts.join("build.js")).arg(&packages);
    let mut npm = run(command, &npm)?.into_iter();
    let mut command = Command::new("python3");
    command
        .arg(scripts.join("build.py"))
        .env("PYTHONPATH", &packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut python = run(command, &python)?.into_iter();
    requests
        .iter()
        .map(|request| {
            let from = if request.builder == PYTHON {
                &mut python
            } else {
                &mut npm
            };
            from.next().context("a builder left one out")
        })
        .collect()
}

fn run(mut command: Command, requests: &[&Request]) -> Result<Vec<String>> {
    let output = command.arg(serde_json::to_string(requests)?).output()?;
    ensure!(
        output.status.success(),
        "run scripts/test-deps.sh, which installs the token packages: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tokens: Vec<String> = serde_json::from_slice(&output.stdout)?;
    ensure!(tokens.iter().all(|token| token.len() > 100), "{tokens:?}");
    Ok(tokens)
}

/// The uid that a request's client logs in with.
fn uid_of(request: &Request) -> String {
    match &request.uid {
        Value::String(uid) => uid.clone(),
        number => number.to_string(),
    }
}

fn check(token: &str, uid: &str) -> Result<Privileges, TokenError> {
    check_at(token, uid, SystemTime::now())
}

fn check_at(token: &str, uid: &str, now: SystemTime) -> Result<Privileges, TokenError> {
    let certificate = Certificate::new(CERTIFICATE).ok_or(TokenError::Missing)?;
    let bearer = Bearer {
        app: APP,
        channel: CHANNEL,
        uid,
    };
    verify(token, &certificate, bearer, now)
}

#[test]
fn every_builders_token_lets_its_bearer_join_and_publish() -> Result<()> {
    let mut requests = requests();
    for request in requests.clone() {
        for uid in [1_u32, 4_294_967_295] {
            let uid = uid.into();
            requests.push(Request {
                uid,
                ..request.clone()
            });
        }
    }
    for (request, token) in requests.iter().zip(build(&requests)?) {
        let now = SystemTime::now();
        let privileges = check(&token, &uid_of(request)).with_context(|| format!("{request:?}"))?;
        privileges.may_publish(Track::Audio, now)?;
        privileges.may_publish(Track::Video, now)?;
        let left = privileges.join.and_then(|join| join.remaining(now));
        let left = left.with_context(|| format!("never ends: {request:?}"))?;
        let hour = Duration::from_secs(HOUR.into());
        ensure!(left <= hour && left > hour / 2, "{left:?}: {request:?}");
    }
    Ok(())
}

#[test]
fn a_token_for_uid_0_is_anybodys() -> Result<()> {
    let requests: Vec<_> = requests()
        .into_iter()
        // It would put the text "0" in.
        .filter(|request| request.builder != "agora-token with messages")
        .map(|request| Request {
            uid: 0.into(),
            ..request
        })
        .collect();
    for (request, token) in requests.iter().zip(build(&requests)?) {
        for uid in ["", "user7", "8"] {
            check(&token, uid).with_context(|| format!("{uid:?}: {request:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_join_only_token_cannot_publish() -> Result<()> {
    let requests: Vec<_> = requests()
        .into_iter()
        // It cannot leave a privilege out.
        .filter(|request| request.builder != "agora-token by privilege")
        .map(|request| Request {
            publisher: false,
            ..request
        })
        .collect();
    for (request, token) in requests.iter().zip(build(&requests)?) {
        let privileges = check(&token, "user7").with_context(|| format!("{request:?}"))?;
        for track in [Track::Audio, Track::Video] {
            let refused = privileges.may_publish(track, SystemTime::now());
            assert_eq!(refused, Err(TokenError::NotAllowed), "{request:?}");
        }
    }
    Ok(())
}

#[test]
fn a_token_is_expired_when_its_time_is_over() -> Result<()> {
    let requests = requests();
    for (request, token) in requests.iter().zip(build(&requests)?) {
        let later = SystemTime::now() + Duration::from_secs(u64::from(HOUR) + 1);
        let refused = check_at(&token, "user7", later).map_err(TokenError::code);
        assert_eq!(refused, Err(109), "{request:?}");
    }
    Ok(())
}

#[test]
fn a_token_with_another_certificate_channel_uid_or_app_is_invalid() -> Result<()> {
    let wrong: [fn(Request) -> Request; 4] = [
        |request| Request {
            certificate: "5cfd2fd1755d40ecb72977518be15d3c",
            ..request
        },
        |request| Request {
            channel: "aZ9",
            ..request
        },
        |request| Request {
            uid: "user8".into(),
            ..request
        },
        |request| Request {
            app: "970ca35de60c44645bbae8a00c3af71e",
            ..request
        },
    ];
    let requests: Vec<_> = wrong
        .iter()
        .flat_map(|wrong| requests().into_iter().map(wrong))
        .collect();
    for (request, token) in requests.iter().zip(build(&requests)?) {
        let refused = check(&token, "user7").map_err(TokenError::code);
        assert_eq!(refused, Err(110), "{request:?}");
    }
    Ok(())
}

#[test]
fn a_token_cut_short_or_with_a_bit_flipped_is_invalid() -> Result<()> {
    let requests = requests();
    for (request, token) in requests.iter().zip(build(&requests)?) {
        for length in 0..token.len() {
            let cut = token.get(..length).context("tokens are ASCII")?;
            let refused = check(cut, "user7").map_err(TokenError::code);
            assert_eq!(refused, Err(110), "{length}: {request:?}");
        }
        for at in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at / 8) {
                *byte ^= 1 << (at % 8);
            }
            let flipped = String::from_utf8_lossy(&bytes);
            let refused = check(&flipped, "user7").map_err(TokenError::code);
            assert_eq!(refused, Err(110), "bit {at}: {token} {request:?}");
        }
    }
    Ok(())
}

/// A node whose app asks for tokens.
fn guarded() -> Result<TestNode> {
    TestNode::with(|config| {
        config.apps.push(App {
            certificate: CERTIFICATE.to_owned(),
            ..App::new(APP, AppAccess::Signed)
        });
    })
}

fn ticket(uid: &str, token: &str) -> Ticket {
    Ticket {
        app: APP.to_owned(),
        token: token.to_owned(),
        ..Ticket::new(CHANNEL, uid)
    }
}

#[test]
fn a_node_asks_for_tokens_at_the_gateway_and_at_login() -> Result<()> {
    let node = guarded()?;
    let http = node.addresses().http;
    for (request, token) in requests().iter().zip(build(&requests())?) {
        let mut member =
            Member::join(http, &ticket("user7", &token)).with_context(|| format!("{request:?}"))?;
        member.publish().with_context(|| format!("{request:?}"))?;
    }
    let expired = Request {
        builder: "agora-access-token",
        expire: -10,
        ..requests().remove(0)
    };
    let good = build(&requests())?.remove(0);
    let old = build(&[expired])?.remove(0);
    let cut = good.get(..good.len() - 1).context("tokens are ASCII")?;
    for (uid, token, code) in [
        ("user7", old.as_str(), 109),
        ("user7", cut, 110),
        ("user7", "", 110),
        ("user8", &good, 110),
    ] {
        let refused = gateway(http, &ticket(uid, token))?;
        assert_eq!(refused["code"], code, "{refused}");
        let refused = login(&node, uid, token, &ticket("user7", &good))?;
        assert_eq!(refused["Code"], code, "{refused}");
    }
    Ok(())
}

/// Logs in with one token after the gateway has seen another.
fn login(node: &TestNode, uid: &str, token: &str, seen: &Ticket) -> Result<Value> {
    let welcome = gateway(node.addresses().http, seen)?;
    let address = node.addresses().http;
    let (mut socket, _) = tungstenite::connect(format!("ws://{address}/"))?;
    let content = json!({
        "ChanId": CHANNEL, "ChanSId": welcome.get("session_id"), "UserId": uid, "UserSId": seen.sid,
        "SdkVer": "1.0.0", "SessionId": "", "AcsToken": token,
    });
    let login = json!({"Cmd": "Login", "AppId": APP, "Content": content.to_string()});
    socket.send(tungstenite::Message::text(login.to_string()))?;
    let answer: Value = serde_json::from_str(socket.read()?.to_text()?)?;
    let content = answer.get("Content").and_then(Value::as_str);
    let content = content.context("Content")?;
    Ok(serde_json::from_str(content)?)
}

#[test]
fn a_member_with_a_join_only_token_gets_no_push_url() -> Result<()> {
    let node = guarded()?;
    let request = Request {
        publisher: false,
        ..requests().remove(0)
    };
    let token = build(&[request])?.remove(0);
    let mut member = Member::join(node.addresses().http, &ticket("user7", &token))?;
    member.send_raw("Publish", "")?;
    let answer = member.answer("Publish")?;
    ensure!(answer["Code"] != 0, "{answer}");
    ensure!(answer.get("PushUrl").is_none(), "{answer}");
    Ok(())
}
