//! RTCP of a viewer, once it is opened: what it says, and no more than fits into it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtc::rtcp;

fuzz_target!(|input: &[u8]| {
    let mut said = 0;
    rtcp::read(input, |_| said += 1);
    // The smallest that says anything is a missing packet, of a word.
    assert!(said <= input.len() / 4);
});
