//! How values are written in a config: `"10s"`, `"8MiB"`, `"127.0.0.1:1935"`.
//!
//! Each module is for `#[serde(with)]`; what it writes, it reads back. Errors say what is allowed,
//! and leave it to the caller to name the key.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

/// The longest duration a config may ask for: beyond it lies a typo.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads `"350ms"`, `"10s"`, `"2m"`, `"1h"` or `"0"`.
///
/// # Errors
/// What is allowed, to follow the key and the value.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let allowed = || "expected a duration such as \"350ms\", \"10s\", \"2m\" or \"1h\"".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(allowed)?;
    let number: u64 = number.parse().map_err(|_| allowed())?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number == 0 => 1,
        _ => return Err(allowed()),
    };
    let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
    duration
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| "expected a duration of at most 24h".to_owned())
}

/// Writes what [`parse_duration`] reads, in the largest unit that stays whole.
pub fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "0s".to_owned(),
        ms if ms % 1_000 != 0 => format!("{ms}ms"),
        ms if ms % 60_000 != 0 => format!("{}s", ms / 1_000),
        ms if ms % 3_600_000 != 0 => format!("{}m", ms / 60_000),
        ms => format!("{}h", ms / 3_600_000),
    }
}

/// Reads `"8MiB"`, `"64KiB"`, `"1GiB"` or a number of bytes.
///
/// # Errors
/// What is allowed, to follow the key and the value.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let allowed = || format!("expected {BYTES}");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(allowed)?;
    let number: u64 = number.parse().map_err(|_| allowed())?;
    let scale = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(allowed()),
    };
    number.checked_mul(scale).ok_or_else(allowed)
}

const BYTES: &str = "a number of bytes, or a string such as \"64KiB\", \"8MiB\" or \"1GiB\"";

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BYTES)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom(format!("expected {BYTES}")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<u64, E> {
        parse_bytes(value).map_err(E::custom)
    }
}

/// A string that a function parses; anything else is told what is expected.
struct StringVisitor<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for StringVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        (self.parse)(value).map_err(E::custom)
    }
}

/// A duration: a string with a unit.
pub mod duration {
    use super::{Deserializer, Duration, StringVisitor, parse_duration, show_duration};
    use serde::Serializer;

    /// Writes the string.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_duration(*value))
    }

    /// Reads the string.
    ///
    /// # Errors
    /// What is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_str(StringVisitor {
            expected: "a duration such as \"350ms\", \"10s\", \"2m\" or \"1h\"",
            parse: parse_duration,
        })
    }
}

/// A socket address: an IP address and a port.
pub mod address {
    use super::{Deserializer, StringVisitor};
    use serde::Serializer;
    use std::net::SocketAddr;

    const EXPECTED: &str = "an IP address and a port such as \"127.0.0.1:1935\" or \"[::]:1935\"";

    /// Writes the string.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads the string.
    ///
    /// # Errors
    /// What is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        from.deserialize_str(StringVisitor {
            expected: EXPECTED,
            parse: |text| text.parse().map_err(|_| format!("expected {EXPECTED}")),
        })
    }
}

/// A socket address, or an empty string for none.
pub mod optional_address {
    use super::{Deserializer, StringVisitor};
    use serde::Serializer;
    use std::net::SocketAddr;

    const EXPECTED: &str =
        "an IP address and a port such as \"0.0.0.0:443\" or \"[::]:443\", or \"\" for none";

    /// Writes the string.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    /// Reads the string.
    ///
    /// # Errors
    /// What is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        from.deserialize_str(StringVisitor {
            expected: EXPECTED,
            parse: |text| match text {
                "" => Ok(None),
                text => text
                    .parse()
                    .map(Some)
                    .map_err(|_| format!("expected {EXPECTED}")),
            },
        })
    }
}

/// A size in bytes: an integer, or a string with a unit.
pub mod bytes_u64 {
    use super::{BytesVisitor, Deserializer};
    use serde::Serializer;

    /// Writes the integer.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*value)
    }

    /// Reads either.
    ///
    /// # Errors
    /// What is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(BytesVisitor)
    }
}

/// The same, for what is held in memory.
pub mod bytes_usize {
    use super::{Deserializer, bytes_u64};
    use serde::Serializer;
    use serde::de::Error;

    /// Writes the integer.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*value as u64)
    }

    /// Reads either.
    ///
    /// # Errors
    /// What is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let bytes = bytes_u64::deserialize(from)?;
        usize::try_from(bytes).map_err(|_| D::Error::custom("expected fewer bytes"))
    }
}
