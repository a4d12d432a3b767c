//! SRTP and SRTCP (RFC 3711) with AES-GCM (RFC 7714) or AES-CM and HMAC-SHA1, by aws-lc-rs: what
//! the node seals for its viewers, and opens of theirs. No IO.
//!
//! Invariant: no index of SRTCP is used twice. That no RTP packet's is, is for [`crate::sender`] to
//! see to: under AES-GCM two packets of one index give the key away.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use str0m::crypto::dtls::SrtpProfile;

mod window;

#[cfg(test)]
mod tests;

use window::Window;

/// Bytes that sealing adds to an RTP packet, at most.
pub(crate) const MAX_TAG: usize = 16;
/// The longest header of an RTP packet here, with its extensions.
pub(crate) const MAX_HEADER: usize = 48;
/// Bytes of an RTCP packet that are not encrypted: its first header and the sender's SSRC.
const RTCP_HEADER: usize = 8;
/// The word behind an SRTCP packet: a bit that says it is encrypted, and its index.
const RTCP_INDEX: usize = 4;
const ENCRYPTED: u32 = 1 << 31;
/// The tag of HMAC-SHA1 over 80 bits.
const SHA1_TAG: usize = 10;
/// Senders of one peer whose SRTCP is told apart: one for each media line, and their resends.
const MAX_SENDERS: usize = 16;

/// A master key and its salt, of one direction.
#[derive(Clone, Copy)]
pub(crate) struct Master<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) salt: &'a [u8],
}

/// Splits what DTLS exports into the client's and the server's master (RFC 5764 §4.2).
pub(crate) fn masters(profile: SrtpProfile, material: &[u8]) -> Option<[Master<'_>; 2]> {
    let (key, salt) = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => (16, 14),
        SrtpProfile::AEAD_AES_128_GCM => (16, 12),
        SrtpProfile::AEAD_AES_256_GCM => (32, 12),
        _ => return None,
    };
    let (client_key, rest) = material.split_at_checked(key)?;
    let (server_key, rest) = rest.split_at_checked(key)?;
    let (client_salt, rest) = rest.split_at_checked(salt)?;
    let client = Master {
        key: client_key,
        salt: client_salt,
    };
    let server = Master {
        key: server_key,
        salt: rest.get(..salt)?,
    };
    Some([client, server])
}

/// What a session key is derived for (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
#[repr(u8)]
enum Label {
    Rtp = 0,
    Rtcp = 3,
}

/// Derives `out` from a master: AES in counter mode over zeros (RFC 3711 §4.3.3, RFC 6188 §3).
fn derive(master: Master<'_>, label: u8, out: &mut [u8]) -> Result<(), Unspecified> {
    let mut block = [0; 16];
    for (to, from) in block.iter_mut().zip(master.salt) {
        *to = *from;
    }
    if let Some(byte) = block.get_mut(7) {
        *byte ^= label;
    }
    out.fill(0);
    counter(master.key)?.less_safe_encrypt(out, EncryptionContext::Iv128((&block).into()))?;
    Ok(())
}

fn counter(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm: &'static Algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}

/// Session keys of one direction, for RTP or for RTCP.
enum Session {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    Counter(Box<Counter>),
}

struct Counter {
    key: EncryptingKey,
    salt: [u8; 14],
    authentication: hmac::Key,
}

impl Session {
    fn new(profile: SrtpProfile, master: Master<'_>, label: Label) -> Result<Self, Unspecified> {
        let label = label as u8;
        let mut key = [0; 32];
        let key = key.get_mut(..master.key.len()).ok_or(Unspecified)?;
        derive(master, label, key)?;
        if profile == SrtpProfile::AES128_CM_SHA1_80 {
            let (mut salt, mut authentication) = ([0; 14], [0; 20]);
            derive(master, label + 1, &mut authentication)?;
            derive(master, label + 2, &mut salt)?;
            return Self::counter(key, salt, &authentication);
        }
        let mut salt = [0; 12];
        derive(master, label + 2, &mut salt)?;
        Self::gcm(key, salt)
    }

    fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Self, Unspecified> {
        let algorithm = if key.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(Self::Gcm { key, salt })
    }

    fn counter(key: &[u8], salt: [u8; 14], secret: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self::Counter(Box::new(Counter {
            key: counter(key)?,
            salt,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret),
        })))
    }
}

