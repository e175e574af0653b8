//! Messages from clients.

use std::borrow::Cow;

use bytes::Bytes;
use protocol::calls::Body;
use protocol::client::Kind;

/// A message from a client.
///
/// As a [`Body`] it keeps its kind, so sending it back returns text as text and binary as binary.
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

impl From<Message> for Body<'_> {
    fn from(message: Message) -> Self {
        Body::with_kind(message.body, message.kind)
    }
}

impl<'a> From<&'a Message> for Body<'a> {
    fn from(message: &'a Message) -> Body<'a> {
        Body::with_kind(message.as_bytes(), message.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_back_it_keeps_its_kind() {
        let message = Message::new("a", Kind::Binary);
        assert_eq!(Body::from(&message).kind(), Kind::Binary);
        assert_eq!(Body::from(message).kind(), Kind::Binary);
    }

    #[test]
    fn text_replaces_what_is_not_utf8() {
        assert_eq!(Message::new(vec![b'a', 0xff], Kind::Binary).text(), "a\u{fffd}");
    }
}
