//! A publisher by WHIP: a clip's frames and silent Opus, cut into packets by the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use rtc::media::Sample;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::rtp_transceiver::RtpSender;

use super::{Peer, keyframe_requests};
use crate::h264::Frame;
use crate::node::TestNode;

/// The clips' frame rate.
const FRAME: Duration = Duration::from_nanos(33_333_334);

/// How long a packet of Opus plays.
const OPUS: Duration = Duration::from_millis(20);

/// Silence of that length in stereo (RFC 6716 §3.1).
const SILENCE: &[u8] = &[0xfc, 0xff, 0xfe];

/// A publisher, until it is dropped.
#[derive(Debug)]
pub struct Publisher {
    peer: Peer,
    requests: Arc<AtomicU64>,
}

/// One of its tracks.
struct Track {
    local: Arc<TrackLocalStaticSample>,
    ssrc: u32,
    sender: Arc<dyn RtpSender>,
}

impl Publisher {
    /// Publishes frames round and round in the default app; who asks for a keyframe gets the first.
    ///
    /// # Errors
    /// The node refuses, or no connection comes about.
    pub fn start(node: &TestNode, name: &str, frames: &[Frame]) -> Result<Self> {
        let mut peer = Peer::new()?;
        let video = Track::add(&peer, RtpCodecKind::Video, MIME_TYPE_H264, 1)?;
        let audio = Track::add(&peer, RtpCodecKind::Audio, MIME_TYPE_OPUS, 2)?;
        peer.connect(node, &format!("/live/{name}/whip"))?;
        let requests = Arc::default();
        let runtime = peer.runtime.handle();
        runtime.spawn(count(Arc::clone(&video.local), Arc::clone(&requests)));
        let frames = frames.iter().map(Frame::annex_b).collect();
        let showing = show(video, frames, Arc::clone(&requests));
        runtime.spawn(async { eprintln!("no more pictures: {:?}", showing.await) });
        runtime.spawn(async { eprintln!("no more sound: {:?}", be_silent(audio).await) });
        Ok(Self { peer, requests })
    }

    /// How often a keyframe was asked for.
    pub fn keyframe_requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Ends the session, and waits until the node has closed the connection.
    ///
    /// # Errors
    /// The node knows no such session, or leaves the connection open.
    pub fn finish(self, node: &TestNode) -> Result<()> {
        self.peer.finish(node)
    }
}

impl Track {
    fn add(peer: &Peer, kind: RtpCodecKind, codec: &str, ssrc: u32) -> Result<Self> {
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..Default::default()
            },
            codec: codec_of(codec),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "stream".to_owned(),
            codec.to_owned(),
            codec.to_owned(),
            kind,
            vec![coding],
        );
        let local = Arc::new(TrackLocalStaticSample::new(Instant::now(), track)?);
        let adding = peer
            .connection
            .add_track(Arc::clone(&local) as Arc<dyn TrackLocal>);
        let sender = peer.runtime.block_on(adding)?;
        Ok(Self {
            local,
            ssrc,
            sender,
        })
    }

    /// The payload type that the answer left.
    async fn payload_type(&self) -> Result<u8> {
        let parameters = self.sender.get_parameters().await?.rtp_parameters;
        let codec = parameters.codecs.first();
        Ok(codec.context("no codec in the answer")?.payload_type)
    }

    async fn send(&self, payload_type: u8, data: Bytes, duration: Duration) -> Result<()> {
        let sample = Sample {
            data,
            duration,
            ..Sample::new(Instant::now())
        };
        let sending = self
            .local
            .write_sample(self.ssrc, payload_type, &sample, &[]);
        Ok(sending.await?)
    }
}

fn codec_of(mime: &str) -> RTCRtpCodec {
    let (clock_rate, channels, fmtp) = match mime {
        MIME_TYPE_OPUS => (48_000, 2, "minptime=10;useinbandfec=1"),
        _ => (
            90_000,
            0,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
    };
    RTCRtpCodec {
        mime_type: mime.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

async fn count(track: Arc<TrackLocalStaticSample>, requests: Arc<AtomicU64>) {
    while let Some(event) = track.poll().await {
        let TrackLocalEvent::OnRtcpPacket(packets) = event else {
            continue;
        };
        let asked = packets.iter();
        let asked = asked.filter(|packet| keyframe_requests::is_request(&***packet));
        requests.fetch_add(asked.count() as u64, Ordering::Relaxed);
    }
}

/// Sends a clip until the connection is closed.
async fn show(track: Track, frames: Vec<Bytes>, requests: Arc<AtomicU64>) -> Result<()> {
    let payload_type = track.payload_type().await?;
    let mut ticks = tokio::time::interval(FRAME);
    let (mut at, mut heard) = (0, 0);
    loop {
        ticks.tick().await;
        let asked = requests.load(Ordering::Relaxed);
        if std::mem::replace(&mut heard, asked) != asked {
            at = 0;
        }
        let frame = frames.get(at).context("no frames")?.clone();
        track.send(payload_type, frame, FRAME).await?;
        at = (at + 1) % frames.len();
    }
}

/// Sends silence until the connection is closed.
async fn be_silent(track: Track) -> Result<()> {
    let payload_type = track.payload_type().await?;
    let mut ticks = tokio::time::interval(OPUS);
    loop {
        ticks.tick().await;
        let silence = Bytes::from_static(SILENCE);
        track.send(payload_type, silence, OPUS).await?;
    }
}
