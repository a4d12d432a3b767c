//! What a publishing peer sends: frames, put together by str0m.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use str0m::media::MediaData;

use crate::format::Format;

/// A frame that a peer sent, put together and in order.
#[derive(Debug)]
pub struct Frame {
    /// A picture rather than an Opus packet.
    pub video: bool,
    /// What it is: H.264 and H.265 come as byte streams, AV1 as OBUs with their sizes.
    pub format: Format,
    /// Its RTP time, which does not wrap.
    pub time: u64,
    /// Ticks a second of that.
    pub rate: u32,
    /// When its first packet came.
    pub received: Instant,
    /// Nothing is missing between it and the frame before.
    pub contiguous: bool,
    /// The peer's own clock at some RTP time, as it last said.
    pub report: Option<Report>,
    /// The frame.
    pub data: Arc<[u8]>,
}

/// What a sender report says of time (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The peer's clock.
    pub clock: SystemTime,
    /// The RTP time at which it was that.
    pub time: u32,
}

impl Frame {
    pub(crate) fn of(data: MediaData) -> Option<Self> {
        let format = Format::of(&data.params.spec())?;
        let report = data.last_sender_info.map(|info| Report {
            clock: info.ntp_time,
            // The low bits are what the report said.
            time: low(info.rtp_time.numer()),
        });
        Some(Self {
            video: format != Format::Opus,
            format,
            time: data.time.numer(),
            rate: data.time.denom(),
            received: data.network_time,
            contiguous: data.contiguous,
            report,
            data: data.data,
        })
    }
}

/// The part of an RTP time that goes over the wire.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn low(time: u64) -> u32 {
    time as u32
}
