//! Media URLs: names that are signed, and what each is bound to.
//!
//! A name is a kind, 13 characters of id and 16 of signature: lower-case letters and digits, so that
//! no player, proxy or RTMP library trips over it whatever the channel is called. It stands as long
//! as it is in the book.

use std::sync::Arc;

use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use lockgate_routing::{Grant, Lease, Refusal, StreamId};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Five bits a character, none that looks like another's capital.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters of an id of 64 bits.
const ID_LENGTH: usize = 13;

/// Characters of a signature of 80 bits.
const SIGNATURE_LENGTH: usize = 16;

/// The number in a URL, of a publication or a subscription. Random: it tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UrlId(pub(crate) u64);

impl UrlId {
    /// A fresh one.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

/// What a URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Push,
    Pull,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Push => 'p',
            Self::Pull => 's',
        }
    }
}

/// What a name says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// It has not the shape of a signed one.
    Plain,
    /// It has, and was not signed here.
    Forged,
    /// It was signed here.
    Signed(Kind, UrlId),
}

/// Signs names, with a key of this start of the node.
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    pub(crate) fn random() -> Self {
        // A key of the length of a block is what HMAC takes as it is.
        let key: [u8; 64] = rand::random();
        Self(Hmac::new(&key.into()))
    }

    /// The name of a URL.
    pub(crate) fn name(&self, kind: Kind, id: UrlId) -> String {
        let mut name = String::with_capacity(1 + ID_LENGTH + SIGNATURE_LENGTH);
        name.push(kind.letter());
        write_base32(u128::from(id.0), ID_LENGTH, &mut name);
        write_base32(self.sign(kind, id), SIGNATURE_LENGTH, &mut name);
        name
    }

    /// Reads a name, in a time that does not tell how much of it is right.
    pub(crate) fn read(&self, name: &str) -> Name {
        let kind = match name.as_bytes().first() {
            Some(b'p') => Kind::Push,
            Some(b's') => Kind::Pull,
            _ => return Name::Plain,
        };
        let well_formed = name.len() == 1 + ID_LENGTH + SIGNATURE_LENGTH
            && name.bytes().all(|byte| ALPHABET.contains(&byte));
        if !well_formed {
            return Name::Plain;
        }
        let digits = name.bytes().skip(1).take(ID_LENGTH);
        let value = digits.fold(0_u128, |value, byte| {
            let digit = ALPHABET.iter().position(|&it| it == byte).unwrap_or(0);
            value << 5 | digit as u128
        });
        let Ok(id) = u64::try_from(value) else {
            return Name::Forged;
        };
        let id = UrlId(id);
        let right = self.name(kind, id);
        if bool::from(right.as_bytes().ct_eq(name.as_bytes())) {
            Name::Signed(kind, id)
        } else {
            Name::Forged
        }
    }

    fn sign(&self, kind: Kind, id: UrlId) -> u128 {
        let mut mac = self.0.clone();
        mac.update(kind.letter().to_string().as_bytes());
        mac.update(&id.0.to_be_bytes());
        let bytes = mac.finalize().into_bytes();
        let first = bytes.iter().take(10);
        first.fold(0, |value, &byte| value << 8 | u128::from(byte))
    }
}

/// Writes the low `5 * length` bits, the highest first.
fn write_base32(value: u128, length: usize, into: &mut String) {
    for at in (0..length).rev() {
        let digit = (value >> (5 * at)) & 31;
        let letter = usize::try_from(digit).ok().and_then(|it| ALPHABET.get(it));
        into.push(char::from(*letter.unwrap_or(&b'a')));
    }
}

