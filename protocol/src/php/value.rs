//! The values themselves: what a session or a reply is once decoded.

use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

/// A PHP value, complete: what was decoded is encoded again to the same bytes.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    /// `N;`
    #[default]
    Null,
    /// `b:1;`
    Bool(bool),
    /// `i:1;`
    Int(i64),
    /// `d:0.1;`
    Float(f64),
    /// `s:1:"x";`: PHP strings are bytes.
    Bytes(Vec<u8>),
    /// `a:1:{…}`
    Array(Array),
    /// `O:8:"stdClass":1:{…}`
    Object(Box<Object>),
    /// `C:1:"X":2:{…}`: an object that serializes itself, kept as it is.
    Custom(Box<Custom>),
    /// `E:11:"Suit:Hearts";`: class and case of an enum.
    Enum(Box<[u8]>),
    /// `r:2;` or `R:2;`: the same as another value of the whole.
    Reference(Reference),
}

/// An ordered PHP array: keys are ints or byte strings, in order of insertion.
#[derive(Clone, Default)]
pub struct Array {
    // Boxed because most values of a big reply are small: a `Value` stays at 24 bytes.
    entries: Box<IndexMap<Key, Value>>,
    /// What `push` takes as its key: above every int key there ever was.
    next_index: i64,
}

/// A key of an [`Array`]. Made by `from`, it is what PHP makes of it: `"7"` is the int 7 (WIRE.md §6).
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

/// An object: its class by name, its properties as they were written (private ones with their `\0Class\0` in front).
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Class name.
    pub class: Vec<u8>,
    /// In order; names are not made ints as array keys are.
    pub properties: Vec<(Key, Value)>,
}

/// An object whose class serializes it in its own way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Custom {
    /// Class name.
    pub class: Vec<u8>,
    /// The class's own bytes.
    pub data: Vec<u8>,
}

/// A back reference. It counts the values of the serialized whole it was read from, so it means something only there:
/// a tree that holds references is to be written back as it was, or merged by [`super::merge_serialized`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Object or variable.
    pub kind: ReferenceKind,
    /// Which value of the whole, the outermost being 1.
    pub target: u32,
}

/// What is shared by a [`Reference`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReferenceKind {
    /// `r:`: the same object.
    Object,
    /// `R:`: the same variable (`&`).
    Variable,
}

impl Value {
    /// The int, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The number as a float, if it is a float or an int.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(float) => Some(*float),
            Value::Int(int) => Some(*int as f64),
            _ => None,
        }
    }

    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The string's bytes, if it is a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The string, if it is one and UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| str::from_utf8(bytes).ok())
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The array to change, if it is one.
    pub fn as_array_mut(&mut self) -> Option<&mut Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The element with this key, if it is an array and has one.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<&Value> {
        self.as_array()?.get(key)
    }
}

impl Array {
    /// An empty array.
    pub fn new() -> Array {
        Array::default()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The element with this key.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<&Value> {
        self.entries.get(&key.into())
    }

    /// The element with this key, to change.
    pub fn get_mut<'k>(&mut self, key: impl Into<KeyRef<'k>>) -> Option<&mut Value> {
        self.entries.get_mut(&key.into())
    }

    /// Whether there is an element with this key.
    pub fn contains_key<'k>(&self, key: impl Into<KeyRef<'k>>) -> bool {
        self.entries.contains_key(&key.into())
    }

    /// Sets an element: in its place if the key is there, else at the end. Returns what was there.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        if let Key::Int(int) = key {
            self.next_index = self.next_index.max(int.saturating_add(1));
        }
        self.entries.insert(key, value.into())
    }

    /// Appends an element under [`Array::next_key`], as `$array[] = $value` does. Returns whether there was one; if
    /// not, the value is dropped.
    pub fn push(&mut self, value: impl Into<Value>) -> bool {
        let key = self.next_key();
        let free = key.is_some();
        if let Some(key) = key {
            self.insert(key, value);
        }
        free
    }

    /// The key that an appended element gets: one more than the largest int key so far, at least 0. There is none
    /// after 9223372036854775807.
    pub fn next_key(&self) -> Option<Key> {
        let key = Key::Int(self.next_index);
        (!self.entries.contains_key(&key)).then_some(key)
    }

    /// Takes an element out; the others keep their order.
    pub fn remove<'k>(&mut self, key: impl Into<KeyRef<'k>>) -> Option<Value> {
        self.entries.shift_remove(&key.into())
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        self.entries.iter()
    }

    /// All elements in order, values to change.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&Key, &mut Value)> + ExactSizeIterator {
        self.entries.iter_mut()
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> + ExactSizeIterator {
        self.entries.keys()
    }

    /// All values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.values()
    }

    /// Whether the keys are 0, 1, 2, … in this order.
    pub fn is_list(&self) -> bool {
        self.keys().zip(0..).all(|(key, index)| *key == Key::Int(index))
    }
}

/// Equal in keys, values and order.
impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl IntoIterator for Array {
    type Item = (Key, Value);
    type IntoIter = indexmap::map::IntoIter<Key, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Array {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Array {
        let mut array = Array::new();
        for (key, value) in entries {
            array.insert(key, value);
        }
        array
    }
}

impl<K: Into<Key>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Array {
    fn from(entries: [(K, V); N]) -> Array {
        entries.into_iter().collect()
    }
}

/// A list: keys 0, 1, 2, …
impl<V: Into<Value>> From<Vec<V>> for Array {
    fn from(values: Vec<V>) -> Array {
        (0_i64..).zip(values).collect()
    }
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

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

impl From<i32> for Value {
    fn from(int: i32) -> Value {
        Value::Int(int.into())
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Value {
        Value::Int(int.into())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Value {
        Value::Int(int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Value {
        Value::Float(float)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Bytes(text.into_bytes())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Value {
        Value::Array(array)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}
