//! JSON read as PHP's json_decode and loose typing read it, straight into what is wanted: no tree in between, nothing
//! kept but what was asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::php::KeyRef;
use crate::php::write::{decimal, float_text};

/// A value that holds no others, or the fact that it does.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Ints beyond int64 as well.
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or an object, passed over.
    Nested,
}

/// What a value turned out to be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Shape<'a> {
    Scalar(Scalar<'a>),
    /// With this many elements.
    List(usize),
    /// With this many fields.
    Object(usize),
}

/// Takes the fields of an object as they come.
pub(crate) trait Fields<'de> {
    /// Has to take the value of the field `name` from `values`. Called for every field, known or not.
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error>;

    /// Has to take the next element of a list from `values`, whose index it is; `None`: there is no more. They are passed
    /// over, unless somebody wants them.
    fn element<A: SeqAccess<'de>>(&mut self, _index: usize, values: &mut A) -> Result<Option<()>, A::Error> {
        values.next_element::<IgnoredAny>().map(|element| element.map(drop))
    }
}

/// Reads `input` to its last byte; fields go to `fields` if it is an object. `None`: not JSON.
pub(crate) fn read_fields<'de>(input: &'de [u8], fields: &mut impl Fields<'de>) -> Option<Shape<'de>> {
    let mut reader = serde_json::Deserializer::from_slice(input);
    let shape = IntoFields(fields).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(shape)
}

/// Reads `input` to its last byte; elements of a list (keys 0, 1, …) or an object go to `element`. `None`: not JSON.
pub(crate) fn read_elements<'de>(
    input: &'de [u8],
    element: impl FnMut(KeyRef<'_>, Scalar<'de>),
) -> Option<Shape<'de>> {
    read_fields(input, &mut Elements(element))
}

/// As [`read_elements`], for the value of a field.
pub(crate) fn elements<'de, A: MapAccess<'de>>(
    values: &mut A,
    element: impl FnMut(KeyRef<'_>, Scalar<'de>),
) -> Result<Shape<'de>, A::Error> {
    values.next_value_seed(IntoFields(&mut Elements(element)))
}

impl Scalar<'_> {
    /// The value as PHP makes it a string; a list or an object has none.
    pub(crate) fn to_name(&self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        match self {
            Scalar::Null | Scalar::Bool(false) => {}
            Scalar::Bool(true) => name.push(b'1'),
            Scalar::Int(int) => decimal(*int, &mut name),
            Scalar::Float(float) => float_text(*float, b'E', &mut name),
            Scalar::Text(text) => name.extend_from_slice(text.as_bytes()),
            Scalar::Nested => return None,
        }
        Some(name)
    }

    /// The connection id that the value names as an array key, if it is one.
    pub(crate) fn to_connection_id(&self) -> Option<u32> {
        match self {
            Scalar::Int(int) => u32::try_from(*int).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is in range, and PHP cuts off what is behind the point, too"
            )]
            Scalar::Float(float) => (0.0..=f64::from(u32::MAX)).contains(float).then_some(*float as u32),
            Scalar::Text(text) => key_to_connection_id(KeyRef::from(text.as_ref())),
            Scalar::Null | Scalar::Bool(_) | Scalar::Nested => None,
        }
    }

    /// What PHP's empty() says.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Scalar::Null | Scalar::Bool(false) | Scalar::Int(0) => true,
            Scalar::Float(float) => *float == 0.0,
            Scalar::Text(text) => crate::php::is_empty_name(text.as_bytes()),
            Scalar::Bool(true) | Scalar::Int(_) | Scalar::Nested => false,
        }
    }

    /// The text, if it is one.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Scalar::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

/// The connection id that a key is, if it is one.
pub(crate) fn key_to_connection_id(key: KeyRef<'_>) -> Option<u32> {
    match key {
        KeyRef::Int(int) => u32::try_from(int).ok(),
        KeyRef::Bytes(_) => None,
    }
}

/// Takes what lists and objects hold alike.
struct Elements<F>(F);

impl<'de, F: FnMut(KeyRef<'_>, Scalar<'de>)> Fields<'de> for Elements<F> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        (self.0)(KeyRef::from(name), values.next_value()?);
        Ok(())
    }

    fn element<A: SeqAccess<'de>>(&mut self, index: usize, values: &mut A) -> Result<Option<()>, A::Error> {
        let value = values.next_element()?;
        Ok(value.map(|value| (self.0)(KeyRef::Int(i64::try_from(index).unwrap_or(i64::MAX)), value)))
    }
}

/// Hands the fields of an object on, and the elements of a list.
pub(crate) struct IntoFields<'f, T>(pub(crate) &'f mut T);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for IntoFields<'_, T> {
    type Value = Shape<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

/// The visits of a JSON scalar, which all visitors here take alike.
macro_rules! visit_scalars {
    ($wrap:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Null))
        }

        fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Bool(value)))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Int(value)))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
            Ok($wrap(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int)))
        }

        fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Float(value)))
        }

        fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Text(Cow::Owned(value.to_owned()))))
        }

        fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
            Ok($wrap(Scalar::Text(Cow::Borrowed(value))))
        }
    };
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    visit_scalars!(std::convert::identity);

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Scalar<'de>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Scalar<'de>, A::Error> {
        while values.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for IntoFields<'_, T> {
    type Value = Shape<'de>;

    visit_scalars!(Shape::Scalar);

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Shape<'de>, A::Error> {
        let mut count = 0;
        while self.0.element(count, &mut values)?.is_some() {
            count += 1;
        }
        Ok(Shape::List(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Shape<'de>, A::Error> {
        let mut count = 0;
        while let Some(name) = values.next_key::<Scalar<'de>>()? {
            self.0.field(text_of(&name), &mut values)?;
            count += 1;
        }
        Ok(Shape::Object(count))
    }
}

/// The text of a field's name; in JSON names are texts.
fn text_of<'a>(name: &'a Scalar<'_>) -> &'a str {
    match name {
        Scalar::Text(text) => text,
        _ => "",
    }
}
