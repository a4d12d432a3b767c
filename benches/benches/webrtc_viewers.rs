//! What a packet costs all told, and what a viewer keeps: 200 viewers of one stream of 1 Mbit/s, by
//! real sockets, in real time, with their keep-alives and reports, and resends for some that lose
//! packets. Time and memory are those of the one thread that is the node.
//!
//! `cargo bench -p lockgate-benches --bench webrtc_viewers -- [viewers] [seconds]`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that cannot set itself up ends, and tells what it found"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lockgate_rtc::{
    Answered, Datagram, Format, Heading, Listener, Outbox, Payloads, Peer, Port, Role, Settings,
};
use prometheus::Registry;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

/// A frame of 1 Mbit/s at 30 a second, as the packetiser cuts it, and a packet of Opus.
const FRAME: [usize; 4] = [1042, 1042, 1042, 1039];
const FRAME_EVERY: Duration = Duration::from_micros(33_333);
const SOUND: usize = 160;
const SOUND_EVERY: Duration = Duration::from_millis(20);
/// One in so many viewers reads its media, and loses one in so many packets.
const READS: usize = 10;
const LOSES: u64 = 50;
const MAX_HOLD: Duration = Duration::from_millis(40);
const WARM_UP: Duration = Duration::from_secs(3);

type Offer = (String, oneshot::Sender<String>);

static LOST: AtomicU64 = AtomicU64::new(0);

/// A client: keeps its session alive, and reads its media if it is one that does.
async fn client(number: usize, offers: mpsc::Sender<Offer>) {
    let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
    let mut change = rtc.sdp_api();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        change.add_media(kind, Direction::RecvOnly, None, None, None);
    }
    let (offer, pending) = change.apply().unwrap();
    let (send, answer) = oneshot::channel();
    offers.send((offer.to_sdp_string(), send)).await.unwrap();
    let answer = SdpAnswer::from_sdp_string(&answer.await.unwrap()).unwrap();
    rtc.sdp_api().accept_answer(pending, answer).unwrap();
    let mut buffer = [0; 4096];
    let mut count = 0_u64;
    loop {
        let due = loop {
            match rtc.poll_output().unwrap() {
                Output::Transmit(it) => drop(socket.try_send_to(&it.contents, it.destination)),
                Output::Timeout(at) => break at,
                Output::Event(_) => {}
            }
        };
        let received = tokio::time::timeout_at(due.into(), socket.recv_from(&mut buffer)).await;
        let now = Instant::now();
        let Ok(Ok((length, from))) = received else {
            rtc.handle_input(Input::Timeout(now)).unwrap();
            continue;
        };
        if buffer[0] >= 128 {
            count += 1;
            if !number.is_multiple_of(READS) {
                continue;
            }
            if count.is_multiple_of(LOSES) {
                LOST.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        if let Ok(receive) = Receive::new(Protocol::Udp, from, local, &buffer[..length]) {
            rtc.handle_input(Input::Receive(now, receive)).unwrap();
        }
    }
}

fn clients(count: usize, offers: &mpsc::Sender<Offer>) {
    let offers = offers.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let set = LocalSet::new();
        for number in 0..count {
            set.spawn_local(client(number, offers.clone()));
        }
        runtime.block_on(set);
    });
}

/// Nanoseconds that this thread has run, and ticks of 10 ms of that in the kernel and out of it.
fn cpu() -> (u64, u64, u64) {
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ran = ran.split(' ').next().unwrap().parse().unwrap();
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    (
        ran,
        fields[13].parse().unwrap(),
        fields[12].parse().unwrap(),
    )
}

/// How many of something are due, each so long after the other.
fn due_by(next: &mut Instant, every: Duration, now: Instant) -> u32 {
    let mut count = 0;
    while *next <= now {
        *next += every;
        count += 1;
    }
    count
}

struct Node {
    peers: Vec<Peer>,
    out: Outbox,
    inbox: mpsc::Receiver<Datagram>,
    frame: Payloads,
    sound: Arc<[u8]>,
    begin: Instant,
    next_frame: Instant,
    next_sound: Instant,
    /// How long sound waits for a frame: what egress' stages let it, by how long a turn takes.
    hold: Duration,
    packets: u64,
}

impl Node {
    async fn new(count: usize, port: Arc<Port>, offers: &mut mpsc::Receiver<Offer>) -> Self {
        let (send, inbox) = mpsc::channel(4096);
        let mut peers = Vec::with_capacity(count);
        while peers.len() < count {
            let (offer, reply) = offers.recv().await.unwrap();
            let answered = Answered::to(&offer, Role::Send, &port, Instant::now()).unwrap();
            reply.send(answered.answer.clone()).unwrap();
            peers.push(answered.register(send.clone(), peers.len() as u64));
        }
        let now = Instant::now();
        Self {
            peers,
            out: Outbox::new(port),
            inbox,
            frame: FRAME.map(|size| vec![0x41; size].into()).into(),
            sound: vec![0x41; SOUND].into(),
            begin: now,
            next_frame: now,
            next_sound: now,
            hold: Duration::ZERO,
            packets: 0,
        }
    }

