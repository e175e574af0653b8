//! Values to bytes.

use super::array::Array;
use super::key::Key;
use super::value::{Object, Reference, ReferenceKind, Value};
use super::write::{
    array_end, array_start, decimal, encode_bool, encode_bytes, encode_float, encode_int, encode_key,
    encode_null, quoted,
};

/// Appends `value`, serialized.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(array) => encode_array(array, out),
        Value::Object(object) => {
            object_start(object, out);
            encode_entries(object.properties.iter().map(|(key, value)| (key, value)), out);
            array_end(out);
        }
        leaf => encode_leaf(leaf, out),
    }
}

/// Appends `array`, serialized.
pub fn encode_array(array: &Array, out: &mut Vec<u8>) {
    array_start(array.len(), out);
    encode_entries(array.iter(), out);
    array_end(out);
}

/// `value`, serialized.
pub fn to_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out);
    out
}

fn encode_entries<'a>(entries: impl Iterator<Item = (&'a Key, &'a Value)>, out: &mut Vec<u8>) {
    for (key, value) in entries {
        encode_key(key, out);
        encode(value, out);
    }
}

/// Everything that has no values inside. Arrays and objects are their callers' (nothing is written for them).
pub(super) fn encode_leaf(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => encode_null(out),
        Value::Bool(bool) => encode_bool(*bool, out),
        Value::Int(int) => encode_int(*int, out),
        Value::Float(float) => encode_float(*float, out),
        Value::Bytes(bytes) => encode_bytes(bytes, out),
        Value::Enum(case) => {
            quoted(b'E', case, out);
            out.push(b';');
        }
        Value::Custom(custom) => {
            quoted(b'C', &custom.class, out);
            out.push(b':');
            decimal(custom.data.len(), out);
            out.extend_from_slice(b":{");
            out.extend_from_slice(&custom.data);
            out.push(b'}');
        }
        Value::Reference(reference) => encode_reference(*reference, out),
        Value::Array(_) | Value::Object(_) => debug_assert!(false, "arrays and objects are not leaves"),
    }
}

pub(super) fn encode_reference(reference: Reference, out: &mut Vec<u8>) {
    out.extend_from_slice(match reference.kind {
        ReferenceKind::Object => b"r:",
        ReferenceKind::Variable => b"R:",
    });
    decimal(reference.target, out);
    out.push(b';');
}

/// `O:8:"stdClass":2:{`
pub(super) fn object_start(object: &Object, out: &mut Vec<u8>) {
    quoted(b'O', &object.class, out);
    out.push(b':');
    decimal(object.properties.len(), out);
    out.extend_from_slice(b":{");
}
