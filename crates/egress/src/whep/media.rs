//! What a stream's viewers are sent, beside its ring: cut pictures and Opus packets, each made once
//! and found by the sequence number of the packet that it is made of.

use std::collections::VecDeque;
use std::sync::Arc;

use lockgate_media::Track;
use lockgate_media::codec::VideoCodec;
use lockgate_routing::ring::View;
use lockgate_rtc::Format;

use super::pictures::{Cutter, Picture};
use super::sounds::{Sound, Sounder};

/// What one packet of the ring has become.
#[derive(Debug)]
enum Made {
    Nothing,
    Picture(Arc<Picture>),
    Sounds(Vec<Sound>),
}

/// The ring's packets, made ready.
#[derive(Debug, Default)]
pub(super) struct Media {
    first: u64,
    made: VecDeque<Made>,
    cutter: Cutter,
    sounder: Sounder,
    /// Sound from before this is nobody's: who joins hears what is live.
    sound_from: Option<u64>,
}

impl Media {
    /// Brings it up to date with the ring.
    pub(super) fn follow(&mut self, view: &View) {
        let live = *self.sound_from.get_or_insert_with(|| {
            // Frames still held may rest on headers that no longer are.
            for header in view.headers() {
                if header.seq >= view.first() {
                    continue;
                }
                match header.packet.track() {
                    Track::Video => drop(self.cutter.push(&header.packet)),
                    Track::Audio => drop(self.sounder.push(&header.packet)),
                    Track::Data => {}
                }
            }
            self.first = view.first();
            view.head()
        });
        while self.first < view.first() {
            self.first += 1;
            if self.made.pop_front().is_none() {
                self.first = view.first();
            }
        }
        for seq in self.first + self.made.len() as u64..view.head() {
            let made = view.get(seq).map(|packet| match packet.track() {
                Track::Video => self
                    .cutter
                    .push(packet)
                    .map_or(Made::Nothing, |picture| Made::Picture(Arc::new(picture))),
                Track::Audio if seq >= live || packet.is_header() => {
                    Made::Sounds(self.sounder.push(packet))
                }
                _ => Made::Nothing,
            });
            self.made.push_back(made.unwrap_or(Made::Nothing));
        }
    }

    fn get(&self, seq: u64) -> Option<&Made> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.made.get(index)
    }

    pub(super) fn picture(&self, seq: u64) -> Option<&Arc<Picture>> {
        match self.get(seq)? {
            Made::Picture(picture) => Some(picture),
            _ => None,
        }
    }

    pub(super) fn sounds(&self, seq: u64) -> &[Sound] {
        match self.get(seq) {
            Some(Made::Sounds(sounds)) => sounds,
            _ => &[],
        }
    }

    /// The newest picture.
    pub(super) fn newest_picture(&self) -> Option<&Arc<Picture>> {
        self.made.iter().rev().find_map(|made| match made {
            Made::Picture(picture) => Some(picture),
            _ => None,
        })
    }

    /// Whether frames come in another order than they are shown in.
    pub(super) fn is_reordered(&self) -> bool {
        self.cutter.is_reordered()
    }

    /// The codec of the video that is sent, and what its packets carry.
    pub(super) fn carried(&self) -> Option<(VideoCodec, Format)> {
        self.cutter.carried()
    }

    /// The codec that keeps video from being sent, if one does.
    pub(super) fn foreign(&self) -> Option<VideoCodec> {
        self.cutter.foreign()
    }
}
