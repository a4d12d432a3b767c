//! What all players together have seen.

use crate::histogram::Histogram;

/// Counts of a run; [`Tally::begin`] starts those that are rates anew.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Microseconds from sending to receiving, since [`Tally::begin`].
    pub(crate) video_delay: Histogram,
    pub(crate) audio_delay: Histogram,
    /// Microseconds from connecting to the first keyframe, of the whole run.
    pub(crate) first_frame: Histogram,
    /// Bytes read since [`Tally::begin`], and those of them that judges read.
    pub(crate) bytes: u64,
    pub(crate) judged_bytes: u64,
    /// Messages of the stream that judges read since [`Tally::begin`].
    pub(crate) messages: u64,
    /// RTP packets that players got since [`Tally::begin`]: by WebRTC each is counted.
    pub(crate) packets: u64,
    /// RTP packets that never came, of the whole run.
    pub(crate) lost_packets: u64,
    /// Frames that never came, of the whole run.
    pub(crate) lost_video: u64,
    pub(crate) lost_audio: u64,
    /// Timestamps and frame numbers that ran back on a track, of the whole run.
    pub(crate) back: u64,
}

impl Tally {
    /// Starts the time that is measured.
    pub(crate) fn begin(&mut self) {
        self.video_delay.clear();
        self.audio_delay.clear();
        (self.bytes, self.judged_bytes) = (0, 0);
        (self.messages, self.packets) = (0, 0);
    }

    /// Frames that judges never got.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_video + self.lost_audio
    }

    /// What all players got: packets by WebRTC, and otherwise the messages that judges read and as
    /// many as the bytes of the others make at the same size.
    pub(crate) fn delivered(&self) -> u64 {
        if self.packets > 0 {
            return self.packets;
        }
        let delivered = u128::from(self.bytes) * u128::from(self.messages);
        let delivered = delivered / u128::from(self.judged_bytes.max(1));
        u64::try_from(delivered).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_those_who_count_bytes_are_worked_out_from_those_who_judge() {
        let mut tally = Tally {
            bytes: 1000,
            judged_bytes: 100,
            messages: 7,
            ..Tally::default()
        };
        assert_eq!(tally.delivered(), 70);
        tally.packets = 9;
        assert_eq!(tally.delivered(), 9);
        tally.begin();
        assert_eq!(tally.delivered(), 0);
    }
}
