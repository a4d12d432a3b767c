//! Where others have a say: what may refuse a user, and what hears of what happens.
//!
//! Signalling asks and tells through this trait alone; bans, webhooks and reports stand behind it.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use serde_json::Value;

use crate::code::Code;
use crate::names::{AppId, ChannelName, Uid};

/// Somebody in a channel, or on the way into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The app.
    pub app: AppId,
    /// The channel.
    pub channel: ChannelName,
    /// The user; `None` before the node has picked a uid for it.
    pub uid: Option<Uid>,
    /// Its address.
    pub ip: IpAddr,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Join the channel.
    Join,
    /// Publish in it.
    Publish,
}

/// Why a member is no longer in its channel, or a session no longer open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leave {
    /// It said so.
    Logout,
    /// Its WebSocket broke, and its grace has passed.
    Lost,
    /// A newer session took its uid.
    Replaced,
    /// An operator removed it.
    Kicked,
    /// It was banned.
    Banned,
    /// Its token ran out.
    TokenExpired,
    /// The node stops.
    Shutdown,
}

impl Leave {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Logout,
        Self::Lost,
        Self::Replaced,
        Self::Kicked,
        Self::Banned,
        Self::TokenExpired,
        Self::Shutdown,
    ];

    /// A short name for metrics and webhooks.
    pub fn label(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::TokenExpired => "token_expired",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// It has joined.
    Joined,
    /// It has left.
    Left(Leave),
    /// Its media has arrived: the others are told of its stream.
    Published,
    /// Its stream is over.
    Unpublished,
    /// What it sends, or what it gets of `of`, was muted or unmuted. `true`: muted.
    Muted {
        /// Whom it muted; `None`: its own stream, for everybody.
        of: Option<Uid>,
        /// Audio.
        audio: bool,
        /// Video.
        video: bool,
    },
    /// Its token was refused; the label says why.
    TokenRefused(&'static str),
}

/// An answer that may take a while.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Code>> + Send + 'a>>;

/// Those who have a say.
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    /// Is it banned? With which of 14, 15 and 16. Asked at the gateway, at Login, and once more when
    /// a uid was picked; it must not block.
    fn banned(&self, who: &Who) -> Option<Code>;

    /// May it? `None`: it may, and nothing has to be waited for.
    fn may(&self, who: &Who, wish: Wish) -> Option<Answer<'_>>;

    /// Hears of what happened, in order for one channel, under that channel's lock: it must not block.
    fn happened(&self, who: &Who, what: Happened);

    /// Takes what a client reports of its side.
    fn report(&self, who: &Who, report: &Value);
}

/// Nobody has a say.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn banned(&self, _: &Who) -> Option<Code> {
        None
    }

    fn may(&self, _: &Who, _: Wish) -> Option<Answer<'_>> {
        None
    }

    fn happened(&self, _: &Who, _: Happened) {}

    fn report(&self, _: &Who, _: &Value) {}
}
