//! A client of WebRTC: its offer goes by a POST (WHEP, or WHIP as in RFC 9725), and the rest is
//! str0m over a UDP socket of its own.
//!
//! Invariant: whatever is done to str0m is followed by taking all that it has to say.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::http::Post;
use crate::link::Link;
use crate::target::Target;

pub(crate) mod packet;

/// Bytes that wait in the socket, if the system allows it: those of a keyframe and more.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What a session reports.
pub(crate) trait Hear {
    /// A datagram came. `false` keeps it from str0m.
    fn datagram(&mut self, datagram: &[u8]) -> bool;

    /// Something happened.
    fn event(&mut self, event: Event);
}

/// What all sessions of a run present to their servers: making one each is work.
pub(crate) fn certificate() -> anyhow::Result<DtlsCert> {
    let provider = str0m::crypto::from_feature_flags();
    let made = provider.dtls_provider.generate_certificate();
    made.context("no certificate can be made for DTLS")
}

/// The address that a server is reached from.
fn towards(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    // Sends nothing: the system picks a route.
    probe.connect(server)?;
    Ok(probe.local_addr()?.ip())
}

/// One session.
pub(crate) struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    /// Has the system hand over what was sent in one call in one read, as a network card does: over
    /// loopback the server would pay for taking it apart.
    state: UdpSocketState,
    local: SocketAddr,
    asking: Option<(Link<Post>, SdpPendingOffer)>,
    video: Mid,
    audio: Option<Mid>,
    connected: bool,
    deadline: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Starts to ask for stream `at` of `count`: to receive it, or to send it.
    pub(crate) fn ask(
        target: &Target,
        at: usize,
        count: usize,
        (direction, audio): (Direction, bool),
        certificate: &DtlsCert,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let config = RtcConfig::new().clear_codecs();
        let config = config.enable_h264(true).enable_opus(true, false);
        let mut rtc = config.set_dtls_cert(certificate.clone()).build(now);
        let socket = UdpSocket::bind((towards(target.address)?, 0).into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // What the system's limit does not allow is no reason not to start.
        let _ = state.set_recv_buffer_size((&socket).into(), RECEIVE_BUFFER);
        let local = socket.local_addr()?;
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let mut change = rtc.sdp_api();
        let mut line = |kind| change.add_media(kind, direction, None, None, None);
        let video = line(MediaKind::Video);
        let audio = audio.then(|| line(MediaKind::Audio));
        let (offer, pending) = change.apply().context("making an offer")?;
        let path = target.path(at, count);
        let post = Post::new(target.authority(), &path, &offer.to_sdp_string());
        let link = Link::connect(post, target.address, None)?;
        Ok(Self {
            rtc,
            socket,
            state,
            local,
            asking: Some((link, pending)),
            video,
            audio,
            connected: false,
            deadline: now,
        })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if let Some((link, _)) = &mut self.asking {
            link.register(registry, token)?;
        }
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Whether media can flow.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// When [`Self::drive`] is due.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Reads what is there, of the answer and of the session.
    pub(crate) fn on_ready(
        &mut self,
        scratch: &mut [u8],
        hear: &mut impl Hear,
    ) -> anyhow::Result<()> {
        if self.asking.is_some() {
            self.hear_answer(scratch, hear)?;
        }
        loop {
            let mut meta = RecvMeta::default();
            let received = self.state.recv(
                UdpSockRef::from(&self.socket),
                &mut [IoSliceMut::new(scratch)],
                slice::from_mut(&mut meta),
            );
            match received {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Nobody listens where something was sent to: ICE and its patience tell better.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            }
            let came = scratch.get(..meta.len).unwrap_or_default();
            for datagram in came.chunks(meta.stride.max(1)) {
                self.on_datagram(datagram, meta.addr, hear)?;
            }
        }
    }

    fn on_datagram(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        hear: &mut impl Hear,
    ) -> anyhow::Result<()> {
        if !hear.datagram(datagram) {
            return Ok(());
        }
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, datagram) else {
            return Ok(());
        };
        let input = Input::Receive(Instant::now(), receive);
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
            self.drain(hear)?;
        }
        Ok(())
    }

    fn hear_answer(&mut self, scratch: &mut [u8], hear: &mut impl Hear) -> anyhow::Result<()> {
        while let Some((link, _)) = &mut self.asking {
            let Some(input) = link.read(scratch)? else {
                return Ok(link.flush()?);
            };
            let Some(answer) = link.client.feed(input)? else {
                continue;
            };
            if let Some((_, pending)) = self.asking.take() {
                self.accept(&answer, pending)?;
                self.drain(hear)?;
                self.drive(Instant::now(), hear)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, answer: &str, pending: SdpPendingOffer) -> anyhow::Result<()> {
        let answer = SdpAnswer::from_sdp_string(answer).context("the server's SDP")?;
        let api = self.rtc.sdp_api();
        api.accept_answer(pending, answer)
            .context("the server's SDP")
    }

    /// Does what is due at `now`.
    pub(crate) fn drive(&mut self, now: Instant, hear: &mut impl Hear) -> anyhow::Result<()> {
        if self.asking.is_some() {
            // Nobody to talk to yet.
            self.deadline = now + Duration::from_secs(1);
            return Ok(());
        }
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(hear)
    }

    /// Sends one frame: H.264 as a byte stream, or an Opus packet. What the server does not take is
    /// not sent.
    pub(crate) fn send(
        &mut self,
        video: bool,
        time: Duration,
        frame: impl Into<Arc<[u8]>>,
        hear: &mut impl Hear,
    ) -> anyhow::Result<()> {
        let line = self.line(video);
        let Some((mid, pt)) = line else {
            anyhow::ensure!(!video, "the server takes no H.264");
            return Ok(());
        };
        let rate = if video {
            Frequency::NINETY_KHZ
        } else {
            Frequency::FORTY_EIGHT_KHZ
        };
        let ticks = time.as_nanos() * u128::from(rate.get()) / 1_000_000_000;
        let time = MediaTime::new(u64::try_from(ticks).unwrap_or(u64::MAX), rate);
        if let Some(writer) = self.rtc.writer(mid) {
            writer.write(pt, Instant::now(), time, frame)?;
        }
        self.drain(hear)?;
        // What was written is cut into packets when time goes on.
        self.drive(Instant::now(), hear)
    }

    /// A line and the payload type that both sides agreed on.
    fn line(&mut self, video: bool) -> Option<(Mid, Pt)> {
        let (mid, codec) = if video {
            (self.video, Codec::H264)
        } else {
            (self.audio?, Codec::Opus)
        };
        let writer = self.rtc.writer(mid)?;
        let mut params = writer.payload_params();
        let params = params.find(|params| params.spec().codec == codec)?;
        Some((mid, params.pt()))
    }

    fn drain(&mut self, hear: &mut impl Hear) -> anyhow::Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.deadline = at;
                    break;
                }
                // A socket that is full loses what is sent, as a network does.
                Output::Transmit(out) => drop(self.socket.send_to(&out.contents, out.destination)),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::IceConnectionStateChange(state))
                    if state.is_disconnected() =>
                {
                    let again = if self.connected { "any more" } else { "by UDP" };
                    bail!("the server does not answer {again}");
                }
                Output::Event(Event::Closed) => bail!("the server ended the session"),
                Output::Event(event) => hear.event(event),
            }
        }
        anyhow::ensure!(self.rtc.is_alive(), "the session is over");
        Ok(())
    }
}

/// Says goodbye, so that the server need not wait to see that nobody is there.
impl Drop for Session {
    fn drop(&mut self) {
        if self.asking.is_some() || self.rtc.close().is_err() {
            return;
        }
        while let Ok(output) = self.rtc.poll_output() {
            match output {
                Output::Transmit(out) => drop(self.socket.send_to(&out.contents, out.destination)),
                Output::Event(_) => {}
                Output::Timeout(_) => return,
            }
        }
    }
}
