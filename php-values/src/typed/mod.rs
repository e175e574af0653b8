//! Values as your own Rust types, by serde: typed sessions.
//!
//! | Rust | written as | read from, besides |
//! | --- | --- | --- |
//! | struct, map | array with keys | an object's public properties |
//! | `Vec`, tuple | list | an array with gaps in its int keys, as `unset` leaves them |
//! | `Option`, `()` | null or the value | |
//! | integers | int; above `i64::MAX` a string of digits | a float without a fraction, a string of digits |
//! | floats | float | an int that a float can hold exactly |
//! | `bool` | bool | the ints 0 and 1 |
//! | `String`, `char` | string | an int, as its digits |
//! | bytes (`serde_bytes`, `bytes::Bytes`) | string | |
//! | enum, unit variant | its name | a case of a PHP enum |
//! | enum, other variants | array of one element, keyed by the name | |
//!
//! Keys are what PHP makes of them: a map from `"7"` is written with the int 7, and read back as `"7"` into a
//! `HashMap<String, _>` and as 7 into a `HashMap<i64, _>`. `Vec<u8>` is a list of ints as everywhere in serde. An empty
//! array is an empty list and an empty map alike; where serde does not say which it wants (untagged enums), it is a list.
//! References are followed. Nothing else is guessed, and no number is read as another one.

mod de;
mod error;
mod ser;

use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;

use super::array::Array;
use super::decode::decode;
use super::encode::{encode_array, to_bytes};
use super::key::Key;
use super::merge::{has_shared, merge_serialized};
use super::value::Value;
pub use error::ConvertError;
pub use ser::to_value;

/// `value` as a `T`. Strings may be borrowed from it.
///
/// `Err`: it does not fit, is nested deeper than [`DEPTH_MAX`](super::DEPTH_MAX), or holds references that go round in
/// a circle or multiply it beyond reason.
///
/// ```
/// use ringway_php_values as php;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Session {
///     name: String,
///     balance: f64,
///     rooms: Vec<String>,
///     invited_by: Option<i64>,
///     role: Role,
/// }
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// #[serde(rename_all = "lowercase")]
/// enum Role {
///     Guest,
///     Admin,
/// }
///
/// // $_SESSION = ['name' => 'Ann', 'balance' => 5, 'rooms' => ['lobby'], 'role' => 'admin'];
/// let stored = br#"a:4:{s:4:"name";s:3:"Ann";s:7:"balance";i:5;s:5:"rooms";a:1:{i:0;s:5:"lobby";}s:4:"role";s:5:"admin";}"#;
/// let session: Session = php::from_value(&php::decode(stored)?)?;
/// assert_eq!(
///     session,
///     Session { name: "Ann".into(), balance: 5.0, rooms: vec!["lobby".into()], invited_by: None, role: Role::Admin }
/// );
///
/// let value = php::to_value(&session)?;
/// assert_eq!(value.get("name").and_then(php::Value::as_str), Some("Ann"));
/// assert_eq!(php::from_value::<Session>(&value)?, session);
///
/// let wrong = php::Array::from([("name", php::Array::new())]).into();
/// let error = php::from_value::<Session>(&wrong).unwrap_err();
/// assert_eq!(error.to_string(), "at name: invalid type: a list, expected a string");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, ConvertError> {
    de::read(de::Shape::of(value))
}

/// As [`from_value`], for an array that is not in a [`Value`].
pub fn from_array<'de, T: Deserialize<'de>>(array: &'de Array) -> Result<T, ConvertError> {
    de::read(de::Shape::Array(array))
}

/// As [`from_value`], from serialized bytes. `Err` also if they are none.
///
/// ```
/// # use ringway_php_values as php;
/// let scores: std::collections::BTreeMap<i64, f64> = php::from_serialized(b"a:2:{i:7;d:0.5;i:-1;i:2;}")?;
/// assert_eq!(scores, [(-1, 2.0), (7, 0.5)].into());
/// assert_eq!(php::to_serialized(&scores)?, b"a:2:{i:-1;d:2;i:7;d:0.5;}");
/// # Ok::<(), php::ConvertError>(())
/// ```
pub fn from_serialized<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConvertError> {
    from_value(&decode(bytes).map_err(serde::de::Error::custom)?)
}

/// As [`to_value`], serialized.
pub fn to_serialized<T: Serialize + ?Sized>(typed: &T) -> Result<Vec<u8>, ConvertError> {
    to_value(typed).map(|value| to_bytes(&value))
}

/// Sets the elements of `array` that `typed` (a struct or map) has, and leaves all others as they are: what PHP workers
/// keep in the same session stays, objects and references too. A field that `typed` skips keeps its old element.
///
/// `Err`: as [`to_value`], or `typed` is no struct, map or list; `array` is unchanged then.
///
/// ```
/// # use ringway_php_values as php;
/// #[derive(serde::Serialize)]
/// struct Visits {
///     visits: u32,
/// }
/// let mut session = php::Array::from([("visits", 1), ("theirs", 2)]);
/// php::assign(&mut session, &Visits { visits: 2 })?;
/// assert_eq!(session, php::Array::from([("visits", 2), ("theirs", 2)]));
/// # Ok::<(), php::ConvertError>(())
/// ```
pub fn assign<T: Serialize + ?Sized>(array: &mut Array, typed: &T) -> Result<(), ConvertError> {
    let Value::Array(elements) = to_value(typed)? else {
        return Err(serde::ser::Error::custom("only structs, maps and lists have elements to assign"));
    };
    if array.values().any(has_shared) {
        *array = assigned_with_references(array, elements)?;
        return Ok(());
    }
    for (key, value) in elements {
        array.insert(key, value);
    }
    Ok(())
}

/// References count values, so new values change the numbers of all that follow; only a merge knows how to do that. It
/// would go into arrays, so the old elements are made null first.
fn assigned_with_references(array: &Array, elements: Array) -> Result<Array, ConvertError> {
    let cleared: Array = elements.keys().map(|key| (key.clone(), Value::Null)).collect();
    let mut serialized = Vec::new();
    encode_array(array, &mut serialized);
    for update in [cleared, elements] {
        let mut merged = Vec::new();
        merge_serialized(&serialized, &to_bytes(&update.into()), &mut merged)
            .map_err(serde::ser::Error::custom)?;
        serialized = merged;
    }
    match decode(&serialized) {
        Ok(Value::Array(array)) => Ok(array),
        _ => Err(serde::ser::Error::custom("nested too deep")),
    }
}

/// How a key is shown in an error's path. Keys are other people's data and may be megabytes long.
fn key_text(key: &Key) -> String {
    String::from_utf8_lossy(&key.to_bytes()).chars().take(KEY_CHARS_MAX).collect()
}

const KEY_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests;
