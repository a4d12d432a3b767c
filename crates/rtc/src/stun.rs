//! Whose a STUN message is: the one thing that is read before the session that it belongs to
//! checks it. RFC 8489 §5 and §14, RFC 8445 §7.2.2.

/// `MESSAGE-INTEGRITY` and all behind it come after the user name.
const USERNAME: u16 = 0x0006;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;

/// The receiver's half of the user name (`receiver:sender`) of a STUN message, if it has one.
pub fn receiver(datagram: &[u8]) -> Option<&str> {
    let (kind, cookie) = (datagram.first()?, datagram.get(4..8)?);
    if kind & 0xc0 != 0 || cookie != MAGIC_COOKIE {
        return None;
    }
    let mut rest = datagram.get(HEADER..)?;
    loop {
        let (head, behind) = rest.split_at_checked(4)?;
        let kind = u16::from_be_bytes(head.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(head.get(2..)?.try_into().ok()?));
        let value = behind.get(..length)?;
        if kind == USERNAME {
            let name = std::str::from_utf8(value).ok()?;
            return name.split_once(':').map(|(receiver, _)| receiver);
        }
        // Values are padded to four bytes.
        rest = behind.get(length.next_multiple_of(4)..)?;
    }
}

/// Whether a datagram is STUN rather than DTLS, RTP or RTCP (RFC 7983 §7).
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0..=3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0];
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(&[9; 12]);
        message.extend_from_slice(attributes);
        message
    }

    #[test]
    fn the_user_name_is_found_behind_padded_attributes() {
        let message = message(b"\x80\x22\x00\x05abcde\0\0\0\x00\x06\x00\x09abcd:wxyz\0\0\0");
        assert_eq!(receiver(&message), Some("abcd"));
        for cut in 0..message.len() - 3 {
            assert_eq!(receiver(&message[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_is_no_request_with_a_user_name_is_nobodys() {
        assert_eq!(receiver(b""), None);
        assert_eq!(receiver(&message(b"")), None);
        assert_eq!(receiver(&message(b"\x00\x06\x00\x04abcd")), None);
        assert_eq!(receiver(&message(b"\x00\x06\xff\xffabcd:e")), None);
        let mut other = message(b"\x00\x06\x00\x04ab:d");
        other[5] = 0;
        assert_eq!(receiver(&other), None);
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            receiver(&bytes);
            receiver(&message(&bytes));
        }
    }
}
