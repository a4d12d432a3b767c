//! What one viewer is sent beside ICE and DTLS: its RTP streams, sealed with its keys, reports of
//! them, and what it answers to those. No IO.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, mem};

use crate::header::Terms;
use crate::keys::Keys;
use crate::outbox::Outbox;
use crate::routes::Path;
use crate::rtcp::{self, Feedback};
use crate::srtp::{Opener, Sealer, masters};
use crate::stream::{Heading, Payloads, Stream, Way};
use crate::transit::Transit;

/// How often streams are reported (RFC 3550 §6.2).
const REPORTS: Duration = Duration::from_secs(1);
/// Runs of missing packets that wait to be sent again, of 17 packets each: what comes beyond is
/// asked for again.
const MAX_NACKS: usize = 64;
/// Lost packets that wait to be sent again: what is reported beyond is left to be asked for.
const MAX_LOST: usize = 256;

/// The keys of one viewer at work.
struct Sealed {
    sealer: Sealer,
    opener: Opener,
}

impl Sealed {
    fn way<'a>(&'a self, to: Path, transit: &'a mut Transit, out: &'a mut Outbox) -> Way<'a> {
        Way {
            sealer: &self.sealer,
            to,
            out,
            transit,
        }
    }
}

/// Sends to one viewer.
pub(crate) struct Sender {
    sealed: Option<Sealed>,
    /// Where its media goes, and how it gets there.
    to: Option<Path>,
    transit: Transit,
    audio: Option<Stream>,
    video: Option<Stream>,
    /// Sound that goes behind the picture of the same moment, in the same call to the system.
    sounds: Vec<(Heading, Arc<[u8]>)>,
    cname: String,
    /// When the streams are reported next, once there is anything to report.
    report_at: Option<Instant>,
    /// What it said that is not told yet.
    nacks: Vec<(u32, u16, u16)>,
    lost: Vec<u16>,
    keyframe_wanted: bool,
    capacity: Option<u64>,
    farewell: bool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    pub(crate) fn new(audio: Option<Terms>, video: Option<Terms>, cname: String) -> Self {
        Self {
            sealed: None,
            to: None,
            transit: Transit::default(),
            audio: audio.map(Stream::new),
            video: video.map(Stream::new),
            sounds: Vec::new(),
            cname,
            report_at: None,
            nacks: Vec::new(),
            lost: Vec::new(),
            keyframe_wanted: false,
            capacity: None,
            farewell: false,
        }
    }

    /// Takes the keys; `false` when they are none that it knows.
    pub(crate) fn start(&mut self, keys: &Keys) -> bool {
        // Never again under other numbers: what is sealed goes on where it stands.
        if self.sealed.is_none() {
            self.sealed = sealed(keys);
        }
        self.sealed.is_some()
    }

    /// Media goes there from now on.
    pub(crate) fn lead(&mut self, to: Path) {
        self.to = Some(to);
    }

