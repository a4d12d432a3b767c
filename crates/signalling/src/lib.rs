//! Signalling: the gateway, WebSocket sessions, who is in which channel, and media URLs.
//!
//! The wire is that of deployed mini-program clients. One owner, `channels`, knows who is in a
//! channel; sessions, the API and the media path ask it and keep no copy.

mod admission;
pub mod bans;
mod channel;
mod channels;
pub mod code;
pub mod config;
mod core;
pub mod desk;
mod form;
pub mod gateway;
pub mod hooks;
pub mod members;
mod metrics;
pub mod names;
mod outbox;
pub mod report;
mod session;
pub mod token;
pub mod transport;
mod url;
pub mod webhook;
mod wire;

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

use crate::core::Core;
use admission::SignedFirst;
use hooks::Leave;
use session::Session;

/// The signalling of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signalling {
    core: Arc<Core>,
}

impl Signalling {
    /// Signalling that binds URLs in `router` and counts into `registry`. To be called in a runtime.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(
        config: Config,
        hooks: Arc<dyn Hooks>,
        router: Arc<Router>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let core = Core::new(config, hooks, router, registry)?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// Answers `POST /arapi/v1?action=wapp_gateway`: a refusal is a code in the answer.
    pub fn gateway(&self, body: &[u8], arrival: &Arrival) -> gateway::Reply {
        gateway::answer(&self.core, body, arrival)
    }

    /// Runs one WebSocket to its end.
    pub async fn session<T: Transport>(&self, transport: T, arrival: Arrival) {
        let task = self.core.tasks.token();
        Session::new(&self.core, transport, arrival).run().await;
        drop(task);
    }

    /// Who may publish and play: signed URLs here, everything else by `direct`.
    pub fn admission(&self, direct: Arc<dyn Admission>) -> Arc<dyn Admission> {
        Arc::new(SignedFirst {
            book: Arc::clone(&self.core.channels.book),
            direct,
        })
    }

    /// Every channel, in no order.
    pub fn channels(&self) -> Vec<ChannelReport> {
        self.core.channels.reports()
    }

    /// One channel.
    pub fn channel(&self, app: &str, channel: &str) -> Option<ChannelReport> {
        self.core.channels.report(app, channel)
    }

    /// The members of a channel, in no order; `None` when there is no such channel.
    pub fn members(&self, app: &str, channel: &str) -> Option<Vec<MemberReport>> {
        self.core.channels.members(app, channel)
    }

    /// Removes a member; `false` when there is none. Nothing keeps it from coming back.
    pub fn kick(&self, app: &str, channel: &str, uid: &str) -> bool {
        self.core.channels.expel(app, channel, uid, Leave::Kicked)
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
        self.core
            .channels
            .mute(app, channel, uid, |before| wire::Mutes {
                audio: audio.unwrap_or(before.audio),
                video: video.unwrap_or(before.video),
            })
    }

    /// Removes the members that a new ban is about, whose uid, address and channel `banned` is asked
    /// for, and tells them so. Gives their number. Called under a channel's lock: it must not ask
    /// signalling anything.
    pub fn expel(&self, banned: impl Fn(&hooks::Who) -> bool) -> usize {
        self.core.channels.expel_all(Leave::Banned, banned)
    }

    /// Closes every session so that its client comes back, and waits for them.
    pub async fn shutdown(&self) {
        self.core.stop.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }
}
