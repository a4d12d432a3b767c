//! Tokens: what an app with a certificate lets a user do in a channel, and until when.
//!
//! Both versions that deployed token builders write, `006` and `007`, become one [`Privileges`].
//! Nothing in a token is believed before its signature holds, and signatures are compared in
//! constant time. A token that is changed in any bit, or written in another way than builders
//! write it, is refused.

mod v006;
mod v007;

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit};
use lockgate_media::Track;
use sha2::Sha256;

/// The longest token that is looked at. Those of builders have 150 to 400 characters.
const TOKEN_MAX: usize = 8192;

/// An app's certificate: the secret that its tokens are signed with.
#[derive(Clone)]
pub struct Certificate(String);

impl Certificate {
    /// A certificate, or `None` for the empty text: such an app is open.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

/// Who wants to use a token, and where.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// The app's id, 32 characters where a builder is to write tokens for it.
    pub app: &'a str,
    /// The channel's name.
    pub channel: &'a str,
    /// The uid as text; empty when the node is to pick one, which only a token for any uid allows.
    pub uid: &'a str,
}

/// Until when something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    /// Until this many seconds after 1970, not included.
    At(u64),
    /// For ever.
    Never,
}

impl Expiry {
    /// What nobody's clock reaches, 0, means for ever in both versions.
    fn from_seconds(seconds: u64) -> Self {
        match seconds {
            0 => Self::Never,
            seconds => Self::At(seconds),
        }
    }

    /// Whether it is over.
    pub fn is_past(self, now: SystemTime) -> bool {
        self.remaining(now)
            .is_some_and(|remaining| remaining.is_zero())
    }

    /// How long it still holds; zero when it is over, `None` for ever.
    pub fn remaining(self, now: SystemTime) -> Option<Duration> {
        let Self::At(seconds) = self else { return None };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Duration::from_secs(seconds).saturating_sub(now))
    }
}

/// What a token allows. A privilege that it does not name is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// To be in the channel. [`verify`] gives no privileges without it.
    pub join: Option<Expiry>,
    /// To publish audio.
    pub publish_audio: Option<Expiry>,
    /// To publish video.
    pub publish_video: Option<Expiry>,
}

impl Privileges {
    /// What an app without a certificate allows everybody.
    pub const OPEN: Self = Self {
        join: Some(Expiry::Never),
        publish_audio: Some(Expiry::Never),
        publish_video: Some(Expiry::Never),
    };

    const NONE: Self = Self {
        join: None,
        publish_audio: None,
        publish_video: None,
    };

    /// Whether a track may be published now.
    ///
    /// # Errors
    /// [`TokenError::NotAllowed`] when the token never allowed it, [`TokenError::Expired`] when it
    /// did.
    pub fn may_publish(&self, track: Track, now: SystemTime) -> Result<(), TokenError> {
        let privilege = match track {
            Track::Audio => self.publish_audio,
            Track::Video => self.publish_video,
            // Metadata goes along with either.
            Track::Data => self.publish_audio.max(self.publish_video),
        };
        holds(privilege, now)
    }

    /// Takes one entry of a token's list; those that do not concern media pass unread.
    fn grant(&mut self, privilege: u16, expiry: Expiry) {
        match privilege {
            1 => self.join = Some(expiry),
            2 => self.publish_audio = Some(expiry),
            3 => self.publish_video = Some(expiry),
            _ => {}
        }
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none, and the app asks for one.
    #[error("this app asks for a token and none was sent")]
    Missing,
    /// It is not what a token builder writes: cut off, garbled, or of an unknown version.
    #[error("the token is not one of version 006 or 007, or was cut off")]
    Malformed,
    /// It is for another app.
    #[error("the token is for another app")]
    App,
    /// It was not signed with the app's certificate for this channel and this uid.
    #[error("the token's signature does not hold for this certificate, channel and uid")]
    Signature,
    /// It is sound and for another channel or uid.
    #[error("the token is for another channel or uid")]
    Bearer,
    /// It is sound and does not hold the privilege.
    #[error("the token does not allow this")]
    NotAllowed,
    /// It is sound and its time is over.
    #[error("the token has expired")]
    Expired,
}

impl TokenError {
    /// The code that clients are told: 109 expired, 110 invalid.
    pub fn code(self) -> u32 {
        match self {
            Self::Expired => 109,
            _ => 110,
        }
    }

    /// A bounded label for metrics and webhooks.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::App => "app",
            Self::Signature => "signature",
            Self::Bearer => "bearer",
            Self::NotAllowed => "not_allowed",
            Self::Expired => "expired",
        }
    }
}

/// Reads a token and says what it allows its bearer.
///
/// # Errors
/// [`TokenError`] when it is not the app's, not the bearer's, or does not allow to join now.
pub fn verify(
    token: &str,
    certificate: &Certificate,
    bearer: Bearer<'_>,
    now: SystemTime,
) -> Result<Privileges, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > TOKEN_MAX {
        return Err(TokenError::Malformed);
    }
    let privileges = if let Some(rest) = token.strip_prefix("006") {
        v006::read(rest, certificate, bearer)?
    } else if let Some(rest) = token.strip_prefix("007") {
        v007::read(rest, certificate, bearer)?
    } else {
        return Err(TokenError::Malformed);
    };
    holds(privileges.join, now)?;
    Ok(privileges)
}

fn holds(privilege: Option<Expiry>, now: SystemTime) -> Result<(), TokenError> {
    match privilege {
        None => Err(TokenError::NotAllowed),
        Some(expiry) if expiry.is_past(now) => Err(TokenError::Expired),
        Some(_) => Ok(()),
    }
}

/// HMAC-SHA256, which takes keys of any length.
fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, TokenError> {
    Hmac::new_from_slice(key).map_err(|_| TokenError::Signature)
}

/// Padded base64 with no bit to spare: each content has one text.
fn decode_base64(text: &str) -> Result<Vec<u8>, TokenError> {
    STANDARD.decode(text).map_err(|_| TokenError::Malformed)
}

/// Little-endian numbers and strings from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], TokenError> {
        let (bytes, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(TokenError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, TokenError> {
        let bytes = self.bytes(2)?.try_into();
        bytes
            .map(u16::from_le_bytes)
            .map_err(|_| TokenError::Malformed)
    }

    fn u32(&mut self) -> Result<u32, TokenError> {
        let bytes = self.bytes(4)?.try_into();
        bytes
            .map(u32::from_le_bytes)
            .map_err(|_| TokenError::Malformed)
    }

    /// A u16 length and as many bytes.
    fn string(&mut self) -> Result<&'a [u8], TokenError> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// A u16 count and as many pairs of privilege and seconds.
    fn privileges(&mut self, mut each: impl FnMut(u16, u32)) -> Result<(), TokenError> {
        for _ in 0..self.u16()? {
            each(self.u16()?, self.u32()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