    /// When [`Self::drive`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.report_at
    }

    pub(crate) fn send_video(
        &mut self,
        heading: Heading,
        payloads: &Payloads,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let (Some(sealed), Some(to), Some(video)) = (&self.sealed, self.to, &mut self.video) {
            self.transit.turn(now);
            if video.is_new() {
                self.report_at = Some(now);
            }
            let way = &mut sealed.way(to, &mut self.transit, out);
            video.send_frame(heading, payloads, now, way);
        }
    }

    /// Sends a packet of sound with the next [`Self::drive`].
    pub(crate) fn send_audio(&mut self, heading: Heading, payload: &Arc<[u8]>) {
        self.sounds.push((heading, Arc::clone(payload)));
    }

    fn send_sounds(&mut self, now: Instant, out: &mut Outbox) {
        let sounds = mem::take(&mut self.sounds);
        if let (Some(sealed), Some(to), Some(audio)) = (&self.sealed, self.to, &mut self.audio) {
            let way = &mut sealed.way(to, &mut self.transit, out);
            if audio.is_new() {
                self.report_at = Some(now);
            }
            // The first one may end what has begun. The others are of one size, and so one call.
            let others = sounds.iter().skip(1);
            let longest = others.map(|(_, payload)| payload.len()).max().unwrap_or(0);
            for (at, (heading, payload)) in sounds.iter().enumerate() {
                let lacks = longest.saturating_sub(payload.len());
                let padding = if at > 0 {
                    u8::try_from(lacks).unwrap_or(0)
                } else {
                    0
                };
                audio.send_once(*heading, payload, padding, now, way);
            }
        }
        self.sounds = sounds;
        self.sounds.clear();
    }

    /// Takes in what is neither STUN nor DTLS.
    pub(crate) fn receive(&mut self, datagram: &[u8], now: Instant) {
        // RTP has other payload types there (RFC 5761 §4), and a viewer has none to send.
        if !matches!(datagram.get(1), Some(192..=223)) {
            return;
        }
        let Some(sealed) = &mut self.sealed else {
            return;
        };
        let mut datagram = datagram.to_vec();
        let Some(compound) = sealed.opener.rtcp(&mut datagram) else {
            return;
        };
        rtcp::read(compound, |feedback| match feedback {
            Feedback::Nack {
                ssrc,
                first,
                others,
            } if self.nacks.len() < MAX_NACKS => self.nacks.push((ssrc, first, others)),
            Feedback::Nack { .. } => {}
            Feedback::KeyframeWanted => self.keyframe_wanted = true,
            Feedback::Capacity(bits) => self.capacity = Some(bits),
            Feedback::Arrivals(arrivals) => {
                self.transit.arrived(&arrivals, now);
                let room = MAX_LOST - self.lost.len();
                self.lost.extend(arrivals.missing().take(room));
            }
        });
    }

    /// Whether it asked for a keyframe since this was last asked.
    pub(crate) fn keyframe_wanted(&mut self) -> bool {
        mem::take(&mut self.keyframe_wanted)
    }

    /// What its network carries, if it said so since this was last asked.
    pub(crate) fn capacity(&mut self) -> Option<u64> {
        self.capacity.take()
    }

    /// For how long its network is full, where that is known anew since this was last asked.
    pub(crate) fn full(&mut self) -> Option<Duration> {
        self.transit.full()
    }

    /// Sends sound, what is missed, and reports and goodbyes that are due.
    pub(crate) fn drive(&mut self, now: Instant, out: &mut Outbox) {
        self.transit.turn(now);
        if !self.sounds.is_empty() {
            self.send_sounds(now, out);
        }
        let (nacks, lost) = (mem::take(&mut self.nacks), mem::take(&mut self.lost));
        if let (Some(sealed), Some(to), Some(video)) = (&self.sealed, self.to, &mut self.video) {
            let ssrc = video.ssrc();
            let own = nacks.into_iter().filter(|(of, ..)| *of == ssrc);
            let way = &mut sealed.way(to, &mut self.transit, out);
            for (_, first, others) in own {
                video.resend(first, others, now, way);
            }
            for count in lost {
                video.lost(count, now, way);
            }
        }
        let farewell = mem::take(&mut self.farewell);
        if farewell || self.report_at.is_some_and(|at| now >= at) {
            if let Some(video) = &mut self.video {
                video.forget(now);
            }
            self.report(farewell, now, out);
            self.report_at = (!farewell).then(|| now + REPORTS);
        }
    }

    fn report(&mut self, farewell: bool, now: Instant, out: &mut Outbox) {
        let (Some(sealed), Some(to)) = (&mut self.sealed, self.to) else {
            return;
        };
        let streams = [&self.video, &self.audio].into_iter().flatten();
        let reports: Vec<_> = streams.filter_map(|it| it.report(now)).collect();
        if reports.is_empty() {
            return;
        }
        let mut compound = Vec::with_capacity(256);
        rtcp::write_reports(&mut compound, &reports, &self.cname);
        if farewell {
            let gone: Vec<_> = reports.iter().map(|report| report.ssrc).collect();
            rtcp::write_goodbye(&mut compound, &gone);
        }
        if sealed.sealer.rtcp(&mut compound).is_ok() {
            out.write(to, compound.len(), |datagram| {
                datagram.copy_from_slice(&compound);
                true
            });
        }
    }

    /// Goes on with video as if so many packets had been sent.
    #[cfg(test)]
    pub(crate) fn wind(&mut self, index: u64) {
        self.video.as_mut().unwrap().wind(index);
    }

    /// Its streams end: the next [`Self::drive`] says so.
    pub(crate) fn close(&mut self) {
        self.farewell = true;
    }
}

fn sealed(keys: &Keys) -> Option<Sealed> {
    let [client, server] = masters(keys.profile, &keys.material)?;
    let (own, theirs) = if keys.client {
        (client, server)
    } else {
        (server, client)
    };
    Some(Sealed {
        sealer: Sealer::new(keys.profile, own).ok()?,
        opener: Opener::new(keys.profile, theirs).ok()?,
    })
}
