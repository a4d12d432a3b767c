//! Sequence headers of all codecs: no panic, and only formats that can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_media::sequence::{AudioFormat, VideoFormat};

fuzz_target!(|input: &[u8]| {
    if let Some(format) = VideoFormat::parse(input) {
        let _ = format!("{} {:?}", format.codec, format.size);
    }
    if let Some(format) = AudioFormat::parse(input) {
        let _ = format!("{} {:?}", format.codec, format.silence());
    }
});
