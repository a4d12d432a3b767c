//! AMF values, and reading them from bytes a peer sent.
//!
//! Reading is bounded: by depth, by the number of values, and by the bytes of text that string
//! references may multiply. Nothing here is on the media path: metadata passes through unread.

pub mod amf0;
pub mod amf3;
#[cfg(test)]
mod tests;

/// Deepest nesting of objects and arrays that is read.
pub(crate) const MAX_DEPTH: usize = 16;
/// Most values one message may hold; a `connect` of the largest client holds about 40.
pub(crate) const MAX_VALUES: usize = 4096;
/// Most bytes of text one message may hold once string references are resolved.
pub(crate) const MAX_TEXT: usize = 1 << 20;

/// One value of AMF0 or AMF3.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Null, and references to earlier objects, which no command uses.
    Null,
    /// Undefined.
    Undefined,
    /// A boolean.
    Boolean(bool),
    /// A number; AMF3 integers too.
    Number(f64),
    /// A string or XML document; bytes that are not UTF-8 are replaced.
    String(String),
    /// An object, in the order it was sent. The class name of a typed object is dropped.
    Object(Vec<(String, Value)>),
    /// An array with string keys (AMF0 §2.10).
    EcmaArray(Vec<(String, Value)>),
    /// An array without keys; AMF3 vectors too.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970 UTC.
    Date(f64),
    /// Bytes (AMF3 §3.14).
    ByteArray(Vec<u8>),
}

impl Value {
    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean; a number counts as true unless it is zero, as encoders send flags either way.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            Self::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }

    /// The named member of an object or keyed array.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) | Self::EcmaArray(members) => members
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Why AMF could not be read.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AmfError {
    /// The bytes end inside a value.
    #[error("the AMF data ends inside a value")]
    Truncated,
    /// A type that is unknown, or not allowed where it stands.
    #[error("AMF type {0:#04x} is unknown or not allowed here")]
    Type(u8),
    /// More nesting than is read.
    #[error("AMF values nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More values or text than is read.
    #[error("an AMF message holds more than {MAX_VALUES} values or {MAX_TEXT} bytes of text")]
    TooLarge,
    /// A reference to a string or class that was not sent.
    #[error("an AMF3 reference points to nothing")]
    Reference,
    /// An object that writes itself in its own way.
    #[error("AMF3 objects of an externalizable class cannot be read")]
    Externalizable,
}

/// What is left of a message's bounds.
#[derive(Debug)]
pub(crate) struct Budget {
    values: usize,
    text: usize,
    depth: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            values: MAX_VALUES,
            text: MAX_TEXT,
            depth: MAX_DEPTH,
        }
    }

    fn value(&mut self) -> Result<(), AmfError> {
        self.values = self.values.checked_sub(1).ok_or(AmfError::TooLarge)?;
        Ok(())
    }

    fn text(&mut self, bytes: usize) -> Result<(), AmfError> {
        self.text = self.text.checked_sub(bytes).ok_or(AmfError::TooLarge)?;
        Ok(())
    }

    /// Reads what is nested one level deeper.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, AmfError>,
    ) -> Result<T, AmfError> {
        self.depth = self.depth.checked_sub(1).ok_or(AmfError::TooDeep)?;
        let result = read(self);
        self.depth += 1;
        result
    }
}

/// Splits `N` bytes off the front.
fn array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], AmfError> {
    let (array, rest) = input.split_first_chunk().ok_or(AmfError::Truncated)?;
    *input = rest;
    Ok(*array)
}

/// Splits `count` bytes off the front.
fn bytes<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], AmfError> {
    let (bytes, rest) = input.split_at_checked(count).ok_or(AmfError::Truncated)?;
    *input = rest;
    Ok(bytes)
}

fn byte(input: &mut &[u8]) -> Result<u8, AmfError> {
    array::<1>(input).map(|[byte]| byte)
}

fn number(input: &mut &[u8]) -> Result<f64, AmfError> {
    array(input).map(f64::from_be_bytes)
}

/// Splits `count` bytes of text off the front.
fn text(input: &mut &[u8], count: usize, budget: &mut Budget) -> Result<String, AmfError> {
    budget.text(count)?;
    Ok(String::from_utf8_lossy(bytes(input, count)?).into_owned())
}
