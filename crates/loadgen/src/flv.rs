//! The client's side of FLV over HTTP or a WebSocket: a request, then tags. Sans-IO.

use std::mem;

use lockgate_rtmp::chunk::{Message, kind};

use crate::client::Said;
use crate::http::{Framing, HttpError, Waiting};
use crate::target::{Protocol, Target};

/// The file's header, and the size of no tag before the first (FLV 10.1 §E.2, §E.3).
const FILE_HEADER: usize = 9 + 4;
const TAG_HEADER: usize = 11;
/// The size that stands behind a tag.
const TAG_SIZE: usize = 4;

/// Sixteen bytes of no meaning (RFC 6455 §4.1): nothing between here and the server caches.
const WEBSOCKET_KEY: &str = "bG9ja2dhdGUtbG9hZGdlbg==";

#[derive(Debug)]
enum Stage {
    Asked(Waiting),
    Playing(Framing, Tags),
    /// Nobody reads any more; bytes are counted.
    Counted,
}

/// One player's session.
#[derive(Debug)]
pub(crate) struct Flv {
    stage: Stage,
    websocket: bool,
    received: u32,
    pub(crate) output: Vec<u8>,
}

impl Flv {
    /// A session that asks for stream `at` of `count`.
    pub(crate) fn new(target: &Target, at: usize, count: usize) -> Self {
        let websocket = target.protocol() == Protocol::WsFlv;
        let upgrade = format!(
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: {WEBSOCKET_KEY}\r\n"
        );
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n{}\r\n",
            target.path(at, count),
            target.authority(),
            if websocket { &upgrade } else { "" },
        );
        Self {
            stage: Stage::Asked(Waiting::new(if websocket { 101 } else { 200 })),
            websocket,
            received: 0,
            output: request.into_bytes(),
        }
    }

    /// Consumes `input` up to the next thing that matters, or all of it.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Said>, HttpError> {
        if let Stage::Asked(waiting) = &mut self.stage {
            let Some(head) = waiting.feed(input)? else {
                return Ok(None);
            };
            let framing = if self.websocket {
                Framing::messages()
            } else {
                head.framing()
            };
            self.stage = Stage::Playing(framing, Tags::default());
            return Ok(Some(Said::Started));
        }
        let Stage::Playing(framing, tags) = &mut self.stage else {
            return Ok(None);
        };
        loop {
            while let Some(message) = tags.feed()? {
                if matches!(message.kind, kind::AUDIO | kind::VIDEO) {
                    return Ok(Some(Said::Media(message)));
                }
            }
            match framing.strip(input)? {
                Some(part) => tags.held.extend_from_slice(part),
                None => return Ok(None),
            }
        }
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(0);
        self.received = self.received.wrapping_add(bytes);
    }

    /// Bytes that were counted, modulo 2^32.
    pub(crate) fn received(&self) -> u32 {
        self.received
    }

    /// Forgets what only reading tags needs, once bytes are counted alone.
    pub(crate) fn stop_reading(&mut self) {
        self.stage = Stage::Counted;
    }
}

/// Cuts a stream into tags.
#[derive(Debug, Default)]
struct Tags {
    began: bool,
    held: Vec<u8>,
    /// How much of that has been read.
    read: usize,
}

