//! RTCP of a viewer, once it is opened: what it says, and no more than fits into it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtc::rtcp::{self, Feedback};

fuzz_target!(|input: &[u8]| {
    let (mut said, mut came) = (0, 0);
    rtcp::read(input, |feedback| {
        said += 1;
        if let Feedback::Arrivals(arrivals) = feedback {
            let before = came;
            arrivals.each(|_, _| came += 1);
            let told = came - before + arrivals.missing().count();
            assert_eq!(told, usize::from(arrivals.count()));
        }
    });
    // The smallest that says anything is a missing packet, of a word.
    assert!(said <= input.len() / 4);
    // A packet that came takes a byte, its time.
    assert!(came <= input.len());
});
