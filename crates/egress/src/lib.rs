//! Where packets go out: players' connections become sinks of a stream's fan-out.
//!
//! Egress knows its protocols and routing, nothing of who publishes.

pub mod flv;
mod metrics;
mod refused;
pub mod rtmp;
mod ws;

pub use refused::Refused;
pub use rtmp::Egress;
