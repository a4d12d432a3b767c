//! Sources that an offer does not name: neither by `a=ssrc` nor in the packets themselves (MID).
//! Their packets belong to the line that has their payload type (RFC 8843 §9.2). GStreamer's
//! webrtcbin offers such lines before its encoders run.

use str0m::media::Mid;

/// Lines whose source is not known, and the payload types that are theirs alone.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(Mid, Vec<u8>)>);

const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

impl Sources {
    /// Of an offer and of its lines that are received, with their payload types.
    pub(crate) fn of(offer: &str, lines: &[(Mid, Vec<u8>)]) -> Self {
        let unnamed = |mid: &Mid| {
            let mut sections = offer.split("\nm=").skip(1);
            let named = format!("a=mid:{mid}");
            let section = sections.find(|it| it.lines().any(|line| line.trim() == named));
            section.is_some_and(|it| !it.contains("\na=ssrc:") && !it.contains(MID_EXTENSION))
        };
        let alone = |mid: Mid, pt: u8| {
            let mut others = lines.iter().filter(|(other, _)| *other != mid);
            !others.any(|(_, pts)| pts.contains(&pt))
        };
        let lines = lines.iter().filter(|(mid, _)| unnamed(mid));
        let lines = lines.map(|(mid, pts)| {
            let pts = pts.iter().filter(|&&pt| alone(*mid, pt));
            (*mid, pts.copied().collect())
        });
        Self(lines.collect())
    }

    /// The line and the source of a packet, when it is the first of a line whose source is not
    /// known. From then on it is.
    pub(crate) fn find(&mut self, datagram: &[u8]) -> Option<(Mid, u32)> {
        if self.0.is_empty() {
            return None;
        }
        let (&[first, second], rest) = datagram.split_first_chunk::<2>()?;
        // Behind both and the sequence number is the time, then the source (RFC 3550 §5.1); RTCP
        // has other payload types (RFC 5761 §4).
        let source = u32::from_be_bytes(rest.get(6..10)?.try_into().ok()?);
        let rtp = first >> 6 == 2 && !(192..=223).contains(&second);
        if !rtp || source == 0 {
            return None;
        }
        let pt = second & 0x7f;
        let at = self.0.iter().position(|(_, pts)| pts.contains(&pt))?;
        let (mid, _) = self.0.swap_remove(at);
        Some((mid, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:a\r\na=ssrc:1 cname:x\r\n";

    fn packet(pt: u8, source: u32) -> Vec<u8> {
        let mut packet = vec![0x80, pt, 0, 1, 0, 0, 0, 2];
        packet.extend(source.to_be_bytes());
        packet
    }

    #[test]
    fn a_source_that_is_not_named_is_found_by_its_payload_type_once() {
        let lines = [(Mid::from("v"), vec![96]), (Mid::from("a"), vec![97])];
        let mut sources = Sources::of(OFFER, &lines);
        assert_eq!(sources.find(&packet(97, 1)), None, "it is named");
        assert_eq!(sources.find(&packet(98, 7)), None);
        assert_eq!(sources.find(&packet(200, 7)), None, "a sender report");
        assert_eq!(sources.find(&[0x80, 96]), None);
        assert_eq!(
            sources.find(&packet(0x80 | 96, 7)),
            Some((Mid::from("v"), 7))
        );
        assert_eq!(sources.find(&packet(96, 8)), None);
    }

    #[test]
    fn a_payload_type_of_two_lines_says_nothing() {
        let lines = [(Mid::from("v"), vec![96]), (Mid::from("a"), vec![96])];
        let mut sources = Sources::of(OFFER, &lines);
        assert_eq!(sources.find(&packet(96, 7)), None);
    }
}
