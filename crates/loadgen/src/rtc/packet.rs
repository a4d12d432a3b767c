//! RTP as who counts reads it: headers alone, which are in the clear (RFC 3711 §3.1).

/// What a datagram that is RTP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
}

impl Header {
    /// Reads a datagram; `None` for STUN, DTLS and RTCP (RFC 7983 §7, RFC 5761 §4).
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        let [first, second, s1, s0, _, _, _, _, ssrc @ ..] = datagram.first_chunk::<12>()?;
        let media = (128..192).contains(first) && !(64..96).contains(&(second & 0x7f));
        media.then_some(Self {
            ssrc: u32::from_be_bytes(*ssrc),
            sequence: u16::from_be_bytes([*s1, *s0]),
        })
    }
}

/// Follows the sequence numbers of one player's streams.
#[derive(Debug, Default)]
pub(crate) struct Sequences(Vec<(u32, u16)>);

/// Streams that are followed: video, audio, what is sent again, and more than anybody sends.
const MOST: usize = 16;

/// What a packet tells of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// So many before it have not come.
    Missing(u64),
    /// It had been missing.
    Late,
}

impl Sequences {
    pub(crate) fn note(&mut self, header: Header) -> Order {
        let known = self.0.iter_mut().find(|(ssrc, _)| *ssrc == header.ssrc);
        let Some((_, last)) = known else {
            if self.0.len() < MOST {
                self.0.push((header.ssrc, header.sequence));
            }
            return Order::Missing(0);
        };
        // Numbers wrap at 16 bits: half of the circle is behind.
        let step = header.sequence.wrapping_sub(*last);
        if step == 0 || step > u16::MAX / 2 {
            return Order::Late;
        }
        *last = header.sequence;
        Order::Missing(u64::from(step) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_is_told_from_what_else_comes_to_the_port() {
        let datagram = |first, second| [first, second, 1, 2, 0, 0, 0, 0, 0, 0, 0, 9];
        let rtp = Header::parse(&datagram(0x80, 0x60 | 0x80)).unwrap();
        assert_eq!((rtp.ssrc, rtp.sequence), (9, 0x102));
        for (first, second) in [(0, 1), (22, 254), (0x80, 200), (0x81, 201), (0x80, 206)] {
            assert_eq!(Header::parse(&datagram(first, second)), None);
        }
        assert_eq!(Header::parse(&[0x80, 96, 0]), None);
    }

    #[test]
    fn gaps_are_counted_for_each_stream_across_the_wrap() {
        let mut sequences = Sequences::default();
        let mut note = |ssrc, sequence| sequences.note(Header { ssrc, sequence });
        for (ssrc, sequence, order) in [
            (1, 65_534, Order::Missing(0)),
            (2, 10, Order::Missing(0)),
            (1, 65_535, Order::Missing(0)),
            (1, 2, Order::Missing(2)),
            (1, 0, Order::Late),
            (2, 11, Order::Missing(0)),
            (1, 3, Order::Missing(0)),
        ] {
            assert_eq!(note(ssrc, sequence), order, "{ssrc} {sequence}");
        }
    }
}
