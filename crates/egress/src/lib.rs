//! Where packets go out: players' connections become sinks of a stream's fan-out.
//!
//! Egress knows its protocol and routing, nothing of who publishes.

mod metrics;
pub mod rtmp;

pub use rtmp::Egress;
