//! The client protocols from the client's side: one decoder per client, one way to encode.

use protocol::client::frame::{Frame, FrameCodec};
use protocol::client::text::{Text, TextCodec};
use protocol::client::websocket::client::{self as websocket, Decoder, Event};
use protocol::client::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

use crate::config::PACKAGE_SIZE_MAX;
use crate::target::Scheme;

/// What a client speaks, with its decoding state.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Behind its handshake.
    Websocket(Decoder),
    /// Lines.
    Text(TextCodec),
    /// A length in front.
    Frame(FrameCodec),
    /// A stream; a message is every so many bytes.
    Tcp,
}

impl Wire {
    /// The state at the start of a connection.
    pub(crate) fn new(scheme: Scheme) -> Wire {
        match scheme {
            Scheme::Websocket => Wire::Websocket(Decoder::default()),
            Scheme::Text => Wire::Text(TextCodec::default()),
            Scheme::Frame => Wire::Frame(FrameCodec),
            Scheme::Tcp => Wire::Tcp,
        }
    }

    /// Decodes the next unit of `input`. `size` cuts a stream into messages.
    pub(crate) fn decode<'a>(&'a mut self, size: usize, input: &'a mut [u8]) -> Event<'a> {
        match self {
            Wire::Websocket(decoder) => decoder.decode(PACKAGE_SIZE_MAX, input),
            Wire::Text(codec) => from_plain(codec.decode(&LIMITS, input, &mut Vec::new())),
            Wire::Frame(codec) => from_plain(codec.decode(&LIMITS, input, &mut Vec::new())),
            Wire::Tcp if input.len() < size => Event::NeedMore { consumed: 0 },
            Wire::Tcp => Event::Message { consumed: size, body: &input[..size], kind: Kind::Unspecified },
        }
    }

    /// Appends a message. The mask is websocket's.
    pub(crate) fn encode(&self, body: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
        match self {
            Wire::Websocket(_) => websocket::encode_frame(websocket::TEXT, body, mask, out),
            Wire::Text(_) => Text.encode(body, Kind::Text, out),
            Wire::Frame(_) => Frame.encode(body, Kind::Text, out),
            Wire::Tcp => out.extend_from_slice(body),
        }
    }
}

/// Appends the answer to a websocket ping.
pub(crate) fn encode_pong(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    websocket::encode_frame(websocket::PONG, payload, mask, out);
}

/// Protocols without a handshake have messages only.
fn from_plain(decoded: Decoded<'_>) -> Event<'_> {
    match decoded {
        Decoded::NeedMore { consumed } => Event::NeedMore { consumed },
        Decoded::Message { consumed, body, kind } => Event::Message { consumed, body, kind },
        Decoded::Deflated { .. } | Decoded::Handshake { .. } | Decoded::Close { .. } => {
            Event::Malformed(Malformed::Protocol)
        }
        Decoded::Malformed(malformed) => Event::Malformed(malformed),
    }
}

const LIMITS: Limits = Limits::new(PACKAGE_SIZE_MAX);
