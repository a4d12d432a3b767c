//! Tokens of version `007`: base64 of a zlib stream of a signature and what it covers.
//!
//! All times in it are seconds after its issue. It names its app, and its services with their
//! channel and uid. A token's own 0 means that it is over when it is issued; a privilege's 0 means
//! as long as the token.

use hmac::Mac;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::{Bearer, Certificate, Expiry, Fields, Privileges, TokenError, decode_base64, keyed};

/// The largest content; a token with every service has under 1 KiB.
const CONTENT_MAX: usize = 16 * 1024;

/// The checksum at the end of a zlib stream (RFC 1950).
const CHECKSUM: usize = 4;

/// Reads what follows the version.
pub(super) fn read(
    text: &str,
    certificate: &Certificate,
    bearer: Bearer<'_>,
) -> Result<Privileges, TokenError> {
    let packed = decode_base64(text)?;
    let content = inflate(&packed).ok_or(TokenError::Malformed)?;
    let mut fields = Fields(&content);
    let signature = fields.string()?;
    let signed = fields.0;
    let app = fields.string()?;
    let issued = fields.u32()?;
    let lifetime = fields.u32()?;
    let salt = fields.u32()?;

    let mut key = keyed(&issued.to_le_bytes())?;
    key.update(certificate.bytes());
    let mut second = keyed(&salt.to_le_bytes())?;
    second.update(&key.finalize().into_bytes());
    let mut mac = keyed(&second.finalize().into_bytes())?;
    mac.update(signed);
    mac.verify_slice(signature)
        .map_err(|_| TokenError::Signature)?;
    if has_loose_bits(&packed, &content) {
        return Err(TokenError::Malformed);
    }

    if app != bearer.app.as_bytes() {
        return Err(TokenError::App);
    }
    let issued = u64::from(issued);
    let end = Expiry::At(issued + u64::from(lifetime));
    services(&mut fields, bearer, |seconds| match seconds {
        0 => end,
        seconds => end.min(Expiry::At(issued + u64::from(seconds))),
    })
}

/// Finds the media service for this bearer.
fn services(
    fields: &mut Fields<'_>,
    bearer: Bearer<'_>,
    expiry: impl Fn(u32) -> Expiry,
) -> Result<Privileges, TokenError> {
    for _ in 0..fields.u16()? {
        let service = fields.u16()?;
        let mut privileges = Privileges::NONE;
        fields.privileges(|privilege, seconds| {
            privileges.grant(privilege, expiry(seconds));
        })?;
        match service {
            1 => {
                let (channel, uid) = (fields.string()?, fields.string()?);
                let for_uid = uid.is_empty() || uid == bearer.uid.as_bytes();
                if channel == bearer.channel.as_bytes() && for_uid {
                    return Ok(privileges);
                }
            }
            // Messages and chat name a user; streaming and its kin a channel and a user.
            2 | 5 => drop(fields.string()?),
            3 | 6 => drop((fields.string()?, fields.string()?)),
            4 | 9 | 10 => {}
            7 => drop((fields.string()?, fields.string()?, fields.u16()?)),
            // Its length is unknown, so what follows cannot be read. Builders write media first.
            _ => break,
        }
    }
    Err(TokenError::Bearer)
}

/// The content of a zlib stream that ends where its checksum does.
fn inflate(packed: &[u8]) -> Option<Vec<u8>> {
    let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32
        | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut content = vec![0; CONTENT_MAX];
    let mut state = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(&mut state, packed, &mut content, 0, flags);
    content.truncate(written);
    (status == TINFLStatus::Done && read == packed.len()).then_some(content)
}

/// Whether the bits that fill up the last byte before the checksum are anything but zero.
///
/// No checksum covers them, so a token with one of them flipped is the same token. Such a stream
/// is known by this: its topmost bit that is set can be cleared and nothing changes.
fn has_loose_bits(packed: &[u8], content: &[u8]) -> bool {
    let mut cleared = packed.to_vec();
    let last = packed.len().checked_sub(CHECKSUM + 1);
    let Some(last) = last.and_then(|at| cleared.get_mut(at)) else {
        return false;
    };
    if *last == 0 {
        return false;
    }
    *last ^= 1 << last.ilog2();
    inflate(&cleared).is_some_and(|other| other == content)
}
