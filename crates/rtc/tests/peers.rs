//! A peer of another make (str0m with full ICE) meets the port by UDP and by TCP: media goes both
//! ways, and goodbyes are heard.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails as the test does"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_rtc::{
    Answered, Format, Happening, Heading, Listener, OfferError, Outbox, Payloads, Peer, Port, Role,
    Settings, h264,
};
use prometheus::Registry;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// A port that listens until it is dropped.
struct Node {
    port: Arc<Port>,
    _stop: tokio_util::sync::DropGuard,
}

fn node() -> Node {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public: Vec::new(),
    };
    let listener = Listener::bind(&settings, &Registry::new()).unwrap();
    let port = listener.port();
    let stop = CancellationToken::new();
    tokio::spawn(listener.run(stop.clone()));
    Node {
        port,
        _stop: stop.drop_guard(),
    }
}

/// How the client reaches the port.
enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// The other side, driven by hand.
struct Client {
    rtc: Rtc,
    way: Way,
    local: SocketAddr,
    events: Vec<Event>,
    /// Its audio line.
    audio: Option<Mid>,
}

impl Client {
    fn new(tcp: bool, port: &Port) -> Self {
        let mut rtc = Rtc::new(Instant::now());
        let (way, local, candidate) = if tcp {
            let stream = TcpStream::connect(port.local_addr()).unwrap();
            stream.set_nonblocking(true).unwrap();
            let local = stream.local_addr().unwrap();
            let candidate = Candidate::builder()
                .tcp()
                .host(local)
                .tcptype(TcpType::Active)
                .build();
            (Way::Tcp(stream, Vec::new()), local, candidate.unwrap())
        } else {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let local = socket.local_addr().unwrap();
            let candidate = Candidate::host(local, "udp").unwrap();
            (Way::Udp(socket), local, candidate)
        };
        rtc.add_local_candidate(candidate);
        Self {
            rtc,
            way,
            local,
            events: Vec::new(),
            audio: None,
        }
    }

    fn offer(&mut self, direction: Direction) -> (String, SdpPendingOffer) {
        let mut change = self.rtc.sdp_api();
        change.add_media(MediaKind::Video, direction, None, None, None);
        let audio = change.add_media(MediaKind::Audio, direction, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        self.audio = Some(audio);
        (offer.to_sdp_string(), pending)
    }

    fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
    }

