//! AAC of an RTMP publisher, whatever its configuration says, made Opus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_media::opus;
use lockgate_transcode::ToOpus;

fuzz_target!(|input: (Vec<u8>, Vec<(u8, Vec<u8>)>)| {
    let (config, frames) = input;
    let Ok(mut to_opus) = ToOpus::new(&config) else {
        return;
    };
    let (mut coded, mut ms) = (Vec::new(), 0);
    for (step, frame) in frames {
        ms += u64::from(step);
        to_opus.push(ms, &frame, &mut coded);
    }
    assert!(coded.iter().all(|packet| opus::samples(&packet.data) == Some(960)));
});
