//! The codes of answers and what they mean: one table, for the gateway and for sessions.
//!
//! Those below 2000 and 2002 are what deployed clients know, and give up on; on any other code of
//! the gateway a client asks again in two seconds.

use serde::{Serialize, Serializer};

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Done.
    Ok,
    /// A request that no client of this protocol makes: a bad channel name or uid.
    DeveloperInvalid,
    /// The uid is banned.
    UidBanned,
    /// The address is banned.
    IpBanned,
    /// The channel is banned.
    ChannelBanned,
    /// No such app.
    AppInvalid,
    /// The app is closed to signalling.
    NotOpen,
    /// The token was good once.
    TokenExpired,
    /// The token is not for this app, channel and uid; or there is none.
    TokenInvalid,
    /// The node cannot do it now.
    TryAgain,
    /// The app's own service said no.
    Refused,
    /// The session has not joined a channel.
    NotJoined,
    /// An audience does not publish.
    AudienceMayNotPublish,
    /// Nobody of that uid is in the channel, or it publishes nothing.
    UnknownUser,
    /// The request cannot be read.
    Malformed,
    /// A limit of the app or the node is reached.
    TooMany,
    /// The session is in a channel already.
    AlreadyJoined,
    /// The token lets it join, not publish.
    MayNotPublish,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Ok,
        Self::DeveloperInvalid,
        Self::UidBanned,
        Self::IpBanned,
        Self::ChannelBanned,
        Self::AppInvalid,
        Self::NotOpen,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TryAgain,
        Self::Refused,
        Self::NotJoined,
        Self::AudienceMayNotPublish,
        Self::UnknownUser,
        Self::Malformed,
        Self::TooMany,
        Self::AlreadyJoined,
        Self::MayNotPublish,
    ];

    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::Ok => 0,
            Self::DeveloperInvalid => 13,
            Self::UidBanned => 14,
            Self::IpBanned => 15,
            Self::ChannelBanned => 16,
            Self::AppInvalid => 101,
            Self::NotOpen => 102,
            Self::TokenExpired => 109,
            Self::TokenInvalid => 110,
            Self::TryAgain => 2001,
            Self::Refused => 2002,
            Self::NotJoined => 2003,
            Self::AudienceMayNotPublish => 2004,
            Self::UnknownUser => 2005,
            Self::Malformed => 2006,
            Self::TooMany => 2007,
            Self::AlreadyJoined => 2008,
            Self::MayNotPublish => 2009,
        }
    }

    /// What it says to a person.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::DeveloperInvalid => "developer invalid: a channel or uid that cannot be",
            Self::UidBanned => "this uid is banned",
            Self::IpBanned => "this address is banned",
            Self::ChannelBanned => "this channel is banned",
            Self::AppInvalid => "no app of this id",
            Self::NotOpen => "this app is not open",
            Self::TokenExpired => "the token has expired",
            Self::TokenInvalid => "the token is not valid for this app, channel and uid",
            Self::TryAgain => "not now: try again",
            Self::Refused => "refused by the app",
            Self::NotJoined => "join a channel first",
            Self::AudienceMayNotPublish => "an audience may not publish: set the role to host",
            Self::UnknownUser => "no such user in this channel, or it publishes nothing",
            Self::Malformed => "this request cannot be read",
            Self::TooMany => "too many: a limit is reached",
            Self::AlreadyJoined => "this session is in a channel already",
            Self::MayNotPublish => "the token does not let this user publish",
        }
    }

    /// A short name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::DeveloperInvalid => "developer_invalid",
            Self::UidBanned => "uid_banned",
            Self::IpBanned => "ip_banned",
            Self::ChannelBanned => "channel_banned",
            Self::AppInvalid => "app_invalid",
            Self::NotOpen => "not_open",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::TryAgain => "try_again",
            Self::Refused => "refused",
            Self::NotJoined => "not_joined",
            Self::AudienceMayNotPublish => "audience_may_not_publish",
            Self::UnknownUser => "unknown_user",
            Self::Malformed => "malformed",
            Self::TooMany => "too_many",
            Self::AlreadyJoined => "already_joined",
            Self::MayNotPublish => "may_not_publish",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u16(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_number_and_a_name_of_its_own() {
        let mut numbers: Vec<_> = Code::ALL.map(Code::number).into();
        let mut labels: Vec<_> = Code::ALL.map(Code::label).into();
        numbers.sort_unstable();
        numbers.dedup();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!((numbers.len(), labels.len()), (18, 18));
    }
}
