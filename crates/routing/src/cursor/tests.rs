//! Gate decisions as tables: a script of packets and switches, and what the player must get.
//!
//! A script is words: `H` video header, `J` another, `K` keyframe, `p` delta frame, `A` audio
//! header, `a` audio frame, `M` metadata; `N` is another publisher; `-v` closes video, `+v` opens it, `-a` and `+a` audio;
//! `join` joins, `|` reads all there is. Sent packets are written the same way, with their
//! timestamp (10 ms a packet), `s` for silence.

use std::time::Instant;

use bytes::Bytes;
use lockgate_media::sequence::AudioFormat;
use proptest::prelude::*;

use super::*;
use crate::config::RingLimits;
use crate::gate::Source;
use crate::ring::Ring;

const SILENCE: MutedAudio = MutedAudio::Silence;

struct Scene {
    ring: Ring,
    view: View,
    start: Instant,
    time: u64,
    audio_header: &'static [u8],
    switches: Switches,
    cursor: Option<Cursor>,
    got: Vec<String>,
    /// The video frames pushed, and those sent, by sequence number.
    pushed_frames: Vec<u64>,
    sent_frames: Vec<(u64, Class)>,
    dropped: Dropped,
    /// How far behind the player may be when it reads.
    skip_after: Duration,
    /// Frames before the first keyframe of a publisher do not enter a ring.
    need_key: bool,
}

/// 44.1 kHz stereo AAC-LC.
const STEREO: &[u8] = &[0xaf, 0, 0x12, 0x10];
const MONO: &[u8] = &[0xae, 0, 0x12, 0x08];
const HE_AAC: &[u8] = &[0xaf, 0, 0x2b, 0x92, 0x88, 0x00];
const OPUS: &[u8] = b"\x90OpusOpusHead\x01\x02";

impl Scene {
    fn new(audio_header: &'static [u8]) -> Self {
        let limits = RingLimits {
            duration: Duration::from_secs(60),
            bytes: 1 << 20,
            packets: 12,
        };
        Self {
            ring: Ring::new(limits),
            view: View::default(),
            start: Instant::now(),
            time: 0,
            audio_header,
            switches: Switches::default(),
            cursor: None,
            got: Vec::new(),
            pushed_frames: Vec::new(),
            sent_frames: Vec::new(),
            dropped: Dropped::default(),
            skip_after: Duration::from_secs(60),
            need_key: false,
        }
    }

    fn push(&mut self, track: Track, payload: &'static [u8]) {
        let received = self.start + Duration::from_millis(self.time);
        // Metadata has no time.
        let time = if track == Track::Data { 0 } else { self.time };
        let packet = Packet::new(track, time, Bytes::from_static(payload), received);
        let silence = AudioFormat::parse(self.audio_header).and_then(|format| format.silence());
        let packet = packet.with_silence(silence.filter(|_| track == Track::Audio));
        if track == Track::Video && packet.is_frame() {
            if self.need_key && !packet.is_keyframe() {
                return;
            }
            self.need_key = false;
            self.pushed_frames.push(self.ring.view().head());
        }
        self.ring.push(Arc::new(packet));
        self.ring.refresh(&mut self.view);
        self.time += 10;
    }

    fn word(&mut self, word: &str) {
        let audio_frame: &'static [u8] = match self.audio_header {
            OPUS => b"\x91Opusx",
            _ => &[0xaf, 1, 0x55],
        };
        match word {
            "H" => self.push(Track::Video, &[0x17, 0, 0, 0, 0, 1]),
            "J" => self.push(Track::Video, &[0x17, 0, 0, 0, 0, 2]),
            "K" => self.push(Track::Video, &[0x17, 1, 0, 0, 0, 1]),
            "p" => self.push(Track::Video, &[0x27, 1, 0, 0, 0, 1]),
            "A" => self.push(Track::Audio, self.audio_header),
            "a" => self.push(Track::Audio, audio_frame),
            "M" => self.push(Track::Data, b"\x02\x00\x0aonMetaData\x08"),
            "N" => {
                self.ring.change_publisher();
                self.ring.refresh(&mut self.view);
                self.need_key = true;
            }
            "-v" => self.turn(Source::Subscriber, Track::Video, true),
            "+v" => self.turn(Source::Subscriber, Track::Video, false),
            "-a" => self.turn(Source::Subscriber, Track::Audio, true),
            "+a" => self.turn(Source::Subscriber, Track::Audio, false),
            "pause" => {
                self.turn(Source::Pause, Track::Video, true);
                self.turn(Source::Pause, Track::Audio, true);
            }
            "resume" => {
                self.turn(Source::Pause, Track::Video, false);
                self.turn(Source::Pause, Track::Audio, false);
            }
            "join" => self.cursor = Some(Cursor::join(&self.view, self.switches)),
            "|" => self.read(),
            other => panic!("no word {other}"),
        }
    }

    fn turn(&mut self, source: Source, track: Track, closed: bool) {
        self.switches = self.switches.with(source, track, closed);
        if let Some(cursor) = &mut self.cursor {
            cursor.turn(&self.view, self.switches);
        }
    }

    fn read(&mut self) {
        let Some(cursor) = &mut self.cursor else {
            return;
        };
        cursor.catch_up(&self.view, self.skip_after);
        while let Some(step) = cursor.next(&self.view, self.switches, SILENCE, &mut self.dropped) {
            self.got.push(name(&step.packet));
            let is_picture = step.packet.track() == Track::Video && step.packet.is_frame();
            if let Some(seq) = step.seq.filter(|_| is_picture) {
                self.sent_frames.push((seq, step.packet.class()));
            }
        }
        assert!(cursor.is_at_head(&self.view));
        self.got.push("|".into());
    }
}

