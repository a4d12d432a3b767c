//! One peer: its side of the port, str0m behind it, and what the node itself sends to it. No IO:
//! datagrams and the time come in, datagrams go to an [`Outbox`], and what happened is told.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::KeyframeRequestKind;
use str0m::net::{DatagramRecv, Protocol, Receive, Transmit};
use str0m::{Event, Input, Output, Rtc};

use crate::answer::{Line, Lines};
use crate::frame::Frame;
use crate::keys::{self, Tap};
use crate::outbox::Outbox;
use crate::port::Port;
use crate::routes::{Datagram, Path, Registration};
use crate::sender::Sender;
use crate::sources::Sources;
use crate::stream::{Heading, Payloads};
use crate::stun;

#[cfg(test)]
mod tests;

/// A peer has this long from its offer to the end of its DTLS handshake.
const CONNECT: Duration = Duration::from_secs(30);
/// How often it is looked whether the client is still there: of itself str0m's half of ICE does so
/// only while it makes checks, which ICE-lite does not.
const LOOK: Duration = Duration::from_secs(1);
/// Addresses from which one peer's checks are answered. str0m keeps each for as long as the session
/// lasts, and whoever knows the password can send from all of an IPv6 network; honest clients have a
/// few for each interface.
const MAX_SOURCES: u32 = 64;
/// Turns of str0m's machine in one call; what is left comes with the next.
const TURNS: usize = 4096;
/// Any RTP packet: asks whether a path has been proved.
const PROBE: &[u8] = &[0x80, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

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
    /// What it says its network carries, in bits a second.
    Capacity(u64),
    /// What it is sent queues or is lost on its way, by when its packets come: so long until it is
    /// known to have got through. Zero: no longer.
    Full(Duration),
    /// It is over.
    Closed,
}

/// Who has its media in hand.
pub(crate) enum Media {
    /// The node sends, and has taken the keys.
    Sent(Arc<Tap>, Box<Sender>),
    /// str0m receives, from these once their packets come.
    Received(Sources),
}

/// A peer of the port.
pub struct Peer {
    rtc: Rtc,
    media: Media,
    registration: Registration,
    port: Arc<Port>,
    /// When str0m is due.
    deadline: Instant,
    /// It is due now: something came, or is to be said.
    stirred: bool,
    /// Addresses that str0m has been told of.
    sources: u32,
    /// Not yet connected, and until when it may be.
    connect_by: Option<Instant>,
    audio: Option<Line>,
    video: Option<Line>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl Peer {
    pub(crate) fn new(
        rtc: Rtc,
        media: Media,
        registration: Registration,
        port: Arc<Port>,
        (audio, video): Lines,
        now: Instant,
    ) -> Self {
        Self {
            rtc,
            media,
            registration,
            port,
            deadline: now,
            stirred: true,
            sources: 0,
            connect_by: Some(now + CONNECT),
            audio,
            video,
        }
    }

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
        let reports = match &self.media {
            Media::Sent(_, sender) => sender.deadline(),
            Media::Received(_) => None,
        };
        let others = [self.connect_by, reports].into_iter().flatten();
        others.fold(self.deadline, Instant::min)
    }

    /// Takes a datagram in; [`Self::drive`] does what follows from it.
    pub fn receive(&mut self, datagram: &Datagram, now: Instant) {
        let bytes: &[u8] = &datagram.bytes;
        if let Media::Sent(_, sender) = &mut self.media
            && matches!(bytes.first(), Some(128..=191))
        {
            return sender.receive(bytes, now);
        }
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
        if let Media::Received(unnamed) = &mut self.media
            && let Some((mid, source)) = unnamed.find(bytes)
        {
            let mut api = self.rtc.direct_api();
            // Such a line has no RTX that could be asked for.
            api.expect_stream_rx(source.into(), None, mid, None)
                .suppress_nack(true);
        }
        if self.rtc.handle_input(input).is_err() {
            return;
        }
        self.stirred = true;
        if let Media::Sent(tap, _) = &self.media
            && stun::is_stun(bytes)
            && self.is_connected()
        {
            // The client may have chosen another of its paths.
            tap.ask();
        }
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
        if let Media::Sent(_, sender) = &mut self.media {
            sender.drive(now, out);
            if sender.keyframe_wanted() {
                tell(Happening::KeyframeWanted);
            }
            if let Some(bits) = sender.capacity() {
                tell(Happening::Capacity(bits));
            }
            if let Some(until) = sender.full() {
                tell(Happening::Full(until));
            }
        }
        // Media does not concern str0m: it has a turn when it is due, or something came for it.
        if std::mem::take(&mut self.stirred) || now >= self.deadline {
            self.turn(now, out, &mut tell);
        }
        if !self.rtc.is_alive() {
            tell(Happening::Closed);
        }
    }

    fn turn(&mut self, now: Instant, out: &mut Outbox, tell: &mut impl FnMut(Happening)) {
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.rtc.disconnect();
        }
        for _ in 0..TURNS {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(outgoing)) => self.transmit(&outgoing, out),
                Ok(Output::Timeout(at)) if at <= now => {
                    if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                        self.rtc.disconnect();
                    }
                    if !self.rtc.is_alive() {
                        return;
                    }
                }
                Ok(Output::Timeout(at)) => {
                    self.deadline = at.min(now + LOOK);
                    return;
                }
                Ok(Output::Event(event)) => {
                    if let Some(happening) = self.happened(event) {
                        tell(happening);
                    }
                }
                Err(_) => {
                    self.rtc.disconnect();
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, outgoing: &Transmit, out: &mut Outbox) {
        if let Media::Sent(_, sender) = &mut self.media {
            // DTLS goes where media does; STUN goes where it came from.
            if matches!(outgoing.contents.first(), Some(20..=63)) {
                sender.lead(Path {
                    tcp: outgoing.proto != Protocol::Udp,
                    source: outgoing.destination,
                });
            }
            if keys::tells_where(&outgoing.contents) {
                return;
            }
        }
        out.push(outgoing);
    }

    fn happened(&mut self, event: Event) -> Option<Happening> {
        match event {
            Event::Connected => {
                if let Media::Sent(tap, sender) = &mut self.media
                    && !tap.take().is_some_and(|keys| sender.start(&keys))
                {
                    self.rtc.disconnect();
                    return None;
                }
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
            _ => None,
        }
    }

    /// Sends a frame on the video line, at the latest with the next flush of `out`.
    pub fn send_video(
        &mut self,
        heading: Heading,
        payloads: &Payloads,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Media::Sent(_, sender) = &mut self.media {
            sender.send_video(heading, payloads, now, out);
        }
    }

    /// Sends a packet on the audio line with the next [`Self::drive`].
    pub fn send_audio(&mut self, heading: Heading, payload: &Arc<[u8]>) {
        if let Media::Sent(_, sender) = &mut self.media {
            sender.send_audio(heading, payload);
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
        if let Media::Sent(_, sender) = &mut self.media {
            sender.close();
        }
        self.stirred = true;
        if self.rtc.close().is_err() {
            self.rtc.disconnect();
        }
    }
}
