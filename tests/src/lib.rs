//! What the end-to-end tests share: real clients, the clips that they push, and FLV files compared bit by bit.

pub mod child;
pub mod client;
pub mod clips;
pub mod flv;
pub mod member;
pub mod node;
pub mod tools;
