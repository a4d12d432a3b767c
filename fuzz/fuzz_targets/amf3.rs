//! AMF3, alone and behind the marker by which AMF0 switches to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtmp::amf::{amf0, amf3};

fuzz_target!(|input: &[u8]| {
    let mut left = input;
    let value = amf3::decode(&mut left);
    assert!(left.len() <= input.len());
    let mut inside = &[&[0x11], input].concat()[..];
    let same = amf0::decode(&mut inside);
    if let (Ok(value), Ok(same)) = (&value, &same) {
        // Debug, because a number may be NaN.
        assert_eq!(format!("{value:?}"), format!("{same:?}"));
        assert_eq!(inside.len(), left.len());
    }
});
