//! Tickets: with one, an operator's page plays one stream of any app, keys or not, for a moment.
//!
//! A ticket goes into the query of a media URL, as a key does. It is good for the stream that it was
//! made for and for joining it within a minute; who has joined stays. It dies with the node.

use std::fmt;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The query's parameter that carries a ticket.
pub(crate) const PARAMETER: &str = "ticket";

/// How long a ticket opens: a page asks for it and uses it at once.
pub(crate) const VALID: Duration = Duration::from_secs(60);

/// Makes tickets and knows its own, by a key of this start of the node.
pub(crate) struct Tickets(Hmac<Sha256>);

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(…)")
    }
}

impl Tickets {
    /// With a fresh key.
    pub(crate) fn new() -> Self {
        let key: [u8; 64] = rand::random();
        Self(Hmac::new(&key.into()))
    }

    /// A ticket for a stream: when it ends, in seconds after 1970, and its signature, in hex.
    pub(crate) fn issue(&self, app: &str, name: &str, now: SystemTime) -> String {
        let until = seconds(now).saturating_add(VALID.as_secs());
        let signature = self.mac(app, name, until).finalize().into_bytes();
        let hex = signature.iter().map(|byte| format!("{byte:02x}"));
        format!("{until:x}.{}", hex.collect::<String>())
    }

    /// True if a query carries a ticket of this stream that still holds.
    pub(crate) fn admit(&self, app: &str, name: &str, query: &str, now: SystemTime) -> bool {
        let mut offered = query.split('&').filter_map(|pair| {
            let (parameter, value) = pair.split_once('=')?;
            (parameter == PARAMETER).then_some(value)
        });
        offered
            .next()
            .is_some_and(|ticket| self.is_right(app, name, ticket, now))
    }

    fn is_right(&self, app: &str, name: &str, ticket: &str, now: SystemTime) -> bool {
        let Some((until, signature)) = ticket.split_once('.') else {
            return false;
        };
        let (Ok(until), Some(signature)) = (u64::from_str_radix(until, 16), unhex(signature))
        else {
            return false;
        };
        seconds(now) <= until && self.mac(app, name, until).verify_slice(&signature).is_ok()
    }

    fn mac(&self, app: &str, name: &str, until: u64) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        // An app's name has no slash: no other app and name read the same.
        mac.update(app.as_bytes());
        mac.update(b"/");
        mac.update(name.as_bytes());
        mac.update(&until.to_be_bytes());
        mac
    }
}

fn seconds(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_its_stream_for_a_minute_and_no_other() {
        let tickets = Tickets::new();
        let now = SystemTime::now();
        let ticket = tickets.issue("live", "room 1/alice", now);
        let query = format!("a=b&ticket={ticket}");
        let admit = |app, name, query: &str, now| tickets.admit(app, name, query, now);
        assert!(admit("live", "room 1/alice", &query, now));
        assert!(admit("live", "room 1/alice", &query, now + VALID));
        let late = now + VALID + Duration::from_secs(1);
        assert!(!admit("live", "room 1/alice", &query, late));
        assert!(!admit("live", "room 1/bob", &query, now));
        assert!(!admit("other", "room 1/alice", &query, now));
        let another = Tickets::new();
        assert!(!another.admit("live", "room 1/alice", &query, now));
    }

    #[test]
    fn what_was_changed_or_is_no_ticket_opens_nothing() {
        let tickets = Tickets::new();
        let now = SystemTime::now();
        let ticket = tickets.issue("live", "a", now);
        let later = format!("f{ticket}");
        for offered in [
            "",
            ".",
            "0.",
            ".00",
            "zz.zz",
            "1.é",
            &ticket[..ticket.len() - 1],
            &ticket[..ticket.len() - 2],
            &later,
        ] {
            let query = format!("ticket={offered}");
            assert!(!tickets.admit("live", "a", &query, now), "{offered}");
        }
        assert!(!tickets.admit("live", "a", "", now));
        assert!(!tickets.admit("live", "a", &format!("key={ticket}"), now));
    }
}
