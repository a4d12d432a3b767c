//! What the end-to-end tests share: real clients, the clips that they push, and FLV files compared bit by bit.

#![allow(
    clippy::indexing_slicing,
    clippy::should_implement_trait,
    reason = "a helper that panics fails its test, and `next` reads best"
)]

pub mod child;
pub mod client;
pub mod clips;
pub mod flv;
pub mod node;
pub mod raw;
pub mod recording;
pub mod tools;