fn name(packet: &Packet) -> String {
    let name = match (packet.track(), packet.class()) {
        (Track::Video, Class::Header(_)) if packet.payload().ends_with(&[2]) => "J",
        (Track::Video, Class::Header(_)) => "H",
        (Track::Video, Class::Keyframe) => "K",
        (Track::Video, _) => "p",
        (Track::Audio, Class::Header(_)) => "A",
        (Track::Audio, _) if packet.payload().len() > 6 => "s",
        (Track::Audio, _) => "a",
        (Track::Data, _) => "M",
    };
    format!("{name}{}", packet.timestamp())
}

fn play(audio_header: &'static [u8], script: &str) -> (String, Dropped) {
    let mut scene = Scene::new(audio_header);
    for word in script.split_whitespace() {
        scene.word(word);
    }
    (scene.got.join(" "), scene.dropped)
}

#[test]
fn gates_decide_as_the_table_says() {
    let cases = [
        (
            "first in: everything from the first packet",
            "join M H A K a p |",
            "M0 H10 A20 K30 a40 p50 |",
        ),
        (
            "late join: headers and the GOP at the GOP's time",
            "M H A K p a K a p join | p |",
            "M0 H60 A70 K60 a70 p80 | p90 |",
        ),
        (
            "late join with no keyframe yet: audio now, video from the next",
            "M H A a p p join | a p | K p |",
            "M0 H50 A30 | a60 | K80 p90 |",
        ),
        (
            "an audio-only stream starts at the newest packet",
            "M A a a a join | a a |",
            "M0 A40 | a50 a60 |",
        ),
        (
            "a video-only stream starts at the GOP",
            "H K p p join | p |",
            "H10 K10 p20 p30 | p40 |",
        ),
        (
            "audio headers newer than the GOP start: audio from there",
            "H A K a A a join |",
            "H20 K20 A40 a50 |",
        ),
        (
            "video muted before the first packet",
            "-v join M H A K a p | a p |",
            "M0 H10 A20 a40 | a60 |",
        ),
        (
            "video muted before joining, then opened",
            "H A K p -v join a p | +v | a p |",
            "H20 A40 a40 | H20 K20 p30 p50 | a60 p70 |",
        ),
        (
            "mute and unmute inside one GOP: from the frame after the last sent",
            "join H A K p | -v a p p | +v | p |",
            "H0 A10 K20 p30 | a40 | p50 p60 | p70 |",
        ),
        (
            "mute and unmute across GOPs: from the newest keyframe, with its header",
            "join H A K p | -v a p K p a | +v | p |",
            "H0 A10 K20 p30 | a40 a80 | H60 K60 p70 | p90 |",
        ),
        (
            "mute and unmute with nothing between",
            "join H K p | -v +v p |",
            "H0 K10 p20 | p30 |",
        ),
        (
            "unmute after the GOP was lost: wait for a keyframe",
            "join H K | -v p p p p p p p p p p p p p p | +v | p | K p |",
            "H0 K10 | | | | K170 p180 |",
        ),
        (
            "a header that changes while muted passes, and the old GOP is not shown",
            "join H K p | -v J p | +v | p | K p |",
            "H0 K10 p20 | J30 | | | K60 p70 |",
        ),
        (
            "a header and keyframe that change while muted",
            "join H K p | -v J K p | +v |",
            "H0 K10 p20 | J30 | J40 K40 p50 |",
        ),
        (
            "muted stereo AAC-LC is silence at the same times",
            "join H A K a | -a a p a | +a a |",
            "H0 A10 K20 a30 | s40 p50 s60 | a70 |",
        ),
        (
            "both mutes: silence and headers alone",
            "join H A K a | -a -v a p a K M | +a +v |",
            "H0 A10 K20 a30 | s40 s60 M0 | H70 K70 |",
        ),
        (
            "pause sends nothing, resume shows a picture",
            "join H A K a | pause a p a K p | resume | a p |",
            "H0 A10 K20 a30 | | H70 K70 p80 | a90 p100 |",
        ),
        (
            "another publisher while muted: nothing of the last is shown",
            "join H K p | -v p N H K p | +v | p |",
            "H0 K10 p20 | H40 | H50 K50 p60 | p70 |",
        ),
        (
            "a late join between two publishers: the next one's headers, from its keyframe",
            "M H A K p a N join | J A a p K p |",
            "| J60 A70 a80 K90 p100 |",
        ),
        (
            "a keyframe inside the muted stretch counts, whoever looks when",
            "join H K p | -v | p | K | p | +v | p |",
            "H0 K10 p20 | | | | | H40 K40 p50 | p60 |",
        ),
    ];
    for (what, script, expected) in cases {
        assert_eq!(play(STEREO, script).0, expected, "{what}: {script}");
    }
}

