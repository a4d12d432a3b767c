//! The packet: one FLV tag body with its place on the stream's timeline, classified once.
//!
//! Invariant: a packet never changes after it is built. What is computed late (protocol headers,
//! the silent stand-in) is computed once and shared by every player.

use std::io::IoSlice;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::flv::{AudioTag, Part, VideoTag};
use crate::silence::Silence;
use crate::tag::Tag;

/// The kind of a track. `Data` is metadata, cue points and other AMF messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Track {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Script data.
    Data,
}

impl Track {
    /// A short name for labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Data => "data",
        }
    }
}

/// What a packet means to routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Configures a decoder or describes the stream: passes every gate, and who joins late gets
    /// the newest of each number on each track.
    Header(u16),
    /// A video frame that starts a GOP.
    Keyframe,
    /// Any other frame.
    Frame,
    /// Passes every gate, but means nothing to who joins late.
    Notice,
}

/// Protocol bytes kept beside a packet: `first` stands before the payload, `rest` before each
/// further chunk of it.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    first: [u8; Self::FIRST],
    rest: [u8; Self::REST],
    lengths: [u8; 2],
}

impl Head {
    /// Longest first header: an RTMP type 0 header with an extended timestamp.
    const FIRST: usize = 16;
    /// Longest further header: an RTMP type 3 header with an extended timestamp.
    const REST: usize = 5;

    /// Keeps up to 16 bytes of `first` and 5 of `rest`; what is longer is a bug of the caller
    /// and is cut.
    pub fn new(first: &[u8], rest: &[u8]) -> Self {
        debug_assert!(first.len() <= Self::FIRST && rest.len() <= Self::REST);
        let ((first, first_length), (rest, rest_length)) = (padded(first), padded(rest));
        Self {
            first,
            rest,
            lengths: [first_length, rest_length],
        }
    }

    /// What stands before the payload.
    pub fn first(&self) -> &[u8] {
        let [first, _] = self.lengths;
        self.first.get(..usize::from(first)).unwrap_or(&self.first)
    }

    /// What stands before each further chunk.
    pub fn rest(&self) -> &[u8] {
        let [_, rest] = self.lengths;
        self.rest.get(..usize::from(rest)).unwrap_or(&self.rest)
    }
}

/// `bytes` at the beginning of an array, and how many they are.
fn padded<const N: usize>(bytes: &[u8]) -> ([u8; N], u8) {
    let mut array = [0; N];
    let length = bytes.len().min(N);
    if let (Some(to), Some(from)) = (array.get_mut(..length), bytes.get(..length)) {
        to.copy_from_slice(from);
    }
    (array, u8::try_from(length).unwrap_or_default())
}

/// Sound as its publisher sent it, kept beside a packet of the same sound in another codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// When it begins, in ticks of 1/48,000 s after the packet's timestamp.
    pub after: i32,
    /// An Opus packet.
    pub opus: Bytes,
}

/// The slices of one write, shared by all players that get the same bytes.
pub type Slices<'a> = SmallVec<[IoSlice<'a>; 64]>;

/// One packet of a stream.
#[derive(Debug)]
pub struct Packet {
    track: Track,
    class: Class,
    silence: Option<Silence>,
    companions: Vec<Companion>,
    timestamp: u64,
    payload: Bytes,
    received: Instant,
    rtmp_head: OnceLock<Head>,
    flv_tag: OnceLock<Tag>,
    stand_in: OnceLock<Option<Arc<Packet>>>,
}

impl Packet {
    /// Classifies `payload`, an FLV tag body. `timestamp` is in milliseconds on the stream's own
    /// timeline; `received` is when its last byte was read.
    pub fn new(track: Track, timestamp: u64, payload: Bytes, received: Instant) -> Self {
        let class = classify(track, &payload);
        Self::build(track, class, timestamp, payload, received)
    }

    fn build(
        track: Track,
        class: Class,
        timestamp: u64,
        payload: Bytes,
        received: Instant,
    ) -> Self {
        Self {
            track,
            class,
            silence: None,
            companions: Vec::new(),
            timestamp,
            payload,
            received,
            rtmp_head: OnceLock::new(),
            flv_tag: OnceLock::new(),
            stand_in: OnceLock::new(),
        }
    }

    /// Puts it at a time on the stream's timeline, in milliseconds.
    #[must_use]
    pub fn at(mut self, timestamp: u64) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// Says which silent frame may stand in for this one.
    #[must_use]
    pub fn with_silence(mut self, silence: Option<Silence>) -> Self {
        self.silence = silence;
        self
    }

    /// Keeps what it was made of beside it.
    #[must_use]
    pub fn with_companions(mut self, companions: Vec<Companion>) -> Self {
        self.companions = companions;
        self
    }

    /// What it was made of, where its publisher sent another codec.
    pub fn companions(&self) -> &[Companion] {
        &self.companions
    }

    /// The same packet at another time, for headers that who joins late gets.
    #[must_use]
    pub fn restamped(&self, timestamp: u64) -> Self {
        Self::build(
            self.track,
            self.class,
            timestamp,
            self.payload.clone(),
            self.received,
        )
    }

    /// The track it belongs to.
    pub fn track(&self) -> Track {
        self.track
    }

    /// What it means to routing.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Milliseconds on the stream's timeline; protocols with 32 bits send the low ones.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The FLV tag body.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// When its last byte was read.
    pub fn received(&self) -> Instant {
        self.received
    }

    /// A video frame that starts a GOP.
    pub fn is_keyframe(&self) -> bool {
        self.class == Class::Keyframe
    }

