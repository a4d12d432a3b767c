//! What players at one place of the ring get next, worked out once for all of them.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use lockgate_media::{Packet, Slices};
use smallvec::SmallVec;

use super::Player;
use super::tally::Tally;
use crate::config::MutedAudio;
use crate::cursor::{Cursor, Dropped, Step};
use crate::gate::Switches;
use crate::player::{Protocol, Sink};
use crate::ring::View;

/// Most packets in one write. A joiner's GOP takes some writes, live packets one.
const MAX_PACKETS: usize = 64;
/// A write stops growing past this many bytes: sockets take no more at once.
const MAX_BYTES: usize = 256 * 1024;
/// Most slices in one write: what the kernel takes.
const MAX_SLICES: usize = 1024;

/// The next packets from one cursor, with the cursor after each.
pub(super) struct Plan {
    items: SmallVec<[Item; 8]>,
    made: Instant,
    end: Cursor,
    dropped: Dropped,
}

struct Item {
    step: Step,
    /// Seconds for which it had been here when the plan was made.
    dwelt: f64,
    after: Cursor,
    dropped: Dropped,
}

impl Plan {
    pub(super) fn new(view: &View, cursor: Cursor, switches: Switches, muted: MutedAudio) -> Self {
        let made = Instant::now();
        let mut plan = Self {
            items: SmallVec::new(),
            made,
            end: cursor,
            dropped: Dropped::default(),
        };
        let mut bytes = 0;
        while plan.items.len() < MAX_PACKETS && bytes < MAX_BYTES {
            let Some(step) = plan.end.next(view, switches, muted, &mut plan.dropped) else {
                break;
            };
            bytes += step.packet.payload().len();
            let dwelt = made.saturating_duration_since(step.packet.received());
            plan.items.push(Item {
                step,
                dwelt: dwelt.as_secs_f64(),
                after: plan.end,
                dropped: plan.dropped,
            });
        }
        plan
    }

    pub(super) fn slices(&self, protocol: &Protocol) -> Slices<'_> {
        let mut slices = Slices::new();
        for item in &self.items {
            (protocol.slices)(&item.step.packet, &mut slices);
        }
        slices
    }

    /// Writes the plan's `slices`, `total` bytes in all, to a player; `false` when its socket took
    /// less than all of it.
    pub(super) fn write(
        &self,
        slices: &[IoSlice<'_>],
        total: usize,
        player: &mut Player,
        tally: &mut Tally,
    ) -> io::Result<bool> {
        if total == 0 {
            player.cursor = self.end;
            tally.dropped(self.dropped);
            return Ok(true);
        }
        let offered = slices.get(..MAX_SLICES).unwrap_or(slices);
        let written = attempt(player.sink.as_ref(), offered)?;
        if written == 0 {
            return Ok(false);
        }
        tally.write(written);
        player.bytes += written as u64;
        if written >= total {
            player.cursor = self.end;
            tally.dropped(self.dropped);
            self.count(self.items.len(), player, tally);
            return Ok(true);
        }
        self.cut(written, player, tally);
        Ok(false)
    }

    /// Takes note of a write that did not take everything.
    fn cut(&self, written: usize, player: &mut Player, tally: &mut Tally) {
        let (mut left, mut sent, mut dropped) = (written, 0, Dropped::default());
        for item in &self.items {
            if left == 0 {
                break;
            }
            let length = length(player.sink.protocol(), &item.step.packet);
            player.cursor = item.after;
            dropped = item.dropped;
            sent += 1;
            if left < length {
                let packet = Arc::clone(&item.step.packet);
                player.pending = Some(Pending { packet, sent: left });
            }
            left = left.saturating_sub(length);
        }
        tally.dropped(dropped);
        self.count(sent, player, tally);
    }

    /// Counts the first `sent` packets, and their dwell where the player was waiting for them.
    fn count(&self, sent: usize, player: &mut Player, tally: &mut Tally) {
        let passed = self.made.elapsed().as_secs_f64();
        for item in self.items.iter().take(sent) {
            let packet = &item.step.packet;
            tally.packet(packet.track());
            if !player.seen_frame && packet.is_frame() {
                player.seen_frame = true;
                tally.first_frame(player.seat.joined.elapsed());
            }
            if item.step.seq.is_some_and(|seq| seq >= player.backlog) {
                tally.dwell(item.dwelt + passed);
            }
        }
        player.packets += sent as u64;
    }
}

/// The rest of a packet that a write cut. It is held here, whatever becomes of the ring.
pub(super) struct Pending {
    packet: Arc<Packet>,
    sent: usize,
}

impl Pending {
    /// Writes on; `true` when nothing is left.
    pub(super) fn write(&mut self, sink: &dyn Sink) -> io::Result<bool> {
        let mut slices = Slices::new();
        (sink.protocol().slices)(&self.packet, &mut slices);
        let mut rest: &mut [IoSlice<'_>] = &mut slices;
        IoSlice::advance_slices(&mut rest, self.sent);
        while !rest.is_empty() {
            let offered = rest.get(..MAX_SLICES).unwrap_or(rest);
            let written = attempt(sink, offered)?;
            if written == 0 {
                return Ok(false);
            }
            self.sent += written;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(true)
    }

    /// The unwritten bytes, for the connection to write by itself.
    pub(super) fn rest(&self, protocol: &Protocol) -> Vec<u8> {
        let mut slices = Slices::new();
        (protocol.slices)(&self.packet, &mut slices);
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        bytes.skip(self.sent).collect()
    }
}

fn length(protocol: &Protocol, packet: &Packet) -> usize {
    let mut slices = Slices::new();
    (protocol.slices)(packet, &mut slices);
    slices.iter().map(|slice| slice.len()).sum()
}

/// One write: 0 when the socket takes nothing now.
pub(super) fn attempt(sink: &dyn Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_write(slices) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => Ok(written),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}