#[test]
fn each_audio_codec_is_muted_in_its_way() {
    let script = "join A a | -a a a | +a a |";
    let cases = [
        ("stereo AAC-LC", STEREO, "A0 a10 | s20 s30 | a40 |", 2, 0),
        ("mono AAC-LC", MONO, "A0 a10 | s20 s30 | a40 |", 2, 0),
        ("HE-AAC", HE_AAC, "A0 a10 | | a40 |", 0, 2),
        ("Opus", OPUS, "A0 a10 | s20 s30 | a40 |", 2, 0),
    ];
    for (what, header, expected, silenced, muted) in cases {
        let (got, dropped) = play(header, script);
        assert_eq!(got, expected, "{what}");
        assert_eq!(
            (dropped.silenced, dropped.muted),
            (silenced, muted),
            "{what}"
        );
    }
}

#[test]
fn a_slow_player_skips_video_to_the_newest_keyframe_and_keeps_audio() {
    let mut scene = Scene::new(STEREO);
    for word in "join H A K a p a K a p".split_whitespace() {
        scene.word(word);
    }
    let mut cursor = Cursor::join(&View::default(), Switches::default());
    let skips = cursor.catch_up(&scene.view, Duration::from_millis(20));
    assert_eq!(
        skips,
        Skips {
            video: true,
            audio: false
        }
    );
    scene.cursor = Some(cursor);
    scene.word("|");
    assert_eq!(scene.got.join(" "), "H60 A10 a30 a50 K60 a70 p80 |");
}

#[test]
fn a_player_whose_place_is_gone_skips_both() {
    let mut scene = Scene::new(STEREO);
    for word in "join H A K | a p a p a p a p a p a p a p K p".split_whitespace() {
        scene.word(word);
    }
    let cursor = scene.cursor.as_mut().unwrap();
    let skips = cursor.catch_up(&scene.view, Duration::from_secs(60));
    assert_eq!(
        skips,
        Skips {
            video: true,
            audio: true
        }
    );
    scene.got.clear();
    scene.word("|");
    assert_eq!(
        scene.got[..3],
        ["a70", "a90", "a110"],
        "it has the headers already"
    );
    assert_eq!(scene.got[scene.got.len() - 3..], ["K170", "p180", "|"]);
}

#[test]
fn players_that_joined_at_different_times_become_equal() {
    let mut scene = Scene::new(STEREO);
    let mut cursors = Vec::new();
    for script in ["H A K p a", "K a p", "p p", "-v p +v K", "p a"] {
        for word in script.split_whitespace().chain(["join", "|"]) {
            scene.word(word);
        }
        cursors.push(scene.cursor.take());
    }
    for word in ["a", "p"] {
        scene.word(word);
    }
    for cursor in &mut cursors {
        scene.cursor = cursor.take();
        scene.word("|");
        *cursor = scene.cursor.take();
    }
    assert!(
        cursors.windows(2).all(|pair| pair[0] == pair[1]),
        "{cursors:?}"
    );
}

fn words() -> impl Strategy<Value = Vec<&'static str>> {
    let word = prop::sample::select(vec![
        "H", "J", "K", "K", "p", "p", "p", "A", "a", "a", "a", "M", "N", "-v", "+v", "-a", "+a",
        "pause", "resume", "|", "|", "join",
    ]);
    prop::collection::vec(word, 1..120)
}

proptest! {
    #[test]
    fn whatever_turns_no_track_goes_back_and_every_delta_has_its_references(
        script in words(),
        skip_after in prop::sample::select(vec![20u64, 40, 80, 60_000]),
    ) {
        let mut scene = Scene::new(STEREO);
        scene.skip_after = Duration::from_millis(skip_after);
        for word in script {
            if word == "join" {
                scene.got.clear();
                scene.sent_frames.clear();
            }
            scene.word(word);
        }
        scene.word("|");
        let mut last = [0u64; 3];
        for word in scene.got.iter().filter(|word| *word != "|") {
            let digits = word.find(|c: char| c.is_ascii_digit()).unwrap();
            let (name, time) = word.split_at(digits);
            let time: u64 = time.parse().unwrap();
            let track = match name {
                "H" | "J" | "K" | "p" => 0,
                "M" => 2,
                _ => 1,
            };
            prop_assert!(time >= last[track], "{:?}", scene.got);
            last[track] = time;
        }
        let mut before = None;
        for &(seq, class) in &scene.sent_frames {
            if class == Class::Frame {
                let reference = scene.pushed_frames.iter().rev().find(|&&pushed| pushed < seq);
                prop_assert_eq!(before.as_ref(), reference, "{:?}", scene.got);
            }
            before = Some(seq);
        }
    }
}