    /// Configures a decoder or describes the stream.
    pub fn is_header(&self) -> bool {
        matches!(self.class, Class::Header(_))
    }

    /// A coded frame of audio or video.
    pub fn is_frame(&self) -> bool {
        matches!(self.class, Class::Keyframe | Class::Frame)
    }

    /// The RTMP chunk headers, filled by the first writer that needs them.
    pub fn rtmp_head(&self) -> &OnceLock<Head> {
        &self.rtmp_head
    }

    /// What stands around the payload in an FLV tag, made by the first player that needs it.
    pub fn flv_tag(&self) -> &Tag {
        self.flv_tag.get_or_init(|| Tag::new(self))
    }

    /// The silent packet that a muted player gets in place of this one; `None` where there is no
    /// silence for its codec, and then the packet is dropped. Made once, on first use.
    pub fn stand_in(&self) -> Option<&Arc<Self>> {
        let silence = self.silence?;
        let made = self.stand_in.get_or_init(|| {
            let tag =
                AudioTag::parse(&self.payload).filter(|tag| tag.codec == Some(silence.codec()))?;
            let (prefix, frame) = self.payload.split_at_checked(tag.data?)?;
            let body = Bytes::from([prefix, &silence.in_place_of(frame)?].concat());
            Some(Arc::new(Self::build(
                self.track,
                self.class,
                self.timestamp,
                body,
                self.received,
            )))
        });
        made.as_ref()
    }

    /// Bytes it keeps in memory, near enough for a ring's bound.
    pub fn cost(&self) -> usize {
        let companions = self.companions.iter();
        let beside: usize = companions
            .map(|companion| companion.opus.len() + size_of::<Companion>())
            .sum();
        self.payload.len() + beside + size_of::<Self>() + 2 * size_of::<usize>()
    }
}

/// `onMetaData` as an AMF0 string, which starts the payload of a metadata message.
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// What kind of packet an FLV tag body is.
pub fn classify(track: Track, payload: &[u8]) -> Class {
    match track {
        Track::Data if payload.starts_with(ON_META_DATA) => Class::Header(0),
        Track::Data => Class::Notice,
        Track::Audio => match AudioTag::parse(payload).map(|tag| tag.part) {
            Some(Part::Header(number)) => Class::Header(number),
            Some(Part::Frame) => Class::Frame,
            Some(Part::Notice) | None => Class::Notice,
        },
        Track::Video => match VideoTag::parse(payload) {
            Some(VideoTag {
                part: Part::Header(number),
                ..
            }) => Class::Header(number),
            Some(VideoTag { keyframe: true, .. }) => Class::Keyframe,
            Some(VideoTag {
                part: Part::Frame, ..
            }) => Class::Frame,
            _ => Class::Notice,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(track: Track, payload: &'static [u8]) -> Packet {
        Packet::new(track, 7, Bytes::from_static(payload), Instant::now())
    }

    #[test]
    fn packets_are_classified_when_they_are_built() {
        let cases: [(Track, &'static [u8], Class); 7] = [
            (Track::Video, &[0x17, 0, 0, 0, 0], Class::Header(0)),
            (Track::Video, &[0x17, 1, 0, 0, 0, 1], Class::Keyframe),
            (Track::Video, &[0x27, 1, 0, 0, 0, 1], Class::Frame),
            (Track::Audio, &[0xaf, 0, 0x12, 0x10], Class::Header(0)),
            (Track::Audio, &[0xaf, 1, 0x21], Class::Frame),
            (Track::Data, b"\x02\x00\x0aonMetaData\x08", Class::Header(0)),
            (Track::Data, b"\x02\x00\x0aonTextData\x08", Class::Notice),
        ];
        for (track, payload, class) in cases {
            assert_eq!(packet(track, payload).class(), class, "{payload:02x?}");
        }
        assert_eq!(packet(Track::Video, &[]).class(), Class::Notice);
    }

    #[test]
    fn the_stand_in_keeps_the_tag_header_and_the_timestamp() {
        let legacy = packet(Track::Audio, &[0xae, 1, 0x55, 0x66]).with_silence(Some(Silence::Mono));
        let silent = legacy.stand_in().expect("AAC has silence");
        assert_eq!(
            &silent.payload()[..],
            [0xae, 1, 0x00, 0xc8, 0x00, 0x80, 0x23, 0x80]
        );
        assert_eq!(silent.timestamp(), 7);
        let enhanced = packet(Track::Audio, b"\x91mp4a\x55").with_silence(Some(Silence::Stereo));
        let silent = enhanced.stand_in().expect("AAC has silence");
        assert_eq!(&silent.payload()[..5], b"\x91mp4a");
        assert_eq!(&silent.payload()[5..], Silence::Stereo.frame());
        assert!(packet(Track::Audio, &[0xaf, 1, 0x55]).stand_in().is_none());
        let mp3 = packet(Track::Audio, &[0x2f, 0x55]).with_silence(Some(Silence::Mono));
        assert!(mp3.stand_in().is_none(), "the silence is AAC");
        let opus = packet(Track::Audio, b"\x91Opus\xfc\x55").with_silence(Some(Silence::Opus));
        let silent = opus.stand_in().expect("Opus has silence");
        assert_eq!(&silent.payload()[..], b"\x91Opus\xfc\xff\xfe");
    }

    #[test]
    fn a_head_keeps_both_parts() {
        let head = Head::new(&[1; 16], &[2; 5]);
        assert_eq!((head.first(), head.rest()), (&[1; 16][..], &[2; 5][..]));
        let head = Head::new(&[1; 12], &[2]);
        assert_eq!((head.first(), head.rest()), (&[1; 12][..], &[2][..]));
    }
}
