//! What a packet costs to one WebRTC viewer: RTP, SRTP and their bookkeeping, with and without the
//! call that sends it. Cutting the frame is not in it: that is done once for all viewers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench that cannot set itself up ends"
)]

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockgate_rtc::{Answered, Format, Heading, Listener, Outbox, Payloads, Peer, Role, Settings};
use prometheus::Registry;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Packets of a frame: 1 Mbit/s at 30 frames a second.
const PACKETS: usize = 4;
const PAYLOAD: usize = 1050;

struct Viewer {
    peer: Peer,
    out: Outbox,
    payload_type: u8,
    frame: u32,
    payloads: Payloads,
    // Reads what is sent, so that the socket never fills.
    _client: std::thread::JoinHandle<()>,
}

/// Connects a client by UDP, which then only reads.
async fn connect() -> Viewer {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public: Vec::new(),
    };
    let listener = Listener::bind(&settings, &Registry::new()).unwrap();
    let port = listener.port();
    tokio::spawn(listener.run(CancellationToken::new()));
    let mut rtc = Rtc::new(Instant::now());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let local = socket.local_addr().unwrap();
    rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
    let mut change = rtc.sdp_api();
    change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = change.apply().unwrap();
    let answered = Answered::to(&offer.to_sdp_string(), Role::Send, &port, Instant::now()).unwrap();
    let answer = SdpAnswer::from_sdp_string(&answered.answer).unwrap();
    rtc.sdp_api().accept_answer(pending, answer).unwrap();
    let (send, mut inbox) = mpsc::channel(1024);
    let mut peer = answered.register(send, 1);
    let mut out = Outbox::new(port);
    let mut buffer = [0; 4096];
    while !peer.is_connected() {
        rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let bytes = buffer.get(..length).unwrap();
            if let Ok(receive) = Receive::new(Protocol::Udp, from, local, bytes) {
                let input = Input::Receive(Instant::now(), receive);
                rtc.handle_input(input).unwrap();
            }
        }
        loop {
            match rtc.poll_output().unwrap() {
                Output::Transmit(it) => drop(socket.send_to(&it.contents, it.destination)),
                Output::Timeout(at) if at > Instant::now() => break,
                Output::Timeout(_) => {
                    rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
                Output::Event(_) => {}
            }
        }
        let wait = tokio::time::timeout(Duration::from_millis(2), inbox.recv());
        if let Ok(Some(datagram)) = wait.await {
            peer.receive(&datagram, Instant::now());
        }
        peer.drive(Instant::now(), &mut out, |_| {});
        out.flush();
    }
    socket.set_nonblocking(false).unwrap();
    let client = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while socket.recv(&mut buffer).is_ok() {}
    });
    let payload_type = *peer
        .video()
        .unwrap()
        .payload_type(Format::H264(None))
        .unwrap();
    Viewer {
        peer,
        out,
        payload_type,
        frame: 0,
        payloads: vec![Arc::from([0x41; PAYLOAD]); PACKETS].into(),
        _client: client,
    }
}

impl Viewer {
    fn frame(&mut self) {
        self.frame += 1;
        let now = Instant::now();
        let heading = Heading {
            payload_type: self.payload_type,
            time: self.frame.wrapping_mul(3000),
            wallclock: now,
        };
        self.peer
            .send_video(heading, &self.payloads, now, &mut self.out);
        self.peer.drive(now, &mut self.out, |happening| {
            black_box(happening);
        });
    }
}

fn packets(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut viewer = runtime.block_on(connect());
    let mut group = c.benchmark_group("webrtc");
    group.throughput(Throughput::Elements(PACKETS as u64));
    group.bench_function("a frame of four packets, sealed", |bench| {
        bench.iter(|| {
            viewer.frame();
            viewer.out.discard();
        });
    });
    group.bench_function("a frame of four packets, sealed and sent", |bench| {
        bench.iter(|| {
            viewer.frame();
            viewer.out.flush();
        });
    });
    group.finish();
}

criterion_group!(benches, packets);
criterion_main!(benches);
