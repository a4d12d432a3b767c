//! What the benches share: a stream to work on, and how long to measure.
//!
//! Micro benches tell one change from another. What a node can carry is measured with
//! `lockgate-loadgen`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::Criterion;
use lockgate_media::{Packet, Track};

/// Milliseconds from one video frame to the next.
const VIDEO_STEP: u64 = 33;
/// Milliseconds from one audio frame to the next.
const AUDIO_STEP: u64 = 21;
/// Bytes of a keyframe, another frame, and an audio frame: about 1 Mbit/s and 128 kbit/s.
const SIZES: [usize; 3] = [20_000, 3_500, 340];

/// Short runs: enough to see a change of a few percent, and `make bench` stays below two minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args()
}

/// One message of a stream: track, milliseconds, FLV tag body.
pub type Message = (Track, u64, Bytes);

/// Both sequence headers and `seconds` GOPs of a second of H.264 and AAC, in order of time.
pub fn stream(seconds: u64) -> Vec<Message> {
    let [key, frame, audio] = SIZES;
    let video = (0..seconds * 30).map(|n| {
        let body = match n % 30 {
            0 => body(&[0x17, 1, 0, 0, 0], key),
            _ => body(&[0x27, 1, 0, 0, 0], frame),
        };
        (Track::Video, n * VIDEO_STEP, body)
    });
    let last = seconds * 30 * VIDEO_STEP;
    let audio = (0..last / AUDIO_STEP).map(|n| {
        let body = body(&[0xaf, 1], audio);
        (Track::Audio, n * AUDIO_STEP, body)
    });
    let mut messages = vec![
        (Track::Video, 0, body(&[0x17, 0, 0, 0, 0], 40)),
        (Track::Audio, 0, Bytes::from_static(&[0xaf, 0, 0x11, 0x90])),
    ];
    messages.extend(video.chain(audio));
    messages.sort_by_key(|(_, timestamp, _)| *timestamp);
    messages
}

/// The same as packets that nobody has written yet.
pub fn packets(messages: &[Message]) -> Vec<Packet> {
    let now = Instant::now();
    let packet = |(track, time, body): &Message| Packet::new(*track, *time, body.clone(), now);
    messages.iter().map(packet).collect()
}

/// Bytes of all payloads.
pub fn payload(messages: &[Message]) -> u64 {
    messages.iter().map(|(.., body)| body.len() as u64).sum()
}

fn body(start: &[u8], length: usize) -> Bytes {
    let mut body = start.to_vec();
    body.resize(length.max(start.len()), 0x55);
    body.into()
}
