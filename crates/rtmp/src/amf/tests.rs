use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn amf0(input: &[u8]) -> Result<Vec<Value>, AmfError> {
    amf0::decode_all(input)
}

/// One AMF3 value, all of the input.
fn amf3(mut input: &[u8]) -> Result<Value, AmfError> {
    let value = amf3::decode(&mut input)?;
    assert!(input.is_empty(), "{input:02x?} is left");
    Ok(value)
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Vec<(String, Value)> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn a_command_of_ffmpeg_is_read() {
    let input = b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x03\x00\x03app\x02\x00\x04live\
        \x00\x04fpad\x01\x00\x00\x0ccapabilities\x00\x40\x2e\0\0\0\0\0\0\x00\x00\x09";
    let values = amf0(input).expect("AMF0");
    assert_eq!(values[0].as_str(), Some("connect"));
    assert_eq!(values[1].as_number(), Some(1.0));
    assert_eq!(values[2].get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(values[2].get("fpad").and_then(Value::as_bool), Some(false));
    assert_eq!(
        values[2].get("capabilities").and_then(Value::as_number),
        Some(15.0)
    );
    assert_eq!(values[2].get("tcUrl"), None);
    assert_eq!(values[0].get("app"), None);
}

#[test]
fn every_amf0_type_is_read() {
    let cases: [(&[u8], Value); 14] = [
        (b"\x00\x40\x08\0\0\0\0\0\0", Value::Number(3.0)),
        (b"\x01\x02", Value::Boolean(true)),
        (b"\x02\x00\x02\xc3\xa9", string("é")),
        (b"\x02\x00\x01\xff", string("\u{fffd}")),
        (b"\x03\x00\x00\x09", Value::Object(vec![])),
        (
            b"\x03\x00\x00\x05\x00\x00\x09",
            Value::Object(object([("", Value::Null)])),
        ),
        (b"\x05", Value::Null),
        (b"\x06", Value::Undefined),
        (b"\x07\x00\x01", Value::Null),
        // The count is wrong, the end marker is right.
        (
            b"\x08\0\0\0\x09\x00\x01a\x05\x00\x00\x09",
            Value::EcmaArray(object([("a", Value::Null)])),
        ),
        (
            b"\x0a\0\0\0\x02\x05\x06",
            Value::StrictArray(vec![Value::Null, Value::Undefined]),
        ),
        (b"\x0b\x40\x08\0\0\0\0\0\0\x00\x3c", Value::Date(3.0)),
        (b"\x0c\0\0\0\x01a", string("a")),
        (
            b"\x10\x00\x01C\x00\x01a\x0d\x00\x00\x09",
            Value::Object(object([("a", Value::Undefined)])),
        ),
    ];
    for (input, want) in cases {
        assert_eq!(amf0(input), Ok(vec![want]), "{input:02x?}");
        for cut in 1..input.len() {
            assert_eq!(
                amf0(&input[..cut]),
                Err(AmfError::Truncated),
                "{input:02x?} cut at {cut}"
            );
        }
    }
    assert_eq!(amf0(b"\x0f\0\0\0\x01x"), Ok(vec![string("x")]));
    assert_eq!(amf0(b"\x04"), Err(AmfError::Type(4)));
    assert_eq!(amf0(b"\x09"), Err(AmfError::Type(9)));
}

#[test]
fn every_amf3_type_is_read() {
    let cases: [(&[u8], Value); 22] = [
        (b"\x00", Value::Undefined),
        (b"\x01", Value::Null),
        (b"\x02", Value::Boolean(false)),
        (b"\x03", Value::Boolean(true)),
        (b"\x04\x7f", Value::Number(127.0)),
        (b"\x04\x81\x00", Value::Number(128.0)),
        (b"\x04\xbf\xff\xff\xff", Value::Number(268_435_455.0)),
        (b"\x04\xff\xff\xff\xff", Value::Number(-1.0)),
        (b"\x04\xc0\x80\x80\x00", Value::Number(-268_435_456.0)),
        (b"\x05\x40\x08\0\0\0\0\0\0", Value::Number(3.0)),
        (b"\x06\x05ab", string("ab")),
        (b"\x06\x01", string("")),
        (b"\x07\x03x", string("x")),
        (b"\x0b\x03x", string("x")),
        (b"\x08\x01\x40\x08\0\0\0\0\0\0", Value::Date(3.0)),
        (
            b"\x09\x05\x01\x02\x03",
            Value::StrictArray(vec![Value::Boolean(false), Value::Boolean(true)]),
        ),
        (
            b"\x09\x03\x03k\x02\x01\x03",
            Value::EcmaArray(object([
                ("k", Value::Boolean(false)),
                ("0", Value::Boolean(true)),
            ])),
        ),
        // A sealed class with one member, and dynamic members.
        (
            b"\x0a\x1b\x03C\x03a\x02\x03b\x03\x01",
            Value::Object(object([
                ("a", Value::Boolean(false)),
                ("b", Value::Boolean(true)),
            ])),
        ),
        (b"\x0c\x05\x01\x02", Value::ByteArray(vec![1, 2])),
        (
            b"\x0d\x03\x00\xff\xff\xff\xff",
            Value::StrictArray(vec![Value::Number(-1.0)]),
        ),
        (
            b"\x10\x03\x00\x01\x02",
            Value::StrictArray(vec![Value::Boolean(false)]),
        ),
        (
            b"\x11\x03\x00\x06\x03k\x02",
            Value::EcmaArray(object([("k", Value::Boolean(false))])),
        ),
    ];
    for (input, want) in cases {
        assert_eq!(amf3(input), Ok(want), "{input:02x?}");
        for cut in 1..input.len() {
            assert_eq!(
                amf3::decode(&mut &input[..cut]),
                Err(AmfError::Truncated),
                "{input:02x?} cut at {cut}"
            );
        }
    }
    let unsigned = amf3(b"\x0e\x03\x00\xff\xff\xff\xff");
    assert_eq!(
        unsigned,
        Ok(Value::StrictArray(vec![Value::Number(4_294_967_295.0)]))
    );
    let doubles = amf3(b"\x0f\x03\x00\x40\x08\0\0\0\0\0\0");
    assert_eq!(doubles, Ok(Value::StrictArray(vec![Value::Number(3.0)])));
    assert_eq!(amf3(b"\x12"), Err(AmfError::Type(0x12)));
    assert_eq!(amf3(b"\x0a\x07\x03C"), Err(AmfError::Externalizable));
}

#[test]
fn amf3_references_are_resolved_where_they_are_used() {
    // [{a: "x"}, an object of the same class with member "a" = the same string]
    let input = b"\x09\x05\x01\x0a\x13\x01\x03a\x06\x03x\x0a\x01\x06\x02";
    let member = || Value::Object(object([("a", string("x"))]));
    assert_eq!(
        amf3(input),
        Ok(Value::StrictArray(vec![member(), member()]))
    );
    assert_eq!(amf3(b"\x06\x00"), Err(AmfError::Reference));
    assert_eq!(amf3(b"\x0a\x01"), Err(AmfError::Reference));
    assert_eq!(amf3(b"\x0a\x00"), Ok(Value::Null), "an object reference");
    for kind in [0x07, 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x10, 0x11] {
        assert_eq!(amf3(&[kind, 0x00]), Ok(Value::Null));
    }
}

#[test]
fn amf0_switches_to_amf3_for_one_value() {
    let values = amf0(b"\x02\x00\x01a\x11\x0a\x0b\x01\x03k\x04\x07\x01\x05");
    let inner = Value::Object(object([("k", Value::Number(7.0))]));
    assert_eq!(values, Ok(vec![string("a"), inner, Value::Null]));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let mut input = b"\x03\x00\x01a".repeat(depth);
        input.push(5);
        input.extend(b"\x00\x00\x09".repeat(depth));
        input
    };
    assert!(amf0(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(amf0(&nested(MAX_DEPTH + 1)), Err(AmfError::TooDeep));
    let arrays = b"\x09\x03\x01".repeat(100_000);
    assert_eq!(amf3::decode(&mut &arrays[..]), Err(AmfError::TooDeep));
    // Through both: AMF3 inside AMF0 counts on.
    let mixed = [
        b"\x0a\0\0\0\x01".repeat(10),
        b"\x11".to_vec(),
        b"\x09\x03\x01".repeat(10),
    ]
    .concat();
    assert_eq!(amf0(&mixed), Err(AmfError::TooDeep));
    // Siblings are not nested.
    assert_eq!(
        amf0(&b"\x03\x00\x00\x09".repeat(100)).map(|values| values.len()),
        Ok(100)
    );
}

#[test]
fn values_are_bounded_whatever_their_count_claims() {
    assert_eq!(
        amf0(&[5; MAX_VALUES]).map(|values| values.len()),
        Ok(MAX_VALUES)
    );
    assert_eq!(amf0(&[5; MAX_VALUES + 1]), Err(AmfError::TooLarge));
    assert_eq!(amf0(b"\x0a\xff\xff\xff\xff\x05"), Err(AmfError::Truncated));
    for kind in [0x09, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11] {
        let error = amf3::decode(&mut &[kind, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01][..]);
        assert!(
            matches!(error, Err(AmfError::Truncated | AmfError::TooLarge)),
            "{kind}: {error:?}"
        );
    }
    // A class that claims half a billion members.
    let error = amf3::decode(&mut &b"\x0a\xff\xff\xff\xf3\x01"[..]);
    assert_eq!(error, Err(AmfError::Truncated));
}

#[test]
fn references_cannot_multiply_text() {
    // A string of 60,000 bytes, then references to it.
    let mut input = vec![0x09, 0xa0, 0x01, 0x01, 0x06, 0x87, 0xa9, 0x41];
    input.extend([b'a'; 60_000]);
    input.extend([0x06, 0x00].repeat(2047));
    assert_eq!(amf3::decode(&mut &input[..]), Err(AmfError::TooLarge));
    // Class members are text too.
    let mut input = vec![0x09, 0xa0, 0x01, 0x01, 0x0a, 0x13, 0x01, 0x87, 0xa9, 0x41];
    input.extend([b'a'; 60_000]);
    input.push(0x01);
    input.extend([0x0a, 0x01, 0x01].repeat(2047));
    assert_eq!(amf3::decode(&mut &input[..]), Err(AmfError::TooLarge));
}

#[test]
fn long_strings_and_names_are_written_as_amf0_can() {
    let long = "é".repeat(40_000);
    let mut output = Vec::new();
    amf0::encode(&string(&long), &mut output);
    assert_eq!(output[..5], [0x0c, 0, 1, 0x38, 0x80]);
    assert_eq!(amf0(&output), Ok(vec![string(&long)]));
    let mut output = Vec::new();
    amf0::encode(&Value::Object(vec![(long, Value::Null)]), &mut output);
    let values = amf0(&output).expect("AMF0");
    assert!(values[0].get(&"é".repeat(32_767)).is_some());
}

#[test]
fn bytes_that_amf0_cannot_hold_become_undefined() {
    let values = amf0(b"\x11\x0c\x05\x01\x02").expect("AMF3 inside AMF0");
    assert_eq!(values, [Value::ByteArray(vec![1, 2])]);
    let mut output = Vec::new();
    amf0::encode(&values[0], &mut output);
    assert_eq!(amf0(&output), Ok(vec![Value::Undefined]));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::Undefined),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Number),
        (-1e12..1e12).prop_map(Value::Date),
        ".{0,40}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let members = vec((".{0,12}", inner.clone()), 0..6);
        prop_oneof![
            members.clone().prop_map(Value::Object),
            members.prop_map(Value::EcmaArray),
            vec(inner, 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_in_amf0_is_read_back(values in vec(any_value(), 0..5)) {
        let mut output = Vec::new();
        for value in &values {
            amf0::encode(value, &mut output);
        }
        prop_assert_eq!(amf0(&output), Ok(values));
    }

    #[test]
    fn no_bytes_make_it_panic(
        input in vec(prop_oneof![0_u8..0x13, any::<u8>()], 0..200),
        kind in 0_u8..0x13,
    ) {
        let _ = amf0(&input);
        let input = [&[kind], &input[..]].concat();
        let _ = amf0(&input);
        let _ = amf3::decode(&mut &input[..]);
    }
}