    /// Sends and takes in what there is; events are kept.
    fn turn(&mut self) {
        let now = Instant::now();
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        while let Some((from, bytes)) = self.receive() {
            let proto = match self.way {
                Way::Udp(_) => Protocol::Udp,
                Way::Tcp(..) => Protocol::Tcp,
            };
            if let Ok(receive) = Receive::new(proto, from, self.local, &bytes) {
                self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
            }
        }
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) if at > Instant::now() => return,
                Output::Timeout(_) => {
                    self.rtc
                        .handle_input(Input::Timeout(Instant::now()))
                        .unwrap();
                    if !self.rtc.is_alive() {
                        return;
                    }
                }
                Output::Transmit(out) => match &mut self.way {
                    Way::Udp(socket) if out.proto == Protocol::Udp => {
                        let _ = socket.send_to(&out.contents, out.destination);
                    }
                    Way::Tcp(stream, _) if out.proto == Protocol::Tcp => {
                        let length = u16::try_from(out.contents.len()).unwrap();
                        let framed = [&length.to_be_bytes()[..], &out.contents].concat();
                        stream.write_all(&framed).unwrap();
                    }
                    _ => {}
                },
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn receive(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let mut buffer = [0; 4096];
        match &mut self.way {
            Way::Udp(socket) => {
                let (length, from) = socket.recv_from(&mut buffer).ok()?;
                Some((from, buffer[..length].to_vec()))
            }
            Way::Tcp(stream, held) => {
                match stream.read(&mut buffer) {
                    Ok(length) => held.extend_from_slice(&buffer[..length]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                let length = usize::from(u16::from_be_bytes(held.get(..2)?.try_into().unwrap()));
                let bytes = held.get(2..2 + length)?.to_vec();
                held.drain(..2 + length);
                Some((stream.peer_addr().unwrap(), bytes))
            }
        }
    }
}

/// Both sides of a session.
struct Session {
    client: Client,
    peer: Peer,
    inbox: mpsc::Receiver<lockgate_rtc::Datagram>,
    out: Outbox,
    happened: Vec<Happening>,
    node: Node,
}

impl Session {
    fn open(tcp: bool, role: Role) -> Self {
        let node = node();
        let mut client = Client::new(tcp, &node.port);
        let (offer, pending) = client.offer(match role {
            Role::Send => Direction::RecvOnly,
            Role::Receive => Direction::SendOnly,
        });
        let answered = Answered::to(&offer, role, &node.port, Instant::now()).unwrap();
        assert!(answered.has_audio() && answered.has_video());
        client.accept(pending, &answered.answer);
        let (send, inbox) = mpsc::channel(1024);
        Self {
            client,
            peer: answered.register(send, 7),
            inbox,
            out: Outbox::new(Arc::clone(&node.port)),
            happened: Vec::new(),
            node,
        }
    }

    /// Turns both sides until `done`.
    async fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "waited for {what}");
            self.client.turn();
            let wait = tokio::time::timeout(Duration::from_millis(2), self.inbox.recv());
            if let Ok(Some(datagram)) = wait.await {
                assert_eq!(datagram.peer, 7);
                self.peer.receive(&datagram, Instant::now());
            }
            let happened = &mut self.happened;
            self.peer
                .drive(Instant::now(), &mut self.out, |it| happened.push(it));
            self.out.flush();
        }
    }

    async fn connect(&mut self) {
        self.until("both to be connected", |it| {
            let mut theirs = it.client.events.iter();
            it.peer.is_connected() && theirs.any(|event| matches!(event, Event::Connected))
        })
        .await;
    }
}

/// A keyframe of two packets, as an encoder might make it.
fn keyframe() -> Vec<Arc<[u8]>> {
    let slice = [&[0x65][..], &[7; 1500]].concat();
    let units: [&[u8]; 3] = [&[0x67, 0x42, 0xe0, 0x1f], &[0x68, 1], &slice];
    h264::payloads(units.into_iter())
}

async fn sends(tcp: bool) {
    let mut session = Session::open(tcp, Role::Send);
    session.connect().await;
    let line = session.peer.video().unwrap().clone();
    let payload_type = line.payload_type(Format::H264(Some(0x42_e01f))).unwrap();
    let payloads: Payloads = keyframe().into();
    for frame in 0..5 {
        let now = Instant::now();
        let heading = Heading {
            payload_type: *payload_type,
            time: frame * 3000,
            wallclock: now,
        };
        let Session { peer, out, .. } = &mut session;
        peer.send_video(heading, &payloads, now, out);
    }
    session
        .until("five frames", |it| {
            let frames = it.client.events.iter();
            frames
                .filter(|event| matches!(event, Event::MediaData(data) if data.data.len() > 1500))
                .count()
                == 5
        })
        .await;
    session.peer.close();
    session
        .until("the goodbye to be heard", |it| {
            it.client
                .events
                .iter()
                .any(|it| matches!(it, Event::Closed))
        })
        .await;
}

#[tokio::test]
async fn a_viewer_by_udp_gets_frames_and_the_goodbye() {
    sends(false).await;
}

#[tokio::test]
async fn a_viewer_by_tcp_gets_frames_and_the_goodbye() {
    sends(true).await;
}

#[tokio::test]
async fn a_publishers_frames_come_in_whole_and_its_goodbye_is_heard() {
    let mut session = Session::open(false, Role::Receive);
    session.connect().await;
    let mid = session.client.audio.unwrap();
    let writer = session.client.rtc.writer(mid).unwrap();
    let pt = writer.payload_params().next().unwrap().pt();
    let packet = vec![0xfc, 0xff, 0xfe];
    let time = MediaTime::from_secs(1);
    writer
        .write(pt, Instant::now(), time, packet.clone())
        .unwrap();
    session
        .until("the packet", |it| {
            it.happened.iter().any(|happening| match happening {
                Happening::Frame(frame) => frame.data[..] == packet[..] && !frame.video,
                _ => false,
            })
        })
        .await;
    session.client.rtc.close().unwrap();
    session
        .until("the goodbye to be heard", |it| {
            it.happened.iter().any(|it| matches!(it, Happening::Closed))
        })
        .await;
}

