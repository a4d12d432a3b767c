//! Offers that contradict themselves are refused, and nothing worse; others are answered with the
//! formats that both sides have.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::sync::Arc;
use std::time::Instant;

use lockgate_rtc::{Answered, Format, Listener, OfferError, Port, Role, Settings};
use prometheus::Registry;

fn port() -> Arc<Port> {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public: Vec::new(),
    };
    let listener = Listener::bind(&settings, &Registry::new()).unwrap();
    listener.port()
}

/// A section of video with these attributes.
fn section(mid: u32, direction: &str, payload_types: &str, attributes: &[&str]) -> String {
    let fingerprint = ["00"; 32].join(":");
    let mut section = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF {payload_types}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 {fingerprint}\r\n\
         a=setup:actpass\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n"
    );
    for attribute in attributes {
        section += &format!("a={attribute}\r\n");
    }
    section
}

fn offer(sections: &[String]) -> String {
    let mids: Vec<_> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n{}",
        mids.join(" "),
        sections.concat()
    )
}

const H264: &str = "rtpmap:96 H264/90000";
const MODE: &str = "fmtp:96 packetization-mode=1;profile-level-id=42e01f";
const OTHER: &str = "fmtp:96 packetization-mode=1;profile-level-id=640033";

#[tokio::test]
async fn payload_types_that_stand_for_two_formats_are_refused() {
    let port = port();
    for direction in ["recvonly", "sendonly", "sendrecv"] {
        let one = |payload_types, attributes: &[&str]| {
            offer(&[section(0, direction, payload_types, attributes)])
        };
        let two = |first: &[&str], second: &[&str]| {
            offer(&[
                section(0, direction, "96", first),
                section(1, direction, "96", second),
            ])
        };
        let offers = [
            one("96", &[H264, MODE, "rtpmap:96 VP9/90000"]),
            one("96", &[H264, MODE, "rtpmap:096 VP9/90000"]),
            one(
                "96 97 98",
                &[
                    H264,
                    MODE,
                    "rtpmap:98 VP9/90000",
                    "rtpmap:97 rtx/90000",
                    "fmtp:97 apt=96",
                    "fmtp:97 apt=98",
                ],
            ),
            two(&[H264, MODE], &["rtpmap:96 VP9/90000"]),
            two(&[H264, MODE], &["rtpmap:096 VP9/90000"]),
            two(
                &[H264, MODE],
                &[
                    H264,
                    "fmtp:096 packetization-mode=1;profile-level-id=640033",
                ],
            ),
            one(
                "96 97 98",
                &[
                    H264,
                    MODE,
                    "rtpmap:98 VP9/90000",
                    "rtpmap:97 rtx/90000",
                    "fmtp:97 apt=96",
                    "fmtp:097 apt=98",
                ],
            ),
            two(&[H264, MODE], &[H264, OTHER]),
        ];
        for role in [Role::Send, Role::Receive] {
            for offer in &offers {
                let answered = Answered::to(offer, role, &port, Instant::now());
                assert!(matches!(answered, Err(OfferError::Bad(_))), "{offer}");
            }
        }
    }
}

#[tokio::test]
async fn what_both_sides_have_is_taken_and_a_publishers_h264_before_all_else() {
    let port = port();
    let attributes = [
        "rtpmap:45 AV1/90000",
        "fmtp:45 level-idx=5;profile=0;tier=0",
        "rtpmap:98 VP9/90000",
        "fmtp:98 profile-id=0",
        "rtpmap:49 H265/90000",
        "fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST",
        H264,
        MODE,
    ];
    let viewer = offer(&[section(0, "recvonly", "45 98 49 96", &attributes)]);
    let answered = Answered::to(&viewer, Role::Send, &port, Instant::now()).unwrap();
    for format in [
        Format::H264(Some(0x64_0028)),
        Format::H265(1),
        Format::Vp9(0),
        Format::Av1(0),
    ] {
        assert!(answered.takes(format), "{format:?}");
    }
    assert!(!answered.takes(Format::H265(2)) && !answered.takes(Format::Vp9(2)));

    let publisher = offer(&[section(0, "sendonly", "45 98 49 96", &attributes)]);
    let answered = Answered::to(&publisher, Role::Receive, &port, Instant::now()).unwrap();
    assert!(answered.answer.contains("H264/90000"));
    assert!(
        !answered.answer.contains("AV1/90000"),
        "{}",
        answered.answer
    );
    let newer = offer(&[section(0, "sendonly", "45", &attributes[..2])]);
    let answered = Answered::to(&newer, Role::Receive, &port, Instant::now()).unwrap();
    assert!(answered.answer.contains("AV1/90000"));
}