/// The nonce of AES-GCM (RFC 7714 §8.1, §9.1): `index` is the packet's, of 48 bits.
fn nonce(salt: [u8; 12], ssrc: u32, index: u64) -> Nonce {
    let value = u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff);
    let bytes = value.to_be_bytes();
    let mut nonce = salt;
    for (to, from) in nonce.iter_mut().zip(bytes.iter().skip(4)) {
        *to ^= from;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The counter of AES-CM (RFC 3711 §4.1.1).
fn start(salt: [u8; 14], ssrc: u32, index: u64) -> EncryptionContext {
    let value = u128::from(ssrc) << 64 | u128::from(index & 0xffff_ffff_ffff) << 16;
    let mut block = value.to_be_bytes();
    for (to, from) in block.iter_mut().zip(salt) {
        *to ^= from;
    }
    EncryptionContext::Iv128((&block).into())
}

fn sign(key: &hmac::Key, parts: [&[u8]; 2]) -> [u8; SHA1_TAG] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    std::array::from_fn(|at| tag.as_ref().get(at).copied().unwrap_or(0))
}

/// What is behind an RTP packet's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    /// What RTX puts before a payload (RFC 4588 §4), or nothing.
    pub(crate) prefix: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Bytes of padding, the last of which says how many (RFC 3550 §5.1).
    pub(crate) padding: u8,
}

impl Body<'_> {
    pub(crate) fn len(&self) -> usize {
        self.prefix.len() + self.payload.len() + usize::from(self.padding)
    }

    fn is_payload(&self) -> bool {
        self.prefix.is_empty() && self.padding == 0
    }

    /// Fills `out`, which is as long as it is.
    fn copy_to(&self, out: &mut [u8]) {
        let (prefix, rest) = out.split_at_mut(self.prefix.len());
        let (payload, padding) = rest.split_at_mut(self.payload.len());
        prefix.copy_from_slice(self.prefix);
        payload.copy_from_slice(self.payload);
        padding.fill(0);
        if let Some(last) = padding.last_mut() {
            *last = self.padding;
        }
    }
}

/// Seals what is sent.
pub(crate) struct Sealer {
    rtp: Session,
    rtcp: Session,
    /// The index of the next RTCP packet.
    index: u32,
}

impl Sealer {
    /// # Errors
    /// Keys of another length than the profile's.
    pub(crate) fn new(profile: SrtpProfile, master: Master<'_>) -> Result<Self, Unspecified> {
        Ok(Self {
            rtp: Session::new(profile, master, Label::Rtp)?,
            rtcp: Session::new(profile, master, Label::Rtcp)?,
            index: 1,
        })
    }

    /// Bytes that sealing adds to an RTP packet.
    pub(crate) fn tag(&self) -> usize {
        match self.rtp {
            Session::Gcm { .. } => MAX_TAG,
            Session::Counter(_) => SHA1_TAG,
        }
    }

    /// Writes an RTP packet into `packet`, which is as long as all its parts and the tag are: the
    /// header as it is, the body encrypted. `index` is the sequence number with its rollovers (RFC
    /// 3711 §3.3.1).
    ///
    /// # Errors
    /// Lengths that do not fit.
    pub(crate) fn rtp(
        &self,
        packet: &mut [u8],
        header: &[u8],
        body: &Body<'_>,
        ssrc: u32,
        index: u64,
    ) -> Result<(), Unspecified> {
        let clear = packet.len().checked_sub(self.tag()).ok_or(Unspecified)?;
        let (head, rest) = packet
            .split_at_mut_checked(header.len())
            .ok_or(Unspecified)?;
        head.copy_from_slice(header);
        let (out, tag) = rest.split_at_mut_checked(body.len()).ok_or(Unspecified)?;
        match &self.rtp {
            // Payloads are shared by all viewers: encrypted on the way into the packet.
            Session::Gcm { key, salt } if body.is_payload() => key.seal_out_of_place_scatter(
                nonce(*salt, ssrc, index),
                Aad::from(header),
                body.payload,
                out,
                &[],
                tag,
            ),
            Session::Gcm { key, salt } => {
                body.copy_to(out);
                let nonce = nonce(*salt, ssrc, index);
                key.seal_in_place_scatter(nonce, Aad::from(header), out, &[], tag)
            }
            Session::Counter(with) => {
                body.copy_to(out);
                with.key
                    .less_safe_encrypt(out, start(with.salt, ssrc, index))?;
                let (signed, tag) = packet.split_at_mut_checked(clear).ok_or(Unspecified)?;
                let rollovers = u32::try_from(index << 16 >> 32).unwrap_or(0).to_be_bytes();
                tag.copy_from_slice(&sign(&with.authentication, [signed, &rollovers]));
                Ok(())
            }
        }
    }

