//! Frames of each codec into RTP payloads, with what decoders need before them.
//!
//! Invariant: a keyframe goes out with the parameter sets that stood before it in the stream,
//! unless it brings its own.

use std::sync::Arc;

use bytes::Bytes;
use lockgate_media::av1::{self, Av1Config, Obu, obu};
use lockgate_media::avc::{self, AvcConfig, Units};
use lockgate_media::codec::VideoCodec;
use lockgate_media::hevc::{self, HevcConfig};
use lockgate_media::vp9;
use lockgate_rtc::{Format, av1 as rtp_av1, h264, h265, vp9 as rtp_vp9};

/// Longest sequence header that is taken. What it holds goes out before each keyframe, and is held
/// with each: those of encoders have some hundred bytes.
const MAX_RECORD: usize = 8 * 1024;
/// Most OBUs of a frame: there are a few, and each costs an allocation.
const MAX_OBUS: usize = 1024;

/// What is known of a stream's codec.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Config {
    Avc(AvcConfig),
    Hevc(HevcConfig),
    Vp9(u8),
    Av1(Av1Config),
}

impl Config {
    /// Whether WebRTC carries a codec here.
    pub(super) fn carries(codec: VideoCodec) -> bool {
        use VideoCodec::{Av1, Avc, Hevc, Vp9};
        matches!(codec, Avc | Hevc | Vp9 | Av1)
    }

    /// What a sequence header says.
    pub(super) fn of_header(codec: VideoCodec, record: &Bytes) -> Option<Self> {
        if record.len() > MAX_RECORD {
            return None;
        }
        match codec {
            VideoCodec::Avc => AvcConfig::parse(record).map(Self::Avc),
            VideoCodec::Hevc => HevcConfig::parse(record).map(Self::Hevc),
            VideoCodec::Av1 => Av1Config::parse(record).map(Self::Av1),
            _ => None,
        }
    }

    /// What a frame says of itself, where the codec needs no header before it.
    pub(super) fn of_frame(codec: VideoCodec, frame: &[u8]) -> Option<Self> {
        match codec {
            VideoCodec::Vp9 => vp9::profile(frame).map(Self::Vp9),
            _ => None,
        }
    }

    pub(super) fn codec(&self) -> VideoCodec {
        match self {
            Self::Avc(_) => VideoCodec::Avc,
            Self::Hevc(_) => VideoCodec::Hevc,
            Self::Vp9(_) => VideoCodec::Vp9,
            Self::Av1(_) => VideoCodec::Av1,
        }
    }

    /// What its packets carry.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Avc(config) => Format::H264(config.profile_level_id()),
            Self::Hevc(config) => Format::H265(config.profile),
            Self::Vp9(profile) => Format::Vp9(*profile),
            Self::Av1(config) => Format::Av1(config.profile),
        }
    }

    /// Cuts a frame.
    pub(super) fn cut(&self, frame: &[u8], keyframe: bool) -> Vec<Arc<[u8]>> {
        match self {
            Self::Avc(config) => avc(config, frame),
            Self::Hevc(config) => hevc(config, frame),
            Self::Vp9(_) => rtp_vp9::payloads(frame, keyframe),
            Self::Av1(config) => av1(config, frame, keyframe),
        }
    }
}

fn avc(config: &AvcConfig, frame: &[u8]) -> Vec<Arc<[u8]>> {
    use avc::nal::{DELIMITER, END_OF_SEQUENCE, END_OF_STREAM, FILLER, IDR, SPS, kind};
    let idle = [DELIMITER, FILLER, END_OF_SEQUENCE, END_OF_STREAM];
    let sets = config.sps.iter().chain(&config.pps);
    let units = complete(sets, config.units(frame), kind, idle, |it| it == IDR, SPS);
    h264::payloads(units)
}

fn hevc(config: &HevcConfig, frame: &[u8]) -> Vec<Arc<[u8]>> {
    use hevc::nal::{DELIMITER, END_OF_SEQUENCE, END_OF_STREAM, FILLER, SPS, is_entry, kind};
    let idle = [DELIMITER, FILLER, END_OF_SEQUENCE, END_OF_STREAM];
    let units = complete(&config.sets, config.units(frame), kind, idle, is_entry, SPS);
    h265::payloads(units)
}

