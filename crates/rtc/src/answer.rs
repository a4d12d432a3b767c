//! From an offer to an answer: what both sides can do, and the peer that is made for it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use str0m::change::SdpOffer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::TcpType;
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::format::{self, Format};
use crate::header::Terms;
use crate::keys::{self, Tap};
use crate::payload_types;
use crate::peer::{Media, Peer};
use crate::port::Port;
use crate::routes::Datagram;
use crate::sender::Sender;
use crate::sources::Sources;

/// Media lines of one offer. Two are of use; each costs memory for as long as the session lasts.
const MAX_LINES: usize = 4;

/// Which way media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The node sends: WHEP.
    Send,
    /// The node receives: WHIP.
    Receive,
}

/// Why there is no session for an offer. The text goes to the peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OfferError {
    /// No SDP, or none that can be answered.
    #[error("the body is no SDP offer that can be answered: {0}")]
    Bad(String),
    /// Nothing in it goes the right way in a codec that both sides have.
    #[error(
        "the offer has none of H.264 (packetization mode 1), H.265, VP9, AV1 and Opus in the right \
         direction"
    )]
    NoCommonCodec,
}

impl OfferError {
    /// A short name for metrics and for programs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Bad(_) => "bad_sdp",
            Self::NoCommonCodec => "no_common_codec",
        }
    }
}

/// A media line that both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub(crate) mid: Mid,
    /// Payload types in the peer's order, and what they carry.
    formats: Vec<(Pt, Format)>,
}

impl Line {
    /// The payload type for a stream of this format: the peer's own kin of it, or its first that
    /// takes it. `None` where the peer does not.
    pub fn payload_type(&self, stream: Format) -> Option<Pt> {
        let mut taking = self.formats.iter().filter(|(_, it)| it.takes(stream));
        let kin = taking.clone().find(|(_, it)| it.is_kin(stream));
        kin.or_else(|| taking.next()).map(|&(pt, _)| pt)
    }

    fn payload_types(&self) -> (Mid, Vec<u8>) {
        let payload_types = self.formats.iter().map(|(pt, _)| **pt);
        (self.mid, payload_types.collect())
    }
}

fn config(port: &Port, role: Role, newer: bool) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_ice_lite(true)
        .set_dtls_cert(port.certificate.clone())
        .clear_codecs()
        .enable_opus(true, false);
    if role == Role::Send {
        // What the node writes into its packets. Who finds numbers of all packets in them reports
        // on those, which is not read, and makes no estimate of its own: that of browsers falls to
        // next to nothing when a packet is late, and would starve them.
        config = config
            .set_rtp_mode(true)
            .clear_extension_map()
            .set_extension(2, Extension::AbsoluteSendTime)
            .set_extension(3, Extension::TransportSequenceNumber)
            .set_extension(4, Extension::RtpMid);
    }
    format::add_h264(&mut config);
    if newer {
        format::add_newer(&mut config);
    }
    config
}

/// An offer that was answered, before its session has a place on the port.
pub struct Answered {
    rtc: Rtc,
    media: Media,
    port: Arc<Port>,
    now: Instant,
    audio: Option<Line>,
    video: Option<Line>,
    /// The answer, as SDP.
    pub answer: String,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").finish_non_exhaustive()
    }
}

impl Answered {
    /// Answers an offer.
    ///
    /// # Errors
    /// The offer cannot be answered.
    pub fn to(offer: &str, role: Role, port: &Arc<Port>, now: Instant) -> Result<Self, OfferError> {
        let bad = |error: &dyn fmt::Display| OfferError::Bad(error.to_string());
        if offer.lines().filter(|it| it.starts_with("m=")).count() > MAX_LINES {
            return Err(bad(&format_args!(
                "it has more than {MAX_LINES} media lines"
            )));
        }
        if let Some(pt) = payload_types::ambiguous(offer) {
            return Err(bad(&format_args!(
                "payload type {pt} stands for two formats"
            )));
        }
        match (role, Self::with(offer, role, port, now, role == Role::Send)) {
            // Every player takes H.264: who has it publishes it, whatever it likes better.
            (Role::Receive, Err(OfferError::NoCommonCodec)) => {}
            (Role::Receive, Ok(answered)) if answered.video.is_none() => {}
            (_, answered) => return answered,
        }
        Self::with(offer, role, port, now, true)
    }

