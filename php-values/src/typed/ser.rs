//! Rust types to values.

use serde::ser::{self, Serialize};

use super::error::ConvertError;
use crate::array::Array;
use crate::decode::DEPTH_MAX;
use crate::key::Key;
use crate::value::Value;

/// `typed` as a value.
///
/// `Err`: a key is neither int, string nor bool, `typed` is nested deeper than [`DEPTH_MAX`](crate::DEPTH_MAX), or its
/// own `Serialize` refuses.
pub fn to_value<T: Serialize + ?Sized>(typed: &T) -> Result<Value, ConvertError> {
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

/// Methods for what a [`Value`] is made of, some by way of a type that a value can hold.
macro_rules! scalars {
    ($($method:ident($type:ty) $(as $held:ty)?;)*) => {$(
        fn $method(self, scalar: $type) -> Result<Value, ConvertError> {
            $(let scalar = <$held>::from(scalar);)?
            Ok(scalar.into())
        }
    )*};
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

    scalars! {
        serialize_bool(bool);
        serialize_i8(i8) as i64;
        serialize_i16(i16) as i64;
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8) as i64;
        serialize_u16(u16) as i64;
        serialize_u32(u32);
        serialize_f32(f32) as f64;
        serialize_f64(f64);
        serialize_char(char) as String;
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }

    fn serialize_u64(self, int: u64) -> Result<Value, ConvertError> {
        // PHP has no ints that big and would make a float of it, which is another number.
        Ok(i64::try_from(int).map_or_else(|_| int.to_string().into(), Value::Int))
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

/// Serde has a trait for each kind of list and struct; the fields of structs have names.
macro_rules! compounds {
    ($($compound:ident: $method:ident($($name:ident: $type:ty,)?) by $put:ident;)*) => {$(
        impl ser::$compound for Elements {
            type Ok = Value;
            type Error = ConvertError;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: $type,)?
                value: &T,
            ) -> Result<(), ConvertError> {
                self.$put($($name.into(),)? value)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.close())
            }
        }
    )*};
}

compounds! {
    SerializeSeq: serialize_element() by push;
    SerializeTuple: serialize_element() by push;
    SerializeTupleStruct: serialize_field() by push;
    SerializeTupleVariant: serialize_field() by push;
    SerializeStruct: serialize_field(name: &'static str,) by put;
    SerializeStructVariant: serialize_field(name: &'static str,) by put;
}
