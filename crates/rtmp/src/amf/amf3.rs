//! AMF3, read only: clients that ask for it understand answers in AMF0.
//!
//! Each value has reference tables of its own, as after the AVM+ marker of AMF0. String and class
//! references are resolved; object references are read as null (see [`super::Value::Null`]).

use super::{AmfError, Budget, Value, array, byte, bytes, number, text};

/// Reads one value off the front of `input`.
pub fn decode(input: &mut &[u8]) -> Result<Value, AmfError> {
    value_within(input, &mut Budget::new())
}

/// Reads one value inside a message that has a budget.
pub(super) fn value_within(input: &mut &[u8], budget: &mut Budget) -> Result<Value, AmfError> {
    Reader {
        strings: Vec::new(),
        classes: Vec::new(),
        budget,
    }
    .value(input)
}

#[derive(Debug, Clone)]
struct Class {
    dynamic: bool,
    members: Vec<String>,
}

struct Reader<'a> {
    strings: Vec<String>,
    classes: Vec<Class>,
    budget: &'a mut Budget,
}

impl Reader<'_> {
    fn value(&mut self, input: &mut &[u8]) -> Result<Value, AmfError> {
        self.budget.value()?;
        Ok(match byte(input)? {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            0x04 => Value::Number(f64::from(sign_extended(u29(input)?))),
            0x05 => Value::Number(number(input)?),
            0x06 => Value::String(self.string(input)?),
            0x07 | 0x0b => match inline(input)? {
                Some(length) => Value::String(text(input, length, self.budget)?),
                None => Value::Null,
            },
            0x08 => match inline(input)? {
                Some(_) => Value::Date(number(input)?),
                None => Value::Null,
            },
            0x09 => self.nested(|reader| reader.array(input))?,
            0x0a => self.nested(|reader| reader.object(input))?,
            0x0c => match inline(input)? {
                Some(length) => {
                    self.budget.text(length)?;
                    Value::ByteArray(bytes(input, length)?.to_vec())
                }
                None => Value::Null,
            },
            kind @ 0x0d..=0x10 => self.nested(|reader| reader.vector(input, kind))?,
            0x11 => self.nested(|reader| reader.dictionary(input))?,
            other => return Err(AmfError::Type(other)),
        })
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<Value, AmfError>,
    ) -> Result<Value, AmfError> {
        let (strings, classes) = (&mut self.strings, &mut self.classes);
        self.budget.nested(|budget| {
            let mut inner = Reader {
                strings: std::mem::take(strings),
                classes: std::mem::take(classes),
                budget,
            };
            let result = read(&mut inner);
            (*strings, *classes) = (inner.strings, inner.classes);
            result
        })
    }

    /// §3.8; the empty string is never put in the table.
    fn string(&mut self, input: &mut &[u8]) -> Result<String, AmfError> {
        match reference(input)? {
            Ok(0) => Ok(String::new()),
            Ok(length) => {
                let string = text(input, length, self.budget)?;
                self.budget.text(string.len())?;
                self.strings.push(string.clone());
                Ok(string)
            }
            Err(index) => {
                let string = self.strings.get(index).ok_or(AmfError::Reference)?;
                self.budget.text(string.len())?;
                Ok(string.clone())
            }
        }
    }

    /// §3.11: keyed members up to an empty key, then the dense part.
    fn array(&mut self, input: &mut &[u8]) -> Result<Value, AmfError> {
        let Some(count) = inline(input)? else {
            return Ok(Value::Null);
        };
        let mut members = self.members(input)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(input)?);
        }
        if members.is_empty() {
            return Ok(Value::StrictArray(values));
        }
        members.extend(
            values
                .into_iter()
                .enumerate()
                .map(|(at, value)| (at.to_string(), value)),
        );
        Ok(Value::EcmaArray(members))
    }

    fn members(&mut self, input: &mut &[u8]) -> Result<Vec<(String, Value)>, AmfError> {
        let mut members = Vec::new();
        loop {
            let name = self.string(input)?;
            if name.is_empty() {
                return Ok(members);
            }
            members.push((name, self.value(input)?));
        }
    }

    /// §3.12.
    fn object(&mut self, input: &mut &[u8]) -> Result<Value, AmfError> {
        let header = u29(input)?;
        if header & 0x01 == 0 {
            return Ok(Value::Null);
        }
        let class = if header & 0x02 == 0 {
            let class = self
                .classes
                .get(to_usize(header >> 2))
                .ok_or(AmfError::Reference)?;
            for name in &class.members {
                self.budget.text(name.len())?;
                self.budget.value()?;
            }
            class.clone()
        } else if header & 0x04 != 0 {
            return Err(AmfError::Externalizable);
        } else {
            self.class(input, header)?
        };
        let mut members = Vec::new();
        for name in class.members {
            members.push((name, self.value(input)?));
        }
        if class.dynamic {
            members.extend(self.members(input)?);
        }
        Ok(Value::Object(members))
    }

    fn class(&mut self, input: &mut &[u8], header: u32) -> Result<Class, AmfError> {
        self.string(input)?;
        let mut members = Vec::new();
        for _ in 0..header >> 4 {
            self.budget.value()?;
            members.push(self.string(input)?);
        }
        let class = Class {
            dynamic: header & 0x08 != 0,
            members,
        };
        self.classes.push(class.clone());
        Ok(class)
    }

    /// §3.15: a count, a flag for fixed length, for objects a class name, then the items.
    fn vector(&mut self, input: &mut &[u8], kind: u8) -> Result<Value, AmfError> {
        let Some(count) = inline(input)? else {
            return Ok(Value::Null);
        };
        byte(input)?;
        if kind == 0x10 {
            self.string(input)?;
        }
        let mut values = Vec::new();
        for _ in 0..count {
            if kind != 0x10 {
                self.budget.value()?;
            }
            values.push(match kind {
                0x0d => Value::Number(f64::from(i32::from_be_bytes(array(input)?))),
                0x0e => Value::Number(f64::from(u32::from_be_bytes(array(input)?))),
                0x0f => Value::Number(number(input)?),
                _ => self.value(input)?,
            });
        }
        Ok(Value::StrictArray(values))
    }

    /// §3.16; entries whose key is not a string are dropped.
    fn dictionary(&mut self, input: &mut &[u8]) -> Result<Value, AmfError> {
        let Some(count) = inline(input)? else {
            return Ok(Value::Null);
        };
        byte(input)?;
        let mut members = Vec::new();
        for _ in 0..count {
            let (key, value) = (self.value(input)?, self.value(input)?);
            if let Value::String(key) = key {
                members.push((key, value));
            }
        }
        Ok(Value::EcmaArray(members))
    }
}

/// §1.3.1: 29 bits in one to four bytes.
fn u29(input: &mut &[u8]) -> Result<u32, AmfError> {
    let mut number = 0;
    for _ in 0..3 {
        let byte = byte(input)?;
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Ok(number << 8 | u32::from(byte(input)?))
}

fn sign_extended(number: u32) -> i32 {
    (number << 3).cast_signed() >> 3
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A length that follows here, or else the index of something sent before.
fn reference(input: &mut &[u8]) -> Result<Result<usize, usize>, AmfError> {
    let header = u29(input)?;
    let number = to_usize(header >> 1);
    Ok(if header & 1 == 1 {
        Ok(number)
    } else {
        Err(number)
    })
}

/// The length of what follows here; `None` is a reference to an object sent before.
fn inline(input: &mut &[u8]) -> Result<Option<usize>, AmfError> {
    Ok(reference(input)?.ok())
}
