//! A bad network between a peer and a node's UDP port: loses and delays datagrams, both ways, and
//! carries no more than so many from the node.

#![allow(
    clippy::expect_used,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::Result;

/// What the network does.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Of a hundred datagrams so many are lost, each way.
    pub loss_percent: u32,
    /// How long each of the others takes, one way.
    pub delay: Duration,
}

/// A running one; it ends when it is dropped.
#[derive(Debug)]
pub struct Shaper {
    address: SocketAddr,
    loss_percent: Arc<AtomicU32>,
    kilobits: Arc<AtomicU32>,
    node: Arc<Mutex<Option<SocketAddr>>>,
    stop: Arc<AtomicBool>,
}

/// A datagram on its way.
struct Transit {
    came: Instant,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Shaper {
    /// One in front of nobody yet.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(shape: Shape) -> Result<Self> {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
        front.set_read_timeout(Some(Duration::from_millis(50)))?;
        let shaper = Self {
            address: front.local_addr()?,
            loss_percent: Arc::new(AtomicU32::new(shape.loss_percent)),
            kilobits: Arc::new(AtomicU32::new(u32::MAX)),
            node: Arc::default(),
            stop: Arc::default(),
        };
        let unlimited = Arc::new(AtomicU32::new(u32::MAX));
        let up = line(shape.delay, unlimited);
        let down = line(shape.delay, Arc::clone(&shaper.kilobits));
        let (node, stop) = (Arc::clone(&shaper.node), Arc::clone(&shaper.stop));
        let loss = Arc::clone(&shaper.loss_percent);
        std::thread::spawn(move || forward(&front, &loss, &node, &stop, &up, &down));
        Ok(shaper)
    }

    /// Where peers send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on so many datagrams of a hundred are lost, each way.
    pub fn lose(&self, percent: u32) {
        self.loss_percent.store(percent, Ordering::Relaxed);
    }

    /// From now on it carries so much from the node, in kbit/s; the rest queues.
    pub fn narrow(&self, kilobits: u32) {
        self.kilobits.store(kilobits, Ordering::Relaxed);
    }

    /// Puts it in front of a node.
    pub fn lead_to(&self, node: SocketAddr) {
        *self.node.lock().expect("nobody panics with it") = Some(node);
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn forward(
    front: &Arc<UdpSocket>,
    loss_percent: &Arc<AtomicU32>,
    node: &Mutex<Option<SocketAddr>>,
    stop: &Arc<AtomicBool>,
    up: &mpsc::Sender<Transit>,
    down: &mpsc::Sender<Transit>,
) {
    let mut peers: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut dice = Dice(1);
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = front.recv_from(&mut buffer) else {
            continue;
        };
        let Some(to) = *node.lock().expect("nobody panics with it") else {
            continue;
        };
        let back = peers.entry(from).or_insert_with(|| {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a free port"));
            let timeout = Some(Duration::from_millis(50));
            socket.set_read_timeout(timeout).expect("a timeout");
            let (socket_of, front, stop, down) = (
                Arc::clone(&socket),
                Arc::clone(front),
                Arc::clone(stop),
                down.clone(),
            );
            let loss_percent = Arc::clone(loss_percent);
            std::thread::spawn(move || {
                let mut dice = Dice(2);
                let mut buffer = [0; 2048];
                while !stop.load(Ordering::Relaxed) {
                    let Ok(length) = socket_of.recv(&mut buffer) else {
                        continue;
                    };
                    if !dice.loses(loss_percent.load(Ordering::Relaxed)) {
                        let _ = down.send(transit(&front, from, &buffer[..length]));
                    }
                }
            });
            socket
        });
        if !dice.loses(loss_percent.load(Ordering::Relaxed)) {
            let _ = up.send(transit(back, to, &buffer[..length]));
        }
    }
}

/// One way, on which datagrams follow each other.
fn line(delay: Duration, kilobits: Arc<AtomicU32>) -> mpsc::Sender<Transit> {
    let (send, transits) = mpsc::channel::<Transit>();
    std::thread::spawn(move || {
        let mut free = Instant::now();
        for transit in transits {
            let bits = transit.bytes.len() as u64 * 8;
            let rate = u64::from(kilobits.load(Ordering::Relaxed));
            free = free.max(transit.came) + Duration::from_nanos(bits * 1_000_000 / rate);
            let due = free + delay;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = transit.socket.send_to(&transit.bytes, transit.to);
        }
    });
    send
}

fn transit(socket: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) -> Transit {
    Transit {
        came: Instant::now(),
        socket: Arc::clone(socket),
        to,
        bytes: bytes.to_vec(),
    }
}

/// The same losses each time (xorshift).
struct Dice(u64);

impl Dice {
    fn loses(&mut self, percent: u32) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 100 < u64::from(percent)
    }
}
