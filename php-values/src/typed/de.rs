//! Values to Rust types.

use std::cell::{Cell, OnceCell};

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::ConvertError;
use crate::array::Array;
use crate::decode::DEPTH_MAX;
use crate::key::{Key, KeyRef};
use crate::value::{Object, Reference, ReferenceKind, Value};

pub(super) fn read<'de, T: Deserialize<'de>>(root: Shape<'de>) -> Result<T, ConvertError> {
    let whole = Whole { root, values: OnceCell::new(), left: Cell::new(REFERENCED_SIZE_MAX) };
    T::deserialize(Reader { shape: root, whole: &whole, depth: 0, referenced: false })
}

/// How much may be read by way of references: the values, plus the bytes of strings and keys. A few bytes of references
/// to references could otherwise stand for more than any memory holds. Beyond: an error.
const REFERENCED_SIZE_MAX: usize = 4 << 20;

/// A value as it is to be read. Keys are read as ints and strings.
#[derive(Clone, Copy)]
pub(super) enum Shape<'de> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(&'de [u8]),
    Array(&'de Array),
    Object(&'de Object),
    Custom,
    Reference(Reference),
}

impl<'de> Shape<'de> {
    pub(super) fn of(value: &'de Value) -> Shape<'de> {
        match value {
            Value::Null => Shape::Null,
            Value::Bool(bool) => Shape::Bool(*bool),
            Value::Int(int) => Shape::Int(*int),
            Value::Float(float) => Shape::Float(*float),
            Value::Bytes(bytes) => Shape::Bytes(bytes),
            Value::Array(array) => Shape::Array(array),
            Value::Object(object) => Shape::Object(object),
            Value::Custom(_) => Shape::Custom,
            // `Suit:Hearts`: the type that it is read into knows which enum it is.
            Value::Enum(case) => Shape::Bytes(case.rsplit(|&byte| byte == b':').next().unwrap_or(case)),
            Value::Reference(reference) => Shape::Reference(*reference),
        }
    }

    fn of_key(key: &'de Key) -> Shape<'de> {
        match key {
            Key::Int(int) => Shape::Int(*int),
            Key::Bytes(bytes) => Shape::Bytes(bytes),
        }
    }
}

/// What all readers of one value share.
struct Whole<'de> {
    root: Shape<'de>,
    /// The values by their numbers, less one; made when there is the first reference.
    values: OnceCell<Vec<Shape<'de>>>,
    /// What is left of [`REFERENCED_SIZE_MAX`].
    left: Cell<usize>,
}

impl<'de> Whole<'de> {
    fn target(&self, reference: Reference) -> Result<Shape<'de>, ConvertError> {
        let values = self.values.get_or_init(|| {
            let mut values = Vec::new();
            number(self.root, &mut values);
            values
        });
        match values.get(reference.target as usize - 1) {
            Some(Shape::Reference(_)) | None => Err(ConvertError::new("a reference to nothing")),
            Some(shape) => Ok(*shape),
        }
    }

    fn spend(&self, size: usize) -> Result<(), ConvertError> {
        let left =
            self.left.get().checked_sub(size).ok_or_else(|| ConvertError::new("too many references"))?;
        self.left.set(left);
        Ok(())
    }
}

/// Numbers a value and what is inside as PHP does: references to variables do not count, those to objects do and stand
/// for what they refer to, which has come before.
fn number<'de>(shape: Shape<'de>, values: &mut Vec<Shape<'de>>) {
    let numbered = match shape {
        Shape::Reference(Reference { kind: ReferenceKind::Variable, .. }) => return,
        Shape::Reference(Reference { target, .. }) => {
            values.get(target as usize - 1).copied().unwrap_or(shape)
        }
        shape => shape,
    };
    values.push(numbered);
    match shape {
        Shape::Array(array) => array.values().for_each(|value| number(Shape::of(value), values)),
        Shape::Object(object) => {
            object.properties.iter().for_each(|(_, value)| number(Shape::of(value), values));
        }
        _ => {}
    }
}

/// Reads one value, which stands inside `depth` others.
#[derive(Clone, Copy)]
struct Reader<'w, 'de> {
    shape: Shape<'de>,
    whole: &'w Whole<'de>,
    depth: usize,
    /// Whether it was come to by a reference: then it may be read again and again.
    referenced: bool,
}

impl<'w, 'de> Reader<'w, 'de> {
    /// A reader of a value or key inside this one.
    fn inside(&self, shape: Shape<'de>) -> Result<Reader<'w, 'de>, ConvertError> {
        let mut reader = Reader { shape, depth: self.depth + 1, ..*self };
        if reader.depth > DEPTH_MAX {
            return Err(ConvertError::new(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        if let Shape::Reference(reference) = shape {
            reader.shape = self.whole.target(reference)?;
            reader.referenced = true;
        }
        if reader.referenced {
            let size = if let Shape::Bytes(bytes) = reader.shape { bytes.len() } else { 0 };
            self.whole.spend(size + 1)?;
        }
        Ok(reader)
    }

    fn entries<I>(self, entries: I) -> Entries<'w, 'de, I> {
        Entries { entries, current: None, outer: self }
    }

    fn list<V: Visitor<'de>>(self, array: &'de Array, visitor: V) -> Result<V::Value, ConvertError> {
        let mut entries = self.entries(array.iter());
        let read = visitor.visit_seq(&mut entries)?;
        match entries.entries.len() {
            0 => Ok(read),
            left => {
                Err(ConvertError::new(format_args!("a list of {}, {left} more than expected", array.len())))
            }
        }
    }

    fn bytes<V: Visitor<'de>>(self, bytes: &'de [u8], visitor: V) -> Result<V::Value, ConvertError> {
        match str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => visitor.visit_borrowed_bytes(bytes),
        }
    }

