//! The gateway: where a client asks where to connect, before it opens its WebSocket.
//!
//! It never fails: every refusal is a code in an answer of status 200.

use std::net::IpAddr;

use serde::Serialize;

use crate::code::Code;

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
