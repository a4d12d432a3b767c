//! A load generator for media nodes: publishers and players as users would bring them, by RTMP, FLV over
//! HTTP, and WebRTC.
//!
//! [`run`] drives any number of both from one thread. Frames carry when they were sent, so players
//! in the same process measure delay with the clock that the stamps were written with. [`sessions`]
//! brings members to channels, by the gateway and a WebSocket each.

pub mod cli;
mod client;
mod clip;
mod clock;
mod dwell;
mod flv;
mod habit;
mod histogram;
mod http;
mod judge;
mod link;
mod listener;
mod load;
mod mutes;
mod picture;
mod player;
mod preset;
mod publisher;
mod report;
mod rtc;
mod run;
pub mod sessions;
mod sound;
mod source;
mod stamp;
mod tally;
mod target;
mod timers;
mod usage;
mod viewer;

pub use clip::Clip;
pub use dwell::Dwell;
pub use load::{Load, LoadError, Ramp};
pub use mutes::Mutes;
pub use report::{Late, Progress, Report, Server, Spread, Step};
pub use run::run;
pub use source::Shape;
pub use target::{Protocol, Target, TargetError};
pub use usage::Usage;
