//! Names of users and groups.

use std::borrow::Cow;
use std::fmt;

use crate::php;

/// A uid or the name of a group: any bytes, usually short text or a number.
///
/// `""` and `"0"` are no names, as in PHP: gateways refuse them (WIRE.md §5, §6), so commands with such a name are
/// ignored and counted, and queries for it find nobody without asking.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, bytes that are not UTF-8 replaced by U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The bytes of the name, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// Whether it is `""` or `"0"`.
    pub fn is_empty(&self) -> bool {
        php::is_empty_name(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Name {
        name.clone()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.as_bytes().into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Name {
        Name(text.as_bytes().into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(text.into_bytes().into())
    }
}

impl From<Cow<'_, str>> for Name {
    fn from(text: Cow<'_, str>) -> Name {
        text.into_owned().into()
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Name {
        Name(bytes.into())
    }
}

impl From<Vec<u8>> for Name {
    fn from(bytes: Vec<u8>) -> Name {
        Name(bytes.into())
    }
}

macro_rules! name_from_numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Name {
            fn from(number: $number) -> Name {
                number.to_string().into()
            }
        }
    )*};
}

name_from_numbers!(i32, i64, u32, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_their_decimal_text() {
        assert_eq!(Name::from(-7_i64), "-7");
        assert_eq!(Name::from(u64::MAX), "18446744073709551615");
    }

    #[test]
    fn empty_is_what_php_calls_empty() {
        assert!(Name::from("").is_empty());
        assert!(Name::from(0_i32).is_empty());
        assert!(!Name::from("00").is_empty());
    }
}
