//! Bodies of messages to clients.

use std::borrow::Cow;

use bytes::Bytes;

use crate::client::Kind;
use crate::inner::{FLAG_RAW, FLAG_SCALAR};
use crate::php::{self, Value};

/// The body of a message to clients, taken as `impl Into<Body>`.
///
/// Strings go to websocket clients as text. For plain bytes the gateway decides (`--websocket-type`). The kind is told
/// to Ringway gateways by workers only; without it the gateway decides as well.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    bytes: BodyBytes<'a>,
    kind: Kind,
    /// As in the frame: whether the bytes are PHP-serialized, and whether they are encoded already.
    flag: u8,
}

#[derive(Clone, Debug)]
enum BodyBytes<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl<'a> Body<'a> {
    /// Bytes that websocket clients get in a text frame. They must be UTF-8: clients close the connection otherwise.
    pub fn text(bytes: impl Into<Body<'a>>) -> Body<'a> {
        Body { kind: Kind::Text, ..bytes.into() }
    }

    /// Bytes that websocket clients get in a binary frame.
    pub fn binary(bytes: impl Into<Body<'a>>) -> Body<'a> {
        Body { kind: Kind::Binary, ..bytes.into() }
    }

    /// Bytes of this kind.
    pub fn with_kind(bytes: impl Into<Body<'a>>, kind: Kind) -> Body<'a> {
        Body { kind, ..bytes.into() }
    }

    /// A PHP value, as PHP programs send arrays: the gateway makes JSON of it for websocket clients. PHP gateways do
    /// not survive one for other clients (WIRE.md §5).
    pub fn php(value: &Value) -> Body<'a> {
        let bytes = BodyBytes::Shared(php::to_bytes(value).into());
        Body { bytes, kind: Kind::Unspecified, flag: 0 }
    }

    /// Bytes that are encoded for the clients' protocol already: they are sent as they are, `raw` in PHP's calls. The
    /// last words of a client that is closed are encoded all the same.
    pub fn encoded(bytes: impl Into<Body<'a>>) -> Body<'a> {
        let body = bytes.into();
        Body { kind: Kind::Unspecified, flag: body.flag | FLAG_RAW, ..body }
    }

    /// What clients get, unless it is a PHP value.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            BodyBytes::Borrowed(bytes) => bytes,
            BodyBytes::Shared(bytes) => bytes,
        }
    }

    /// What websocket clients are told it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn flag(&self) -> u8 {
        self.flag
    }

    pub(super) fn empty() -> Body<'static> {
        Body::borrowed(b"", Kind::Unspecified)
    }

    fn borrowed(bytes: &'a [u8], kind: Kind) -> Body<'a> {
        Body { bytes: BodyBytes::Borrowed(bytes), kind, flag: FLAG_SCALAR }
    }

    fn shared(bytes: Bytes, kind: Kind) -> Body<'a> {
        Body { bytes: BodyBytes::Shared(bytes), kind, flag: FLAG_SCALAR }
    }
}

/// Of a kind: what a body borrows, and what it takes over.
macro_rules! from {
    ($($kind:ident: [$($borrowed:ty),*] [$($owned:ty),*];)*) => {$(
        $(impl<'a> From<&'a $borrowed> for Body<'a> {
            fn from(bytes: &'a $borrowed) -> Body<'a> {
                Body::borrowed(bytes.as_ref(), Kind::$kind)
            }
        })*

        $(impl From<$owned> for Body<'_> {
            fn from(bytes: $owned) -> Self {
                Body::shared(bytes.into(), Kind::$kind)
            }
        })*
    )*};
}

from! {
    Text: [str, String] [String];
    Unspecified: [[u8], Vec<u8>] [Vec<u8>, Bytes];
}

impl<'a, const N: usize> From<&'a [u8; N]> for Body<'a> {
    fn from(bytes: &'a [u8; N]) -> Body<'a> {
        Body::borrowed(bytes, Kind::Unspecified)
    }
}

impl<'a> From<Cow<'a, str>> for Body<'a> {
    fn from(text: Cow<'a, str>) -> Body<'a> {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_follows_the_type() {
        assert_eq!(Body::from("a").kind(), Kind::Text);
        assert_eq!(Body::from(String::from("a")).kind(), Kind::Text);
        assert_eq!(Body::from(b"a").kind(), Kind::Unspecified);
        assert_eq!(Body::from(vec![1]).kind(), Kind::Unspecified);
        assert_eq!(Body::binary("a").kind(), Kind::Binary);
        assert_eq!(Body::text(b"a").as_bytes(), b"a");
        assert_eq!(Body::with_kind("a", Kind::Binary).kind(), Kind::Binary);
        assert_eq!((Body::from("a").flag(), Body::encoded("a").flag()), (1, 3));
    }
}
