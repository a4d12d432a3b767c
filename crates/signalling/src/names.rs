//! Names on the wire, parsed once: what is in one of these types is what the protocol allows.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What stands between letters and digits in a channel's name.
const CHANNEL_SIGNS: &[u8] = b" !#$%&()+-:;<=.>?@[]^_{}|~,";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// An app of the config.
    AppId
}

name! {
    /// A channel: 1 to 64 letters, digits, spaces and `!#$%&()+-:;<=.>?@[]^_{}|~,`.
    ChannelName
}

name! {
    /// A member of a channel: 1 to 48 letters and digits. A number is a uid too, as text.
    Uid
}

impl AppId {
    /// The config has checked it: this is for the ids of apps alone.
    pub fn of_config(id: &str) -> Self {
        Self(id.into())
    }
}

impl ChannelName {
    /// `None` for what a channel cannot be called.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || CHANNEL_SIGNS.contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }
}

impl Uid {
    /// `None` for what a uid cannot be.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric();
        ((1..=48).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The uid of a number.
    pub fn of_number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// A uid as clients write it: text, or a number.
    ///
    /// # Errors
    /// [`NotUid::Absent`] for nothing, `null`, `""` and the number 0; [`NotUid::Invalid`] for the
    /// rest.
    pub fn from_json(value: Option<&Value>) -> Result<Self, NotUid> {
        match value {
            None | Some(Value::Null) => Err(NotUid::Absent),
            Some(Value::String(text)) if text.is_empty() => Err(NotUid::Absent),
            Some(Value::String(text)) => Self::parse(text).ok_or(NotUid::Invalid),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(0) => Err(NotUid::Absent),
                Some(number) => Ok(Self::of_number(number)),
                None => Err(NotUid::Invalid),
            },
            Some(_) => Err(NotUid::Invalid),
        }
    }
}

/// Why there is no uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotUid {
    /// None was given.
    Absent,
    /// What was given is none.
    Invalid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_channel_may_hold_every_character_that_clients_accept_and_no_other() {
        let all = "azAZ09 !#$%&()+-:;<=.>?@[]^_{}|~,";
        assert_eq!(ChannelName::parse(all).unwrap().as_str(), all);
        for wrong in ["", "a/b", "a\"b", "a'b", "a*b", "a\\b", "频道", "a\n", "`"] {
            assert_eq!(ChannelName::parse(wrong), None, "{wrong:?}");
        }
        assert!(ChannelName::parse(&"a".repeat(64)).is_some());
        assert!(ChannelName::parse(&"a".repeat(65)).is_none());
    }

    #[test]
    fn a_uid_is_text_or_a_number() {
        for (value, expected) in [
            (json!("alice1"), Ok("alice1")),
            (json!(7), Ok("7")),
            (json!(4_294_967_295_u32), Ok("4294967295")),
            (json!("0"), Ok("0")),
            (json!(""), Err(NotUid::Absent)),
            (json!(0), Err(NotUid::Absent)),
            (json!(null), Err(NotUid::Absent)),
            (json!(-1), Err(NotUid::Invalid)),
            (json!(1.5), Err(NotUid::Invalid)),
            (json!("a b"), Err(NotUid::Invalid)),
            (json!("a".repeat(49)), Err(NotUid::Invalid)),
            (json!([7]), Err(NotUid::Invalid)),
            (json!(true), Err(NotUid::Invalid)),
        ] {
            let uid = Uid::from_json(Some(&value));
            assert_eq!(
                uid.as_ref().map(Uid::as_str),
                expected.as_ref().copied(),
                "{value}"
            );
        }
        assert_eq!(Uid::from_json(None), Err(NotUid::Absent));
    }
}
