//! Tokens that published builders wrote, once, with a fixed salt; and every way to spoil one.

use super::*;

const APP: &str = "0123456789abcdef0123456789abcdef";
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
const CHANNEL: &str = "room 1?#&%";
const UID: &str = "u7";

/// When the tokens of version 007 were issued. Those of 006 hold until an hour later.
const ISSUED: u64 = 1_700_000_000;

/// Join and audio until an hour after `ISSUED`, video for ever, for `UID`.
const V006: &str = "0060123456789abcdef0123456789abcdefIAComrJfy2ujHiG7GQeKMkkgY8b0wBgAPmiUmB7pp+7B0bk/MvBDOiyrHAABAAAAgEJVZQMAAQAQ/1NlAgAQ/1NlAwAAAAAA";

/// Join for ever, for any uid.
const V006_ANY: &str = "0060123456789abcdef0123456789abcdefIABqvgDobcvIwxUBLH8CAaW20AtQ0EeUqk8+AQRdo9OOrbk/MvAAAAAAEAABAAAAgEJVZQEAAQAAAAAA";

/// An hour long: join as long as the token, audio for ten minutes, video for two hours.
const V007: &str = "007eJxTYHhTuXut1LGbd2Sv1DTnOmtUJ5dNlkt+Yh7C1XL1lUIC71sFBgNDI2MTUzNzC8vEpOSU1DR0PsPH4FQBPgYGRgYGBiYGRgZmMAvEjmBiYGBmUJBhYOBiKMrPz1UwtFdWU2ViKDVnAsuXmgMASZ8fWg==";

const BEARER: Bearer<'_> = Bearer {
    app: APP,
    channel: CHANNEL,
    uid: UID,
};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn certificate() -> Certificate {
    Certificate::new(CERTIFICATE).unwrap()
}

fn check(token: &str, bearer: Bearer<'_>, now: u64) -> Result<Privileges, TokenError> {
    verify(token, &certificate(), bearer, at(now))
}

#[test]
fn version_006_gives_what_its_message_says() {
    let privileges = check(V006, BEARER, ISSUED).unwrap();
    let hour = Some(Expiry::At(ISSUED + 3600));
    assert_eq!(privileges.join, hour);
    assert_eq!(privileges.publish_audio, hour);
    assert_eq!(privileges.publish_video, Some(Expiry::Never));
}

#[test]
fn version_007_counts_from_its_issue_and_nothing_outlives_it() {
    let privileges = check(V007, BEARER, ISSUED).unwrap();
    let until = |seconds| Some(Expiry::At(ISSUED + seconds));
    assert_eq!(privileges.join, until(3600));
    assert_eq!(privileges.publish_audio, until(600));
    assert_eq!(privileges.publish_video, until(3600));
}

#[test]
fn a_token_holds_up_to_its_last_second() {
    for token in [V006, V007] {
        assert!(check(token, BEARER, ISSUED + 3599).is_ok());
        let late = check(token, BEARER, ISSUED + 3600);
        assert_eq!(late, Err(TokenError::Expired));
        assert_eq!(late.map_err(TokenError::code), Err(109));
    }
}

#[test]
fn a_privilege_ends_by_itself() {
    let privileges = check(V007, BEARER, ISSUED).unwrap();
    let now = at(ISSUED + 600);
    assert_eq!(
        privileges.may_publish(Track::Audio, now),
        Err(TokenError::Expired)
    );
    assert_eq!(privileges.may_publish(Track::Video, now), Ok(()));
    assert_eq!(privileges.may_publish(Track::Data, now), Ok(()));
    let left = privileges.join.and_then(|join| join.remaining(now));
    assert_eq!(left, Some(Duration::from_secs(3000)));
}

#[test]
fn a_join_only_token_may_not_publish() {
    let privileges = check(V006_ANY, BEARER, ISSUED).unwrap();
    for track in [Track::Audio, Track::Video, Track::Data] {
        let refused = privileges.may_publish(track, at(ISSUED));
        assert_eq!(refused.map_err(TokenError::code), Err(110), "{track:?}");
    }
}

