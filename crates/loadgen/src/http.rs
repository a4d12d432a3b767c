//! A request of HTTP/1.1 and its answer, as players need them. Sans-IO: bytes in,
//! what matters out.
//!
//! Invariant: what a server sends is kept up to a bound, and past it is an error.

use thiserror::Error;

mod framing;

pub(crate) use framing::Framing;

/// Bytes of the longest head of an answer.
const HEAD_MAX: usize = 16 << 10;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(answer: &[u8]) -> Result<Option<Head>, HttpError> {
        Waiting::new(200).feed(&mut &answer[..])
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
            (
                "SSH-2.0-OpenSSH\r\n\r\n",
                "the server's answer is no HTTP/1.1",
            ),
        ] {
            let error = hear(answer.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        let endless = "x".repeat(HEAD_MAX);
        assert!(matches!(hear(endless.as_bytes()), Err(HttpError::TooLong)));
    }
}
