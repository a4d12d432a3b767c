//! Opus packets of a WebRTC publisher: how long they last, silence in their place, and AAC of them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_media::opus;
use lockgate_transcode::ToAac;

fuzz_target!(|packets: Vec<(u16, Vec<u8>)>| {
    let mut to_aac = ToAac::new().expect("an encoder");
    let (mut coded, mut time) = (Vec::new(), 0);
    for (step, packet) in packets {
        if let Some(silent) = opus::silence(&packet) {
            assert_eq!(opus::samples(&silent), opus::samples(&packet));
        }
        time += u64::from(step);
        to_aac.push(time, &packet, &mut coded);
    }
    assert!(coded.windows(2).all(|two| two[0].time <= two[1].time));
});
