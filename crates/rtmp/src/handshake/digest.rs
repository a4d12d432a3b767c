//! The digest handshake of Flash Player 9 and later: where digests stand and how they are keyed.
//!
//! Not in RTMP 1.0; the keys and offsets are those every client in the field uses. A digest
//! covers its block without the 32 bytes of the digest itself.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{BLOCK, Block};

/// Bytes of a digest.
pub(super) const DIGEST: usize = 32;
/// Digest values are spread over this many offsets.
const SPREAD: usize = 728;
/// What a server puts into S1 as its version; clients look for a first byte of at least 3
/// before they check S1 for a digest.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// Both keys end in the same 32 bytes; C1 and S1 are keyed with the text alone.
const PLAYER_TEXT: &[u8] = b"Genuine Adobe Flash Player 001";
const SERVER_TEXT: &[u8] = b"Genuine Adobe Flash Media Server 001";
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Where the four bytes stand from which the digest's offset is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scheme(usize);

impl Scheme {
    /// Digest in the first half.
    pub(super) const ZERO: Self = Self(8);
    /// Digest in the second half.
    pub(super) const ONE: Self = Self(772);

    /// The scheme a C1 verifies as, and the digest in it; `None` is a plain handshake.
    pub(super) fn of(c1: &Block) -> Option<(Self, [u8; DIGEST])> {
        // Bytes 4 to 8 are zero in RTMP 1.0 and a version in digest handshakes: this saves the
        // plain ones two hashes.
        if c1.get(4..8) == Some(&[0; 4]) {
            return None;
        }
        [Self::ZERO, Self::ONE].into_iter().find_map(|scheme| {
            let (before, digest, after) = scheme.split(c1)?;
            (hash(PLAYER_TEXT, &[before, after]) == digest).then_some((scheme, digest))
        })
    }

    /// A random S1 with this scheme's digest.
    pub(super) fn write_s1(self, s1: &mut Block) {
        self.write(s1, SERVER_TEXT, SERVER_VERSION);
    }

    fn write(self, block: &mut Block, key: &[u8], version: [u8; 4]) {
        rand::fill(block);
        for (to, from) in block.iter_mut().zip([0; 4].into_iter().chain(version)) {
            *to = from;
        }
        let Some((before, _, after)) = self.split(block) else {
            return;
        };
        let digest = hash(key, &[before, after]);
        let at = self.offset(block);
        for (to, from) in block.iter_mut().skip(at).zip(digest) {
            *to = from;
        }
    }

    /// Where the digest starts; at most 32 bytes before the block's end.
    fn offset(self, block: &Block) -> usize {
        let sum: usize = block
            .iter()
            .skip(self.0)
            .take(4)
            .map(|byte| usize::from(*byte))
            .sum();
        self.0 + 4 + sum % SPREAD
    }

    /// What stands before the digest, the digest, what stands behind it.
    pub(super) fn split(self, block: &Block) -> Option<(&[u8], [u8; DIGEST], &[u8])> {
        let (before, rest) = block.split_at_checked(self.offset(block))?;
        let (digest, after) = rest.split_first_chunk::<DIGEST>()?;
        Some((before, *digest, after))
    }
}

/// A random S2, signed with what the client's digest keys.
pub(super) fn write_s2(s2: &mut Block, client_digest: &[u8; DIGEST]) {
    let (random, signature) = s2.split_at_mut(BLOCK - DIGEST);
    rand::fill(random);
    let key = hash(&[SERVER_TEXT, &KEY_TAIL].concat(), &[client_digest]);
    signature.copy_from_slice(&hash(&key, &[random]));
}

/// HMAC-SHA256 over the parts.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn hash(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
pub(super) mod client {
    //! What a digest client does, for tests.

    use super::*;

    /// A C1 as librtmp sends it.
    pub(crate) fn c1(scheme: Scheme) -> Block {
        let mut c1 = [0; BLOCK];
        scheme.write(&mut c1, PLAYER_TEXT, [9, 0, 124, 2]);
        c1
    }

    /// True if S1 carries a server's digest.
    pub(crate) fn verifies_s1(scheme: Scheme, s1: &Block) -> bool {
        let (before, digest, after) = scheme.split(s1).expect("a block has room for a digest");
        hash(SERVER_TEXT, &[before, after]) == digest
    }

    /// True if S2 is signed for this C1.
    pub(crate) fn verifies_s2(scheme: Scheme, c1: &Block, s2: &Block) -> bool {
        let (_, digest, _) = scheme.split(c1).expect("a block has room for a digest");
        let key = hash(&[SERVER_TEXT, &KEY_TAIL].concat(), &[&digest]);
        hash(&key, &[&s2[..BLOCK - DIGEST]]) == s2[BLOCK - DIGEST..]
    }
}
