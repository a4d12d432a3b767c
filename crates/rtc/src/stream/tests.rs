use std::net::UdpSocket;

use prometheus::Registry;
use str0m::crypto::dtls::SrtpProfile;

use super::*;
use crate::srtp::masters;
use crate::{Listener, Settings};

struct Far {
    out: Outbox,
    to: Path,
    socket: UdpSocket,
    sealer: Sealer,
    transit: Transit,
    _listener: Listener,
}

impl Far {
    async fn new() -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public: Vec::new(),
        };
        let listener = Listener::bind(&settings, &Registry::new()).unwrap();
        let port = listener.port();
        port.writable().await;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let profile = SrtpProfile::AEAD_AES_128_GCM;
        let [own, _] = masters(profile, &[7; 100]).unwrap();
        Self {
            out: Outbox::new(port),
            to: Path {
                tcp: false,
                source: socket.local_addr().unwrap(),
            },
            socket,
            sealer: Sealer::new(profile, own).unwrap(),
            transit: Transit::default(),
            _listener: listener,
        }
    }

    fn way(&mut self) -> Way<'_> {
        Way {
            sealer: &self.sealer,
            to: self.to,
            out: &mut self.out,
            transit: &mut self.transit,
        }
    }

    fn came(&mut self) -> Vec<Vec<u8>> {
        self.out.flush();
        let mut buffer = [0; 4096];
        let mut came = Vec::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            came.push(buffer[..length].to_vec());
        }
        came
    }
}

fn terms(resend_ssrc: Option<u32>) -> Terms {
    Terms {
        ssrc: 1,
        resend_ssrc,
        resend_types: vec![(102, 103)],
        mid: "video".into(),
        mid_extension: Some(4),
        stamp_extension: Some(2),
        count_extension: Some(3),
        rate: 90_000,
    }
}

fn frame(stream: &mut Stream, sizes: &[usize], now: Instant, far: &mut Far) -> Vec<Vec<u8>> {
    let heading = Heading {
        payload_type: 102,
        time: 5,
        wallclock: now,
    };
    let payloads = sizes.iter().map(|&size| Arc::from(vec![1; size]));
    let payloads: Payloads = payloads.collect();
    stream.send_frame(heading, &payloads, now, &mut far.way());
    far.came()
}

fn number(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

#[tokio::test]
async fn a_header_tells_the_line_and_the_time_and_the_last_packet_is_evened() {
    let mut far = Far::new().await;
    let mut stream = Stream::new(terms(None));
    let came = frame(&mut stream, &[40, 40, 37], Instant::now(), &mut far);
    let lengths: Vec<_> = came.iter().map(Vec::len).collect();
    // 12 and 4 of headers, 4, 3 and 6 of extensions and 3 to fill the word, and the tag.
    assert_eq!(lengths, [32 + 40 + 16; 3]);
    let [first, .., last] = &came[..] else {
        panic!("three")
    };
    assert_eq!(first[..2], [0x90, 102]);
    assert_eq!(last[..2], [0xb0, 0x80 | 102], "padded, and the marker");
    assert_eq!(first[4..12], [0, 0, 0, 5, 0, 0, 0, 1]);
    assert_eq!(first[12..17], [0xbe, 0xde, 0, 4, 0x22]);
    assert_eq!(first[20..32], *b"\x31\0\0\x44video\0\0\0");
    assert_eq!(last[20..23], [0x31, 0, 2]);
    let far_apart = frame(&mut stream, &[400, 37], Instant::now(), &mut far);
    assert_ne!(far_apart[0].len(), far_apart[1].len(), "not by so much");
}

#[tokio::test]
async fn without_a_stream_of_resends_the_very_same_packet_comes_again() {
    let mut far = Far::new().await;
    let mut stream = Stream::new(terms(None));
    let now = Instant::now();
    let came = frame(&mut stream, &[40, 40, 37], now, &mut far);
    frame(&mut stream, &[20], now + RESEND_FOR / 2, &mut far);
    let first = number(&came[0]);
    stream.resend(first, 0b11, now + RESEND_FOR / 2, &mut far.way());
    assert_eq!(far.came(), came);
}

#[tokio::test]
async fn resends_have_numbers_of_their_own_and_end_with_time_and_credit() {
    let mut far = Far::new().await;
    let mut stream = Stream::new(terms(Some(2)));
    let now = Instant::now();
    let came = frame(&mut stream, &[40, 40, 40], now, &mut far);
    let first = number(&came[0]);
    let mut resend = |first, others, at| {
        stream.resend(first, others, at, &mut far.way());
        far.came()
    };
    assert!(resend(first.wrapping_sub(9), 0, now).is_empty());
    assert!(resend(first.wrapping_add(9), 0, now).is_empty());
    let again = resend(first.wrapping_add(1), 1, now);
    assert_eq!(again.len(), 2);
    assert_eq!(number(&again[1]), number(&again[0]).wrapping_add(1));
    assert_eq!(again[0][1], 103);
    assert_eq!(again[1][1], 0x80 | 103);
    assert_eq!(again[0][8..12], [0, 0, 0, 2]);
    assert_eq!(again[0].len(), came[0].len() + 2);
    assert_eq!(resend(first, 0b11, now).len(), 1, "three were sent");
    let mut stream = Stream::new(terms(Some(2)));
    let came = frame(&mut stream, &[40], now, &mut far);
    let late = now + RESEND_FOR + Duration::from_millis(1);
    stream.resend(number(&came[0]), 0, late, &mut far.way());
    assert!(far.came().is_empty() && stream.kept.is_empty());
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_packets() {
    let mut far = Far::new().await;
    let mut stream = Stream::new(terms(Some(2)));
    for _ in 0..600 {
        frame(&mut stream, &[10, 10], Instant::now(), &mut far);
    }
    assert_eq!(stream.kept_packets, RESEND_PACKETS);
    assert_eq!(stream.kept.len(), RESEND_PACKETS / 2);
    frame(&mut stream, &[10; 600], Instant::now(), &mut far);
    assert_eq!(stream.kept.len(), 1);
}
