//! The values themselves: what a session or a reply is once decoded.

use super::array::Array;
use super::key::{Key, KeyRef};

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

impl Object {
    /// Its properties but for the private and the protected ones: their names begin with a zero byte.
    pub(crate) fn public_properties(&self) -> impl Iterator<Item = (&Key, &Value)> {
        let entries = self.properties.iter().map(|(key, value)| (key, value));
        entries.filter(|(key, _)| !matches!(key, Key::Bytes(name) if name.first() == Some(&0)))
    }
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

macro_rules! from {
    ($($variant:ident: $($source:ty),*;)*) => {$($(
        impl From<$source> for Value {
            fn from(source: $source) -> Value {
                Value::$variant(source.into())
            }
        }
    )*)*};
}

from! {
    Bool: bool;
    Int: i32, u32, i64;
    Float: f64;
    Bytes: &str, String, &[u8], Vec<u8>;
    Array: Array;
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}
