//! One peer: its side of the port, and str0m behind it. No IO: datagrams and the time come in,
//! datagrams go to an [`Outbox`], and what happened is told.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::bwe::BweKind;
use str0m::change::SdpOffer;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid, Pt};
use str0m::net::{DatagramRecv, Protocol, Receive, TcpType};
use str0m::rtp::RtpWrite;
use str0m::stats::MediaEgressStats;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::format::{self, Format};
use crate::outbox::Outbox;
use crate::payload_types;
use crate::port::Port;
use crate::routes::{Datagram, Path, Registration};
use crate::sources::Sources;
use crate::stun;

/// A peer has this long from its offer to the end of its DTLS handshake.
const CONNECT: Duration = Duration::from_secs(30);
/// How often a peer's view of what it receives is told.
const REPORTS: Duration = Duration::from_secs(1);
/// Packets of video kept to be sent again, and for how long. Payloads are shared by all peers.
const RESEND_PACKETS: usize = 512;
const RESEND_FOR: Duration = Duration::from_secs(2);
/// Resends may be this part of what is sent, and no more: behind a fifth of lost packets, most of
/// whose resends arrive, there is room for those that do not.
const RESEND_SHARE: f32 = 0.5;
/// Media lines of one offer. Two are of use; each costs memory for as long as the session lasts.
const MAX_LINES: usize = 4;
/// Addresses from which one peer's checks are answered. str0m keeps each for as long as the session
/// lasts, and whoever knows the password can send from all of an IPv6 network; honest clients have a
/// few for each interface.
const MAX_SOURCES: u32 = 64;
/// Turns of str0m's machine in one call; what is left comes with the next.
const TURNS: usize = 4096;
/// Any RTP packet: asks whether a path has been proved.
const PROBE: &[u8] = &[0x80, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

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

/// A media line that both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    mid: Mid,
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

/// What happened to a peer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening {
    /// Media can flow.
    Connected,
    /// A frame came in.
    Frame(Box<Frame>),
    /// It cannot go on without a keyframe.
    KeyframeWanted,
    /// What it says of what it receives.
    Report(Box<MediaEgressStats>),
    /// What it says its network carries, in bits a second.
    Capacity(u64),
    /// It is over.
    Closed,
}

/// A peer of the port.
pub struct Peer {
    rtc: Rtc,
    registration: Registration,
    port: Arc<Port>,
    deadline: Instant,
    /// Addresses that str0m has been told of.
    sources: u32,
    /// Not yet connected, and until when it may be.
    connect_by: Option<Instant>,
    audio: Option<Line>,
    video: Option<Line>,
    unnamed: Sources,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

fn config(port: &Port, role: Role, newer: bool) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_ice_lite(true)
        .set_dtls_cert(port.certificate.clone())
        .clear_codecs()
        .enable_opus(true, false)
        .set_send_buffer_video(RESEND_PACKETS);
    format::add_h264(&mut config);
    if newer {
        format::add_newer(&mut config);
    }
    match role {
        Role::Send => config = config.set_rtp_mode(true).set_stats_interval(Some(REPORTS)),
        Role::Receive => {}
    }
    config
}