    fn with(
        text: &str,
        role: Role,
        port: &Arc<Port>,
        now: Instant,
        newer: bool,
    ) -> Result<Self, OfferError> {
        let bad = |error: &dyn fmt::Display| OfferError::Bad(error.to_string());
        let offer = SdpOffer::from_sdp_string(text).map_err(|error| bad(&error))?;
        let config = config(port, role, newer);
        let (mut rtc, tap) = match role {
            Role::Send => {
                let (rtc, tap) = keys::build(config, now);
                (rtc, Some(tap))
            }
            Role::Receive => (config.build(now), None),
        };
        for address in port.candidates.iter() {
            let udp = Candidate::host(address, "udp").map_err(|error| bad(&error))?;
            let tcp = Candidate::builder()
                .tcp()
                .host(address)
                .tcptype(TcpType::Passive)
                .build()
                .map_err(|error| bad(&error))?;
            rtc.add_local_candidate(udp);
            rtc.add_local_candidate(tcp);
        }
        let answer = rtc.sdp_api().accept_offer(offer);
        let answer = answer.map_err(|error| bad(&error))?.to_sdp_string();
        // A line that is refused names a format all the same (RFC 8866 §5.14).
        let answer = answer.replace("SAVPF \r\n", "SAVPF 0\r\n");
        let (audio, video) = lines(&rtc, &answer, role);
        if audio.is_none() && video.is_none() {
            return Err(OfferError::NoCommonCodec);
        }
        let media = match tap {
            Some(tap) => sending(&mut rtc, tap, &answer, [&audio, &video]),
            None => {
                let lines = audio.iter().chain(&video).map(Line::payload_types);
                Media::Received(Sources::of(text, &lines.collect::<Vec<_>>()))
            }
        };
        Ok(Self {
            rtc,
            media,
            port: Arc::clone(port),
            now,
            audio,
            video,
            answer,
        })
    }

    /// Gives the session its place on the port: what comes for it goes into `inbox` under this
    /// number.
    pub fn register(mut self, inbox: mpsc::Sender<Datagram>, peer: u64) -> Peer {
        let name = self.rtc.direct_api().local_ice_credentials().ufrag;
        let registration = self.port.register(name, inbox, peer);
        let lines = (self.audio, self.video);
        Peer::new(
            self.rtc,
            self.media,
            registration,
            self.port,
            lines,
            self.now,
        )
    }

    /// Whether audio goes the way it should.
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Whether video goes the way it should.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Whether a stream's video of this format can be sent.
    pub fn takes(&self, format: Format) -> bool {
        let line = self.video.as_ref();
        line.is_some_and(|line| line.payload_type(format).is_some())
    }
}

pub(crate) type Lines = (Option<Line>, Option<Line>);

fn mids(answer: &str) -> impl Iterator<Item = Mid> {
    let mids = answer.lines().filter_map(|it| it.strip_prefix("a=mid:"));
    mids.map(|mid| Mid::from(mid.trim()))
}

/// The first audio and the first video line that go the right way in a common codec, of those that
/// the answer names.
fn lines(rtc: &Rtc, answer: &str, role: Role) -> Lines {
    let right = match role {
        Role::Send => [Direction::SendOnly, Direction::SendRecv],
        Role::Receive => [Direction::RecvOnly, Direction::SendRecv],
    };
    let mut lines = (None, None);
    for mid in mids(answer) {
        let media = rtc.media(mid);
        let Some(media) = media.filter(|media| right.contains(&media.direction())) else {
            continue;
        };
        let line = match media.kind() {
            MediaKind::Audio => &mut lines.0,
            MediaKind::Video => &mut lines.1,
        };
        let formats = formats(rtc, mid);
        if line.is_none() && !formats.is_empty() {
            *line = Some(Line { mid, formats });
        }
    }
    lines
}

fn formats(rtc: &Rtc, mid: Mid) -> Vec<(Pt, Format)> {
    let Some(media) = rtc.media(mid) else {
        return Vec::new();
    };
    let common = rtc.codec_config().params();
    let params = media
        .remote_pts()
        .iter()
        .filter_map(|pt| common.iter().find(|params| params.pt() == *pt));
    params
        .filter_map(|params| Some((params.pt(), Format::of(&params.spec())?)))
        .collect()
}

/// Takes the streams that str0m has announced into the node's own hands.
fn sending(rtc: &mut Rtc, tap: Arc<Tap>, answer: &str, lines: [&Option<Line>; 2]) -> Media {
    let [audio, video] = lines.map(|line| {
        let line = line.as_ref()?;
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(line.mid, None)?;
        let (ssrc, resend_ssrc) = (stream.ssrc(), stream.rtx());
        let media = rtc.media(line.mid)?;
        // Headers are of the form that has these numbers alone (RFC 8285 §4.2).
        let fits = |id: &u8| (1..=14).contains(id);
        let extension = |it| media.remote_extmap().id_of(it).filter(fits);
        let params = rtc.codec_config().params().iter();
        let resends = params.filter_map(|it| Some((*it.pt(), *it.resend()?)));
        Some(Terms {
            ssrc: *ssrc,
            resend_ssrc: resend_ssrc.map(|it| *it),
            resend_types: resends.collect(),
            mid: line.mid.to_string(),
            mid_extension: extension(Extension::RtpMid),
            stamp_extension: extension(Extension::AbsoluteSendTime),
            count_extension: extension(Extension::TransportSequenceNumber),
            rate: match media.kind() {
                MediaKind::Audio => 48_000,
                MediaKind::Video => 90_000,
            },
        })
    });
    let first = mids(answer).find_map(|mid| rtc.media(mid));
    let cname = first.map(|media| media.cname().to_owned());
    // Without keys str0m cannot send them: left with it, they would cost memory and turns.
    for mid in mids(answer) {
        let mut api = rtc.direct_api();
        let ssrc = api.stream_tx_by_mid(mid, None).map(|stream| stream.ssrc());
        ssrc.map(|ssrc| api.remove_stream_tx(ssrc));
    }
    let sender = Sender::new(audio, video, cname.unwrap_or_default());
    Media::Sent(tap, Box::new(sender))
}
