//! Sequence headers as x264, x265 and SVT-AV1 write them, and what no bytes may do.

use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn video_headers_tell_codec_and_size() {
    let cases = [
        (
            "1700000000 01f4001effe1001b67f4001e919b281b07bc5f80880000030008000003019078b16cb0
             01000668ebe3c44844fff8f800",
            VideoCodec::Avc,
            (854, 480),
        ),
        (
            "1700000000 01640028ffe1001e67640028acd94078044fdffe0a020a0020000003002000000643e2
             c5b2c001000668fba3cb22c0fdf8f800",
            VideoCodec::Avc,
            (1920, 1080),
        ),
        (
            "9068766331 0101600000009000000000005af000fcfdf8f800000f04200001001840010c01ffff01
             600000030090000003000003005a959809210001002a420101016000000300900000030000
             03005aa006b201e1d796566924caf0168080000003008000000c8422000100074401c172b46240",
            VideoCodec::Hevc,
            (854, 480),
        ),
        (
            "9061763031 81040c00 0a0c0200002566355ef805f00080",
            VideoCodec::Av1,
            (854, 480),
        ),
    ];
    for (hex, codec, size) in cases {
        let format = VideoFormat::parse(&bytes(hex)).unwrap();
        assert_eq!(format.codec, codec);
        if codec != VideoCodec::Av1 {
            assert_eq!(format.size, Some(size), "{codec}");
        }
    }
    let av1 = VideoFormat::parse(&bytes(cases[3].0))
        .unwrap()
        .size
        .unwrap();
    assert_eq!(av1.1, 480, "SVT-AV1 rounds the width of this clip to 856");
}

#[test]
fn a_frame_tells_the_codec_alone() {
    let format = VideoFormat::parse(&[0x17, 1, 0, 0, 0, 1]).unwrap();
    assert_eq!((format.codec, format.size), (VideoCodec::Avc, None));
}

#[test]
fn only_plain_aac_lc_in_mono_and_stereo_has_silence() {
    let cases = [
        ("af001210", Some(44_100), Some(2), Some(Silence::Stereo)),
        ("af001208", Some(44_100), Some(1), Some(Silence::Mono)),
        // ffmpeg's extradata says that there is no SBR.
        (
            "af00121056e500",
            Some(44_100),
            Some(2),
            Some(Silence::Stereo),
        ),
        // HE-AAC, backward compatible: SBR at the end.
        ("af00139056e5a0", Some(22_050), Some(2), None),
        // HE-AAC, explicit: object type 5; HE-AAC v2: object type 29.
        ("af002b928800", Some(22_050), Some(2), None),
        ("af00eb8a0800", Some(22_050), Some(1), None),
        // AAC main; 5.1; 960 samples a frame.
        ("af000a10", Some(44_100), Some(2), None),
        ("af001230", Some(44_100), Some(6), None),
        ("af001214", Some(44_100), Some(2), None),
        // Enhanced AAC.
        (
            "906d703461 1190",
            Some(48_000),
            Some(2),
            Some(Silence::Stereo),
        ),
    ];
    for (hex, rate, channels, silence) in cases {
        let format = AudioFormat::parse(&bytes(hex)).unwrap();
        assert_eq!(format.codec, AudioCodec::Aac);
        assert_eq!(
            (format.sample_rate, format.channels, format.silence()),
            (rate, channels, silence),
            "{hex}"
        );
    }
}

#[test]
fn opus_headers_tell_channels() {
    let mut head = b"\x90OpusOpusHead\x01\x02\x38\x01".to_vec();
    head.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
    let format = AudioFormat::parse(&head).unwrap();
    assert_eq!((format.codec, format.channels), (AudioCodec::Opus, Some(2)));
    assert_eq!(format.silence(), Some(Silence::Opus));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        head in prop::sample::select(vec!["1700000000", "9068766331", "9061763031", "af00", "904f707573"]),
        tail in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut body = bytes(head);
        body.extend(tail);
        VideoFormat::parse(&body);
        AudioFormat::parse(&body);
    }
}
