//! AMF0: what is read can be written, and then reads and writes the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtmp::amf::{Value, amf0};

fn encode(values: &[Value]) -> Vec<u8> {
    let mut output = Vec::new();
    for value in values {
        amf0::encode(value, &mut output);
    }
    output
}

fuzz_target!(|input: &[u8]| {
    let _ = amf0::decode(&mut &input[..]);
    if let Ok(values) = amf0::decode_all(input) {
        let once = encode(&values);
        // Bytes are compared, because a number may be NaN. Replaced text can pass the bound.
        if let Ok(values) = amf0::decode_all(&once) {
            assert_eq!(encode(&values), once);
        }
    }
});
