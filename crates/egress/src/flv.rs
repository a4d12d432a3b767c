//! FLV play, over HTTP and over WebSocket: a socket becomes a sink, and tags go out as they are kept
//! with the packets. What is said before the first tag is the caller's, who knows HTTP.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lockgate_media::tag::{self, Framing};
use lockgate_media::{Packet, Slices};
use lockgate_routing::{
    End, Ended, NotLive, Origin, Player, Protocol, Refusal, Sink, Subscription, Tracks,
};
use lockgate_rtmp::connection::Socket;
use tracing::{debug, info, warn};

use crate::refused::Refused;
use crate::rtmp::{Egress, FAREWELL, Hold, UNSENT, write_all};

/// HTTP-FLV's name in metrics and reports.
pub const HTTP_FLV: &str = "http-flv";
/// WebSocket-FLV's name in metrics and reports.
pub const WS_FLV: &str = "ws-flv";

/// How long after a stream's first packet its other track may take to come. The header in front of
/// the tags says which there are, and browsers believe it: they wait for a track that it promises,
/// and cannot take one that it does not.
const SETTLE: Duration = Duration::from_millis(500);

static BARE: Protocol = Protocol {
    name: HTTP_FLV,
    slices: bare,
};
static CHUNKS: Protocol = Protocol {
    name: HTTP_FLV,
    slices: chunks,
};
static MESSAGES: Protocol = Protocol {
    name: WS_FLV,
    slices: messages,
};

fn bare<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    tag::slices(packet, Framing::Bare, into);
}

fn chunks<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    tag::slices(packet, Framing::Chunk, into);
}

fn messages<'a>(packet: &'a Packet, into: &mut Slices<'a>) {
    tag::slices(packet, Framing::Message, into);
}

/// A player whose stream is live.
#[derive(Debug)]
pub struct Viewer {
    subscription: Subscription,
    hold: Hold,
    header: [u8; 13],
}

impl Egress {
    /// Whether a player with this URL would be served now. Takes nothing.
    ///
    /// # Errors
    /// Why not.
    pub fn would_serve(&self, app: &str, name: &str, query: &str) -> Result<(), Refused> {
        let grant = self.admission.play(app, name, query);
        let answer = grant.map_err(Refused::from).and_then(|grant| {
            if self.router.is_live(&grant.stream) {
                Ok(())
            } else {
                Err(Refused::NotLive(NotLive::TimedOut, grant.stream))
            }
        });
        answer.inspect_err(|refused| self.count(refused))
    }

    /// Gives a player its place, waits for a publisher, and for what it sends. Cancel safe: the
    /// place is given back.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn viewer(
        &self,
        app: &str,
        name: &str,
        query: &str,
        origin: Origin,
    ) -> Result<Viewer, Refused> {
        let viewer = self.admit_viewer(app, name, query, origin).await;
        viewer.inspect_err(|refused| self.count(refused))
    }

    async fn admit_viewer(
        &self,
        app: &str,
        name: &str,
        query: &str,
        origin: Origin,
    ) -> Result<Viewer, Refused> {
        let (subscription, mut hold) = self.admit(app, name, query, origin)?;
        if !subscription.is_live() {
            info!(wait = ?self.wait_for_publisher, "waiting for a publisher");
        }
        let wait = self.wait_for_publisher;
        let stream = subscription.stream().clone();
        let live = async {
            subscription.wait_live(wait).await?;
            // A publisher that sends nothing does not hold the answer back for ever.
            let tracks = tokio::time::timeout(wait, subscription.tracks(SETTLE)).await;
            Ok(tracks.unwrap_or_default())
        };
        let tracks: Result<Tracks, NotLive> = tokio::select! {
            tracks = live => tracks,
            // Another player has come by this URL, or it has ended.
            () = hold.lost() => return Err(Refusal::UrlDead.into()),
        };
        let tracks = tracks.map_err(|why| Refused::NotLive(why, stream))?;
        // Nothing known: most streams have both.
        let unknown = !tracks.audio && !tracks.video;
        Ok(Viewer {
            header: tag::file_header(tracks.audio || unknown, tracks.video || unknown),
            subscription,
            hold,
        })
    }
}

impl Viewer {
    /// What is sent before the first tag.
    pub fn header(&self) -> [u8; 13] {
        self.header
    }

    /// Sends the stream as tags, until it ends or whoever waits gives up.
    ///
    /// # Errors
    /// The player took too little or its socket failed: what it got last may be half a tag.
    pub async fn play(self, socket: Arc<Socket>, framing: Framing) -> io::Result<End> {
        let (mut player, mut hold) = self.attach(&socket, framing);
        let ended = tokio::select! {
            ended = player.ended() => ended,
            () = hold.lost() => player.leave().await,
        };
        part(&socket, ended).await
    }

    pub(crate) fn attach(self, socket: &Arc<Socket>, framing: Framing) -> (Player, Hold) {
        if let Err(error) = socket.bound_unsent(UNSENT) {
            debug!(%error, "the kernel may queue more than it should for this player");
        }
        info!("playing");
        let sink = FlvSink {
            socket: Arc::clone(socket),
            protocol: match framing {
                Framing::Bare => &BARE,
                Framing::Chunk => &CHUNKS,
                Framing::Message => &MESSAGES,
            },
        };
        (self.subscription.attach(Box::new(sink)), self.hold)
    }
}

/// Writes what was on its way.
pub(crate) async fn part(socket: &Socket, ended: Ended) -> io::Result<End> {
    let Ended { why, residue } = ended;
    match why {
        End::Io(error) => {
            info!(%error, "player left");
            return Err(error);
        }
        End::TooSlow => {
            warn!("player cut: it took nothing for too long");
            return Err(io::ErrorKind::TimedOut.into());
        }
        ref why => info!(reason = ?why, "player done"),
    }
    tokio::time::timeout(FAREWELL, write_all(socket, &residue)).await??;
    Ok(why)
}

/// A player's socket, as the fan-out sees it.
struct FlvSink {
    socket: Arc<Socket>,
    protocol: &'static Protocol,
}

impl Sink for FlvSink {
    fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(slices)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }
}
