//! Values to JSON.

use super::array::Array;
use super::key::Key;
use super::value::Value;
use super::write::{decimal, float_text};

/// A value that JSON cannot tell: a string that is not UTF-8, a float that is not finite, an enum, a reference, or an
/// object that serializes itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the value has no JSON form")]
pub struct JsonError;

/// `value` as PHP's json_encode writes it with JSON_UNESCAPED_UNICODE: slashes are escaped, letters of any script are not.
pub fn to_json(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write_value(value, &mut out)?;
    Ok(out)
}

/// What becomes of letters beyond ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unicode {
    /// `\u4f60`: json_encode without flags.
    Escaped,
    /// As they are: JSON_UNESCAPED_UNICODE.
    Kept,
}

/// Appends `text` in quotes, escaped as json_encode does.
pub fn write_string(text: &str, unicode: Unicode, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut copied = 0;
    for (at, letter) in text.char_indices().filter(|&(_, letter)| needs_escape(letter, unicode)) {
        out.extend_from_slice(&text.as_bytes()[copied..at]);
        write_escape(letter, out);
        copied = at + letter.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
    out.push(b'"');
}

fn needs_escape(letter: char, unicode: Unicode) -> bool {
    match letter {
        '"' | '\\' | '/' | '\0'..='\x1f' => true,
        // Line ends in JavaScript: PHP escapes these two even where it keeps the others.
        '\u{2028}' | '\u{2029}' => true,
        letter => unicode == Unicode::Escaped && !letter.is_ascii(),
    }
}

fn write_escape(letter: char, out: &mut Vec<u8>) {
    let short = match letter {
        '"' | '\\' | '/' => letter as u8,
        '\x08' => b'b',
        '\x0c' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        letter => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => decimal(*int, out),
        Value::Float(float) if float.is_finite() => float_text(*float, b'e', out),
        Value::Bytes(bytes) => write_bytes(bytes, out)?,
        Value::Array(array) if array.is_list() => return write_list(array, out),
        Value::Array(array) => return write_object(array.iter(), out),
        Value::Object(object) => return write_object(object.public_properties(), out),
        Value::Float(_) | Value::Custom(_) | Value::Enum(_) | Value::Reference(_) => return Err(JsonError),
    }
    Ok(())
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let text = str::from_utf8(bytes).map_err(|_| JsonError)?;
    write_string(text, Unicode::Kept, out);
    Ok(())
}

fn write_list(array: &Array, out: &mut Vec<u8>) -> Result<(), JsonError> {
    out.push(b'[');
    for (index, value) in array.values().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(value, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object<'a>(
    entries: impl Iterator<Item = (&'a Key, &'a Value)>,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    out.push(b'{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_bytes(&key.to_bytes(), out)?;
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn json(serialized: &str) -> Result<String, JsonError> {
        to_json(&decode(serialized.as_bytes()).unwrap()).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn looks_as_php_writes_it() {
        for (serialized, expected) in [
            (r#"a:2:{s:1:"k";s:1:"v";s:1:"l";a:2:{i:0;i:1;i:1;i:2;}}"#, r#"{"k":"v","l":[1,2]}"#),
            ("a:0:{}", "[]"),
            (r#"O:8:"stdClass":0:{}"#, "{}"),
            ("O:1:\"X\":2:{s:4:\"\0*\0p\";i:1;s:1:\"q\";i:2;}", r#"{"q":2}"#),
            ("a:2:{i:1;N;i:0;b:1;}", r#"{"1":null,"0":true}"#),
            ("a:3:{i:0;d:1;i:1;d:1.0E+300;i:2;b:0;}", "[1,1.0e+300,false]"),
            ("s:6:\"你好\";", "\"你好\""),
        ] {
            assert_eq!(json(serialized).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn escapes_what_php_escapes() {
        let text = "a/\"\\\n\r\t\x08\x0c\x01\x7f你\u{2028}😀";
        let mut out = Vec::new();
        write_string(text, Unicode::Kept, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\/\\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7f你\\u2028😀\"");
        let mut out = Vec::new();
        write_string("é你😀", Unicode::Escaped, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""\u00e9\u4f60\ud83d\ude00""#);
    }

    #[test]
    fn refuses_what_json_cannot_tell() {
        for serialized in ["d:NAN;", "d:-INF;", "E:11:\"Suit:Hearts\";", "a:1:{i:0;R:1;}", "C:1:\"X\":2:{ab}"]
        {
            assert_eq!(json(serialized), Err(JsonError));
        }
        assert_eq!(to_json(&Value::from(&b"\xff"[..])), Err(JsonError));
    }
}
