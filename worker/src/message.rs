//! Messages from clients, and bodies of messages to them.

use std::borrow::Cow;

use bytes::Bytes;
use protocol::client::Kind;

/// A message from a client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    body: Bytes,
    kind: Kind,
}

impl Message {
    /// A message of this kind.
    pub fn new(body: impl Into<Bytes>, kind: Kind) -> Message {
        Message { body: body.into(), kind }
    }

    /// The body as text, bytes that are not UTF-8 replaced by U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body, shared without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.body
    }

    /// Whether a websocket client sent it as text or binary. [`Kind::Unspecified`] behind other protocols and
    /// behind PHP gateways, which do not say.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// The body of a message to clients, taken as `impl Into<Body>`.
///
/// Strings go to websocket clients as text. For plain bytes the gateway decides (`--websocket-type`). A [`Message`]
/// keeps its kind, so sending it back returns text as text and binary as binary.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    bytes: BodyBytes<'a>,
    kind: Kind,
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

    /// What clients get.
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

    fn borrowed(bytes: &'a [u8], kind: Kind) -> Body<'a> {
        Body { bytes: BodyBytes::Borrowed(bytes), kind }
    }

    fn shared(bytes: Bytes, kind: Kind) -> Body<'a> {
        Body { bytes: BodyBytes::Shared(bytes), kind }
    }
}

impl<'a> From<&'a str> for Body<'a> {
    fn from(text: &'a str) -> Body<'a> {
        Body::borrowed(text.as_bytes(), Kind::Text)
    }
}

impl<'a> From<&'a String> for Body<'a> {
    fn from(text: &'a String) -> Body<'a> {
        Body::borrowed(text.as_bytes(), Kind::Text)
    }
}

impl From<String> for Body<'_> {
    fn from(text: String) -> Self {
        Body::shared(text.into(), Kind::Text)
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

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Body<'a> {
        Body::borrowed(bytes, Kind::Unspecified)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Body<'a> {
    fn from(bytes: &'a [u8; N]) -> Body<'a> {
        Body::borrowed(bytes, Kind::Unspecified)
    }
}

impl<'a> From<&'a Vec<u8>> for Body<'a> {
    fn from(bytes: &'a Vec<u8>) -> Body<'a> {
        Body::borrowed(bytes, Kind::Unspecified)
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Body::shared(bytes.into(), Kind::Unspecified)
    }
}

impl From<Bytes> for Body<'_> {
    fn from(bytes: Bytes) -> Self {
        Body::shared(bytes, Kind::Unspecified)
    }
}

impl From<Message> for Body<'_> {
    fn from(message: Message) -> Self {
        Body::shared(message.body, message.kind)
    }
}

impl<'a> From<&'a Message> for Body<'a> {
    fn from(message: &'a Message) -> Body<'a> {
        Body::borrowed(&message.body, message.kind)
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
        assert_eq!(Body::from(Message::new("a", Kind::Binary)).kind(), Kind::Binary);
        assert_eq!(Body::binary("a").kind(), Kind::Binary);
        assert_eq!(Body::text(b"a").as_bytes(), b"a");
    }

    #[test]
    fn text_replaces_what_is_not_utf8() {
        assert_eq!(Message::new(vec![b'a', 0xff], Kind::Binary).text(), "a\u{fffd}");
    }
}