/// An offer that was answered, before its session has a place on the port.
pub struct Answered {
    rtc: Rtc,
    port: Arc<Port>,
    now: Instant,
    audio: Option<Line>,
    video: Option<Line>,
    unnamed: Sources,
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
        let mut rtc = config(port, role, newer).build(now);
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
        if let Some(line) = &video
            && role == Role::Send
            && let Some(stream) = rtc.direct_api().stream_tx_by_mid(line.mid, None)
        {
            stream.set_rtx_cache(RESEND_PACKETS, RESEND_FOR, Some(RESEND_SHARE));
        }
        let unnamed = match role {
            Role::Send => Sources::default(),
            Role::Receive => {
                let lines = audio.iter().chain(&video).map(Line::payload_types);
                Sources::of(text, &lines.collect::<Vec<_>>())
            }
        };
        Ok(Self {
            rtc,
            port: Arc::clone(port),
            now,
            audio,
            video,
            unnamed,
            answer,
        })
    }

    /// Gives the session its place on the port: what comes for it goes into `inbox` under this
    /// number.
    pub fn register(mut self, inbox: mpsc::Sender<Datagram>, peer: u64) -> Peer {
        let name = self.rtc.direct_api().local_ice_credentials().ufrag;
        Peer {
            registration: self.port.register(name, inbox, peer),
            rtc: self.rtc,
            port: self.port,
            deadline: self.now,
            sources: 0,
            connect_by: Some(self.now + CONNECT),
            audio: self.audio,
            video: self.video,
            unnamed: self.unnamed,
        }
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

type Lines = (Option<Line>, Option<Line>);

/// The first audio and the first video line that go the right way in a common codec, of those that
/// the answer names.
fn lines(rtc: &Rtc, answer: &str, role: Role) -> Lines {
    let right = match role {
        Role::Send => [Direction::SendOnly, Direction::SendRecv],
        Role::Receive => [Direction::RecvOnly, Direction::SendRecv],
    };
    let mut lines = (None, None);
    for mid in answer.lines().filter_map(|it| it.strip_prefix("a=mid:")) {
        let mid = Mid::from(mid.trim());
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

impl Peer {
    /// The audio line.
    pub fn audio(&self) -> Option<&Line> {
        self.audio.as_ref()
    }

    /// The video line.
    pub fn video(&self) -> Option<&Line> {
        self.video.as_ref()
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.connect_by.is_none()
    }

    /// When [`Self::drive`] is due at the latest.
    pub fn deadline(&self) -> Instant {
        match self.connect_by {
            Some(by) => by.min(self.deadline),
            None => self.deadline,
        }
    }

    /// Takes a datagram in; [`Self::drive`] does what follows from it.
    pub fn receive(&mut self, datagram: &Datagram, now: Instant) {
        let bytes: &[u8] = &datagram.bytes;
        let Ok(contents) = DatagramRecv::try_from(bytes) else {
            return;
        };
        let Some(input) = self.input(datagram.path, contents, now) else {
            return;
        };
        // What a stranger sent, or what came too late, is no error of the session.
        if !self.rtc.accepts(&input) {
            return;
        }
        let checks = stun::is_stun(bytes) && !self.registration.knows(datagram.path);
        if checks && !self.has_proved(datagram.path, now) {
            if self.sources >= MAX_SOURCES {
                return;
            }
            self.sources += 1;
        }
        if let Some((mid, source)) = self.unnamed.find(bytes) {
            let mut api = self.rtc.direct_api();
            // Such a line has no RTX that could be asked for.
            api.expect_stream_rx(source.into(), None, mid, None)
                .suppress_nack(true);
        }
        if self.rtc.handle_input(input).is_err() {
            return;
        }
        self.deadline = now;
        if checks && self.has_proved(datagram.path, now) {
            self.registration.learn(datagram.path);
        }
    }

    fn input<'a>(&self, path: Path, contents: DatagramRecv<'a>, now: Instant) -> Option<Input<'a>> {
        let proto = if path.tcp {
            Protocol::Tcp
        } else {
            Protocol::Udp
        };
        let receive = Receive {
            proto,
            source: path.source,
            destination: self.port.candidates.towards(path.source)?,
            contents,
        };
        Some(Input::Receive(now, receive))
    }

    /// Whether media by this path would be taken: its sender knew the session's password.
    fn has_proved(&self, path: Path, now: Instant) -> bool {
        let probe = DatagramRecv::try_from(PROBE).ok();
        let input = probe.and_then(|probe| self.input(path, probe, now));
        input.is_some_and(|input| self.rtc.accepts(&input))
    }

    /// Sends what is due and tells what happened.
    pub fn drive(&mut self, now: Instant, out: &mut Outbox, mut tell: impl FnMut(Happening)) {
        if self.connect_by.is_some_and(|by| now >= by) {
            self.rtc.disconnect();
            return tell(Happening::Closed);
        }
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.rtc.disconnect();
        }
        for _ in 0..TURNS {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(outgoing)) => out.push(&outgoing),
                Ok(Output::Timeout(at)) if at <= now => {
                    if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                        self.rtc.disconnect();
                    }
                    if !self.rtc.is_alive() {
                        break;
                    }
                }
                Ok(Output::Timeout(at)) => {
                    self.deadline = at;
                    break;
                }
                Ok(Output::Event(event)) => {
                    if let Some(happening) = self.happened(event) {
                        tell(happening);
                    }
                }
                Err(_) => {
                    self.rtc.disconnect();
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            tell(Happening::Closed);
        }
    }

    fn happened(&mut self, event: Event) -> Option<Happening> {
        match event {
            Event::Connected => {
                self.connect_by = None;
                Some(Happening::Connected)
            }
            Event::IceConnectionStateChange(state) if state.is_disconnected() => {
                self.rtc.disconnect();
                None
            }
            Event::Closed => Some(Happening::Closed),
            Event::MediaData(data) => {
                Frame::of(data).map(|frame| Happening::Frame(Box::new(frame)))
            }
            Event::KeyframeRequest(_) => Some(Happening::KeyframeWanted),
            Event::MediaEgressStats(stats) => Some(Happening::Report(Box::new(stats))),
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
                Some(Happening::Capacity(estimate.as_u64()))
            }
            _ => None,
        }
    }

    /// Sends one RTP payload: it goes with the next [`Self::drive`].
    ///
    /// `time` is in units of the codec's clock; `wallclock` is when that was, by one clock for both
    /// lines, from which the peer works out how they belong together.
    pub fn write(&mut self, line: &Line, packet: Packet) {
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(line.mid, None) {
            let write = RtpWrite::new(
                packet.payload_type,
                packet.sequence.into(),
                packet.time,
                packet.wallclock,
                packet.payload,
            );
            stream.write_rtp(write.marker(packet.marker).nackable(packet.resend));
        }
    }

    /// Asks the peer for a keyframe.
    pub fn request_keyframe(&mut self) {
        let Some(line) = &self.video else { return };
        let mid = line.mid;
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Says goodbye: the rest comes with [`Self::drive`], which tells when it is done.
    pub fn close(&mut self) {
        if self.rtc.close().is_err() {
            self.rtc.disconnect();
        }
    }
}

