//! Bytes to values.

use super::array::Array;
use super::key::Key;
use super::value::{Custom, Object, Reference, ReferenceKind, Value};

/// How deep arrays and objects may nest. Beyond: [`DecodeError`]. Reading, writing and dropping a value take stack in
/// proportion to its depth; PHP's own default is 4096, real sessions stay below 20.
pub const DEPTH_MAX: usize = 256;

/// The longest input in bytes. Beyond: [`DecodeError`]. A frame is far below it; a reply about a million clients is not.
/// A value takes at most about 30 times its input in memory, whatever counts the input claims.
pub const SIZE_MAX: usize = 256 << 20;

/// Bytes that are no serialized value, or one beyond [`DEPTH_MAX`] or [`SIZE_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a PHP-serialized value, broken at byte {at}")]
pub struct DecodeError {
    /// Where reading stopped, in bytes from the start.
    pub at: usize,
}

/// The one value that `input` is, to its last byte.
pub fn decode(input: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader { input, at: 0 };
    let value = if input.len() <= SIZE_MAX { reader.value(0) } else { None };
    value.filter(|_| reader.at == input.len()).ok_or(DecodeError { at: reader.at })
}

/// A position in the input. Every method moves it forward over what it has read, and gives `None` if that is not there.
struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        let tag = self.byte()?;
        if tag == b'N' {
            self.expect(b";")?;
            return Some(Value::Null);
        }
        self.expect(b":")?;
        match tag {
            b'b' => self.bool(),
            b'i' => self.int_until(b';').map(Value::Int),
            b'd' => self.float(),
            b's' => self.terminated_bytes().map(Value::Bytes),
            b'a' => self.array(depth),
            b'O' => self.object(depth),
            b'C' => self.custom(),
            b'E' => self.terminated_bytes().map(|case| Value::Enum(case.into())),
            b'r' => self.reference(ReferenceKind::Object),
            b'R' => self.reference(ReferenceKind::Variable),
            _ => None,
        }
    }

    fn bool(&mut self) -> Option<Value> {
        let value = match self.byte()? {
            b'0' => false,
            b'1' => true,
            _ => return None,
        };
        self.expect(b";")?;
        Some(Value::Bool(value))
    }

    fn float(&mut self) -> Option<Value> {
        let value = match self.until(b';')? {
            b"INF" => f64::INFINITY,
            b"-INF" => f64::NEG_INFINITY,
            b"NAN" => f64::NAN,
            // Rust would also take "inf" and "nan" in letters; PHP does not.
            text if text.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) => {
                str::from_utf8(text).ok()?.parse().ok()?
            }
            _ => return None,
        };
        Some(Value::Float(value))
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        let count = self.count()?;
        let depth = self.open(depth)?;
        let mut array = Array::new();
        for _ in 0..count {
            // A string key that is an int is one, as in PHP; a key that comes twice keeps its first place.
            let key = match self.key()? {
                Key::Bytes(bytes) => Key::from(bytes),
                int => int,
            };
            array.insert(key, self.value(depth)?);
        }
        self.expect(b"}")?;
        Some(Value::Array(array))
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let class = self.counted_bytes()?;
        self.expect(b":")?;
        let count = self.count()?;
        let depth = self.open(depth)?;
        let mut properties = Vec::new();
        for _ in 0..count {
            properties.push((self.key()?, self.value(depth)?));
        }
        self.expect(b"}")?;
        Some(Value::Object(Box::new(Object { class, properties })))
    }

    fn custom(&mut self) -> Option<Value> {
        let class = self.counted_bytes()?;
        self.expect(b":")?;
        let size = self.count()?;
        self.expect(b"{")?;
        let data = self.take(size)?.to_vec();
        self.expect(b"}")?;
        Some(Value::Custom(Box::new(Custom { class, data })))
    }

    fn reference(&mut self, kind: ReferenceKind) -> Option<Value> {
        let target = u32::try_from(self.int_until(b';')?).ok().filter(|&target| target > 0)?;
        Some(Value::Reference(Reference { kind, target }))
    }

    /// The `{` of an array or object; the depth of what is inside.
    fn open(&mut self, depth: usize) -> Option<usize> {
        self.expect(b"{")?;
        (depth < DEPTH_MAX).then_some(depth + 1)
    }

    fn key(&mut self) -> Option<Key> {
        let tag = self.byte()?;
        self.expect(b":")?;
        match tag {
            b'i' => self.int_until(b';').map(Key::Int),
            b's' => self.terminated_bytes().map(Key::Bytes),
            _ => None,
        }
    }

    /// `3:"abc";`
    fn terminated_bytes(&mut self) -> Option<Vec<u8>> {
        let bytes = self.counted_bytes()?;
        self.expect(b";")?;
        Some(bytes)
    }

    /// `3:"abc"`
    fn counted_bytes(&mut self) -> Option<Vec<u8>> {
        let size = self.count()?;
        self.expect(b"\"")?;
        let bytes = self.take(size)?.to_vec();
        self.expect(b"\"")?;
        Some(bytes)
    }

    /// `3:`, a count of bytes or elements. It is only believed as far as there is input.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.int_until(b':')?).ok()
    }

    fn int_until(&mut self, end: u8) -> Option<i64> {
        str::from_utf8(self.until(end)?).ok()?.parse().ok()
    }

    /// What comes before `end`, which is passed over too. Only numbers are read by this, so it does not look far.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let rest = &self.input[self.at..];
        let window = &rest[..rest.len().min(NUMBER_SIZE_MAX + 1)];
        let size = window.iter().position(|&byte| byte == end)?;
        self.at += size + 1;
        Some(&window[..size])
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let taken = self.input[self.at..].get(..size)?;
        self.at += size;
        Some(taken)
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.input[self.at..].starts_with(bytes).then(|| self.at += bytes.len())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }
}

/// The longest text of a number in bytes. PHP with a serialize_precision of 100 writes floats up to 420 bytes long.
const NUMBER_SIZE_MAX: usize = 512;
