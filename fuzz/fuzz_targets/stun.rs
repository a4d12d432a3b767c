//! STUN, as far as it is read before a session checks it: whose it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtc::stun;

fuzz_target!(|input: &[u8]| {
    if let Some(name) = stun::receiver(input) {
        assert!(stun::is_stun(input) || input[0] > 3);
        assert!(name.len() < input.len());
    }
});
