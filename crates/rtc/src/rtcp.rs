//! RTCP as the node speaks it to its viewers: reports of what it sends (RFC 3550 §6.4), and what
//! they say of what they receive (RFC 4585, RFC 5104, REMB, transport-wide feedback). No IO; any bytes may come in.

mod arrivals;

pub use arrivals::Arrivals;

/// Says what a viewer wants or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback<'a> {
    /// It misses packets (RFC 4585 §6.2.1).
    Nack {
        /// Whose.
        ssrc: u32,
        /// The first.
        first: u16,
        /// Bit n: it misses the packet n + 1 after the first, too.
        others: u16,
    },
    /// It cannot go on without a keyframe: PLI (RFC 4585 §6.3.1) or FIR (RFC 5104 §4.3.1).
    KeyframeWanted,
    /// What its network carries, in bits a second (draft-alvestrand-rmcat-remb §2.2).
    Capacity(u64),
    /// Which packets came, and when (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
    Arrivals(Arrivals<'a>),
}

const SENDER_REPORT: u8 = 200;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;
/// REMB as the one, transport-wide feedback as the other.
const APPLICATION: u8 = 15;
const CNAME: u8 = 1;

/// Reads a compound packet, and tells of what is feedback in it, in order. What follows something
/// broken is left out.
pub fn read<'a>(mut compound: &'a [u8], mut tell: impl FnMut(Feedback<'a>)) {
    while let Some((packet, rest)) = split(compound) {
        let _ = feedback(packet, &mut tell);
        compound = rest;
    }
}

/// One packet, and what is behind it.
fn split(compound: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = compound.get(..4)?;
    if head.first()? >> 6 != 2 {
        return None;
    }
    let words = u16::from_be_bytes(head.get(2..4)?.try_into().ok()?);
    compound.split_at_checked(4 + 4 * usize::from(words))
}

fn feedback<'a>(packet: &'a [u8], tell: &mut impl FnMut(Feedback<'a>)) -> Option<()> {
    let [format, kind, ..] = *packet else {
        return None;
    };
    let format = format & 0x1f;
    match (kind, format) {
        (TRANSPORT_FEEDBACK, NACK) => {
            let ssrc = word(packet, 8)?;
            for entry in packet.get(12..)?.chunks_exact(4) {
                let entry = word(entry, 0)?;
                tell(Feedback::Nack {
                    ssrc,
                    first: u16::try_from(entry >> 16).ok()?,
                    others: u16::try_from(entry & 0xffff).ok()?,
                });
            }
        }
        (TRANSPORT_FEEDBACK, APPLICATION) => {
            tell(Feedback::Arrivals(Arrivals::parse(packet.get(12..)?)?));
        }
        (PAYLOAD_FEEDBACK, PLI | FIR) => tell(Feedback::KeyframeWanted),
        (PAYLOAD_FEEDBACK, APPLICATION) if packet.get(12..16)? == b"REMB" => {
            let rate = word(packet, 16)?;
            let (exponent, mantissa) = (rate >> 18 & 0x3f, u64::from(rate & 0x3_ffff));
            let bits = mantissa.checked_mul(1_u64.checked_shl(exponent)?)?;
            tell(Feedback::Capacity(bits));
        }
        _ => {}
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(word.try_into().ok()?))
}

/// What a sender report says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderReport {
    pub(crate) ssrc: u32,
    /// Now, as NTP has it (RFC 3550 §4).
    pub(crate) ntp: u64,
    /// The same in RTP time.
    pub(crate) time: u32,
    /// What was sent, as far as the counters go.
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// Writes a compound packet: the reports, and who sends them.
pub(crate) fn write_reports(out: &mut Vec<u8>, reports: &[SenderReport], cname: &str) {
    for report in reports {
        head(out, SENDER_REPORT, 0, 24);
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        out.extend_from_slice(&report.ntp.to_be_bytes());
        for word in [report.time, report.packets, report.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    // Its own CNAME is what makes lines one speaker's (§6.5.1). Behind it at least one zero.
    let name = cname.get(..cname.len().min(255)).unwrap_or_default();
    let chunk = (4 + 2 + name.len() + 1).next_multiple_of(4);
    let body = chunk * reports.len();
    head(out, DESCRIPTION, reports.len(), body);
    for report in reports {
        let end = out.len() + chunk;
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        out.push(CNAME);
        out.push(u8::try_from(name.len()).unwrap_or(0));
        out.extend_from_slice(name.as_bytes());
        out.resize(end, 0);
    }
}

/// Writes that these senders are gone (§6.6), behind [`write_reports`].
pub(crate) fn write_goodbye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    head(out, GOODBYE, ssrcs.len(), 4 * ssrcs.len());
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
    }
}

