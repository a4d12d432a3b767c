//! Whether each payload type of an offer means one thing: in a bundle they share one space
//! (RFC 8843 §9.1), and the session's machine takes that for granted.

use std::collections::HashMap;

/// The first payload type that stands for two formats, or resends two others.
pub(crate) fn ambiguous(offer: &str) -> Option<u8> {
    // What stood for a payload type: its format, what it is set to, what it resends.
    let mut formats: HashMap<u8, &str> = HashMap::new();
    let mut settings: HashMap<u8, &str> = HashMap::new();
    let mut resends: HashMap<u8, &str> = HashMap::new();
    for line in offer.lines().map(str::trim) {
        if let Some((pt, format)) = attribute(line, "a=rtpmap:") {
            let before = formats.insert(pt, format);
            if before.is_some_and(|before| !before.eq_ignore_ascii_case(format)) {
                return Some(pt);
            }
        } else if let Some((pt, values)) = attribute(line, "a=fmtp:") {
            let mut pairs = values.split(';').map(str::trim);
            let resent = pairs.find_map(|pair| pair.strip_prefix("apt="));
            // A second section may set sound otherwise, but not make another format of a picture's.
            let (held, value) = match resent {
                Some(other) => (&mut resends, other),
                None => (&mut settings, values),
            };
            let before = held.insert(pt, value);
            let sound = formats.get(&pt).is_some_and(|it| is_sound(it));
            if !sound && before.is_some_and(|before| before != value) {
                return Some(pt);
            }
        }
    }
    None
}

fn is_sound(format: &str) -> bool {
    let name = format.split('/').next().unwrap_or_default();
    name.eq_ignore_ascii_case("opus")
}

/// A payload type and what is said of it. As a number: `096` is 96.
fn attribute<'a>(line: &'a str, name: &str) -> Option<(u8, &'a str)> {
    let (pt, value) = line.strip_prefix(name)?.split_once(' ')?;
    Some((pt.parse().ok()?, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_type_may_stand_in_many_sections_for_one_format() {
        let section = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n";
        assert_eq!(ambiguous(&section.repeat(2)), None);
        let sound = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1\r\na=fmtp:111 stereo=0\r\n";
        assert_eq!(ambiguous(sound), None);
    }

    #[test]
    fn a_payload_type_of_two_formats_is_found() {
        for offer in [
            "a=rtpmap:96 H264/90000\na=rtpmap:96 VP9/90000\n",
            "a=rtpmap:96 H264/90000\na=rtpmap:+096 VP9/90000\n",
            "a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\na=fmtp:97 apt=98\n",
            "a=fmtp:97 profile-level-id=42e01f\na=fmtp:97 profile-level-id=640033\n",
        ] {
            assert!(ambiguous(offer).is_some(), "{offer}");
        }
    }
}
