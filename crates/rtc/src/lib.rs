//! WebRTC peers: one port for all of them, ICE, DTLS and SRTP by str0m, H.264 into RTP.
//!
//! Ingest and egress use it without knowing of each other. Invariants: a datagram reaches no
//! session but the one that its sender proved to belong to; what a peer sends fills no queue
//! without bound; a session's traces on the port go with its [`Registration`].

mod answer;
mod candidates;
mod clock;
mod frame;
pub mod h264;
mod header;
mod keys;
mod metrics;
mod outbox;
pub mod peer;
mod port;
mod routes;
pub mod rtcp;
mod sender;
pub mod session;
mod srtp;
mod stream;
pub mod stun;
mod tcp;

pub use answer::{Answered, Line, OfferError, Role};
pub use frame::{Frame, Report};
pub use outbox::Outbox;
pub use peer::{Happening, Peer};
pub use port::{Listener, Port, Settings};
pub use routes::{Datagram, Path, Registration};
pub use session::{Session, SessionId, Sessions};
pub use stream::{Heading, Payloads};
