//! Where packets come in: publishers' connections become publications.
//!
//! Ingest knows its protocol and routing, nothing of who plays.

mod metrics;
pub mod rtmp;

pub use rtmp::Ingest;