impl Tags {
    /// The next whole tag that is held.
    fn feed(&mut self) -> Result<Option<Message>, HttpError> {
        let held = self.held.get(self.read..).unwrap_or_default();
        let held = if self.began {
            held
        } else {
            let Some((header, rest)) = held.split_first_chunk::<FILE_HEADER>() else {
                return Ok(None);
            };
            if !header.starts_with(b"FLV\x01") {
                return Err(HttpError::NoFlv);
            }
            self.began = true;
            self.read += FILE_HEADER;
            rest
        };
        let whole = held.split_first_chunk::<TAG_HEADER>();
        let whole = whole.and_then(|(header, rest)| {
            let [_, s0, s1, s2, ..] = header;
            let size = usize::try_from(u32::from_be_bytes([0, *s0, *s1, *s2])).ok()?;
            rest.get(..size + TAG_SIZE)?;
            Some((header, rest.get(..size)?))
        });
        let Some(([kind, _, _, _, t0, t1, t2, t3, ..], body)) = whole else {
            // What was read makes room; what was not is little, and seldom.
            self.held.drain(..mem::take(&mut self.read));
            return Ok(None);
        };
        let message = Message {
            kind: *kind,
            timestamp: u32::from_be_bytes([*t3, *t0, *t1, *t2]),
            stream_id: 0,
            payload: body.to_vec().into(),
        };
        self.read += TAG_HEADER + body.len() + TAG_SIZE;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    fn tag(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
        let [t3, t0, t1, t2] = timestamp.to_be_bytes();
        let [_, size @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut tag = vec![kind];
        tag.extend(size);
        tag.extend([t0, t1, t2, t3, 0, 0, 0]);
        tag.extend(body);
        tag.extend(u32::try_from(body.len() + 11).unwrap().to_be_bytes());
        tag
    }

    fn stream() -> Vec<u8> {
        let header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
        [
            &header[..],
            &tag(18, 0, b"\x02"),
            &tag(9, 0x0102_0304, b"\x17\x01"),
            &tag(8, 7, b""),
        ]
        .concat()
    }

    /// What a server says, in parts of `step` bytes: what was understood.
    fn hear(url: &str, answer: &[u8], step: usize) -> Result<Vec<Said>, HttpError> {
        let mut flv = Flv::new(&target(url), 0, 1);
        let mut said = Vec::new();
        for mut part in answer.chunks(step) {
            while let Some(next) = flv.feed(&mut part)? {
                said.push(next);
            }
        }
        Ok(said)
    }

    fn expected() -> Vec<Said> {
        let message = |kind, timestamp, payload: &'static [u8]| {
            Said::Media(Message {
                kind,
                timestamp,
                stream_id: 0,
                payload: payload.into(),
            })
        };
        vec![
            Said::Started,
            message(9, 0x0102_0304, b"\x17\x01"),
            message(8, 7, b""),
        ]
    }

    #[test]
    fn tags_come_bare_in_chunks_and_in_messages_wherever_they_are_split() {
        let stream = stream();
        let ok = "HTTP/1.1 200 OK\r\n";
        let bare = [ok.as_bytes(), b"\r\n", &stream].concat();
        let (one, other) = stream.split_at(20);
        let chunked = [
            format!("{ok}transfer-encoding: chunked\r\n\r\n14\r\n").as_bytes(),
            one,
            format!("\r\n{:x}\r\n", other.len()).as_bytes(),
            other,
        ]
        .concat();
        let head = [0x82, u8::try_from(stream.len()).unwrap()];
        let messages = [
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            &head[..],
            &stream,
        ]
        .concat();
        for step in 1..30 {
            for (url, answer) in [
                ("http://127.0.0.1/live/a.flv", &bare),
                ("http://127.0.0.1/live/a.flv", &chunked),
                ("ws://127.0.0.1/live/a.flv", &messages),
            ] {
                assert_eq!(hear(url, answer, step).unwrap(), expected(), "{url} {step}");
            }
        }
    }

    #[test]
    fn a_request_names_the_stream_and_upgrades_where_it_should() {
        let flv = Flv::new(&target("http://127.0.0.1:8080/live/a.flv?key=k"), 2, 3);
        let request = String::from_utf8(flv.output).unwrap();
        let head = "GET /live/a2.flv?key=k HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n";
        assert!(
            request.starts_with(head) && request.ends_with("\r\n\r\n"),
            "{request}"
        );
        let flv = Flv::new(&target("ws://127.0.0.1/live/a.flv"), 0, 1);
        let request = String::from_utf8(flv.output).unwrap();
        assert!(request.contains("upgrade: websocket\r\n"), "{request}");
    }

    #[test]
    fn what_is_no_flv_and_what_is_refused_is_an_error() {
        let url = "http://127.0.0.1/live/a.flv";
        let page = b"HTTP/1.1 200 OK\r\n\r\n<html><body>hello</body>";
        assert!(matches!(hear(url, page, 99), Err(HttpError::NoFlv)));
        let refused = hear(url, b"HTTP/1.1 404 Not Found\r\n\r\nno", 99);
        let told = refused.unwrap_err().to_string();
        assert_eq!(told, "the server answered 404 Not Found: no");
        let over = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert!(matches!(hear(url, over, 99), Err(HttpError::Over)));
    }
}
