//! Tokens of version `006`: the app's id, then base64 of a signature, two checksums, a message.
//!
//! The channel and the uid are not in it: the signature covers them, so the wrong ones show as a
//! signature that does not hold. The message's own time stamp is when the builder would have a
//! day pass; the privileges carry the times that count.

use hmac::Mac;

use super::{Bearer, Certificate, Expiry, Fields, Privileges, TokenError, decode_base64, keyed};

/// Reads what follows the version.
pub(super) fn read(
    text: &str,
    certificate: &Certificate,
    bearer: Bearer<'_>,
) -> Result<Privileges, TokenError> {
    let text = text.strip_prefix(bearer.app).ok_or(TokenError::App)?;
    let content = decode_base64(text)?;
    let mut fields = Fields(&content);
    let signature = fields.string()?;
    let channel_sum = fields.u32()?;
    let uid_sum = fields.u32()?;
    let message = fields.string()?;
    if !fields.0.is_empty() {
        return Err(TokenError::Malformed);
    }
    // A token for any uid is signed for the empty one.
    let signed_for = |uid: &str| -> Result<(), TokenError> {
        let mut mac = keyed(certificate.bytes())?;
        for part in [bearer.app, bearer.channel, uid] {
            mac.update(part.as_bytes());
        }
        mac.update(message);
        mac.verify_slice(signature)
            .map_err(|_| TokenError::Signature)?;
        let sums_hold = channel_sum == crc32fast::hash(bearer.channel.as_bytes())
            && uid_sum == crc32fast::hash(uid.as_bytes());
        sums_hold.then_some(()).ok_or(TokenError::Malformed)
    };
    match signed_for(bearer.uid) {
        Err(TokenError::Signature) if !bearer.uid.is_empty() => signed_for("")?,
        verdict => verdict?,
    }
    let mut fields = Fields(message);
    let (_salt, _time) = (fields.u32()?, fields.u32()?);
    let mut privileges = Privileges::NONE;
    fields.privileges(|privilege, seconds| {
        privileges.grant(privilege, Expiry::from_seconds(seconds.into()));
    })?;
    Ok(privileges)
}
