//! Rust types to values.

use serde::ser::{self, Serialize};

use super::error::ConvertError;
use crate::array::Array;
use crate::decode::DEPTH_MAX;
use crate::key::Key;
use crate::value::Value;

pub(super) fn to_value<T: Serialize + ?Sized>(typed: &T) -> Result<Value, ConvertError> {
    typed.serialize(Writer { depth: 0 })
}

/// Makes one value. It stands inside `depth` arrays; `depth <= DEPTH_MAX`.
struct Writer {
    depth: usize,
}

impl Writer {
    /// An array for elements to be put in; as the only element of another one if it is a variant's.
    fn open(self, variant: Option<&'static str>) -> Result<Elements, ConvertError> {
        let depth = self.depth + 1 + usize::from(variant.is_some());
        if depth > DEPTH_MAX {
            return Err(ConvertError::new(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(Elements { array: Array::new(), key: None, depth, variant })
    }
}

impl ser::Serializer for Writer {
    type Ok = Value;
    type Error = ConvertError;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Elements;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    fn serialize_bool(self, bool: bool) -> Result<Value, ConvertError> {
        Ok(Value::Bool(bool))
    }

    fn serialize_i8(self, int: i8) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_i16(self, int: i16) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_i32(self, int: i32) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_i64(self, int: i64) -> Result<Value, ConvertError> {
        Ok(Value::Int(int))
    }

    fn serialize_u8(self, int: u8) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_u16(self, int: u16) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_u32(self, int: u32) -> Result<Value, ConvertError> {
        self.serialize_i64(int.into())
    }

    fn serialize_u64(self, int: u64) -> Result<Value, ConvertError> {
        // PHP has no ints that big and would make a float of it, which is another number.
        Ok(i64::try_from(int).map_or_else(|_| int.to_string().into(), Value::Int))
    }

    fn serialize_f32(self, float: f32) -> Result<Value, ConvertError> {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Result<Value, ConvertError> {
        Ok(Value::Float(float))
    }

    fn serialize_char(self, char: char) -> Result<Value, ConvertError> {
        Ok(String::from(char).into())
    }

    fn serialize_str(self, text: &str) -> Result<Value, ConvertError> {
        Ok(text.into())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, ConvertError> {
        Ok(bytes.into())
    }

    fn serialize_none(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value, ConvertError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        let mut elements = self.open(None)?;
        elements.put(variant.into(), value)?;
        Ok(elements.close())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Elements, ConvertError> {
        self.open(None)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Elements, ConvertError> {
        self.open(None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Elements, ConvertError> {
        self.open(None)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Elements, ConvertError> {
        self.open(Some(variant))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Elements, ConvertError> {
        self.open(None)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Elements, ConvertError> {
        self.open(None)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Elements, ConvertError> {
        self.open(Some(variant))
    }
}

/// An array that is being filled. Its values stand inside `depth` arrays.
struct Elements {
    array: Array,
    /// Of a map, the key whose value comes next.
    key: Option<Key>,
    depth: usize,
    /// The variant of an enum that this belongs to.
    variant: Option<&'static str>,
}

impl Elements {
    fn put<T: Serialize + ?Sized>(&mut self, key: Key, value: &T) -> Result<(), ConvertError> {
        let value = value.serialize(Writer { depth: self.depth }).map_err(|error| error.inside(&key))?;
        self.array.insert(key, value);
        Ok(())
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let key = self.array.next_key().expect("a list is shorter than i64::MAX");
        self.put(key, value)
    }

    fn close(self) -> Value {
        match self.variant {
            Some(variant) => Array::from([(variant, self.array)]).into(),
            None => self.array.into(),
        }
    }
}

impl ser::SerializeMap for Elements {
    type Ok = Value;
    type Error = ConvertError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ConvertError> {
        self.key = Some(match to_value(key)? {
            Value::Int(int) => Key::Int(int),
            Value::Bool(bool) => Key::Int(bool.into()),
            Value::Bytes(bytes) => Key::from(bytes),
            _ => return Err(ConvertError::new("a key must be an int or a string")),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let key = self.key.take().expect("serde gives the key first");
        self.put(key, value)
    }

    fn end(self) -> Result<Value, ConvertError> {
        Ok(self.close())
    }
}

/// Serde has a trait for each kind of list, all alike.
macro_rules! lists {
    ($($list:ident $method:ident),*) => {$(
        impl ser::$list for Elements {
            type Ok = Value;
            type Error = ConvertError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
                self.push(value)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.close())
            }
        }
    )*};
}

lists!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! structs {
    ($($structure:ident),*) => {$(
        impl ser::$structure for Elements {
            type Ok = Value;
            type Error = ConvertError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ConvertError> {
                self.put(name.into(), value)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.close())
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);
