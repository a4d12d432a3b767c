//! The `lockgate` command as a user starts it: a process, its output, its exit code, its ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper that panics fails its test"
)]

mod config;
mod http;
mod limits;
mod process;
mod rtmp_peer;
mod start;
mod stop;
mod tls;
