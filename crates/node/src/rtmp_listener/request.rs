//! What a connection asks for: `connect` is answered here, `publish` and `play` are for ingest and
//! egress.

use std::time::Duration;

use lockgate_routing::Refusal;
use lockgate_rtmp::connection::{AcceptError, Connection, ConnectionError};
use lockgate_rtmp::session::{Event, PlayRequest, PublishRequest};
use tokio::time::timeout;

use crate::access::Access;
use crate::tls::HandshakeError;

/// What a connection is for. Not answered yet: ingest and egress do that.
#[derive(Debug)]
pub(super) enum Request {
    Publish(Box<PublishRequest>),
    Play(Box<PlayRequest>),
}

impl Request {
    /// The app and the name of the stream, as the peer wrote them.
    pub(super) fn stream(&self) -> (&str, &str) {
        match self {
            Self::Publish(request) => (&request.app, &request.name),
            Self::Play(request) => (&request.app, &request.name),
        }
    }
}

/// Why a connection never asked for a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRequest {
    #[error(transparent)]
    Tls(#[from] HandshakeError),
    #[error(transparent)]
    Handshake(#[from] AcceptError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("it neither published nor played in time")]
    Timeout,
    #[error("it left before it published or played")]
    Closed,
    #[error("{0}")]
    Refused(Refusal),
}

impl NoRequest {
    /// A bounded name for metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Tls(error) => error.label(),
            Self::Handshake(error) => error.label(),
            Self::Connection(error) => error.label(),
            Self::Timeout => "no_request",
            Self::Closed => "closed",
            Self::Refused(refusal) => refusal.label(),
        }
    }
}

/// Waits for the next request, and answers `connect` on the way. After a refusal the connection is
/// to be closed, its last reply written.
pub(super) async fn next_request(
    connection: &mut Connection,
    within: Duration,
    access: &Access,
) -> Result<Request, NoRequest> {
    let request = async {
        loop {
            match connection.next().await? {
                Some(Event::Connect(request)) if access.knows(&request.app) => {
                    connection.session().accept_connect();
                }
                Some(Event::Connect(_)) => {
                    let refusal = Refusal::UnknownApp;
                    connection.session().reject_connect(&refusal.to_string());
                    return Err(NoRequest::Refused(refusal));
                }
                Some(Event::Publish(request)) => return Ok(Request::Publish(request)),
                Some(Event::Play(request)) => return Ok(Request::Play(request)),
                // Commands for a stream that is not there yet mean nothing.
                Some(_) => {}
                None => return Err(NoRequest::Closed),
            }
        }
    };
    timeout(within, request)
        .await
        .unwrap_or(Err(NoRequest::Timeout))
}
