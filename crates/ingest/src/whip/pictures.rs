//! Pictures of a WebRTC publisher as FLV tag bodies, with the configuration record that decoders
//! need before them: H.264 as FLV 10.1 §E.4.3 has it, others as enhanced RTMP does.
//!
//! Invariant: after a loss no picture goes in before the next keyframe, since players lack what it
//! refers to.

use lockgate_media::av1::{self, Av1Config, Obu, obu};
use lockgate_media::avc::{self, AvcConfig};
use lockgate_media::hevc::{self, HevcConfig};
use lockgate_media::vp9;
use lockgate_rtc::{Format, Frame};

/// A frame without what a record is made of.
struct Coded {
    body: Vec<u8>,
    keyframe: bool,
}

/// Bytes of a tag body before the frame; what they are depends on whether it is a keyframe.
const AVC_HEAD: [u8; 5] = [0x27, 1, 0, 0, 0];

/// Makes tag bodies of pictures.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// Parameter sets, by the type of their NAL units.
    sets: [(u8, Vec<u8>); 3],
    /// The header that was sent last.
    header: Vec<u8>,
    /// The picture flows: everything since a keyframe has arrived.
    flows: bool,
}

impl Pictures {
    /// Hands the bodies that a frame makes to `tag`; `true` when a keyframe is wanted.
    pub(super) fn push(&mut self, frame: &Frame, mut tag: impl FnMut(Vec<u8>)) -> bool {
        let (coded, header) = match frame.format {
            Format::H264(_) => self.avc(&frame.data),
            Format::H265(_) => self.hevc(&frame.data),
            Format::Vp9(_) => vp9(&frame.data),
            Format::Av1(_) => av1(&frame.data),
            Format::Opus => return false,
        };
        if !frame.contiguous && !coded.keyframe {
            self.flows = false;
        }
        if coded.body.is_empty() {
            return false;
        }
        if coded.keyframe {
            let Some(header) = header else {
                self.flows = false;
                return true;
            };
            if header != self.header {
                tag(header.clone());
                self.header = header;
            }
        }
        self.flows |= coded.keyframe;
        if self.flows {
            tag(coded.body);
        }
        !self.flows
    }

    fn set(&self, kind: u8) -> &[u8] {
        let held = self.sets.iter().find(|(held, _)| *held == kind);
        held.map(|(_, set)| &set[..]).unwrap_or_default()
    }

    /// Keeps a parameter set in place `at`.
    fn keep(&mut self, at: usize, kind: u8, unit: &[u8]) {
        if let Some(place) = self.sets.get_mut(at) {
            *place = (kind, unit.to_vec());
        }
    }

    fn avc(&mut self, data: &[u8]) -> (Coded, Option<Vec<u8>>) {
        use avc::nal;
        let mut units = Vec::new();
        let mut keyframe = false;
        for unit in avc::byte_stream(data) {
            match nal::kind(unit) {
                Some(nal::SPS) => self.keep(0, nal::SPS, unit),
                Some(nal::PPS) => self.keep(1, nal::PPS, unit),
                Some(nal::DELIMITER | nal::FILLER) | None => {}
                Some(kind) => {
                    keyframe |= kind == nal::IDR;
                    avc::append(unit, &mut units);
                }
            }
        }
        let mut body = Vec::new();
        if !units.is_empty() {
            body.extend(AVC_HEAD);
            body.append(&mut units);
        }
        if let (true, Some(first)) = (keyframe, body.first_mut()) {
            *first = 0x17;
        }
        let record = AvcConfig::record(self.set(nal::SPS), self.set(nal::PPS));
        let header = record.map(|record| [&[0x17, 0, 0, 0, 0][..], &record].concat());
        (Coded { body, keyframe }, header)
    }

    fn hevc(&mut self, data: &[u8]) -> (Coded, Option<Vec<u8>>) {
        use hevc::nal;
        let mut units = Vec::new();
        let mut keyframe = false;
        for unit in avc::byte_stream(data) {
            match nal::kind(unit) {
                Some(nal::VPS) => self.keep(0, nal::VPS, unit),
                Some(nal::SPS) => self.keep(1, nal::SPS, unit),
                Some(nal::PPS) => self.keep(2, nal::PPS, unit),
                Some(nal::DELIMITER | nal::FILLER) | None => {}
                Some(kind) => {
                    keyframe |= nal::is_entry(kind);
                    avc::append(unit, &mut units);
                }
            }
        }
        let sets = [nal::VPS, nal::SPS, nal::PPS].map(|kind| self.set(kind));
        let [vps, sps, pps] = sets;
        let record = keyframe
            .then(|| HevcConfig::record(vps, sps, pps))
            .flatten();
        enhanced(*b"hvc1", CODED_X, &units, keyframe, record.as_deref())
    }
}

fn vp9(data: &[u8]) -> (Coded, Option<Vec<u8>>) {
    let record = vp9::record(data);
    let keyframe = record.is_some();
    let record = record.as_ref().map(|record| &record[..]);
    enhanced(*b"vp09", CODED, data, keyframe, record)
}

fn av1(data: &[u8]) -> (Coded, Option<Vec<u8>>) {
    let mut unit = Vec::new();
    let mut sequence = None;
    for obu in av1::obus(data).filter(Obu::is_carried) {
        if obu.kind() == obu::SEQUENCE_HEADER {
            sequence = Some(obu);
        }
        obu.append(&mut unit);
    }
    // Sequence headers come with the frames that begin anew.
    let record = sequence.as_ref().and_then(Av1Config::record);
    enhanced(
        *b"av01",
        CODED,
        &unit,
        sequence.is_some(),
        record.as_deref(),
    )
}

/// `VideoPacketType` of E-RTMP v2: a sequence header, a frame, and one without composition time
/// where the codec has any.
const SEQUENCE_START: u8 = 0;
const CODED: u8 = 1;
const CODED_X: u8 = 3;

fn enhanced(
    fourcc: [u8; 4],
    kind: u8,
    frame: &[u8],
    keyframe: bool,
    record: Option<&[u8]>,
) -> (Coded, Option<Vec<u8>>) {
    let tag = |kind: u8, keyframe: bool, data: &[u8]| {
        let frame_type = if keyframe { 1 } else { 2 };
        [&[0x80 | frame_type << 4 | kind][..], &fourcc, data].concat()
    };
    let body = if frame.is_empty() {
        Vec::new()
    } else {
        tag(kind, keyframe, frame)
    };
    let header = record.map(|record| tag(SEQUENCE_START, true, record));
    (Coded { body, keyframe }, header)
}
