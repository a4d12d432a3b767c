//! A viewer by str0m on the other side, over a socket, in a time of their own.

use std::collections::{HashMap, HashSet};
use std::net::UdpSocket;

use prometheus::Registry;
use str0m::bwe::Bitrate;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, RtcConfig};
use tokio::sync::mpsc;

use super::*;
use crate::keys::Keys;
use crate::srtp::{Body, Sealer, masters};
use crate::{Answered, Format, Listener, Role, Settings};

const STEP: Duration = Duration::from_millis(5);
const PAYLOAD: usize = 900;

struct Net {
    peer: Peer,
    out: Outbox,
    inbox: mpsc::Receiver<Datagram>,
    port: Arc<Port>,
    client: Rtc,
    socket: UdpSocket,
    node: std::net::SocketAddr,
    mids: [Mid; 2],
    now: Instant,
    /// What came of the node.
    seen: Vec<Vec<u8>>,
    events: Vec<Event>,
    told: Vec<Happening>,
    _listener: Listener,
}

fn client() -> RtcConfig {
    Rtc::builder()
        .clear_codecs()
        .enable_h264(true)
        .enable_opus(true, false)
        .set_rtp_mode(true)
}

impl Net {
    async fn new() -> Self {
        Self::with(client().build(Instant::now())).await
    }

