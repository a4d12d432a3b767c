use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn sealer(rtp: Session, rtcp: Session) -> Sealer {
    Sealer {
        rtp,
        rtcp,
        index: 1,
    }
}

const SALT: &str = "51756964 2070726f 2071756f";
const KEY_128: &str = "00010203 04050607 08090a0b 0c0d0e0f";
const KEY_256: &str = "00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f";

fn gcm(key: &str) -> Session {
    Session::gcm(&hex(key), array(SALT)).unwrap()
}

#[test]
fn session_keys_are_those_of_rfc_3711_b3() {
    let (key, salt) = (
        hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        hex("0EC675AD498AFEEBB6960B3AABE6"),
    );
    let master = Master {
        key: &key,
        salt: &salt,
    };
    let (mut cipher, mut salt, mut authentication) = ([0; 16], [0; 14], [0; 20]);
    derive(master, 0, &mut cipher).unwrap();
    derive(master, 1, &mut authentication).unwrap();
    derive(master, 2, &mut salt).unwrap();
    assert_eq!(cipher, array("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(salt, array("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        authentication,
        array("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    );
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_b2() {
    let key = counter(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let salt = array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let mut stream = [0; 32];
    key.less_safe_encrypt(&mut stream, start(salt, 0, 0))
        .unwrap();
    assert_eq!(
        stream,
        array("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB")
    );
}

#[test]
fn rtp_under_gcm_is_that_of_rfc_7714_16() {
    let header = hex("8040f17b 8041f8d3 5501a0b2");
    let payload = b"Gallia est omnis divisa in partes tres";
    let sealed = [
        (
            KEY_128,
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833
             899d7f27 beb16a91 52cf765e e4390cce",
        ),
        (
            KEY_256,
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b
             7aa3db36 dfffd6b0 f9bb7878 d7a76c13",
        ),
    ];
    for (key, body) in sealed {
        let sealer = sealer(gcm(key), gcm(key));
        let right = [&header[..], &hex(body)].concat();
        let mut packet = vec![0; right.len()];
        let mut seal = |prefix, payload| {
            let body = Body {
                prefix,
                payload,
                padding: 0,
            };
            packet.fill(0);
            sealer
                .rtp(&mut packet, &header, &body, 0x5501_a0b2, 0xf17b)
                .unwrap();
            assert_eq!(packet, right);
        };
        seal(&[], payload);
        let (first, second) = payload.split_at(2);
        seal(first, second);
    }
}

#[test]
fn padding_says_how_long_it_is() {
    let mut out = [9; 8];
    let body = Body {
        prefix: b"ab",
        payload: b"cde",
        padding: 3,
    };
    body.copy_to(&mut out);
    assert_eq!(out, *b"abcde\0\0\x03");
}

const COMPOUND: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef";

#[test]
fn rtcp_under_gcm_is_that_of_rfc_7714_17_and_opens_once() {
    let mut sealer = sealer(gcm(KEY_128), gcm(KEY_128));
    sealer.index = 0x5d4;
    let mut packet = hex(COMPOUND);
    sealer.rtcp(&mut packet).unwrap();
    let right = hex(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
         4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
    assert_eq!(packet, right);
    let mut opener = Opener {
        rtcp: gcm(KEY_128),
        seen: Vec::new(),
    };
    assert_eq!(opener.rtcp(&mut packet).unwrap(), hex(COMPOUND));
    assert!(opener.rtcp(&mut right.clone()).is_none(), "it has come");
}

/// A client's and a server's side of the same keys.
fn pair(profile: SrtpProfile) -> (Sealer, Opener) {
    let material: Vec<u8> = (0..100).collect();
    let [client, _] = masters(profile, &material).unwrap();
    (
        Sealer::new(profile, client).unwrap(),
        Opener::new(profile, client).unwrap(),
    )
}

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AES128_CM_SHA1_80,
    SrtpProfile::AEAD_AES_128_GCM,
    SrtpProfile::AEAD_AES_256_GCM,
];

#[test]
fn what_is_changed_anywhere_does_not_open() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let mut packet = hex(COMPOUND);
        sealer.rtcp(&mut packet).unwrap();
        for at in 0..packet.len() {
            let mut bent = packet.clone();
            bent[at] ^= 1;
            assert!(opener.rtcp(&mut bent).is_none(), "{profile} {at}");
            assert!(opener.rtcp(&mut packet[..at].to_vec()).is_none());
        }
        assert_eq!(opener.rtcp(&mut packet).unwrap(), hex(COMPOUND));
    }
}

#[test]
fn packets_open_in_any_order_and_each_once() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let mut packets = Vec::new();
        for _ in 0..100 {
            let mut packet = hex(COMPOUND);
            sealer.rtcp(&mut packet).unwrap();
            packets.push(packet);
        }
        let mut open = |at: usize| opener.rtcp(&mut packets[at].clone()).is_some();
        assert!(open(1) && open(0) && open(60) && open(3));
        assert!(!open(0) && !open(1) && !open(60) && !open(3));
        assert!(open(99) && !open(35), "too old");
        assert!(open(36) && !open(36));
    }
}

#[test]
fn more_senders_than_a_peer_has_are_not_listened_to() {
    let (mut sealer, mut opener) = pair(SrtpProfile::AEAD_AES_128_GCM);
    let mut open = |ssrc: u8| {
        let mut packet = hex(COMPOUND);
        packet[7] = ssrc;
        sealer.rtcp(&mut packet).unwrap();
        opener.rtcp(&mut packet).is_some()
    };
    assert!((0..16).all(&mut open));
    assert!(!open(16) && open(3));
}

#[test]
fn a_key_that_has_sealed_all_it_may_seals_no_more() {
    let (mut sealer, _) = pair(SrtpProfile::AEAD_AES_128_GCM);
    sealer.index = ENCRYPTED - 1;
    assert!(sealer.rtcp(&mut hex(COMPOUND)).is_ok());
    assert!(sealer.rtcp(&mut hex(COMPOUND)).is_err());
}
