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
async fn a_packet_that_is_asked_for_once_more_goes_out_twice() {
    for resend_ssrc in [None, Some(2)] {
        let mut far = Far::new().await;
        let mut stream = Stream::new(terms(resend_ssrc));
        let now = Instant::now();
        let came = frame(&mut stream, &[40; 40], now, &mut far);
        let first = number(&came[0]);
        let mut resend = |first, others| {
            stream.resend(first, others, now, &mut far.way());
            far.came().len()
        };
        assert_eq!(resend(first, 0), 1);
        assert_eq!(resend(first, 1), 2 + 1);
        assert_eq!(resend(first, 1), 2 + 2);
        assert_eq!(resend(first.wrapping_add(2), 0), 1);
    }
}

/// Three packets have been sent, whose numbers among all of the peer's are 0 to 2.
async fn reported(terms: Terms) -> (Far, Stream, u16, Instant) {
    let mut far = Far::new().await;
    let mut stream = Stream::new(terms);
    let now = Instant::now();
    let came = frame(&mut stream, &[40; 3], now, &mut far);
    frame(&mut stream, &[40; 20], now, &mut far);
    (far, stream, number(&came[0]), now)
}

#[tokio::test]
async fn what_is_reported_lost_is_sent_again_unasked() {
    let (mut far, mut stream, first, now) = reported(terms(Some(2))).await;
    let mut lost = |stream: &mut Stream, count, now| {
        stream.lost(count, now, &mut far.way());
        far.came()
    };
    let again = lost(&mut stream, 1, now);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0][8..12], [0, 0, 0, 2], "in the stream of resends");
    assert!(lost(&mut stream, 1, now).is_empty(), "that is no news");
    assert!(lost(&mut stream, 500, now).is_empty(), "nothing had it");
    // The resend had number 23 and is lost too; of the two behind it one gets through.
    assert_eq!(lost(&mut stream, 23, now).len(), 2);
    assert!(lost(&mut stream, 24, now).is_empty());
    // What had been asked for by then is the same news, and later more of it.
    let mut ask = |stream: &mut Stream, now| {
        stream.resend(first.wrapping_add(1), 0, now, &mut far.way());
        far.came().len()
    };
    assert_eq!(ask(&mut stream, now), 0);
    assert_eq!(ask(&mut stream, now + SAME_NEWS), 2);
    // 26 and 27 are on their way: what became of 24 and 25 does not matter any more.
    let mut lost = |count| {
        stream.lost(count, now, &mut far.way());
        far.came().len()
    };
    assert_eq!([lost(25), lost(26), lost(27)], [0, 0, 2]);
}

#[tokio::test]
async fn what_was_asked_for_before_it_is_reported_is_sent_again_once() {
    let (mut far, mut stream, first, now) = reported(terms(Some(2))).await;
    stream.resend(first, 0, now, &mut far.way());
    stream.lost(0, now, &mut far.way());
    assert_eq!(far.came().len(), 1);
}

#[tokio::test]
async fn what_there_is_no_credit_for_is_as_if_nobody_had_asked() {
    let (mut far, mut stream, first, now) = reported(terms(Some(2))).await;
    stream.credit = 0;
    stream.lost(1, now, &mut far.way());
    stream.resend(first, 0, now, &mut far.way());
    assert!(far.came().is_empty() && stream.resends.is_empty());
    stream.credit = 3;
    let mut ask = |stream: &mut Stream, first: u16| {
        stream.resend(first, 0, now, &mut far.way());
        far.came().len()
    };
    assert_eq!(
        ask(&mut stream, first.wrapping_add(1)),
        1,
        "for the first time"
    );
    assert_eq!(ask(&mut stream, first.wrapping_add(1)), 2);
    assert_eq!(ask(&mut stream, first), 0);
}

#[tokio::test]
async fn reports_have_nothing_sent_again_where_numbers_do_not_tell_or_room_lacks() {
    let uncounted = Terms {
        count_extension: None,
        ..terms(Some(2))
    };
    for terms in [terms(None), uncounted] {
        let (mut far, mut stream, _, now) = reported(terms).await;
        stream.lost(0, now, &mut far.way());
        assert!(far.came().is_empty());
    }
    let (mut far, mut stream, first, now) = reported(terms(Some(2))).await;
    far.transit.fill();
    stream.lost(0, now, &mut far.way());
    assert!(far.came().is_empty());
    for _ in 0..2 {
        stream.resend(first, 0, now, &mut far.way());
        assert_eq!(far.came().len(), 1, "not twice either");
    }
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