#[test]
fn a_token_for_any_uid_is_anybodys() {
    for uid in ["", "u7", "someoneelse"] {
        assert!(check(V006_ANY, Bearer { uid, ..BEARER }, ISSUED).is_ok());
    }
}

#[test]
fn a_token_is_good_for_its_own_bearer_alone() {
    let others = [
        Bearer {
            uid: "u8",
            ..BEARER
        },
        Bearer { uid: "", ..BEARER },
        Bearer {
            channel: "room 1",
            ..BEARER
        },
        Bearer {
            app: "0123456789abcdef0123456789abcdee",
            ..BEARER
        },
        // Moving a character from one part to the next keeps what version 006 signs.
        Bearer {
            channel: "room 1?#&%u",
            uid: "7",
            ..BEARER
        },
    ];
    for token in [V006, V007] {
        for bearer in others {
            let refused = check(token, bearer, ISSUED);
            assert_eq!(refused.map_err(TokenError::code), Err(110), "{bearer:?}");
        }
        let other = Certificate::new("fedcba9876543210fedcba9876543211").unwrap();
        assert_eq!(
            verify(token, &other, BEARER, at(ISSUED)),
            Err(TokenError::Signature)
        );
    }
}

#[test]
fn a_token_cut_at_any_byte_is_refused() {
    for token in [V006, V006_ANY, V007] {
        for length in 0..token.len() {
            let refused = check(&token[..length], BEARER, ISSUED);
            assert_eq!(refused.map_err(TokenError::code), Err(110), "{length}");
        }
    }
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    for token in [V006, V006_ANY, V007] {
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let spoiled = String::from_utf8_lossy(&bytes);
                let refused = check(&spoiled, BEARER, ISSUED);
                let code = refused.map_err(TokenError::code);
                assert_eq!(code, Err(110), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn a_token_with_any_bit_of_its_content_flipped_is_refused() {
    for (prefix, token) in [(35, V006), (35, V006_ANY), (3, V007)] {
        let (head, text) = token.split_at(prefix);
        let content = STANDARD.decode(text).unwrap();
        for at in 0..content.len() {
            for bit in 0..8 {
                let mut content = content.clone();
                content[at] ^= 1 << bit;
                let spoiled = format!("{head}{}", STANDARD.encode(content));
                let code = check(&spoiled, BEARER, ISSUED).map_err(TokenError::code);
                assert_eq!(code, Err(110), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn junk_is_malformed() {
    assert_eq!(check("", BEARER, ISSUED), Err(TokenError::Missing));
    let long = format!("007{}", "A".repeat(TOKEN_MAX));
    let bomb = {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 1 << 20], 9);
        format!("007{}", STANDARD.encode(packed))
    };
    assert_eq!(check("006", BEARER, ISSUED), Err(TokenError::App));
    for junk in [
        "0",
        "007",
        "008abc",
        "007\u{0}",
        "007====",
        "令牌令牌",
        &long,
        &bomb,
        &format!("{V007}AAAA"),
        &format!(" {V007}"),
    ] {
        assert_eq!(
            check(junk, BEARER, ISSUED),
            Err(TokenError::Malformed),
            "{junk}"
        );
    }
}

#[test]
fn a_certificate_is_not_shown() {
    assert_eq!(format!("{:?}", certificate()), "Certificate(…)");
    assert!(Certificate::new("").is_none());
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_sent_panics(text in ".*", content in proptest::collection::vec(0u8.., 0..200)) {
        let deflated = miniz_oxide::deflate::compress_to_vec_zlib(&content, 6);
        for token in [
            text,
            format!("006{APP}{}", STANDARD.encode(&content)),
            format!("007{}", STANDARD.encode(deflated)),
        ] {
            proptest::prop_assert!(check(&token, BEARER, ISSUED).is_err());
        }
    }
}
