//! The gateway: where a client asks where to connect, before it opens its WebSocket.
//!
//! It never fails: every refusal is a code in an answer of status 200.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::code::Code;
use crate::core::Core;
use crate::hooks::Who;
use crate::names::{ChannelName, NotUid, Uid};

/// Where a request came from, and what it came in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address.
    pub peer: IpAddr,
    /// The host of its `Host` header, as URLs write it: `example.com`, `10.0.0.1`, `[::1]`.
    pub host: String,
    /// The port of its `Host` header, if it has one.
    pub port: Option<u16>,
    /// It came over TLS.
    pub secure: bool,
}

/// What is answered, as JSON, with status 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The outcome.
    pub code: Code,
    /// What it says to a person.
    pub msg: &'static str,
    /// The session's name, to be sent with Login.
    pub session_id: String,
    /// Where to connect; empty when refused.
    pub addresses: Vec<Address>,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// 0: signalling.
    #[serde(rename = "type")]
    pub kind: u8,
    /// A host alone.
    pub addr: String,
    /// Its port.
    pub port: u16,
}

impl Reply {
    /// A refusal.
    pub fn refused(code: Code) -> Self {
        Self {
            code,
            msg: code.reason(),
            session_id: String::new(),
            addresses: Vec::new(),
        }
    }
}

/// Answers a request.
pub(crate) fn answer(core: &Core, body: &[u8], arrival: &Arrival) -> Reply {
    let reply = match check(core, body, arrival) {
        Ok(wss) => Reply {
            code: Code::Ok,
            msg: Code::Ok.reason(),
            session_id: format!("{:032x}", rand::random::<u128>()),
            addresses: vec![address(core, arrival, wss)],
        },
        Err(code) => Reply::refused(code),
    };
    core.metrics.gateway(reply.code);
    reply
}

/// Whether a request may go on to Login, and whether by TLS.
fn check(core: &Core, body: &[u8], arrival: &Arrival) -> Result<bool, Code> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Code::Malformed)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if !body.is_object() {
        return Err(Code::Malformed);
    }
    let app = match body.get("appId") {
        Some(Value::String(id)) => core.app(id)?,
        Some(Value::Number(id)) => core.app(&id.to_string())?,
        _ => return Err(Code::AppInvalid),
    };
    let channel = match body.get("cname") {
        Some(Value::String(name)) => ChannelName::parse(name),
        Some(Value::Number(name)) => ChannelName::parse(&name.to_string()),
        _ => None,
    };
    let uid = match Uid::from_json(body.get("uid")) {
        Ok(uid) => Some(uid),
        Err(NotUid::Absent) => None,
        Err(NotUid::Invalid) => return Err(Code::DeveloperInvalid),
    };
    let who = Who {
        app: app.id.clone(),
        channel: channel.ok_or(Code::DeveloperInvalid)?,
        uid,
        ip: arrival.peer,
    };
    if let Some(code) = core.hooks.banned(&who) {
        return Err(code);
    }
    core.privileges(app, &who, text("token").unwrap_or_default())?;
    let wss = body.get("wss").and_then(Value::as_bool);
    Ok(wss.unwrap_or(arrival.secure))
}

fn address(core: &Core, arrival: &Arrival, wss: bool) -> Address {
    let host = core.config.public_host.as_ref();
    let port = core.config.public_port.or(arrival.port);
    Address {
        kind: 0,
        addr: host.unwrap_or(&arrival.host).clone(),
        // A `Host` without a port means the scheme's; a proxy may have ended the TLS.
        port: port.unwrap_or(if wss || arrival.secure { 443 } else { 80 }),
    }
}