/// A frame that a peer sent, put together and in order.
#[derive(Debug)]
pub struct Frame {
    /// A picture rather than an Opus packet.
    pub video: bool,
    /// What it is: H.264 and H.265 come as byte streams, AV1 as OBUs with their sizes.
    pub format: Format,
    /// Its RTP time, which does not wrap.
    pub time: u64,
    /// Ticks a second of that.
    pub rate: u32,
    /// When its first packet came.
    pub received: Instant,
    /// Nothing is missing between it and the frame before.
    pub contiguous: bool,
    /// The peer's own clock at some RTP time, as it last said.
    pub report: Option<Report>,
    /// The frame.
    pub data: Arc<[u8]>,
}

/// What a sender report says of time (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The peer's clock.
    pub clock: SystemTime,
    /// The RTP time at which it was that.
    pub time: u32,
}

impl Frame {
    fn of(data: MediaData) -> Option<Self> {
        let format = Format::of(&data.params.spec())?;
        let report = data.last_sender_info.map(|info| Report {
            clock: info.ntp_time,
            // The low bits are what the report said.
            time: low(info.rtp_time.numer()),
        });
        Some(Self {
            video: format != Format::Opus,
            format,
            time: data.time.numer(),
            rate: data.time.denom(),
            received: data.network_time,
            contiguous: data.contiguous,
            report,
            data: data.data,
        })
    }
}

/// The part of an RTP time that goes over the wire.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low(time: u64) -> u32 {
    time as u32
}

/// One RTP packet, but for what is the same for all of a line.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Payload type.
    pub payload_type: Pt,
    /// Its number, which does not wrap.
    pub sequence: u64,
    /// In units of the codec's clock.
    pub time: u32,
    /// When that was.
    pub wallclock: Instant,
    /// It is the last of its frame.
    pub marker: bool,
    /// It is sent again when the peer misses it.
    pub resend: bool,
    /// What it carries.
    pub payload: Arc<[u8]>,
}
