//! Opus packets, as far as their first byte tells (RFC 6716 §3.1): how long they last, and what
//! silence of the same length looks like.

/// Samples a second of Opus' clock, whatever the encoder was fed.
pub const CLOCK: u32 = 48_000;

/// Longest packet: 120 ms (RFC 6716 §3.2.5).
const MAX_SAMPLES: u32 = 5_760;

/// `OpusHead` of two channels at 48 kHz, as enhanced RTMP and Ogg put it (RFC 7845 §5.1).
pub const STEREO_HEAD: &[u8; 19] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

/// Samples that a packet lasts at 48 kHz. `None` for what is no packet.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let frame = match toc >> 3 {
        3 | 7 | 11 => 2880,
        config @ 0..=11 => 480 << (config & 3),
        config @ 12..=15 => 480 << (config & 1),
        config => 120 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=MAX_SAMPLES).contains(&samples).then_some(samples)
}

/// A packet of silence that lasts as long. CELT frames of two bytes whose first bit says silence
/// (RFC 6716 §4.3): a decoder needs nothing from before them.
pub fn silence(packet: &[u8]) -> Option<Vec<u8>> {
    let samples = samples(packet)?;
    let stereo = packet.first()? & 4;
    let (config, frame) = [(31, 960), (30, 480), (29, 240), (28, 120)]
        .into_iter()
        .find(|(_, frame)| samples % frame == 0)?;
    let frames = u8::try_from(samples / frame).ok()?;
    let toc = config << 3 | stereo;
    let mut silent = match frames {
        1 => vec![toc],
        _ => vec![toc | 3, frames],
    };
    for _ in 0..frames {
        silent.extend_from_slice(&[0xff, 0xfe]);
    }
    Some(silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_how_long_a_packet_lasts() {
        for (packet, expected) in [
            (&[0xf8, 0xff, 0xfe][..], Some(960)),
            (&[0xfc, 1], Some(960)),
            (&[0x08], Some(960)),
            (&[0x18], Some(2880)),
            (&[0x19], Some(5760)),
            (&[0x60], Some(480)),
            (&[0xe3, 3], Some(360)),
            (&[0xe3], None),
            (&[0xe3, 0], None),
            (&[0x1b, 3], None),
            (&[], None),
        ] {
            assert_eq!(samples(packet), expected, "{packet:02x?}");
        }
    }

    #[test]
    fn silence_lasts_as_long_as_what_it_stands_in_for() {
        for packet in [
            &[0xfc, 1][..],
            &[0x08],
            &[0x18],
            &[0x19],
            &[0x60],
            &[0xe7, 3],
        ] {
            let silent = silence(packet).unwrap();
            assert_eq!(samples(&silent), samples(packet), "{packet:02x?}");
            assert_eq!(silent[0] & 4, packet[0] & 4);
        }
        assert_eq!(silence(&[0xf8, 1]).unwrap(), [0xf8, 0xff, 0xfe]);
        assert_eq!(silence(&[]), None);
    }
}
