//! HEVC, VP9 and AV1: frames and records of RTMP into RTP, and what a WebRTC publisher sends into
//! records, whatever lengths and sizes say.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate_media::av1::{self, Av1Config, Obu};
use lockgate_media::avc;
use lockgate_media::hevc::{HevcConfig, nal};
use lockgate_media::vp9;
use lockgate_rtc::MAX_PAYLOAD;

fuzz_target!(|input: &[u8]| {
    let mut payloads = lockgate_rtc::vp9::payloads(input, vp9::record(input).is_some());
    let _ = vp9::profile(input);

    if let Some(config) = HevcConfig::parse(&Bytes::copy_from_slice(input)) {
        let sets = config.sets.iter().map(|set| &set[..]);
        payloads.extend(lockgate_rtc::h265::payloads(sets.chain(config.units(input))));
    }
    let units: Vec<_> = avc::byte_stream(input).collect();
    let find = |kind| units.iter().copied().find(|unit| nal::kind(unit) == Some(kind));
    if let (Some(vps), Some(sps), Some(pps)) = (find(nal::VPS), find(nal::SPS), find(nal::PPS))
        && let Some(record) = HevcConfig::record(vps, sps, pps)
    {
        let config = HevcConfig::parse(&Bytes::from(record)).expect("what was written reads");
        assert_eq!(config.sets, [vps, sps, pps]);
    }

    let carried = || av1::obus(input).filter(Obu::is_carried);
    let mut unit = Vec::new();
    for obu in carried() {
        obu.append(&mut unit);
        if let Some(record) = Av1Config::record(&obu) {
            let config = Av1Config::parse(&record).expect("what was written reads");
            assert!(config.obus.len() <= 1);
        }
    }
    let bare: Vec<_> = carried().map(|obu| obu.bare()).collect();
    let again: Vec<_> = av1::obus(&unit).map(|obu| obu.bare()).collect();
    assert_eq!(bare, again);
    let _ = Av1Config::parse(input);
    payloads.extend(lockgate_rtc::av1::payloads(&bare, true));
    assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
});
