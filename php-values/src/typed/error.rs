//! Why a value and a Rust type do not fit.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

use super::key_text;
use crate::key::Key;

/// A value that does not fit a Rust type, or a Rust value that has no PHP form. Its text says where and what, as
/// `at rooms.0.name: invalid type: a list, expected a string`; strings of the session are not in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(Box<Place>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// Keys from the innermost out.
    path: Vec<String>,
    message: String,
}

impl ConvertError {
    /// The keys that lead to the place, joined by points; empty at the outermost value.
    pub fn path(&self) -> String {
        let keys: Vec<&str> = self.0.path.iter().rev().map(String::as_str).collect();
        keys.join(".")
    }

    /// What is wrong there.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub(super) fn new(message: impl Display) -> ConvertError {
        ConvertError(Box::new(Place { path: Vec::new(), message: message.to_string() }))
    }

    /// The same error, seen from the array in which the place has this key.
    pub(super) fn inside(mut self, key: &Key) -> ConvertError {
        self.0.path.push(key_text(key));
        self
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.path.iter().rev().enumerate() {
            f.write_str(if index == 0 { "at " } else { "." })?;
            f.write_str(key)?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl serde::de::Error for ConvertError {
    fn custom<T: Display>(message: T) -> ConvertError {
        ConvertError::new(message)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> ConvertError {
        ConvertError::new(format_args!("invalid type: {}, expected {expected}", found(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> ConvertError {
        ConvertError::new(format_args!("invalid value: {}, expected {expected}", found(unexpected)))
    }

    fn unknown_variant(_variant: &str, expected: &'static [&'static str]) -> ConvertError {
        ConvertError::new(format_args!("unknown variant, expected one of {}", expected.join(", ")))
    }
}

impl serde::ser::Error for ConvertError {
    fn custom<T: Display>(message: T) -> ConvertError {
        ConvertError::new(message)
    }
}

/// What was found, in PHP's words. Texts end up in logs, so strings, which may be secrets, are not quoted.
fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Signed(int) => format!("the int {int}"),
        Unexpected::Unsigned(int) => format!("the int {int}"),
        Unexpected::Float(float) => format!("the float {float}"),
        Unexpected::Str(_) => "a string".to_owned(),
        Unexpected::Bytes(_) => "a string that is not UTF-8".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an array with keys".to_owned(),
        other => other.to_string(),
    }
}