    async fn with(mut client: Rtc) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public: Vec::new(),
        };
        let listener = Listener::bind(&settings, &Registry::new()).unwrap();
        let port = listener.port();
        port.writable().await;
        let now = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let local = socket.local_addr().unwrap();
        client.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut change = client.sdp_api();
        let mids = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| change.add_media(kind, Direction::RecvOnly, None, None, None));
        let (offer, pending) = change.apply().unwrap();
        let answered = Answered::to(&offer.to_sdp_string(), Role::Send, &port, now).unwrap();
        let answer = SdpAnswer::from_sdp_string(&answered.answer).unwrap();
        client.sdp_api().accept_answer(pending, answer).unwrap();
        let (send, inbox) = mpsc::channel(1024);
        let mut net = Self {
            peer: answered.register(send, 1),
            out: Outbox::new(Arc::clone(&port)),
            inbox,
            node: port.local_addr(),
            port,
            client,
            socket,
            mids,
            now,
            seen: Vec::new(),
            events: Vec::new(),
            told: Vec::new(),
            _listener: listener,
        };
        for _ in 0..1000 {
            net.step(|_| true);
            let connected = |it: &Event| matches!(it, Event::Connected);
            if net.peer.is_connected() && net.events.iter().any(connected) {
                return net;
            }
        }
        panic!("not connected");
    }

    /// A turn of both sides. What the node sends arrives where `arrives` says so.
    fn step(&mut self, mut arrives: impl FnMut(&[u8]) -> bool) {
        self.now += STEP;
        let told = &mut self.told;
        self.peer.drive(self.now, &mut self.out, |it| told.push(it));
        self.out.flush();
        let mut buffer = [0; 4096];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            let bytes = &buffer[..length];
            self.seen.push(bytes.to_vec());
            if !arrives(bytes) {
                continue;
            }
            let receive = Receive {
                proto: Protocol::Udp,
                source: self.node,
                destination: self.socket.local_addr().unwrap(),
                contents: bytes.try_into().unwrap(),
            };
            let input = Input::Receive(self.now, receive);
            self.client.handle_input(input).unwrap();
            self.poll();
        }
        self.client.handle_input(Input::Timeout(self.now)).unwrap();
        self.poll();
        while let Ok(datagram) = self.inbox.try_recv() {
            self.peer.receive(&datagram, self.now);
        }
    }

    fn poll(&mut self) {
        let path = Path {
            tcp: false,
            source: self.socket.local_addr().unwrap(),
        };
        loop {
            match self.client.poll_output().unwrap() {
                Output::Transmit(it) => self.port.deliver(path, &it.contents),
                Output::Timeout(at) if at <= self.now => {
                    self.client.handle_input(Input::Timeout(self.now)).unwrap();
                }
                Output::Timeout(_) => break,
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Frame `number`: three packets of video, and one of sound.
    fn send(&mut self, number: u32) {
        let lines = [
            (self.peer.audio(), Format::Opus),
            (self.peer.video(), Format::H264(None)),
        ];
        let types = lines.map(|(line, of)| *line.unwrap().payload_type(of).unwrap());
        let [audio, video] = types.map(|payload_type| Heading {
            payload_type,
            time: number * 3000,
            wallclock: self.now,
        });
        let byte = u8::try_from(number % 256).unwrap();
        let payload = |at: u8| Arc::from([&[byte, at][..], &[0x41; PAYLOAD]].concat());
        let payloads: Payloads = [0, 1, 2].map(payload).into();
        let (now, out) = (self.now, &mut self.out);
        self.peer.send_video(video, &payloads, now, out);
        self.peer.send_audio(audio, &Arc::from([byte; 40]));
    }

    /// What the client was given of a line: first bytes of payloads, by sequence number.
    fn received(&self, mid: Mid) -> Vec<(u64, Vec<u8>, bool)> {
        let packets = self.events.iter().filter_map(|event| match event {
            Event::RtpPacket(it) if it.header.ext_vals.mid == Some(mid) => Some(it),
            _ => None,
        });
        let parts = packets.map(|it| {
            let first = it.payload[..2].to_vec();
            (*it.seq_no, first, it.header.marker)
        });
        let mut all: Vec<_> = parts.collect();
        all.sort();
        all
    }
}

fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

fn is_rtcp(datagram: &[u8]) -> bool {
    is_media(datagram) && matches!(datagram[1], 192..=223)
}

#[tokio::test]
async fn a_viewer_gets_every_packet_in_order_and_learns_how_lines_belong_together() {
    let mut net = Net::new().await;
    if let Media::Sent(_, sender) = &mut net.peer.media {
        // Numbers of 16 bits start anew on the way.
        sender.wind(65_400);
    }
    for number in 0..300 {
        net.send(number);
        net.step(|_| true);
    }
    let [audio, video] = net.mids;
    let (sound, picture) = (net.received(audio), net.received(video));
    assert_eq!((sound.len(), picture.len()), (300, 900));
    for (at, packet) in picture.iter().enumerate() {
        let (number, part) = (u8::try_from(at / 3 % 256).unwrap(), at % 3);
        assert_eq!(packet.0, picture[0].0 + at as u64);
        assert_eq!(packet.1, [number, u8::try_from(part).unwrap()]);
        assert_eq!(packet.2, part == 2);
    }
    // A report came for each line, of the same moment.
    let report = |mid| {
        net.events.iter().rev().find_map(|event| match event {
            Event::RtpPacket(it) if it.header.ext_vals.mid == Some(mid) => it.last_sender_info,
            _ => None,
        })
    };
    let reports = net.mids.map(|mid| report(mid).unwrap());
    assert_eq!(reports[0].ntp_time, reports[1].ntp_time);
    // Both lines had one time and one instant: in ticks of their own, the report has more of video's.
    let seconds = reports.map(|it| it.rtp_time.numer() as f64);
    assert!(seconds[1] >= seconds[0], "{reports:?}");
    let stats: Vec<_> = net.seen.iter().filter(|it| is_rtcp(it)).collect();
    assert!(
        (2..=3).contains(&stats.len()),
        "one a second: {}",
        stats.len()
    );
}

#[tokio::test]
async fn what_is_lost_comes_again_by_the_stream_of_resends() {
    let mut net = Net::new().await;
    let mut count = 0;
    for number in 0..200 {
        if number < 100 {
            net.send(number);
        }
        net.step(|datagram| {
            let media = is_media(datagram) && !is_rtcp(datagram) && datagram.len() > PAYLOAD;
            count += usize::from(media);
            !media || number >= 80 || count % 5 != 0
        });
    }
    let picture = net.received(net.mids[1]);
    let numbers: HashSet<_> = picture.iter().map(|it| it.0).collect();
    assert_eq!(numbers.len(), 300, "{}", picture.len());
}

#[tokio::test]
async fn a_viewer_is_heard_when_it_wants_a_keyframe_or_measures_its_network() {
    let mut net = Net::new().await;
    for number in 0..20 {
        net.send(number);
        net.step(|_| true);
    }
    let mid = net.mids[1];
    let mut api = net.client.direct_api();
    let stream = api.stream_rx_by_mid(mid, None).unwrap();
    stream.request_keyframe(KeyframeRequestKind::Pli);
    stream.request_remb(Bitrate::from(700_000));
    for _ in 0..300 {
        net.step(|_| true);
    }
    let wanted = |it: &Happening| matches!(it, Happening::KeyframeWanted);
    assert!(net.told.iter().any(wanted), "{:?}", net.told);
    let near = |it: &Happening| matches!(it, Happening::Capacity(690_000..=700_000));
    assert!(net.told.iter().any(near), "{:?}", net.told);
}

#[tokio::test]
async fn a_viewer_that_is_left_learns_of_it() {
    let mut net = Net::new().await;
    net.send(1);
    net.step(|_| true);
    net.peer.close();
    for _ in 0..100 {
        net.step(|_| true);
    }
    let closed = |it: &Happening| matches!(it, Happening::Closed);
    assert!(net.told.iter().any(closed));
    assert!(net.events.iter().any(|it| matches!(it, Event::Closed)));
}

#[tokio::test]
async fn a_viewer_that_says_nothing_any_more_is_gone_after_a_while() {
    let mut net = Net::new().await;
    let start = net.now;
    let gone = |it: &Happening| matches!(it, Happening::Closed);
    while !net.told.iter().any(gone) {
        // As a stage does: no sooner than it is due.
        net.now = net.peer.deadline().max(net.now);
        assert!(net.now < start + Duration::from_secs(60));
        let told = &mut net.told;
        net.peer.drive(net.now, &mut net.out, |it| told.push(it));
    }
    assert!(net.now > start + Duration::from_secs(5));
}

/// Takes a packet of RTP apart and puts it together again: counter modes undo themselves.
fn resealed(sealer: &Sealer, packet: &[u8], rollover: u64) -> (u32, u64, Vec<u8>) {
    let words = usize::from(u16::from_be_bytes([packet[14], packet[15]]));
    let header = &packet[..16 + 4 * words];
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
    let number = u16::from_be_bytes([packet[2], packet[3]]);
    let index = rollover << 16 | u64::from(number);
    let body = &packet[header.len()..packet.len() - sealer.tag()];
    let seal = |payload: &[u8]| {
        let body = Body {
            prefix: &[],
            payload,
            padding: 0,
        };
        let mut sealed = vec![0; packet.len()];
        sealer.rtp(&mut sealed, header, &body, ssrc, index).unwrap();
        sealed
    };
    let clear = seal(body);
    let again = seal(&clear[header.len()..packet.len() - sealer.tag()]);
    (ssrc, index, again)
}

#[tokio::test]
async fn nothing_leaves_that_str0m_sealed_and_no_number_is_sealed_twice() {
    // A client that tells its keys.
    let (rtc, tap) = keys::build(client(), Instant::now());
    let mut net = Net::with(rtc).await;
    let Keys {
        profile,
        material,
        client,
    } = tap.take().unwrap();
    let [first, second] = masters(profile, &material).unwrap();
    let own = if client { second } else { first };
    let sealer = Sealer::new(profile, own).unwrap();
    // str0m is given all that it needs to send by itself, but for the key.
    let line = net.peer.video().unwrap().clone();
    let (ssrc, mid, payload_type) = (
        77_u32,
        line.mid,
        line.payload_type(Format::H264(None)).unwrap(),
    );
    let mut api = net.peer.rtc.direct_api();
    api.declare_stream_tx(ssrc.into(), None, mid, None);
    let mut numbers: HashMap<u32, HashSet<u64>> = HashMap::new();
    for number in 0..2000_u32 {
        net.send(number);
        write_by_str0m(&mut net.peer.rtc, mid, payload_type, number, net.now);
        net.step(|_| true);
        if number == 1900 {
            net.peer.close();
        }
    }
    let (mut reports, mut rollovers) = (HashSet::new(), HashMap::new());
    for packet in net.seen.iter().filter(|it| is_media(it)) {
        if is_rtcp(packet) {
            // Where the index of SRTCP stands depends on the profile.
            let end = match sealer.tag() {
                10 => packet.len() - 10,
                _ => packet.len(),
            };
            assert!(reports.insert(packet[end - 4..end].to_vec()));
            assert_ne!(packet[4..8], ssrc.to_be_bytes());
            continue;
        }
        let of = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        assert_ne!(of, ssrc);
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let (last, rollover) = rollovers.entry(of).or_insert((number, 0_u64));
        *rollover += u64::from(number < 1000 && *last > 60_000);
        *last = number;
        let (of, index, again) = resealed(&sealer, packet, *rollover);
        assert_eq!(*packet, again, "sealed with the node's key");
        assert!(numbers.entry(of).or_default().insert(index), "{of} {index}");
    }
    assert_eq!(numbers.len(), 2);
    assert!(reports.len() >= 9, "{}", reports.len());
}

fn write_by_str0m(rtc: &mut Rtc, mid: Mid, payload_type: Pt, number: u32, now: Instant) {
    let mut api = rtc.direct_api();
    let Some(stream) = api.stream_tx_by_mid(mid, None) else {
        return;
    };
    let number = u64::from(number);
    let time = u32::try_from(number * 3000).unwrap();
    let payload: Arc<[u8]> = Arc::from([0x41; 100]);
    stream.write_rtp(RtpWrite::new(
        payload_type,
        number.into(),
        time,
        now,
        payload,
    ));
}
