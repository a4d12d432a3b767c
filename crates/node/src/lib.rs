//! The Lockgate node: config, wiring, admin API, metrics, start and graceful stop.
//!
//! The only crate that knows all others. [`Node::load`] binds everything or nothing;
//! [`Node::run`] drives it until it is told to stop. The `lockgate` command is [`cli::main`].

mod accept;
mod access;
pub mod cli;
pub mod config;
mod file_limit;
mod http;
mod logging;
mod metrics;
mod node;
mod process;
mod rtmp_listener;
mod seats;
mod secret;
mod start_error;
mod tickets;
mod tls;

pub use config::Config;
pub use node::{Addresses, Node};
pub use start_error::StartError;