/// A packet's header: `count` is below 32, `body` in bytes and a multiple of four.
fn head(out: &mut Vec<u8>, kind: u8, count: usize, body: usize) {
    out.push(0x80 | u8::try_from(count & 0x1f).unwrap_or(0));
    out.push(kind);
    let words = u16::try_from(body / 4).unwrap_or(0);
    out.extend_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(compound: &[u8]) -> Vec<Feedback<'_>> {
        let mut all = Vec::new();
        read(compound, |it| all.push(it));
        all
    }

    #[test]
    fn feedback_is_found_in_a_compound_packet_wherever_it_stands() {
        let compound = [
            b"\x80\xc9\x00\x01\x00\x00\x00\x01".as_slice(),
            b"\x81\xcd\x00\x04\0\0\0\x01\x00\x00\x02\x9a\x00\x05\x00\x03\xff\xff\x80\x00",
            b"\x81\xce\x00\x02\0\0\0\x01\x00\x00\x02\x9a",
            b"\x84\xce\x00\x04\0\0\0\x01\0\0\0\0\x00\x00\x02\x9a\x01\0\0\0",
            b"\x8f\xce\x00\x05\0\0\0\x01\0\0\0\0REMB\x01\x0b\xd0\x90\x00\x00\x02\x9a",
        ];
        let nack = |first, others| Feedback::Nack {
            ssrc: 666,
            first,
            others,
        };
        assert_eq!(
            all(&compound.concat()),
            [
                nack(5, 3),
                nack(0xffff, 0x8000),
                Feedback::KeyframeWanted,
                Feedback::KeyframeWanted,
                Feedback::Capacity(0x3_d090 << 2),
            ]
        );
    }

    #[test]
    fn what_is_cut_off_says_nothing() {
        let nack = b"\x81\xcd\x00\x03\0\0\0\x01\x00\x00\x02\x9a\x00\x05\x00\x03";
        for cut in 0..nack.len() {
            assert_eq!(all(&nack[..cut]), [], "{cut}");
        }
        assert_eq!(all(nack).len(), 1);
        let mut other = nack.to_vec();
        other[0] = 0x41;
        assert_eq!(all(&other), [], "another version");
        let high = b"\x8f\xce\x00\x04\0\0\0\x01\0\0\0\0REMB\x01\xff\xff\xff";
        assert_eq!(all(high), [], "more than there are numbers for");
    }

    #[test]
    fn reports_come_with_a_name_and_a_goodbye_behind_them() {
        let report = SenderReport {
            ssrc: 0x0102_0304,
            ntp: 0x1112_1314_1516_1718,
            time: 0x2122_2324,
            packets: 3,
            octets: 4,
        };
        let mut out = Vec::new();
        write_reports(&mut out, &[report, report], "abc");
        write_goodbye(&mut out, &[5, 6]);
        let sr = b"\x80\xc8\x00\x06\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18\x21\x22\x23\x24\0\0\0\x03\0\0\0\x04";
        let chunk = b"\x01\x02\x03\x04\x01\x03abc\0\0\0";
        let right = [
            &sr[..],
            sr,
            b"\x82\xca\x00\x06",
            chunk,
            chunk,
            b"\x82\xcb\x00\x02\0\0\0\x05\0\0\0\x06",
        ];
        assert_eq!(out, right.concat());
        assert_eq!(all(&out), []);
    }

    proptest::proptest! {
        #[test]
        fn no_packet_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            read(&bytes, |_| {});
        }
    }
}
