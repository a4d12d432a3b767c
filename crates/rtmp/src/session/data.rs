//! Data messages of a publisher: metadata and cue points, as AMF0 for every player.

use bytes::{Buf, Bytes};

use crate::amf::amf0;

/// The AMF0 string by which encoders ask a server to keep what follows (§7.1.2 is silent on it).
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";
const STRING: u8 = 2;

/// What players get: starts with an AMF0 string. `None` if there is nothing for them in it.
pub(super) fn read(mut payload: Bytes, amf3: bool) -> Option<Bytes> {
    if amf3 {
        // AMF3 messages start with a zero byte and hold AMF0, which may switch to AMF3.
        if payload.first() == Some(&0) {
            payload.advance(1);
        }
        if let Ok(values) = amf0::decode_all(&payload) {
            let mut plain = Vec::with_capacity(payload.len());
            for value in &values {
                amf0::encode(value, &mut plain);
            }
            payload = plain.into();
        }
    }
    if payload.starts_with(SET_DATA_FRAME) {
        payload.advance(SET_DATA_FRAME.len());
    }
    let &[kind, a, b] = payload.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([a, b]));
    let whole = kind == STRING && payload.len() >= 3 + length;
    (whole && !payload.starts_with(CLEAR_DATA_FRAME)).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(payload: &'static [u8]) -> Option<Bytes> {
        read(Bytes::from_static(payload), false)
    }

    #[test]
    fn set_data_frame_is_removed() {
        let payload = plain(b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x08\0\0\0\0\0\0\x09");
        assert_eq!(
            payload.as_deref(),
            Some(&b"\x02\x00\x0aonMetaData\x08\0\0\0\0\0\0\x09"[..])
        );
        let payload = plain(b"\x02\x00\x0aonMetaData\x05");
        assert_eq!(payload.as_deref(), Some(&b"\x02\x00\x0aonMetaData\x05"[..]));
    }

    #[test]
    fn what_names_nothing_is_dropped() {
        assert_eq!(plain(b""), None);
        assert_eq!(plain(b"\x02\x00"), None);
        assert_eq!(plain(b"\x02\x00\x0aonMeta"), None);
        assert_eq!(plain(b"\x00\x00\x00\x00\x00\x00\x00\x00\x00"), None);
        assert_eq!(plain(b"\x02\x00\x0d@setDataFrame"), None);
        assert_eq!(
            plain(b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData"),
            None
        );
    }

    #[test]
    fn amf3_data_becomes_amf0() {
        let amf3 = |payload: &'static [u8]| read(Bytes::from_static(payload), true);
        let want =
            Some(&b"\x02\x00\x0aonMetaData\x03\x00\x01w\x00\x40\x08\0\0\0\0\0\0\0\0\x09"[..]);
        // AMF0 all the way, behind the zero byte and without it.
        let payload =
            amf3(b"\x00\x02\x00\x0aonMetaData\x03\x00\x01w\x00\x40\x08\0\0\0\0\0\0\0\0\x09");
        assert_eq!(payload.as_deref(), want);
        // The object in AMF3: dynamic, nameless class, w = integer 3.
        let payload = amf3(
            b"\x00\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x11\x0a\x0b\x01\x03w\x04\x03\x01",
        );
        assert_eq!(payload.as_deref(), want);
    }
}