/// A frame's NAL units without those of idle kinds, behind its parameter sets where decoders may
/// begin with it and it brings none (RFC 6184 §8.4).
fn complete<'a>(
    sets: impl IntoIterator<Item = &'a Bytes>,
    units: Units<'a>,
    kind: impl Fn(&[u8]) -> Option<u8> + Copy,
    idle: [u8; 4],
    is_entry: impl Fn(u8) -> bool,
    sps: u8,
) -> impl Iterator<Item = &'a [u8]> {
    let units = units.filter(move |unit| kind(unit).is_some_and(|it| !idle.contains(&it)));
    let kinds = || units.clone().filter_map(kind);
    let lacks = kinds().any(is_entry) && !kinds().any(|kind| kind == sps);
    let sets = sets.into_iter().map(|set| &set[..]);
    sets.take(if lacks { usize::MAX } else { 0 }).chain(units)
}

fn av1(config: &Av1Config, frame: &[u8], keyframe: bool) -> Vec<Arc<[u8]>> {
    let is_sequence = |obu: &Obu<'_>| obu.kind() == obu::SEQUENCE_HEADER;
    let carried = || av1::obus(frame).filter(Obu::is_carried).take(MAX_OBUS);
    let mut obus: Vec<Vec<u8>> = Vec::new();
    if keyframe && !carried().any(|obu| is_sequence(&obu)) {
        obus.extend(config.obus.iter().cloned());
    }
    // A receiver begins where a sequence header comes first.
    let begins =
        keyframe && (!obus.is_empty() || carried().next().is_some_and(|obu| is_sequence(&obu)));
    obus.extend(carried().map(|obu| obu.bare()));
    rtp_av1::payloads(&obus, begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_of_hevc_carries_its_parameter_sets() {
        let mut record = vec![1, 1];
        record.resize(21, 0);
        record.extend([
            0xff, 2, 0x20, 0, 1, 0, 3, 0x40, 1, 7, 0x21, 0, 1, 0, 3, 0x42, 1, 8,
        ]);
        let config = Config::of_header(VideoCodec::Hevc, &Bytes::from(record)).unwrap();
        assert_eq!(config.format(), Format::H265(1));
        // A delimiter, then an IDR.
        let cut = config.cut(&[0, 0, 0, 3, 0x46, 1, 0x50, 0, 0, 0, 3, 0x26, 1, 9], true);
        assert_eq!(cut.len(), 1);
        assert_eq!(
            cut[0][2..],
            [0, 3, 0x40, 1, 7, 0, 3, 0x42, 1, 8, 0, 3, 0x26, 1, 9]
        );
        let cut = config.cut(&[0, 0, 0, 3, 0x02, 1, 9], false);
        assert_eq!(cut[0][..], [0x02, 1, 9]);
    }

    #[test]
    fn a_keyframe_of_av1_begins_with_a_sequence_header() {
        let record = Bytes::from_static(&[0x81, 0, 0, 0, 0x0a, 1, 7]);
        let config = Config::of_header(VideoCodec::Av1, &record).unwrap();
        let frame = [0x12, 0, 0x32, 2, 8, 9];
        assert_eq!(
            config.cut(&frame, true)[0][..],
            [0x28, 2, 0x08, 7, 0x30, 8, 9]
        );
        assert_eq!(config.cut(&frame, false)[0][..], [0x10, 0x30, 8, 9]);
        let own = [0x0a, 1, 6, 0x32, 1, 8];
        assert_eq!(config.cut(&own, true)[0][..], [0x28, 2, 0x08, 6, 0x30, 8]);
    }

    #[test]
    fn a_header_that_keyframes_would_swell_with_is_none() {
        let mut record = vec![0x81, 0, 0, 0, 0x2a, 0x80, 0x40];
        record.resize(MAX_RECORD, 0);
        let parse = |record: &[u8]| {
            Config::of_header(VideoCodec::Av1, &Bytes::copy_from_slice(record)).is_some()
        };
        assert!(parse(&record));
        record.push(0);
        assert!(!parse(&record));
    }

    #[test]
    fn a_frame_of_very_many_obus_is_cut_short() {
        let record = Bytes::from_static(&[0x81, 0, 0, 0]);
        let config = Config::of_header(VideoCodec::Av1, &record).unwrap();
        let cut = config.cut(&[0x32, 0].repeat(1 << 16), false);
        let bytes: usize = cut.iter().map(|payload| payload.len()).sum();
        assert!(bytes < 3 * MAX_OBUS, "{bytes}");
    }

    #[test]
    fn vp9_names_its_profile_in_every_frame() {
        let config = Config::of_frame(VideoCodec::Vp9, &[0x92, 1]).unwrap();
        assert_eq!(config.format(), Format::Vp9(2));
        assert_eq!(config.cut(&[0x92, 1], true)[0][..], [0x0c, 0x92, 1]);
        assert_eq!(Config::of_frame(VideoCodec::Avc, &[0x92]), None);
    }
}