    /// One wake-up, as a stage has them.
    async fn turn(&mut self) {
        let due = self.peers.iter().map(Peer::deadline).min().unwrap();
        let due = due.min(self.next_frame).min(self.next_sound + self.hold);
        let mut datagrams = Vec::new();
        tokio::select! {
            _ = self.inbox.recv_many(&mut datagrams, 256) => {}
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let now = Instant::now();
        let mut touched = vec![false; self.peers.len()];
        for datagram in datagrams {
            let at = usize::try_from(datagram.peer).unwrap();
            self.peers[at].receive(&datagram, now);
            touched[at] = true;
        }
        let frames = due_by(&mut self.next_frame, FRAME_EVERY, now);
        let mut sounds = 0;
        if frames > 0 || now >= self.next_sound + self.hold {
            sounds = due_by(&mut self.next_sound, SOUND_EVERY, now);
        }
        let all = frames + sounds > 0;
        for (peer, touched) in self.peers.iter_mut().zip(touched) {
            if peer.is_connected() {
                let passed = u32::try_from((now - self.begin).as_millis()).unwrap();
                let heading = |payload_type, ticks| Heading {
                    payload_type,
                    time: passed * ticks,
                    wallclock: now,
                };
                for _ in 0..frames {
                    let of = *peer
                        .video()
                        .unwrap()
                        .payload_type(Format::H264(None))
                        .unwrap();
                    peer.send_video(heading(of, 90), &self.frame, now, &mut self.out);
                    self.packets += FRAME.len() as u64;
                }
                for _ in 0..sounds {
                    let of = *peer.audio().unwrap().payload_type(Format::Opus).unwrap();
                    peer.send_audio(heading(of, 48), &self.sound);
                    self.packets += 1;
                }
            }
            if touched || all || peer.deadline() <= now {
                peer.drive(now, &mut self.out, |_| {});
            }
        }
        self.out.flush();
        if all {
            self.hold = (now.elapsed() * 8).min(MAX_HOLD);
        }
    }

    async fn run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn().await;
        }
    }
}

/// Datagrams sent and taken in, and those dropped.
fn datagrams(registry: &Registry) -> [f64; 2] {
    let families = registry.gather();
    ["datagrams", "dropped_datagrams"].map(|name| {
        let name = format!("lockgate_webrtc_{name}_total");
        let family = families.iter().find(|it| it.name() == name).unwrap();
        let metrics = family.get_metric().iter();
        metrics.map(|it| it.get_counter().get_value()).sum()
    })
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|it| it.parse().ok());
    let count = numbers.next().unwrap_or(200);
    let time = Duration::from_secs(numbers.next().unwrap_or(10) as u64);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let _inside = runtime.enter();
    let set = LocalSet::new();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public: Vec::new(),
    };
    let registry = Registry::new();
    let listener = Listener::bind(&settings, &registry).unwrap();
    let port = listener.port();
    set.spawn_local(listener.run(CancellationToken::new()));
    let (offers, mut incoming) = mpsc::channel(1);
    clients(count, &offers);
    let mut node = None;
    let kept = allocation_counter::measure(|| {
        set.block_on(&runtime, async {
            let mut all = Node::new(count, port, &mut incoming).await;
            while !all.peers.iter().all(Peer::is_connected) {
                all.turn().await;
            }
            all.run(WARM_UP).await;
            node = Some(all);
        });
    });
    let mut node = node.unwrap();
    let before = (cpu(), node.packets, datagrams(&registry), Instant::now());
    set.block_on(&runtime, node.run(time));
    let (after, took) = (cpu(), before.3.elapsed().as_secs_f64());
    let packets = (node.packets - before.1) as f64;
    let micros = (after.0 - before.0.0) as f64 / 1000.0;
    let (system, user) = (after.1 - before.0.1, after.2 - before.0.2);
    let all = datagrams(&registry);
    println!(
        "{count} viewers, {packets} packets in {took:.1} s: {:.2} us of CPU a packet ({:.0} % of \
         it in the kernel), {:.1} % of a core, {:.1} KB a viewer",
        micros / packets,
        100.0 * system as f64 / (system + user).max(1) as f64,
        micros / 10_000.0 / took,
        kept.bytes_current as f64 / 1000.0 / count as f64,
    );
    println!(
        "{} datagrams in and out, {} dropped, {} lost by clients",
        all[0] - before.2[0],
        all[1] - before.2[1],
        LOST.load(Ordering::Relaxed),
    );
}