#[tokio::test]
async fn a_peer_that_checks_from_very_many_addresses_is_answered_at_some() {
    let mut session = Session::open(false, Role::Send);
    let Session {
        client,
        peer,
        inbox,
        out,
        node,
        ..
    } = &mut session;
    let now = Instant::now();
    client.rtc.handle_input(Input::Timeout(now)).unwrap();
    let check = loop {
        match client.rtc.poll_output().unwrap() {
            Output::Transmit(check) => break check.contents.to_vec(),
            Output::Timeout(at) => client.rtc.handle_input(Input::Timeout(at)).unwrap(),
            Output::Event(_) => {}
        }
    };
    let to = node.port.local_addr();
    let sockets: Vec<_> = (0..100)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    // Twice: where it was answered once, it is again.
    for _ in 0..2 {
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
            socket.send_to(&check, to).unwrap();
            let datagram = inbox.recv().await.unwrap();
            peer.receive(&datagram, now);
            peer.drive(now, out, |_| {});
            out.flush();
        }
        let answered = sockets.iter().filter(|it| it.recv(&mut [0; 2048]).is_ok());
        assert_eq!(answered.count(), 64);
    }
}

#[tokio::test]
async fn offers_that_go_the_wrong_way_or_are_none_are_refused() {
    let node = node();
    let mut client = Client::new(false, &node.port);
    let (offer, _) = client.offer(Direction::SendOnly);
    let now = Instant::now();
    let answered = Answered::to(&offer, Role::Send, &node.port, now);
    assert!(matches!(answered, Err(OfferError::NoCommonCodec)));
    for none in ["", "v=0", "not sdp at all", &offer[..offer.len() / 2]] {
        let answered = Answered::to(none, Role::Receive, &node.port, now);
        assert!(answered.is_err() || none.len() > 100, "{none}");
    }
}

#[tokio::test]
async fn an_offer_whose_lines_have_no_names_is_refused() {
    let node = node();
    let mut client = Client::new(false, &node.port);
    let (offer, _) = client.offer(Direction::RecvOnly);
    let mids: Vec<_> = offer
        .lines()
        .filter(|it| it.starts_with("a=mid:"))
        .collect();
    assert_eq!(mids.len(), 2);
    for mid in mids {
        for instead in ["", "a=mid:\r\n", "a=mid\r\n", "a=middle:1\r\n"] {
            let offer = offer.replace(&format!("{mid}\r\n"), instead);
            let answered = Answered::to(&offer, Role::Send, &node.port, Instant::now());
            assert!(matches!(answered, Err(OfferError::Bad(_))), "{answered:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_no_session_takes_for_its_own_is_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = node();
    let opened = tokio::time::Instant::now();
    let stream = tokio::net::TcpStream::connect(node.port.local_addr());
    let mut stream = stream.await.unwrap();
    let check = [&[0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat();
    stream.write_all(&check).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(opened.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_offer_of_very_many_lines_is_refused() {
    let node = node();
    let mut client = Client::new(false, &node.port);
    client.offer(Direction::RecvOnly);
    for (lines, taken) in [(4, true), (5, false)] {
        let mut change = client.rtc.sdp_api();
        for _ in 0..lines {
            change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, _) = change.apply().unwrap();
        let answered = Answered::to(
            &offer.to_sdp_string(),
            Role::Send,
            &node.port,
            Instant::now(),
        );
        assert_eq!(answered.is_ok(), taken, "{lines} lines: {answered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_connects_to_is_over_after_a_while() {
    let mut session = Session::open(false, Role::Send);
    let by = session.peer.deadline();
    assert!(by <= Instant::now() + Duration::from_secs(30));
    let later = Instant::now() + Duration::from_secs(31);
    let mut closed = false;
    session.peer.drive(later, &mut session.out, |it| {
        closed |= matches!(it, Happening::Closed);
    });
    assert!(closed);
}