/// The names that stand.
#[derive(Debug)]
pub(crate) struct Book {
    signer: Signer,
    bound: DashMap<UrlId, Grant>,
    /// Streams that belong to a publication: nobody else pushes to them.
    owned: DashMap<StreamId, UrlId>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            signer: Signer::random(),
            bound: DashMap::new(),
            owned: DashMap::new(),
        }
    }

    /// The name of an id's URL, whether or not it stands.
    pub(crate) fn name(&self, kind: Kind, id: UrlId) -> String {
        self.signer.name(kind, id)
    }

    /// Binds a URL.
    pub(crate) fn bind(&self, kind: Kind, id: UrlId, stream: StreamId, lease: Arc<Lease>) {
        if kind == Kind::Push {
            self.owned.insert(stream.clone(), id);
        }
        let lease = Some(lease);
        self.bound.insert(id, Grant { stream, lease });
    }

    /// What stands under an id.
    pub(crate) fn get(&self, id: UrlId) -> Option<Grant> {
        self.bound.get(&id).map(|grant| grant.clone())
    }

    /// Ends a URL, and cuts whoever holds it.
    pub(crate) fn end(&self, id: UrlId) -> Option<Grant> {
        let (_, grant) = self.bound.remove(&id)?;
        self.owned.remove_if(&grant.stream, |_, owner| *owner == id);
        if let Some(lease) = &grant.lease {
            lease.revoke();
        }
        Some(grant)
    }

    /// Whether a stream belongs to a publication.
    pub(crate) fn owns(&self, stream: &StreamId) -> bool {
        self.owned.contains_key(stream)
    }

    /// What a name in a URL gives a right to; `None` when it is not one of signalling's.
    pub(crate) fn admit(
        &self,
        kind: Kind,
        app: &str,
        name: &str,
    ) -> Option<Result<Grant, Refusal>> {
        let grant = match self.signer.read(name) {
            Name::Plain => return None,
            Name::Signed(is, id) if is == kind => self.get(id),
            Name::Signed(..) | Name::Forged => None,
        };
        let grant = grant.filter(|grant| grant.stream.app() == app);
        Some(grant.ok_or(Refusal::UrlDead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_thirty_lower_case_letters_and_digits() {
        let signer = Signer::random();
        for (kind, letter) in [(Kind::Push, 'p'), (Kind::Pull, 's')] {
            for id in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
                let name = signer.name(kind, UrlId(id));
                assert_eq!(name.len(), 30);
                assert!(name.starts_with(letter));
                assert!(
                    name.bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                );
                assert_eq!(signer.read(&name), Name::Signed(kind, UrlId(id)));
            }
        }
    }

    #[test]
    fn a_name_that_is_changed_anywhere_is_forged() {
        let signer = Signer::random();
        let name = signer.name(Kind::Push, UrlId(42));
        for at in 0..name.len() {
            let mut changed = name.clone().into_bytes();
            changed[at] = match (at, changed[at]) {
                (0, _) => b's',
                (_, b'a') => b'b',
                _ => b'a',
            };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(signer.read(&changed), Name::Forged, "{at}");
        }
        assert_eq!(Signer::random().read(&name), Name::Forged);
    }

    #[test]
    fn names_of_another_shape_are_plain() {
        let signer = Signer::random();
        let name = signer.name(Kind::Push, UrlId(42));
        for plain in [
            "",
            "p",
            "demo",
            &name[..29],
            &format!("{name}a"),
            &name.to_uppercase(),
        ] {
            assert_eq!(signer.read(plain), Name::Plain, "{plain}");
        }
    }

    #[test]
    fn a_url_stands_until_it_ends_and_only_in_its_app_and_for_its_kind() {
        let book = Book::new();
        let stream = StreamId::new("live", "c/1").unwrap();
        let lease = Lease::subscription();
        let id = UrlId(7);
        let name = book.name(Kind::Pull, id);
        let admit = |kind, app| book.admit(kind, app, &name).map(|it| it.map(drop));
        assert_eq!(admit(Kind::Pull, "live"), Some(Err(Refusal::UrlDead)));
        book.bind(Kind::Pull, id, stream, Arc::clone(&lease));
        assert_eq!(admit(Kind::Pull, "live"), Some(Ok(())));
        assert_eq!(admit(Kind::Pull, "other"), Some(Err(Refusal::UrlDead)));
        assert_eq!(admit(Kind::Push, "live"), Some(Err(Refusal::UrlDead)));
        assert!(book.end(id).is_some());
        assert_eq!(admit(Kind::Pull, "live"), Some(Err(Refusal::UrlDead)));
        assert!(lease.take().is_none());
        assert!(book.admit(Kind::Pull, "live", "demo").is_none());
    }
}
