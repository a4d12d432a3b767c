//! What stands around a stream's bytes: nothing, chunks of HTTP/1.1 (RFC 9112 §7.1) or messages of a
//! WebSocket (RFC 6455 §5.2). It is stripped off without copying.

use super::HttpError;

/// Longest line that says how long a chunk is, extensions included.
const LINE_MAX: usize = 256;

/// How bytes come, and how far into it the reader is.
#[derive(Debug)]
pub(crate) enum Framing {
    Bare,
    Chunks {
        line: Vec<u8>,
        left: u64,
    },
    Messages {
        head: Vec<u8>,
        left: u64,
        /// What is left is of a ping or pong, and nobody's.
        control: bool,
    },
}

impl Framing {
    pub(crate) fn chunks() -> Self {
        Self::Chunks {
            line: Vec::new(),
            left: 0,
        }
    }

    pub(crate) fn messages() -> Self {
        Self::Messages {
            head: Vec::new(),
            left: 0,
            control: false,
        }
    }

    /// The next bytes of the stream in `input`, which is consumed as far as they go; `None` at its
    /// end.
    pub(crate) fn strip<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, HttpError> {
        loop {
            if input.is_empty() {
                return Ok(None);
            }
            match self {
                Self::Bare => return Ok(Some(std::mem::take(input))),
                Self::Chunks { line, left } if *left == 0 => {
                    if let Some(length) = size_line(line, input)? {
                        *left = length;
                    }
                }
                Self::Messages {
                    head,
                    left,
                    control,
                } if *left == 0 => {
                    if let Some((opcode, length)) = message_head(head, input)? {
                        (*left, *control) = (length, opcode & 8 != 0);
                    }
                }
                Self::Chunks { left, .. } => return Ok(Some(take(left, input))),
                Self::Messages { left, control, .. } => {
                    let part = take(left, input);
                    if !*control {
                        return Ok(Some(part));
                    }
                }
            }
        }
    }
}

/// Up to `left` bytes.
fn take<'a>(left: &mut u64, input: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    let (part, rest) = input.split_at(length);
    *input = rest;
    *left -= length as u64;
    part
}

/// A chunk's length, once its line has come; the empty line behind the chunk before is passed over.
fn size_line(line: &mut Vec<u8>, input: &mut &[u8]) -> Result<Option<u64>, HttpError> {
    while let Some((byte, rest)) = input.split_first() {
        *input = rest;
        if *byte != b'\n' {
            line.push(*byte);
            if line.len() > LINE_MAX {
                return Err(HttpError::Broken);
            }
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let digits = text.split(';').next().unwrap_or_default().trim().to_owned();
        line.clear();
        if digits.is_empty() {
            continue;
        }
        return match u64::from_str_radix(&digits, 16) {
            Ok(0) => Err(HttpError::Over),
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(HttpError::Broken),
        };
    }
    Ok(None)
}

/// A message's opcode and length, once its head has come.
fn message_head(head: &mut Vec<u8>, input: &mut &[u8]) -> Result<Option<(u8, u64)>, HttpError> {
    const CLOSE: u8 = 8;
    while let Some((byte, rest)) = input.split_first() {
        *input = rest;
        head.push(*byte);
        let (Some(first), Some(second)) = (head.first(), head.get(1)) else {
            continue;
        };
        let length = match second {
            // Servers do not mask.
            128.. => return Err(HttpError::Broken),
            127 => head.get(2..10).map(<[u8]>::to_vec),
            126 => head.get(2..4).map(<[u8]>::to_vec),
            short => Some(vec![*short]),
        };
        let Some(length) = length else {
            continue;
        };
        let length = length
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let opcode = first & 0xf;
        head.clear();
        if opcode == CLOSE {
            return Err(HttpError::Over);
        }
        return Ok(Some((opcode, length)));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: fn() -> Framing, bytes: &[u8], step: usize) -> (Vec<u8>, bool) {
        let (mut framing, mut got) = (framing(), Vec::new());
        for mut part in bytes.chunks(step) {
            loop {
                match framing.strip(&mut part) {
                    Ok(Some(part)) => got.extend_from_slice(part),
                    Ok(None) => break,
                    Err(error) => return (got, matches!(error, HttpError::Over)),
                }
            }
        }
        (got, false)
    }

    #[test]
    fn chunks_and_messages_are_stripped_off_wherever_they_are_split() {
        let long = vec![7; 300];
        let chunked = [&b"3\r\nabc\r\n12c;x=y\r\n"[..], &long, b"\r\n0\r\n\r\n"].concat();
        let head = [0x82, 126, 1, 44];
        let messages = [b"\x82\x03abc\x89\x02hi", &head[..], &long, b"\x88\x00"].concat();
        let expected = [b"abc", &long[..]].concat();
        for step in 1..20 {
            let got = read(Framing::chunks, &chunked, step);
            assert_eq!(got, (expected.clone(), true));
            let got = read(Framing::messages, &messages, step);
            assert_eq!(got, (expected.clone(), true));
        }
    }

    #[test]
    fn what_is_no_framing_is_an_error() {
        for bytes in [&b"xyz\r\n"[..], &[b'1'; 300], b"fffffffffffffffff\r\n"] {
            let mut framing = Framing::chunks();
            let error = framing.strip(&mut &bytes[..]).unwrap_err();
            assert!(matches!(error, HttpError::Broken), "{bytes:?}");
        }
        let masked = Framing::messages().strip(&mut &b"\x82\x81"[..]);
        assert!(matches!(masked, Err(HttpError::Broken)));
        let huge = b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffab";
        let got = Framing::messages().strip(&mut &huge[..]).unwrap();
        assert_eq!(got, Some(&b"ab"[..]));
    }
}
