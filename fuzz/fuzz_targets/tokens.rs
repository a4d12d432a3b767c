//! Tokens of both versions, as text that somebody made up and as content that the app has signed:
//! what is granted always has the right to join, and nothing is granted for text.

#![no_main]

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use lockgate_signalling::token::{Bearer, Certificate, verify};
use miniz_oxide::deflate::compress_to_vec_zlib;
use sha2::Sha256;

const APP: &str = "0123456789abcdef0123456789abcdef";
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
const CHANNEL: &str = "room 1?#&%";

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let token = match mode % 4 {
        0 => match std::str::from_utf8(input) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
        1 => format!("006{APP}{}", STANDARD.encode(input)),
        2 => format!("006{APP}{}", STANDARD.encode(v006(input))),
        _ => format!("007{}", STANDARD.encode(compress_to_vec_zlib(&v007(input), 1))),
    };
    let certificate = Certificate::new(CERTIFICATE).expect("it is not empty");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for uid in ["", "7"] {
        let bearer = Bearer { app: APP, channel: CHANNEL, uid };
        match verify(&token, &certificate, bearer, now) {
            Ok(privileges) => {
                assert!(mode % 4 >= 2, "nobody else knows the certificate: {token}");
                assert!(privileges.join.is_some_and(|until| !until.is_past(now)));
            }
            Err(error) => assert!(matches!(error.code(), 109 | 110)),
        }
    }
});

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut text = length.to_le_bytes().to_vec();
    text.extend(bytes.iter().take(length.into()));
    text
}

/// A message that is signed for any uid.
fn v006(message: &[u8]) -> Vec<u8> {
    let message = text(message);
    let parts = [APP.as_bytes(), CHANNEL.as_bytes(), b"", &message[2..]];
    let mut content = text(&mac(CERTIFICATE.as_bytes(), &parts));
    content.extend(crc32fast::hash(CHANNEL.as_bytes()).to_le_bytes());
    content.extend(crc32fast::hash(b"").to_le_bytes());
    content.extend(message);
    content
}

/// What follows the salt, signed.
fn v007(rest: &[u8]) -> Vec<u8> {
    let (issued, salt) = (1_699_999_000_u32.to_le_bytes(), 7_u32.to_le_bytes());
    let mut signed = text(APP.as_bytes());
    signed.extend(issued);
    signed.extend(3600_u32.to_le_bytes());
    signed.extend(salt);
    signed.extend(rest);
    let key = mac(&salt, &[&mac(&issued, &[CERTIFICATE.as_bytes()])]);
    let mut content = text(&mac(&key, &[&signed]));
    content.extend(signed);
    content
}
