//! A viewer by WHEP: whole frames of H.264, put together by the crate's depacketiser, and packets of Opus.

use std::sync::PoisonError;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::Peer;
use super::assembly::Assembly;
use crate::h264::{Frame, IDR};
use crate::node::{PATIENCE, TestNode};

/// What came.
#[derive(Debug, Clone)]
pub enum Came {
    /// A whole frame.
    Picture {
        /// When it is shown, in 90000ths of a second.
        timestamp: u32,
        /// The frame.
        frame: Frame,
    },
    /// A packet of Opus.
    Sound {
        /// When it is played, in 48000ths of a second.
        timestamp: u32,
        /// The packet.
        opus: Bytes,
    },
}

/// A viewer.
#[derive(Debug)]
pub struct Viewer {
    peer: Peer,
    pictures: Assembly,
}

impl Viewer {
    /// Plays a stream of the default app; returns once media can flow.
    ///
    /// # Errors
    /// The node refuses, or no connection comes about.
    pub fn start(node: &TestNode, name: &str) -> Result<Self> {
        let mut peer = Peer::new()?;
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let receive = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..Default::default()
            };
            let connection = &peer.connection;
            let adding = connection.add_transceiver_from_kind(kind, Some(receive));
            peer.runtime.block_on(adding)?;
        }
        peer.connect(node, &format!("/live/{name}/whep"))?;
        Ok(Self {
            peer,
            pictures: Assembly::default(),
        })
    }

    /// Passes over what comes before the first keyframe, and gives it.
    ///
    /// The crate loses what it reads together with the end of the DTLS handshake, and the node sends at
    /// once: its first keyframe may be among that.
    ///
    /// # Errors
    /// None comes within [`PATIENCE`].
    pub fn first_keyframe(&mut self) -> Result<Came> {
        let came =
            self.until(|came| matches!(came, Came::Picture { frame, .. } if frame.has(IDR)))?;
        came.into_iter().last().context("nothing")
    }

    /// Everything that comes until something satisfies `last`, that included.
    ///
    /// # Errors
    /// Nothing does within [`PATIENCE`], a packet is lost for good, or what came is no H.264.
    pub fn until(&mut self, mut last: impl FnMut(&Came) -> bool) -> Result<Vec<Came>> {
        let start = Instant::now();
        let mut all = Vec::new();
        loop {
            ensure!(
                start.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for it, {} came",
                all.len()
            );
            let came = self.next()?;
            let done = last(&came);
            all.push(came);
            if done {
                return Ok(all);
            }
        }
    }

    fn next(&mut self) -> Result<Came> {
        loop {
            if let Some(frame) = self.pictures.next()? {
                let (timestamp, frame) = frame;
                return Ok(Came::Picture { timestamp, frame });
            }
            let Ok((kind, packet)) = self.peer.packets.recv_timeout(PATIENCE) else {
                bail!("nothing came for {PATIENCE:?}");
            };
            if kind == RtpCodecKind::Video {
                self.pictures.push(packet);
                continue;
            }
            return Ok(Came::Sound {
                timestamp: packet.header.timestamp,
                opus: packet.payload,
            });
        }
    }

    /// Packets of pictures that came after those behind them.
    pub fn late(&self) -> usize {
        self.pictures.late()
    }

    /// Tells the node that the picture is broken (PLI).
    ///
    /// # Errors
    /// There was none yet.
    pub fn ask_for_keyframe(&self) -> Result<()> {
        let tracks = self.peer.tracks.lock();
        let tracks = tracks.unwrap_or_else(PoisonError::into_inner).clone();
        self.peer.runtime.block_on(async {
            for track in tracks {
                if track.kind().await != RtpCodecKind::Video {
                    continue;
                }
                let request = PictureLossIndication {
                    sender_ssrc: 0,
                    media_ssrc: *track.ssrcs().await.first().context("no SSRC")?,
                };
                return Ok(track.write_rtcp(vec![Box::new(request)]).await?);
            }
            bail!("no video yet")
        })
    }

    /// Ends the session, and waits until the node has closed the connection.
    ///
    /// # Errors
    /// The node knows no such session, or leaves the connection open.
    pub fn finish(self, node: &TestNode) -> Result<()> {
        self.peer.finish(node)
    }
}
