//! Signalling: the gateway, WebSocket sessions, who is in which channel, and media URLs.
//!
//! The wire is that of deployed mini-program clients. One owner, [`channels`], knows who is in a
//! channel; sessions, the API and the media path ask it and keep no copy.

pub mod bans;
pub mod code;
pub mod config;
pub mod gateway;
pub mod hooks;
pub mod members;
pub mod names;
pub mod token;
pub mod transport;

use std::net::IpAddr;
use std::sync::Arc;

use lockgate_routing::{Admission, Router};
use prometheus::Registry;

pub use code::Code;
pub use config::{App, Config};
pub use gateway::Arrival;
pub use hooks::Hooks;
pub use members::{ChannelReport, MemberReport};
pub use names::{AppId, ChannelName, Uid};
pub use transport::Transport;

/// The signalling of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signalling;

impl Signalling {
    /// Signalling that binds URLs in `router` and counts into `registry`.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(
        config: Config,
        hooks: Arc<dyn Hooks>,
        router: Arc<Router>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let _ = (config, hooks, router, registry);
        Ok(Self)
    }

    /// Answers `POST /arapi/v1?action=wapp_gateway`: a refusal is a code in the answer.
    pub fn gateway(&self, body: &[u8], arrival: &Arrival) -> gateway::Reply {
        let _ = (body, arrival);
        gateway::Reply::refused(Code::TryAgain)
    }

    /// Runs one WebSocket to its end.
    pub async fn session<T: Transport>(&self, transport: T, arrival: Arrival) {
        let _ = (transport, arrival);
    }

    /// Who may publish and play: signed URLs here, everything else by `direct`.
    pub fn admission(&self, direct: Arc<dyn Admission>) -> Arc<dyn Admission> {
        direct
    }

    /// Every channel, in no order.
    pub fn channels(&self) -> Vec<ChannelReport> {
        Vec::new()
    }

    /// One channel.
    pub fn channel(&self, app: &str, channel: &str) -> Option<ChannelReport> {
        let _ = (app, channel);
        None
    }

    /// The members of a channel, in no order; `None` when there is no such channel.
    pub fn members(&self, app: &str, channel: &str) -> Option<Vec<MemberReport>> {
        let _ = (app, channel);
        None
    }

    /// Removes a member; `false` when there is none. Nothing keeps it from coming back.
    pub fn kick(&self, app: &str, channel: &str, uid: &str) -> bool {
        let _ = (app, channel, uid);
        false
    }

    /// Mutes what a member publishes, for everybody, or lets go of it again; `None` leaves a track as
    /// it is. Holds for what it publishes later. `false` when there is no such member.
    pub fn mute(
        &self,
        app: &str,
        channel: &str,
        uid: &str,
        audio: Option<bool>,
        video: Option<bool>,
    ) -> bool {
        let _ = (app, channel, uid, audio, video);
        false
    }

    /// Removes the members that a new ban is about, whose uid, address and channel `banned` is asked
    /// for, and tells them so. Gives their number.
    pub fn expel(&self, banned: impl Fn(&hooks::Who) -> bool) -> usize {
        let _ = banned;
        0
    }

    /// Closes every session so that its client comes back, and waits for them.
    pub async fn shutdown(&self) {
        let _ = IpAddr::from([0, 0, 0, 0]);
        std::future::ready(()).await;
    }
}
