//! What the end-to-end tests share: real clients, the clips that they push, and FLV files compared bit by bit.

#![allow(
    clippy::indexing_slicing,
    clippy::should_implement_trait,
    reason = "what a test reads wrong may end the test"
)]

pub mod authority;
pub mod browser;
pub mod child;
pub mod client;
pub mod clips;
pub mod flv;
pub mod gstreamer;
pub mod h264;
pub mod http;
pub mod member;
pub mod node;
pub mod raw;
pub mod recording;
pub mod shaper;
pub mod tools;
pub mod webrtc_rs;
