//! The handshake (RTMP 1.0 §5.2) of a server, plain and digest, and of a plain client.
//!
//! Which one a server speaks is chosen by what C1 verifies as. Clients that check nothing send
//! junk in C2, so only its length is insisted on.

mod digest;
#[cfg(test)]
mod tests;

use digest::Scheme;

/// Bytes of C1, S1, C2 and S2.
const BLOCK: usize = 1536;
/// The only version of C0 in use. RTMPE, version 6, is not spoken.
const VERSION: u8 = 3;

/// The last version ever in use, one of RTMPE. Text protocols start above 31 (§5.2.2), TLS with 22.
const LAST_VERSION: u8 = 9;

/// C1, S1, C2 or S2.
type Block = [u8; BLOCK];

/// Why a handshake failed.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first byte belongs to another protocol: HTTP, TLS and the like.
    #[error("the peer does not speak RTMP: its first byte is {0:#04x}")]
    NotRtmp(u8),
    /// An RTMP version other than 3, as RTMPE.
    #[error("the peer asks for RTMP version {0}, only version 3 is spoken")]
    Version(u8),
}

impl HandshakeError {
    /// A bounded name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotRtmp(_) => "not_rtmp",
            Self::Version(_) => "version",
        }
    }
}

/// The server's side of a handshake.
#[derive(Debug, Default)]
pub struct ServerHandshake {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Collects the version byte and the peer's first block.
    First(Vec<u8>),
    /// This much of the peer's second block is still to come.
    Second(usize),
}

impl Default for Stage {
    fn default() -> Self {
        Self::First(Vec::new())
    }
}

impl ServerHandshake {
    /// Waits for C0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumes `input` up to the end of C2 and appends S0, S1 and S2 to `output` as soon as C1
    /// is complete. `Ok(true)` once C2 is complete; bytes behind it stay in `input`.
    pub fn feed(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        feed(&mut self.stage, input, |c1| respond(c1, output))
    }
}

/// The client's side of a plain handshake, for load generators and tests.
#[derive(Debug, Default)]
pub struct ClientHandshake {
    stage: Stage,
}

impl ClientHandshake {
    /// Waits for S0 once [`start`](Self::start) was sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends C0 and C1 to `output`.
    pub fn start(&self, output: &mut Vec<u8>) {
        let mut c1 = [0; BLOCK];
        rand::fill(c1.split_at_mut(8).1);
        output.push(VERSION);
        output.extend_from_slice(&c1);
    }

    /// Consumes `input` up to the end of S2 and appends C2 to `output` as soon as S1 is
    /// complete. `Ok(true)` once S2 is complete; what S2 says is not looked at.
    pub fn feed(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        feed(&mut self.stage, input, |s1| output.extend_from_slice(s1))
    }
}

fn feed(
    stage: &mut Stage,
    input: &mut &[u8],
    answer: impl FnOnce(&Block),
) -> Result<bool, HandshakeError> {
    if let Stage::First(seen) = stage {
        if seen.is_empty() {
            match input.first() {
                None => return Ok(false),
                Some(&VERSION) => seen.reserve_exact(1 + BLOCK),
                Some(&byte) if byte > LAST_VERSION => return Err(HandshakeError::NotRtmp(byte)),
                Some(&version) => return Err(HandshakeError::Version(version)),
            }
        }
        seen.extend_from_slice(take(input, 1 + BLOCK - seen.len()));
        let Some(block) = seen.get(1..).and_then(|block| block.first_chunk::<BLOCK>()) else {
            return Ok(false);
        };
        answer(block);
        *stage = Stage::Second(BLOCK);
    }
    if let Stage::Second(left) = stage {
        *left -= take(input, *left).len();
        return Ok(*left == 0);
    }
    Ok(false)
}

/// Splits up to `count` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

/// Appends S0, S1 and S2.
fn respond(c1: &Block, output: &mut Vec<u8>) {
    output.reserve_exact(1 + 2 * BLOCK);
    output.push(VERSION);
    let mut s1 = [0; BLOCK];
    if let Some((scheme, key)) = Scheme::of(c1) {
        let mut s2 = [0; BLOCK];
        scheme.write_s1(&mut s1);
        digest::write_s2(&mut s2, &key);
        output.extend_from_slice(&s1);
        output.extend_from_slice(&s2);
    } else {
        rand::fill(s1.split_at_mut(8).1);
        output.extend_from_slice(&s1);
        // All of C1, its time2 field too: librtmp compares the two blocks whole.
        output.extend_from_slice(c1);
    }
}
