//! WebRTC peers: one port for all of them, ICE, DTLS and SRTP by str0m, pictures into RTP.
//!
//! Ingest and egress use it without knowing of each other. Invariants: a datagram reaches no
//! session but the one that its sender proved to belong to; what a peer sends fills no queue
//! without bound; a session's traces on the port go with its [`Registration`].

mod answer;
pub mod av1;
mod candidates;
mod clock;
mod format;
mod frame;
pub mod h264;
pub mod h265;
mod header;
mod keys;
mod metrics;
mod nal;
mod outbox;
mod payload_types;
pub mod peer;
mod port;
mod routes;
pub mod rtcp;
mod sender;
pub mod session;
mod sources;
mod srtp;
mod stream;
pub mod stun;
mod tcp;
mod transit;
pub mod vp9;

pub use answer::{Answered, Line, OfferError, Role};
pub use format::Format;
pub use frame::{Frame, Report};
pub use nal::MAX_PAYLOAD;
pub use outbox::Outbox;
pub use peer::{Happening, Peer};
pub use port::{Listener, Port, Settings};
pub use routes::{Datagram, Path, Registration};
pub use session::{Opened, Request, Session, SessionId, Sessions};
pub use stream::{Heading, Payloads};
