//! Where packets come in: publishers' connections become publications.
//!
//! Ingest knows its protocols and routing, nothing of who plays.

mod gather;
mod metrics;
pub mod rtmp;
pub mod whip;

pub use metrics::PublishMetrics;
pub use rtmp::Ingest;
pub use whip::Whip;
