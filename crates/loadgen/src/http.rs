//! A request of HTTP/1.1 and its answer, as players and WebRTC clients need them. Sans-IO: bytes in,
//! what matters out.
//!
//! Invariant: what a server sends is kept up to a bound, and past it is an error.

use thiserror::Error;

mod framing;

pub(crate) use framing::Framing;

/// Bytes of the longest head of an answer.
const HEAD_MAX: usize = 16 << 10;
/// Bytes of the longest body that is collected: an SDP answer has a few thousand.
const BODY_MAX: usize = 64 << 10;
/// Characters of a refusal's body that are told.
const REASON_MAX: usize = 300;

/// Why an exchange came to nothing.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    #[error("the server answered {status}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Refused { status: String, reason: String },
    #[error("the server's answer is no HTTP/1.1")]
    NoHttp,
    #[error("the server's chunks or messages cannot be read")]
    Broken,
    #[error("what the server sends is no FLV")]
    NoFlv,
    #[error("the server's answer is too long")]
    TooLong,
    #[error("the stream is over")]
    Over,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head(String);

impl Head {
    /// A header's value; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.0.lines().skip(1);
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        let found = headers.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// How its body comes.
    pub(crate) fn framing(&self) -> Framing {
        match self.header("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => Framing::chunks(),
            _ => Framing::Bare,
        }
    }

    fn status(&self) -> Option<&str> {
        let line = self.0.lines().next()?;
        line.strip_prefix("HTTP/1.").and_then(|line| {
            let (_, status) = line.split_once(' ')?;
            Some(status.trim())
        })
    }
}

/// Waits for the head of an answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The only status that is no refusal.
    expected: u16,
    collected: Vec<u8>,
}

impl Waiting {
    pub(crate) fn new(expected: u16) -> Self {
        Self {
            expected,
            collected: Vec::new(),
        }
    }

    /// Consumes `input` up to the end of the head. A refusal is told with what came of its body
    /// along with the head: servers send short ones at once.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Head>, HttpError> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.collected.push(*byte);
            if self.collected.ends_with(b"\r\n\r\n") {
                return self.judge(input).map(Some);
            }
            if self.collected.len() >= HEAD_MAX {
                return Err(HttpError::TooLong);
            }
        }
        Ok(None)
    }

    fn judge(&mut self, body: &[u8]) -> Result<Head, HttpError> {
        let head = String::from_utf8(std::mem::take(&mut self.collected));
        let head = Head(head.map_err(|_| HttpError::NoHttp)?);
        let status = head.status().ok_or(HttpError::NoHttp)?;
        let code = status.split(' ').next().unwrap_or_default();
        if code.parse() == Ok(self.expected) {
            return Ok(head);
        }
        let reason = String::from_utf8_lossy(body);
        let words = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(HttpError::Refused {
            status: status.to_owned(),
            reason: words.chars().take(REASON_MAX).collect(),
        })
    }
}

/// A POST of an SDP offer, as WHEP and WHIP have it.
#[derive(Debug)]
pub(crate) struct Post {
    waiting: Waiting,
    body: Option<Body>,
    /// What is to be sent.
    pub(crate) output: Vec<u8>,
}

#[derive(Debug)]
struct Body {
    framing: Framing,
    /// How long it is, where the head says so.
    length: Option<usize>,
    got: Vec<u8>,
}

impl Post {
    pub(crate) fn new(authority: &str, path: &str, offer: &str) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/sdp\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{offer}",
            offer.len()
        );
        Self {
            waiting: Waiting::new(201),
            body: None,
            output: request.into_bytes(),
        }
    }

    /// Consumes `input`, of which nothing is the end of the connection; the body of the answer, once
    /// it is complete.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Result<Option<String>, HttpError> {
        let closed = input.is_empty();
        if self.body.is_none() {
            let Some(head) = self.waiting.feed(&mut input)? else {
                return if closed {
                    Err(HttpError::NoHttp)
                } else {
                    Ok(None)
                };
            };
            self.body = Some(Body {
                framing: head.framing(),
                length: head.header("content-length").and_then(|it| it.parse().ok()),
                got: Vec::new(),
            });
        }
        let Some(body) = &mut self.body else {
            return Ok(None);
        };
        let mut ended = closed;
        loop {
            match body.framing.strip(&mut input) {
                Ok(Some(part)) => body.got.extend_from_slice(part),
                Ok(None) => break,
                Err(HttpError::Over) => {
                    ended = true;
                    break;
                }
                Err(error) => return Err(error),
            }
            if body.got.len() > BODY_MAX {
                return Err(HttpError::TooLong);
            }
        }
        if ended || body.length.is_some_and(|length| body.got.len() >= length) {
            let text = String::from_utf8(std::mem::take(&mut body.got));
            return text.map(Some).map_err(|_| HttpError::NoHttp);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Post {
        Post::new("h", "/live/a/whep", "v=0")
    }

    #[test]
    fn a_request_says_how_long_its_offer_is() {
        let request = String::from_utf8(post().output).unwrap();
        assert!(request.starts_with("POST /live/a/whep HTTP/1.1\r\nhost: h\r\n"));
        assert!(request.contains("content-length: 3\r\n") && request.ends_with("\r\n\r\nv=0"));
    }

    #[test]
    fn an_answer_is_read_whole_however_it_comes_and_wherever_it_is_split() {
        for (answer, closes) in [
            (
                "HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\nv=0\r\ns=",
                false,
            ),
            (
                "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nv=0\r\n4\r\n\r\ns=\r\n0\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 201 Created\r\n\r\nv=0\r\ns=", true),
        ] {
            for at in 1..answer.len() {
                let (one, other) = answer.split_at(at);
                let mut post = post();
                let mut got = post.feed(one.as_bytes()).unwrap();
                if got.is_none() {
                    got = post.feed(other.as_bytes()).unwrap();
                }
                if closes {
                    got = post.feed(b"").unwrap();
                }
                assert_eq!(got.as_deref(), Some("v=0\r\ns="), "{answer} at {at}");
            }
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_status_and_its_reason() {
        for (answer, told) in [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n{\"code\":\n1}",
                "the server answered 404 Not Found: {\"code\": 1}",
            ),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\n",
                "the server answered 503 Service Unavailable",
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", "the server answered 200 OK"),
            (
                "SSH-2.0-OpenSSH\r\n\r\n",
                "the server's answer is no HTTP/1.1",
            ),
        ] {
            let error = post().feed(answer.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        let endless = "x".repeat(HEAD_MAX);
        assert!(matches!(
            post().feed(endless.as_bytes()),
            Err(HttpError::TooLong)
        ));
        let mut post = post();
        post.feed(b"HTTP/1.1 201 Created\r\n\r\n").unwrap();
        let endless = "x".repeat(BODY_MAX + 1);
        assert!(matches!(
            post.feed(endless.as_bytes()),
            Err(HttpError::TooLong)
        ));
        assert!(matches!(self::post().feed(b""), Err(HttpError::NoHttp)));
    }
}
