//! FLV tag bodies: no panic, what is said about a body lies inside it, and any packet can be
//! classified, silenced and written.

#![no_main]

use std::time::Instant;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate_media::flv::{AudioTag, VideoTag};
use lockgate_media::silence::Silence;
use lockgate_media::{Packet, Slices, Track};

fuzz_target!(|input: &[u8]| {
    let Some((&mode, body)) = input.split_first() else { return };
    let _ = VideoTag::parse(body);
    let _ = AudioTag::parse(body);
    let track = match mode % 3 {
        0 => Track::Audio,
        1 => Track::Video,
        _ => Track::Data,
    };
    let silence = match mode / 3 % 3 {
        0 => None,
        1 => Some(Silence::Mono),
        _ => Some(Silence::Stereo),
    };
    let body = Bytes::copy_from_slice(body);
    let packet = Packet::new(track, u64::from(mode) << 20, body, Instant::now());
    let packet = packet.with_silence(silence);
    if let Some(silent) = packet.stand_in() {
        assert_eq!(silent.timestamp(), packet.timestamp());
    }
    let mut slices = Slices::new();
    lockgate_rtmp::chunk::slices(&packet, &mut slices);
    let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
    assert!(bytes >= packet.payload().len() + 12);
});
