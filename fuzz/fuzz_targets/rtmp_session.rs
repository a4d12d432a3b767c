//! A whole peer after its handshake, every request accepted: what the session says is always
//! chunks that a client can read, and it says little for what it hears.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_rtmp::OUT_CHUNK_SIZE;
use lockgate_rtmp::chunk::{Limits, Reader};
use lockgate_rtmp::session::{Config, Event, Session};

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let limits = Limits { message_size: 1 << 20, chunk_streams: 16, partial_bytes: 4 << 20 };
    let mut reader = Reader::new(limits);
    let mut client = Reader::new(limits);
    let mut session = Session::new(Config::default());
    for piece in input.chunks(usize::from(mode) * 8 + 1) {
        session.received(piece.len());
        let mut left = piece;
        while let Ok(Some(message)) = reader.feed(&mut left) {
            let Ok(event) = session.handle(message) else { return };
            let refuse = mode & 0x40 != 0;
            match event {
                Some(Event::Connect(request)) => {
                    assert!(request.app.len() <= 255);
                    session.accept_connect();
                }
                Some(Event::Publish(request)) => {
                    assert!((1..=255).contains(&request.name.len()));
                    match refuse {
                        true => session.reject_publish("NetStream.Publish.Denied", "No."),
                        false => session.accept_publish(),
                    }
                }
                Some(Event::Play(request)) => {
                    assert!((1..=255).contains(&request.name.len()));
                    match refuse {
                        true => session.reject_play("NetStream.Play.StreamNotFound", "No."),
                        false => session.accept_play(),
                    }
                }
                Some(Event::Media { payload, .. }) => assert!(!payload.is_empty()),
                Some(Event::Pause(paused)) => session.accept_pause(paused),
                Some(_) | None => {}
            }
            let output = session.take_output();
            assert!(output.len() < 4096, "a short answer");
            let mut output = &output[..];
            while let Some(message) = client.feed(&mut output).expect("readable replies") {
                assert!(message.payload.len() < OUT_CHUNK_SIZE);
            }
            assert_eq!(client.partial_bytes(), 0, "whole replies");
        }
        if !left.is_empty() {
            return;
        }
    }
    session.end_play();
    session.end_publish("NetStream.Publish.BadName", "Over.");
});