    /// Seals a compound RTCP packet.
    ///
    /// # Errors
    /// One without a header, or one more than an SRTCP key may seal.
    pub(crate) fn rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Unspecified> {
        let index = self.index;
        if index >= ENCRYPTED {
            return Err(Unspecified);
        }
        self.index += 1;
        let word = (ENCRYPTED | index).to_be_bytes();
        let ssrc = sender(packet).ok_or(Unspecified)?;
        let (header, body) = packet
            .split_at_mut_checked(RTCP_HEADER)
            .ok_or(Unspecified)?;
        match &self.rtcp {
            Session::Gcm { key, salt } => {
                let nonce = nonce(*salt, ssrc, index.into());
                let mut aad = [0; RTCP_HEADER + RTCP_INDEX];
                fill(&mut aad, header, &word);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body)?;
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&word);
            }
            Session::Counter(with) => {
                with.key
                    .less_safe_encrypt(body, start(with.salt, ssrc, index.into()))?;
                packet.extend_from_slice(&word);
                let tag = sign(&with.authentication, [packet, &[]]);
                packet.extend_from_slice(&tag);
            }
        }
        Ok(())
    }
}

fn sender(packet: &[u8]) -> Option<u32> {
    let ssrc = packet.get(4..RTCP_HEADER)?.try_into().ok()?;
    Some(u32::from_be_bytes(ssrc))
}

fn fill(out: &mut [u8], first: &[u8], second: &[u8]) {
    for (to, from) in out.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
}

/// Opens the SRTCP that comes in.
pub(crate) struct Opener {
    rtcp: Session,
    /// Whose packets came, and which (RFC 3711 §3.3.2).
    seen: Vec<(u32, Window)>,
}

impl Opener {
    /// # Errors
    /// Keys of another length than the profile's.
    pub(crate) fn new(profile: SrtpProfile, master: Master<'_>) -> Result<Self, Unspecified> {
        Ok(Self {
            rtcp: Session::new(profile, master, Label::Rtcp)?,
            seen: Vec::new(),
        })
    }

    /// The compound packet in `packet`, decrypted where it stands; `None` when it is forged, broken,
    /// or has come before.
    pub(crate) fn rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let ssrc = sender(packet)?;
        let trailer = match self.rtcp {
            Session::Gcm { .. } => RTCP_INDEX,
            Session::Counter(_) => RTCP_INDEX + SHA1_TAG,
        };
        let at = packet.len().checked_sub(trailer)?;
        let word: [u8; RTCP_INDEX] = packet.get(at..at + RTCP_INDEX)?.try_into().ok()?;
        let index = u32::from_be_bytes(word);
        // All who negotiate these profiles encrypt.
        let index = index.checked_sub(ENCRYPTED)?;
        let known = self.seen.iter().position(|(held, _)| *held == ssrc);
        let window = known.and_then(|at| self.seen.get(at));
        if window.map_or(self.seen.len() >= MAX_SENDERS, |(_, it)| it.has(index)) {
            return None;
        }
        let end = match &self.rtcp {
            Session::Gcm { key, salt } => {
                let (header, body) = packet.get_mut(..at)?.split_at_mut_checked(RTCP_HEADER)?;
                let mut aad = [0; RTCP_HEADER + RTCP_INDEX];
                fill(&mut aad, header, &word);
                let nonce = nonce(*salt, ssrc, index.into());
                let clear = key.open_in_place(nonce, Aad::from(aad), body).ok()?;
                RTCP_HEADER + clear.len()
            }
            Session::Counter(with) => {
                let (signed, tag) = packet.split_at_checked(at + RTCP_INDEX)?;
                let right = sign(&with.authentication, [signed, &[]]);
                aws_lc_rs::constant_time::verify_slices_are_equal(&right, tag).ok()?;
                let body = packet.get_mut(RTCP_HEADER..at)?;
                with.key
                    .less_safe_encrypt(body, start(with.salt, ssrc, index.into()))
                    .ok()?;
                at
            }
        };
        match known.and_then(|at| self.seen.get_mut(at)) {
            Some((_, window)) => window.note(index),
            None => self.seen.push((ssrc, Window::at(index))),
        }
        packet.get(..end)
    }
}
