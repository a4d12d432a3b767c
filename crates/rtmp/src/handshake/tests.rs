use super::digest::{Scheme, client};
use super::*;

/// Feeds all of `input` at once and returns what the server said.
fn serve(input: &[u8]) -> (bool, Vec<u8>) {
    let mut output = Vec::new();
    let done = ServerHandshake::new()
        .feed(&mut &input[..], &mut output)
        .expect("RTMP");
    (done, output)
}

fn block(bytes: &[u8]) -> &Block {
    bytes.first_chunk().expect("a whole block")
}

#[test]
fn a_plain_client_gets_its_own_block_back() {
    let mut c0c1 = Vec::new();
    ClientHandshake::new().start(&mut c0c1);
    let (done, output) = serve(&c0c1);
    assert!(!done, "C2 is still to come");
    assert_eq!(output.len(), 1 + 2 * BLOCK);
    assert_eq!(output[0], 3);
    assert_eq!(output[1..9], [0; 8], "S1 starts with time and zero");
    assert_eq!(output[1 + BLOCK..], c0c1[1..]);
}

#[test]
fn both_digest_schemes_are_answered_in_kind() {
    for scheme in [Scheme::ZERO, Scheme::ONE] {
        // The offset of the digest depends on random bytes, so many handshakes cover many offsets.
        for _ in 0..200 {
            let c1 = client::c1(scheme);
            let (_, output) = serve(&[&[3], &c1[..]].concat());
            let (s1, s2) = (block(&output[1..]), block(&output[1 + BLOCK..]));
            assert!(
                s1[4] >= 3,
                "a version that makes clients look for the digest"
            );
            assert!(client::verifies_s1(scheme, s1));
            assert!(client::verifies_s2(scheme, &c1, s2));
        }
    }
}

#[test]
fn a_digest_that_does_not_verify_is_answered_plainly() {
    let mut c1 = client::c1(Scheme::ZERO);
    c1[BLOCK - 1] ^= 1;
    let (_, output) = serve(&[&[3], &c1[..]].concat());
    assert_eq!(output[1 + BLOCK..], c1);
}

#[test]
fn offsets_wrap_at_728() {
    let mut c1 = [0xff; BLOCK];
    assert_eq!(
        Scheme::ZERO.split(&c1).map(|(before, ..)| before.len()),
        Some(12 + 1020 % 728)
    );
    assert_eq!(
        Scheme::ONE.split(&c1).map(|(before, ..)| before.len()),
        Some(776 + 1020 % 728)
    );
    c1[8..12].copy_from_slice(&[0xff, 0xff, 0xd9, 0]);
    assert_eq!(
        Scheme::ZERO.split(&c1).map(|(before, ..)| before.len()),
        Some(12 + 727)
    );
}

#[test]
fn any_c2_will_do_and_what_follows_it_is_left() {
    let input = [&[3], &[1; BLOCK][..], &[7; BLOCK], b"chunks"].concat();
    let mut left = &input[..];
    let mut output = Vec::new();
    let mut server = ServerHandshake::new();
    assert_eq!(server.feed(&mut left, &mut output), Ok(true));
    assert_eq!(left, b"chunks");
    assert_eq!(
        server.feed(&mut left, &mut output),
        Ok(true),
        "asking again changes nothing"
    );
    assert_eq!(left, b"chunks");
}

#[test]
fn input_may_be_split_at_every_byte() {
    let c1 = client::c1(Scheme::ONE);
    let input = [&[3], &c1[..], &[7; BLOCK]].concat();
    let mut server = ServerHandshake::new();
    let mut output = Vec::new();
    for (at, byte) in input.iter().enumerate() {
        let done = server.feed(&mut &[*byte][..], &mut output).expect("RTMP");
        assert_eq!(done, at + 1 == input.len());
        assert_eq!(output.is_empty(), at < BLOCK);
    }
    assert!(client::verifies_s1(Scheme::ONE, block(&output[1..])));
    for cut in 0..input.len() {
        let mut server = ServerHandshake::new();
        let mut output = Vec::new();
        let (head, tail) = input.split_at(cut);
        assert_eq!(server.feed(&mut &head[..], &mut output), Ok(false));
        assert_eq!(server.feed(&mut &tail[..], &mut output), Ok(true));
    }
}

#[test]
fn other_protocols_are_told_apart_by_their_first_byte() {
    let fail = |input: &[u8]| {
        let mut output = Vec::new();
        let error = ServerHandshake::new()
            .feed(&mut &input[..], &mut output)
            .expect_err("not RTMP");
        assert!(output.is_empty());
        error
    };
    assert_eq!(fail(b"GET / HTTP/1.1\r\n"), HandshakeError::NotRtmp(b'G'));
    assert_eq!(fail(b"\x16\x03\x01"), HandshakeError::NotRtmp(0x16));
    assert_eq!(fail(&[6]), HandshakeError::Version(6));
    assert_eq!(fail(&[6]).label(), "version");
    assert_eq!(fail(b"P").label(), "not_rtmp");
    let (done, output) = serve(&[]);
    assert!(!done && output.is_empty());
}

#[test]
fn our_client_and_our_server_agree() {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let (mut client, mut server) = (ClientHandshake::new(), ServerHandshake::new());
    client.start(&mut to_server);
    assert_eq!(server.feed(&mut &to_server[..], &mut to_client), Ok(false));
    to_server.clear();
    assert_eq!(client.feed(&mut &to_client[..], &mut to_server), Ok(true));
    assert_eq!(to_server, to_client[1..=BLOCK], "C2 echoes S1");
    assert_eq!(server.feed(&mut &to_server[..], &mut Vec::new()), Ok(true));
}

#[test]
fn rml_rtmp_shakes_hands_with_the_server() {
    use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
    let mut client = Handshake::new(PeerType::Client);
    let mut server = ServerHandshake::new();
    let c0c1 = client.generate_outbound_p0_and_p1().expect("C0 and C1");
    let mut reply = Vec::new();
    assert_eq!(server.feed(&mut &c0c1[..], &mut reply), Ok(false));
    let HandshakeProcessResult::Completed { response_bytes, .. } = client
        .process_bytes(&reply)
        .expect("the client accepts S1 and S2")
    else {
        panic!("the client wants more");
    };
    assert_eq!(server.feed(&mut &response_bytes[..], &mut reply), Ok(true));
}
