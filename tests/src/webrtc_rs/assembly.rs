//! Frames of H.264 from RTP packets, in the order of their numbers and with none left out.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use rtc::rtp::Packet;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;

use crate::h264::Frame;

/// With so many packets behind one that is missing, it is lost for good.
const LOST: usize = 2000;

/// Packets on their way to frames.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Those that came and are not read yet.
    waiting: HashMap<u16, Packet>,
    /// The number that is to be read next.
    due: Option<u16>,
    /// The newest number that came.
    newest: Option<u16>,
    late: usize,
    /// A frame has ended: of the one that was under way when the first packet came, a part may be missing.
    begun: bool,
    depacketizer: H264Packet,
    /// The NAL units of the frame that is not whole yet, each after its length.
    units: Vec<u8>,
}

impl Assembly {
    /// Takes a packet.
    pub(super) fn push(&mut self, packet: Packet) {
        let number = packet.header.sequence_number;
        let due = *self.due.get_or_insert(number);
        if is_before(number, due) || self.waiting.contains_key(&number) {
            return;
        }
        match self.newest {
            Some(newest) if is_before(number, newest) => self.late += 1,
            _ => self.newest = Some(number),
        }
        self.waiting.insert(number, packet);
    }

    /// The next whole frame and its timestamp, if there is one.
    ///
    /// # Errors
    /// A packet is lost for good, or is no H.264.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Frame)>> {
        while let Some(due) = self.due {
            let Some(packet) = self.waiting.remove(&due) else {
                ensure!(self.waiting.len() < LOST, "packet {due} never came");
                break;
            };
            self.due = Some(due.wrapping_add(1));
            let begun = self.begun;
            self.begun |= packet.header.marker;
            // Padding has a number and nothing else.
            if !begun || packet.payload.is_empty() {
                continue;
            }
            self.depacketizer.is_avc = true;
            let units = self.depacketizer.depacketize(&packet.payload);
            self.units.extend(units.context("depacketising")?);
            if packet.header.marker {
                let frame = Frame::parse(std::mem::take(&mut self.units).into())?;
                return Ok(Some((packet.header.timestamp, frame)));
            }
        }
        Ok(None)
    }

    /// How many came after those behind them.
    pub(super) fn late(&self) -> usize {
        self.late
    }
}

/// Whether a number comes before another, also where they have begun anew at 0 in between.
fn is_before(number: u16, other: u16) -> bool {
    number != other && other.wrapping_sub(number) < 1 << 15
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A frame of one NAL unit in two fragments (RFC 6184 §5.8), from a number on.
    fn fragments(number: u16) -> [Packet; 2] {
        [(0x85, 0x11, false), (0x45, 0x22, true)].map(|(header, byte, marker)| {
            let mut packet = Packet::default();
            let step = u16::from(marker);
            packet.header.sequence_number = number.wrapping_add(step);
            packet.header.timestamp = u32::from(number);
            packet.header.marker = marker;
            packet.payload = Bytes::from(vec![0x7c, header, byte]);
            packet
        })
    }

    /// One that has seen the end of the frame of these numbers.
    fn begun(number: u16) -> Assembly {
        let mut assembly = Assembly::default();
        let [_, end] = fragments(number);
        assembly.push(end);
        assert_eq!(assembly.next().unwrap(), None);
        assembly
    }

    #[test]
    fn a_frame_waits_for_its_missing_packet_across_the_wrap() {
        let mut assembly = begun(u16::MAX - 4);
        let frame = Frame {
            units: vec![Bytes::from_static(&[0x65, 0x11, 0x22])],
        };
        let [first, second] = fragments(u16::MAX - 2);
        assembly.push(first);
        assert_eq!(assembly.next().unwrap(), None);
        assembly.push(second.clone());
        assert_eq!(assembly.next().unwrap(), Some((65_533, frame.clone())));
        let [missing, rest] = fragments(u16::MAX);
        assembly.push(rest.clone());
        assembly.push(rest);
        assembly.push(second);
        assert_eq!((assembly.next().unwrap(), assembly.late()), (None, 0));
        assembly.push(missing);
        assert_eq!(assembly.next().unwrap(), Some((65_535, frame)));
        assert_eq!((assembly.next().unwrap(), assembly.late()), (None, 1));
    }

    #[test]
    fn a_packet_that_never_comes_is_an_error() {
        let mut assembly = begun(0);
        for number in 0..1000 {
            for packet in fragments(3 + 2 * number) {
                assembly.push(packet);
            }
        }
        let error = assembly.next().unwrap_err().to_string();
        assert_eq!(error, "packet 2 never came");
    }
}
