//! Websocket, the server's side and (for load generators and tests) the client's (RFC 6455, WIRE.md §10).
//!
//! A subprotocol is negotiated only if the caller adds its header when it accepts, and of extensions permessage-deflate
//! (RFC 7692), where the listener has it.
//! The accidents of the PHP decoder are not copied: RSV bits, frames out of order, long or split control frames and
//! text that is not UTF-8 end the connection, with the close code that RFC 6455 has for it.

pub mod client;
mod close;
mod codec;
mod deflate;
mod discard;
mod extension;
mod frames;
mod handshake;
mod header;
mod mask;
mod probe;

use std::str::FromStr;

use super::{Codec, Kind, Malformed, Protocol};
use header::Opcode;

pub use close::{
    BAD_GATEWAY, GOING_AWAY, HEARTBEAT_MISSED, INTERNAL_ERROR, INVALID_DATA, NORMAL, POLICY_VIOLATION,
    PROTOCOL_ERROR, REASON_SIZE_MAX, SERVICE_RESTART, TOKEN_EXPIRED, TOO_LARGE, TRY_AGAIN_LATER,
    UNSUPPORTED_DATA, code_of, is_close_code,
};
pub use codec::{Peeked, WebsocketCodec};
pub use deflate::{Deflater, Inflater};
pub use handshake::{
    HANDSHAKE_SIZE_MAX, HEADER_COUNT_MAX, Request, encode_answer, encode_retry_later, encode_tls_needed,
    encode_unauthorized,
};
pub use probe::{Probe, encode_probe_answer, probe, probe_size};

/// What an outgoing message is when its sender did not say ([`Kind::Unspecified`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DefaultType {
    /// Text if the body is valid UTF-8, else binary.
    #[default]
    Auto,
    /// Always text, as PHP does it; browsers drop the connection over a body that is not UTF-8.
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

/// The websocket protocol as a listener speaks it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Websocket {
    /// What messages of an unspecified kind are sent as.
    pub default_type: DefaultType,
    /// Whether clients' text messages may be any bytes (RFC 6455 §8.1 forbids it, PHP takes them). Else they end with
    /// [`INVALID_DATA`].
    pub lenient_text: bool,
    /// Whether messages are compressed, of clients that want it (RFC 7692).
    pub compression: bool,
}

impl Protocol for Websocket {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(WebsocketCodec::new(*self))
    }

    /// One frame, whole and not masked. [`Kind::Text`] is the caller's word that `body` is UTF-8.
    fn encode(&self, body: &[u8], kind: Kind, out: &mut Vec<u8>) {
        let opcode = self.opcode(body, kind);
        header::encode(opcode.whole(), body.len(), None, out);
        out.extend_from_slice(body);
    }

    fn encode_close(&self, code: u16, reason: &str, out: &mut Vec<u8>) {
        close::encode(code, reason, out);
    }

    fn encode_ping(&self, out: &mut Vec<u8>) -> bool {
        header::encode(Opcode::Ping.whole(), 0, None, out);
        true
    }
}

impl Websocket {
    /// What [`Protocol::encode`] makes, compressed, for clients whose codec [deflates](WebsocketCodec::deflates). `deflated` is the
    /// body as a [`Deflater`] has it.
    pub fn encode_deflated(&self, body: &[u8], deflated: &[u8], kind: Kind, out: &mut Vec<u8>) {
        let opcode = self.opcode(body, kind);
        header::encode(opcode.whole_deflated(), deflated.len(), None, out);
        out.extend_from_slice(deflated);
    }

    /// Replaces `out` by the message that was [`super::Decoded::Deflated`], of at most `size_max` bytes.
    ///
    /// # Errors
    /// It is longer, is no compressed message, or is no text and should be. The client is to be closed with
    /// [`code_of`] that.
    pub fn inflate(
        &self,
        inflater: &mut Inflater,
        (payload, kind): (&[u8], Kind),
        size_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        inflater.inflate(payload, size_max, out)?;
        let is_text = kind == Kind::Text && !self.lenient_text;
        match is_text && simdutf8::basic::from_utf8(out).is_err() {
            true => Err(Malformed::Utf8),
            false => Ok(()),
        }
    }

    fn opcode(self, body: &[u8], kind: Kind) -> Opcode {
        match (kind, self.default_type) {
            (Kind::Text, _) | (Kind::Unspecified, DefaultType::Text) => Opcode::Text,
            (Kind::Binary, _) | (Kind::Unspecified, DefaultType::Binary) => Opcode::Binary,
            (Kind::Unspecified, DefaultType::Auto) => match simdutf8::basic::from_utf8(body) {
                Ok(_) => Opcode::Text,
                Err(_) => Opcode::Binary,
            },
        }
    }
}
