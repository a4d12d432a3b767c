//! H.264: frames of FLV into RTP and byte streams into FLV, whatever lengths and start codes say.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate_media::avc::{self, AvcConfig};
use lockgate_rtc::{MAX_PAYLOAD, h264};

fuzz_target!(|input: &[u8]| {
    let mut frame = Vec::new();
    for unit in avc::byte_stream(input) {
        avc::append(unit, &mut frame);
    }
    assert!(frame.len() <= input.len() + 4 * (input.len() / 4 + 1));
    if let Some(config) = AvcConfig::parse(&Bytes::copy_from_slice(input)) {
        let sets = config.sps.iter().chain(&config.pps).map(|set| &set[..]);
        let payloads = h264::payloads(sets.chain(config.units(input)));
        assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
        if let ([sps, ..], [pps, ..]) = (&config.sps[..], &config.pps[..])
            && let Some(record) = AvcConfig::record(sps, pps)
        {
            let again = AvcConfig::parse(&Bytes::from(record)).expect("what was written reads");
            assert_eq!((&again.sps[0], &again.pps[0]), (sps, pps));
        }
    }
});