    /// Any int type, which refuses what is beyond its range.
    fn int<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            #[expect(clippy::cast_possible_truncation, reason = "it is an int64")]
            Shape::Float(float) if is_int(float) => visitor.visit_i64(float as i64),
            Shape::Bytes(digits) => match KeyRef::from_bytes(digits) {
                KeyRef::Int(int) => visitor.visit_i64(int),
                KeyRef::Bytes(digits) => match big_int(digits) {
                    Some(int) => visitor.visit_u64(int),
                    None => self.bytes(digits, visitor),
                },
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn float<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "no float made of an int64 is beyond an int128"
            )]
            Shape::Int(int) if i128::from(int) == int as f64 as i128 => visitor.visit_f64(int as f64),
            Shape::Int(int) => {
                Err(ConvertError::new(format_args!("invalid value: no float is exactly the int {int}")))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Int(int) => visitor.visit_string(int.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }
}

/// Whether a float is exactly an int64.
fn is_int(float: f64) -> bool {
    float.fract() == 0.0 && (-I64_BOUND..I64_BOUND).contains(&float)
}

/// 2^63, the first number above all int64.
const I64_BOUND: f64 = 9_223_372_036_854_775_808.0;

/// The int above all int64 that these are the digits of.
fn big_int(digits: &[u8]) -> Option<u64> {
    let text = str::from_utf8(digits).ok().filter(|text| !text.starts_with(['+', '0']))?;
    text.parse().ok()
}

/// Methods for types that are all read in one way.
macro_rules! read_alike {
    ($($read:ident: $($method:ident),*;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
            self.$read(visitor)
        }
    )*)*};
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = ConvertError;

    read_alike! {
        int: deserialize_i8, deserialize_i16, deserialize_i32, deserialize_i64;
        int: deserialize_u8, deserialize_u16, deserialize_u32, deserialize_u64;
        float: deserialize_f32, deserialize_f64;
        text: deserialize_char, deserialize_str, deserialize_string, deserialize_identifier;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Null => visitor.visit_unit(),
            Shape::Bool(bool) => visitor.visit_bool(bool),
            Shape::Int(int) => visitor.visit_i64(int),
            Shape::Float(float) => visitor.visit_f64(float),
            Shape::Bytes(bytes) => self.bytes(bytes, visitor),
            Shape::Array(array) if array.is_list() => self.list(array, visitor),
            Shape::Array(_) | Shape::Object(_) => self.deserialize_map(visitor),
            Shape::Custom => Err(ConvertError::new("an object that serializes itself")),
            Shape::Reference(_) => Err(ConvertError::new("a reference to nothing")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Int(int @ (0 | 1)) => visitor.visit_bool(int == 1),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Names of struct fields: `"7"` is an int as a key.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Shape::Int(int) => visitor.visit_byte_buf(int.to_string().into_bytes()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Array(array) if array.keys().all(|key| matches!(key, Key::Int(_))) => {
                self.list(array, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Array(array) => visitor.visit_map(self.entries(array.iter())),
            Shape::Object(object) => visitor.visit_map(self.entries(object.public_properties())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match self.shape {
            Shape::Bytes(name) => match str::from_utf8(name) {
                Ok(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
                Err(_) => visitor.visit_borrowed_bytes(name),
            },
            Shape::Array(array) if array.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries(array.iter())))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        // Not looked into: what nobody asks for may be anything.
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit unit_struct }
}

/// The elements of `outer`, one after the other.
struct Entries<'w, 'de, I> {
    entries: I,
    /// The element whose key was read last.
    current: Option<(&'de Key, &'de Value)>,
    outer: Reader<'w, 'de>,
}

impl<'de, I: Iterator<Item = (&'de Key, &'de Value)>> Entries<'_, 'de, I> {
    fn read<T: DeserializeSeed<'de>>(
        &self,
        shape: Shape<'de>,
        key: &Key,
        seed: T,
    ) -> Result<T::Value, ConvertError> {
        let read = self.outer.inside(shape).and_then(|reader| seed.deserialize(reader));
        read.map_err(|error| error.inside(key))
    }
}

impl<'de, I: Iterator<Item = (&'de Key, &'de Value)>> SeqAccess<'de> for &mut Entries<'_, 'de, I> {
    type Error = ConvertError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConvertError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.read(Shape::of(value), key, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint().1
    }
}

impl<'de, I: Iterator<Item = (&'de Key, &'de Value)>> MapAccess<'de> for Entries<'_, 'de, I> {
    type Error = ConvertError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ConvertError> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        self.read(Shape::of_key(key), key, seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConvertError> {
        let (key, value) = self.current.take().ok_or_else(|| Error::custom("no key was read"))?;
        self.read(Shape::of(value), key, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint().1
    }
}
