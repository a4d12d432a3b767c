//! Members of channels: they join as a mini program's client does, and some publish, play and mute.
//!
//! One thread drives them all. A member says what happens to it over one queue, and the run keeps the
//! books: what goes wrong with one member ends that member and is counted.

use std::net::SocketAddr;
use std::time::Duration;

use crate::source::Shape;

mod books;
pub(crate) mod cli;
mod http;
mod media;
mod member;
mod report;
mod run;

pub use report::{Mutes, Report, Server};
pub use run::run;

/// How many members do what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The node's HTTP listener.
    pub node: SocketAddr,
    /// An app without a certificate.
    pub app: String,
    /// Channels.
    pub channels: usize,
    /// Members of all channels together, spread evenly.
    pub members: usize,
    /// Members that are joining at a time.
    pub at_once: usize,
    /// Members of each channel that publish.
    pub publishers: usize,
    /// Players of each stream: other members of its channel.
    pub players: usize,
    /// Mutes and unmutes a second, of one player after the other.
    pub mutes: u32,
    /// How long is muted; without mutes, how long everybody stays.
    pub duration: Duration,
    /// How long to wait before memory is read.
    pub settle: Duration,
    /// What publishers send.
    pub shape: Shape,
    /// The server's process, to read its CPU time and memory.
    pub server: Option<u32>,
}
