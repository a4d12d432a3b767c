//! AMF0: the encoding of every command and of metadata.
//!
//! What [`encode`] writes, [`decode`] reads back. References (type 7) are read as null, because
//! no command uses them and resolving them would let a few bytes grow without end.

use super::{AmfError, Budget, Value, amf3, array, byte, number, text};

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const XML: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;
/// What follows is one AMF3 value.
const AVM_PLUS: u8 = 0x11;

/// Reads one value off the front of `input`.
pub fn decode(input: &mut &[u8]) -> Result<Value, AmfError> {
    value(input, &mut Budget::new())
}

/// Reads all values of a message.
pub fn decode_all(mut input: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut budget = Budget::new();
    let mut values = Vec::new();
    while !input.is_empty() {
        values.push(value(&mut input, &mut budget)?);
    }
    Ok(values)
}

fn value(input: &mut &[u8], budget: &mut Budget) -> Result<Value, AmfError> {
    budget.value()?;
    Ok(match byte(input)? {
        NUMBER => Value::Number(number(input)?),
        BOOLEAN => Value::Boolean(byte(input)? != 0),
        STRING => Value::String(short_text(input, budget)?),
        OBJECT => Value::Object(budget.nested(|budget| members(input, budget))?),
        NULL => Value::Null,
        UNDEFINED | UNSUPPORTED => Value::Undefined,
        REFERENCE => {
            array::<2>(input)?;
            Value::Null
        }
        ECMA_ARRAY => {
            // The count is a hint that encoders get wrong; the end marker is what counts.
            array::<4>(input)?;
            Value::EcmaArray(budget.nested(|budget| members(input, budget))?)
        }
        STRICT_ARRAY => {
            let count = u32::from_be_bytes(array(input)?);
            Value::StrictArray(budget.nested(|budget| {
                // Collected one by one: a count alone must not reserve memory.
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(value(input, budget)?);
                }
                Ok(values)
            })?)
        }
        DATE => {
            let date = number(input)?;
            // The time zone is reserved and zero (§2.13).
            array::<2>(input)?;
            Value::Date(date)
        }
        LONG_STRING | XML => {
            let length = u32::from_be_bytes(array(input)?);
            let length = usize::try_from(length).map_err(|_| AmfError::TooLarge)?;
            Value::String(text(input, length, budget)?)
        }
        TYPED_OBJECT => {
            short_text(input, budget)?;
            Value::Object(budget.nested(|budget| members(input, budget))?)
        }
        AVM_PLUS => amf3::value_within(input, budget)?,
        other => return Err(AmfError::Type(other)),
    })
}

fn short_text(input: &mut &[u8], budget: &mut Budget) -> Result<String, AmfError> {
    let length = u16::from_be_bytes(array(input)?);
    text(input, usize::from(length), budget)
}

fn members(input: &mut &[u8], budget: &mut Budget) -> Result<Vec<(String, Value)>, AmfError> {
    let mut members = Vec::new();
    loop {
        let name = short_text(input, budget)?;
        if name.is_empty() && input.first() == Some(&OBJECT_END) {
            byte(input)?;
            return Ok(members);
        }
        members.push((name, value(input, budget)?));
    }
}

/// Appends one value. Names longer than 65,535 bytes do not exist in AMF0 and are cut there.
pub fn encode(value: &Value, output: &mut Vec<u8>) {
    match value {
        Value::Null => output.push(NULL),
        Value::Undefined => output.push(UNDEFINED),
        Value::Boolean(boolean) => output.extend_from_slice(&[BOOLEAN, u8::from(*boolean)]),
        Value::Number(value) => encode_number(*value, output),
        Value::String(text) => encode_str(text, output),
        Value::Object(members) => {
            output.push(OBJECT);
            encode_members(members, output);
        }
        Value::EcmaArray(members) => {
            output.push(ECMA_ARRAY);
            output.extend_from_slice(&count(members.len()));
            encode_members(members, output);
        }
        Value::StrictArray(values) => {
            output.push(STRICT_ARRAY);
            output.extend_from_slice(&count(values.len()));
            for value in values {
                encode(value, output);
            }
        }
        Value::Date(date) => {
            output.push(DATE);
            output.extend_from_slice(&date.to_be_bytes());
            output.extend_from_slice(&[0; 2]);
        }
        // AMF0 has no bytes.
        Value::ByteArray(_) => output.push(UNDEFINED),
    }
}

/// Appends a number.
pub fn encode_number(number: f64, output: &mut Vec<u8>) {
    output.push(NUMBER);
    output.extend_from_slice(&number.to_be_bytes());
}

/// Appends a string, in the long form where it needs one.
pub fn encode_str(text: &str, output: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(text.len()) {
        output.push(STRING);
        output.extend_from_slice(&length.to_be_bytes());
    } else {
        output.push(LONG_STRING);
        output.extend_from_slice(&count(text.len()));
    }
    output.extend_from_slice(text.as_bytes());
}

fn encode_members(members: &[(String, Value)], output: &mut Vec<u8>) {
    for (name, value) in members {
        let name = cut(name, usize::from(u16::MAX));
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(name.as_bytes());
        encode(value, output);
    }
    output.extend_from_slice(&[0, 0, OBJECT_END]);
}

/// At most `longest` bytes of `text`, whole characters only.
fn cut(text: &str, longest: usize) -> &str {
    (0..=longest.min(text.len()))
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}

/// A length as AMF0 writes it. What is held in memory here came in messages of 24-bit length.
fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
