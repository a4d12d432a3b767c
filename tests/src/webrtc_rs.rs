//! The `webrtc` crate as a client of WHEP and WHIP: a peer that shares no code with the node, with its own
//! ICE, DTLS, SRTP, feedback and packets.

mod assembly;
mod keyframe_requests;
mod publisher;
mod viewer;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::runtime::Runtime;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCPeerConnectionState, RTCSdpType, RTCSessionDescription, Registry,
    register_default_interceptors,
};

use crate::node::{PATIENCE, TestNode};

pub use publisher::Publisher;
pub use viewer::{Came, Viewer};

/// A packet of a track, as the crate hands it out.
type Received = (RtpCodecKind, rtc::rtp::Packet);

/// A connection that is made, or about to be.
struct Peer {
    runtime: Runtime,
    connection: Arc<dyn PeerConnection>,
    states: mpsc::Receiver<RTCPeerConnectionState>,
    packets: mpsc::Receiver<Received>,
    tracks: Arc<Mutex<Vec<Arc<dyn TrackRemote>>>>,
    /// Where its session is, once it was answered.
    location: String,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// Takes note of what the crate tells, for a test that asks when it wants to.
struct Notes {
    states: mpsc::Sender<RTCPeerConnectionState>,
    packets: mpsc::Sender<Received>,
    tracks: Arc<Mutex<Vec<Arc<dyn TrackRemote>>>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Notes {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.states.send(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let tracks = self.tracks.lock();
        tracks
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&track));
        let packets = self.packets.clone();
        tokio::spawn(async move {
            let kind = track.kind().await;
            while let Some(event) = track.poll().await {
                let TrackRemoteEvent::OnRtpPacket(packet) = event else {
                    continue;
                };
                if packets.send((kind, packet)).is_err() {
                    return;
                }
            }
        });
    }
}

impl Peer {
    /// One that can offer everything that the crate knows, and has it resent.
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (told, states) = mpsc::channel();
        let (received, packets) = mpsc::channel();
        let tracks = Arc::default();
        let notes = Notes {
            states: told,
            packets: received,
            tracks: Arc::clone(&tracks),
        };
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let building = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(keyframe_requests::told_by(registry))
            .with_handler(Arc::new(notes))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build();
        let connection: Arc<dyn PeerConnection> = Arc::new(runtime.block_on(building)?);
        Ok(Self {
            runtime,
            connection,
            states,
            packets,
            tracks,
            location: String::new(),
        })
    }

    /// Offers what it is to send and receive, takes the answer and waits until media can flow.
    fn connect(&mut self, node: &TestNode, path: &str) -> Result<()> {
        let connection = &self.connection;
        let offer = self.runtime.block_on(async {
            let offer = connection.create_offer(None).await?;
            connection.set_local_description(offer.clone()).await?;
            anyhow::Ok(offer.sdp)
        })?;
        let url = format!("http://{}{path}", node.addresses().http);
        let (location, answer) = post(&url, &offer)?;
        self.location = location;
        let answer = RTCSessionDescription::answer(answer)?;
        ensure!(answer.sdp_type == RTCSdpType::Answer);
        self.runtime
            .block_on(connection.set_remote_description(answer))
            .context("the answer")?;
        self.wait_connected()
    }

    fn wait_connected(&self) -> Result<()> {
        let wanted = RTCPeerConnectionState::Connected;
        let start = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.states.recv_timeout(left) {
                Ok(state) if state == wanted => return Ok(()),
                Ok(RTCPeerConnectionState::Failed) => bail!("failed instead of {wanted}"),
                Ok(_) => {}
                Err(_) => bail!("waited {PATIENCE:?} for {wanted}"),
            }
        }
    }

    /// Ends the session, and waits until the node has closed the connection.
    fn finish(self, node: &TestNode) -> Result<()> {
        node.delete(&self.location).context("DELETE")?;
        node.wait_for("the node to close DTLS", |_| {
            let state = self.runtime.block_on(self.dtls())?;
            Ok((state == RTCDtlsTransportState::Closed).then_some(()))
        })
    }

    /// The one transport of all tracks: of a connection whose DTLS has ended but whose ICE goes on, the
    /// crate says that it is connected.
    async fn dtls(&self) -> Result<RTCDtlsTransportState> {
        let mut transports = Vec::new();
        for sender in self.connection.get_senders().await {
            transports.push(sender.transport().await?);
        }
        for receiver in self.connection.get_receivers().await {
            transports.push(receiver.transport().await?);
        }
        let transport = transports.into_iter().flatten().next();
        Ok(transport.context("no transport")?.state().await?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let closing = self.connection.close();
        // A test that failed has said so, and the node's own time limit ends what does not close.
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, closing).await });
    }
}

/// Where the session is, and the answer.
fn post(url: &str, offer: &str) -> Result<(String, String)> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let request = agent.post(url).header("Content-Type", "application/sdp");
    let mut response = request.send(offer)?;
    let body = response.body_mut().read_to_string()?;
    ensure!(
        response.status() == 201,
        "{url} answered {}: {body}",
        response.status()
    );
    let location = response.headers().get("location").context("no Location")?;
    Ok((location.to_str()?.to_owned(), body))
}
