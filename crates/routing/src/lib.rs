//! The heart of a node: streams, the ring each is written to once, gates, GOP, fan-out.
//!
//! Ingest and egress meet here and nowhere else. Ingest takes a [`Publication`] and pushes
//! packets into it; egress takes a [`Subscription`], attaches a [`Sink`] and gets a [`Player`].
//! Invariant: no player can slow its stream, another player, or grow memory with what it does
//! not read.

pub mod admit;
pub mod config;
pub mod cursor;
mod fanout;
pub mod gate;
pub mod id;
pub mod lease;
mod metrics;
pub mod player;
pub mod publication;
pub mod reader;
pub mod report;
pub mod ring;
pub mod router;
mod stream;
pub mod throttle;
pub mod timeline;
mod tracks;

pub use admit::{Admission, Grant, Refusal};
pub use config::{Config, Conflict, MutedAudio};
pub use gate::{Gate, Source};
pub use id::{ConnectionId, Origin, StreamId};
pub use lease::{Holder, Lease, Watcher};
pub use player::{End, Ended, NotLive, Player, Protocol, Sink, Subscription};
pub use publication::{Cut, Publication};
pub use reader::{Place, Reader, StreamRef};
pub use report::{GateReport, PlayerReport, PublisherReport, StreamReport, StreamState};
pub use router::{PublishError, Router, SubscribeError};
pub use tracks::Tracks;
