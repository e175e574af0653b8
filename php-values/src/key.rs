//! Keys of arrays, and what PHP makes of a string as a key (WIRE.md §6).

use std::hash::{Hash, Hasher};

use indexmap::Equivalent;

/// A key of an [`Array`](super::Array). Made by `from`, it is what PHP makes of it: `"7"` is the int 7 (WIRE.md §6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// An int, or a string that is a canonical decimal int64.
    Int(i64),
    /// Any other string.
    Bytes(Vec<u8>),
}

/// A [`Key`] that borrows its bytes: looking something up allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum KeyRef<'a> {
    /// See [`Key::Int`].
    Int(i64),
    /// See [`Key::Bytes`].
    Bytes(&'a [u8]),
}

impl Key {
    /// The same key, borrowing.
    pub fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Key::Int(int) => KeyRef::Int(*int),
            Key::Bytes(bytes) => KeyRef::Bytes(bytes),
        }
    }

    /// The key as the string it would be in PHP.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Key::Int(int) => int.to_string().into_bytes(),
            Key::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl<'a> KeyRef<'a> {
    /// What PHP makes of a string as a key: an int if it is the canonical decimal form of an int64 (no sign but `-`,
    /// no leading zeros, not `-0`), else the string.
    pub fn from_bytes(bytes: &'a [u8]) -> KeyRef<'a> {
        canonical_int(bytes).map_or(KeyRef::Bytes(bytes), KeyRef::Int)
    }

    /// The same key, owning its bytes.
    pub fn to_key(self) -> Key {
        match self {
            KeyRef::Int(int) => Key::Int(int),
            KeyRef::Bytes(bytes) => Key::Bytes(bytes.to_vec()),
        }
    }
}

fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < INT_DIGITS_MAX && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // Only digits are left, so this fails only for numbers beyond int64, which are strings as keys.
    if canonical { str::from_utf8(bytes).ok()?.parse().ok() } else { None }
}

/// Digits of the largest int64; a longer number need not be looked at.
const INT_DIGITS_MAX: usize = 19;

/// As [`KeyRef`]: looking up by one what was put in by the other needs equal hashes.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.as_ref()
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> KeyRef<'a> {
        key.as_ref()
    }
}

impl<'a> From<&'a str> for KeyRef<'a> {
    fn from(text: &'a str) -> KeyRef<'a> {
        KeyRef::from_bytes(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for KeyRef<'a> {
    fn from(bytes: &'a [u8]) -> KeyRef<'a> {
        KeyRef::from_bytes(bytes)
    }
}

impl From<i64> for KeyRef<'_> {
    fn from(int: i64) -> Self {
        KeyRef::Int(int)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        KeyRef::from(text).to_key()
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Key {
        KeyRef::from(bytes).to_key()
    }
}

impl From<String> for Key {
    fn from(text: String) -> Key {
        Key::from(text.into_bytes())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Key {
        canonical_int(&bytes).map_or_else(|| Key::Bytes(bytes), Key::Int)
    }
}

impl From<i64> for Key {
    fn from(int: i64) -> Key {
        Key::Int(int)
    }
}
