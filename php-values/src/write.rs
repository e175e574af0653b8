//! The serialize format written piece by piece, for replies that are too big to be built as a tree first.
//!
//! `array_start(2, out)`, then for each element a key and a value, then `array_end(out)`.

use super::KeyRef;

/// `N;`
pub fn encode_null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"N;");
}

/// `b:1;`
pub fn encode_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"b:1;" } else { b"b:0;" });
}

/// `i:42;`
pub fn encode_int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"i:");
    decimal(value, out);
    out.push(b';');
}

/// The same of a number of things.
pub fn encode_count(count: usize, out: &mut Vec<u8>) {
    encode_int(i64::try_from(count).unwrap_or(i64::MAX), out);
}

/// `d:0.1;`: the shortest form that reads back to the same number, laid out as PHP does.
pub fn encode_float(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"d:");
    float_text(value, b'E', out);
    out.push(b';');
}

/// `s:3:"abc";`
pub fn encode_bytes(value: &[u8], out: &mut Vec<u8>) {
    quoted(b's', value, out);
    out.push(b';');
}

/// An array key: `i:7;` or `s:1:"a";`. A `&str` or `&[u8]` is made an int where PHP does that (WIRE.md §6).
pub fn encode_key<'k>(key: impl Into<KeyRef<'k>>, out: &mut Vec<u8>) {
    match key.into() {
        KeyRef::Int(int) => encode_int(int, out),
        KeyRef::Bytes(bytes) => encode_bytes(bytes, out),
    }
}

/// `a:2:{`: the elements are to follow, exactly `count` of them.
pub fn array_start(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"a:");
    decimal(count, out);
    out.extend_from_slice(b":{");
}

/// `}`
pub fn array_end(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// `s:3:"abc"`, without what comes after: `O:`, `C:` and `E:` begin with a name in the same form.
pub(super) fn quoted(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag, b':']);
    decimal(bytes.len(), out);
    out.extend_from_slice(b":\"");
    out.extend_from_slice(bytes);
    out.push(b'"');
}

/// Appends an int as text. Every string's length is one, so `write!` would be a third of what serializing costs.
pub fn decimal(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float as PHP prints it with serialize_precision -1; `exponent` is the letter before an exponent.
pub fn float_text(value: f64, exponent: u8, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NAN");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        return out.extend_from_slice(b"INF");
    }
    let scientific = shortest(value.abs());
    let (mantissa, power) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let power: i32 = power.parse().expect("`{:e}` writes an int as exponent");
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    if (POWER_MIN..=POWER_MAX).contains(&power) {
        plain(&digits, power, out);
    } else {
        scientific_text(&digits, power, exponent, out);
    }
}

/// `d.ddde±x` with the fewest digits that read back to the same float. Where two such are equally near, Rust takes the
/// upper one and PHP the even one; asking for a number of digits rounds as PHP does.
fn shortest(value: f64) -> String {
    let upper = format!("{value:e}");
    let decimals = upper.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count() - 1;
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) { even } else { upper }
}

/// `0.00012`, `1`, `1200`, `1.2`: digits with the point where `power` puts it.
fn plain(digits: &[u8], power: i32, out: &mut Vec<u8>) {
    let Ok(power) = usize::try_from(power) else {
        out.extend_from_slice(b"0.");
        out.extend((1..-power).map(|_| b'0'));
        return out.extend_from_slice(digits);
    };
    let whole = power + 1;
    let (front, fraction) = digits.split_at(whole.min(digits.len()));
    out.extend_from_slice(front);
    out.extend((front.len()..whole).map(|_| b'0'));
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// `1.0E+300`, `5.0E-324`: always with a point, never with leading zeros in the exponent.
fn scientific_text(digits: &[u8], power: i32, exponent: u8, out: &mut Vec<u8>) {
    let (first, fraction) = digits.split_at(1);
    out.extend_from_slice(first);
    out.push(b'.');
    out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
    out.extend_from_slice(&[exponent, if power < 0 { b'-' } else { b'+' }]);
    decimal(power.abs(), out);
}

/// Powers of ten that PHP writes without an exponent: 0.0001 to below 1E+17.
const POWER_MIN: i32 = -4;
const POWER_MAX: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        encode_float(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_look_as_php_writes_them() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (1e300, "1.0E+300"),
            (5e-324, "5.0E-324"),
            (f64::INFINITY, "INF"),
            (f64::NEG_INFINITY, "-INF"),
            (f64::NAN, "NAN"),
            (0.0, "0"),
            (-0.0, "-0"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (123456.789, "123456.789"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1.0E-5"),
            (-0.000012, "-1.2E-5"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1e17, "1.0E+17"),
            (123456789012345678.0, "1.2345678901234568E+17"),
            (12345678901234568.0, "12345678901234568"),
            (1.7976931348623157e308, "1.7976931348623157E+308"),
            (std::f64::consts::PI, "3.141592653589793"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1237369186615050.0 / 16.0, "77335574163440.62"),
            (2755159100346021.0 / 4.0, "688789775086505.2"),
            (9007199254740993.0, "9007199254740992"),
        ] {
            assert_eq!(float(value), format!("d:{text};"));
        }
    }

    #[test]
    fn keys_are_made_ints() {
        let key = |key: &[u8]| {
            let mut out = Vec::new();
            encode_key(key, &mut out);
            String::from_utf8(out).unwrap()
        };
        for text in ["1", "-1", "0", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(key(text.as_bytes()), format!("i:{text};"));
        }
        for text in [
            "-0",
            "01",
            "1.0",
            "+1",
            " 1",
            "1e3",
            "00",
            "9223372036854775808",
            "-9223372036854775809",
            "",
            "-",
            "1 ",
            "99999999999999999999999",
        ] {
            assert_eq!(key(text.as_bytes()), format!("s:{}:\"{text}\";", text.len()));
        }
    }
}
