//! The handshake, however its bytes are cut: no panic, no more output than S0, S1 and S2, and
//! what stands behind C2 is left alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtmp::handshake::{ClientHandshake, ServerHandshake};

const BLOCK: usize = 1536;

fuzz_target!(|input: &[u8]| {
    let Some((&step, input)) = input.split_first() else { return };
    let mut server = ServerHandshake::new();
    let mut client = ClientHandshake::new();
    let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
    let (mut done, mut taken) = (false, 0);
    for piece in input.chunks(usize::from(step) * 16 + 1) {
        let mut left = piece;
        match server.feed(&mut left, &mut from_server) {
            Ok(now) => {
                assert!(now || left.is_empty());
                assert!(now || !done, "a handshake that is done stays done");
                taken += piece.len() - left.len();
                done = now;
            }
            Err(error) => {
                assert!(!error.label().is_empty());
                return;
            }
        }
        let _ = client.feed(&mut &piece[..], &mut from_client);
    }
    assert_eq!(done, input.len() > 2 * BLOCK);
    assert_eq!(taken, input.len().min(1 + 2 * BLOCK));
    let answered = input.len() > BLOCK;
    assert_eq!(from_server.len(), if answered { 1 + 2 * BLOCK } else { 0 });
    assert!(from_client.len() <= BLOCK);
});
