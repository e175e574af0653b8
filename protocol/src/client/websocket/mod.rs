//! Websocket, the server's side and (for load generators and tests) the client's (RFC 6455, WIRE.md §10).

pub mod client;
mod codec;
mod handshake;

use std::str::FromStr;

use super::{Codec, Kind, Protocol};

pub use codec::WebsocketCodec;
pub use handshake::Request;

/// What an outgoing message is when its sender did not say ([`Kind::Unspecified`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DefaultType {
    /// Text if the body is valid UTF-8, else binary.
    #[default]
    Auto,
    /// Always text, as PHP does it.
    Text,
    /// Always binary.
    Binary,
}

/// Neither `auto`, `text` nor `binary`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected auto, text or binary")]
pub struct DefaultTypeError;

impl FromStr for DefaultType {
    type Err = DefaultTypeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            _ => Err(DefaultTypeError),
        }
    }
}

/// The websocket protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Websocket {
    /// What messages of an unspecified kind are sent as.
    pub default_type: DefaultType,
}

impl Protocol for Websocket {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(WebsocketCodec::default())
    }

    fn encode(&self, _body: &[u8], _kind: Kind, _out: &mut Vec<u8>) {}
}
