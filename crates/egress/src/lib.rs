//! Where packets go out: players' connections become sinks of a stream's fan-out, and WebRTC's
//! viewers read the same ring by a stage of their own.
//!
//! Egress knows its protocols and routing, nothing of who publishes.

pub mod flv;
mod metrics;
mod refused;
pub mod rtmp;
pub mod whep;
mod ws;

pub use metrics::PlayMetrics;
pub use refused::Refused;
pub use rtmp::Egress;
pub use whep::Whep;
