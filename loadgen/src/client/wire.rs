//! The client protocols from the client's side: one decoder per client, one way to encode.

use protocol::client::frame::{Frame, FrameCodec};
use protocol::client::text::{Text, TextCodec};
use protocol::client::websocket::client::{self as websocket, Decoder, Event};
use protocol::client::{Codec, Decoded, Kind, Limits, Protocol};

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

/// A unit of a server's bytes. `consumed` is how many bytes of the input are done with.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// Nothing whole in the rest of the input.
    NeedMore { consumed: usize },
    /// A message.
    Message { consumed: usize, body: &'a [u8] },
    /// To be answered with [`encode_pong`].
    Ping { consumed: usize, payload: &'a [u8] },
    /// An answer to a ping that nobody sent.
    Pong { consumed: usize },
    /// The server closes the connection.
    Close,
    /// The server broke the protocol.
    Malformed,
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

    /// Which protocol it is.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Wire::Websocket(_) => Scheme::Websocket,
            Wire::Text(_) => Scheme::Text,
            Wire::Frame(_) => Scheme::Frame,
            Wire::Tcp => Scheme::Tcp,
        }
    }

    /// Decodes the next unit of `input`. `size` cuts a stream into messages.
    pub(crate) fn decode<'a>(&'a mut self, size: usize, input: &'a mut [u8]) -> Incoming<'a> {
        match self {
            Wire::Websocket(decoder) => from_websocket(decoder.decode(PACKAGE_SIZE_MAX, input)),
            Wire::Text(codec) => from_plain(codec.decode(&LIMITS, input, &mut Vec::new())),
            Wire::Frame(codec) => from_plain(codec.decode(&LIMITS, input, &mut Vec::new())),
            Wire::Tcp if input.len() < size => Incoming::NeedMore { consumed: 0 },
            Wire::Tcp => Incoming::Message { consumed: size, body: &input[..size] },
        }
    }
}

/// Appends a message. The mask is websocket's.
pub(crate) fn encode_message(scheme: Scheme, body: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    match scheme {
        Scheme::Websocket => websocket::encode_frame(websocket::TEXT, body, mask, out),
        Scheme::Text => Text.encode(body, Kind::Text, out),
        Scheme::Frame => Frame.encode(body, Kind::Text, out),
        Scheme::Tcp => out.extend_from_slice(body),
    }
}

/// Appends the answer to a websocket ping.
pub(crate) fn encode_pong(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    websocket::encode_frame(websocket::PONG, payload, mask, out);
}

fn from_websocket(event: Event<'_>) -> Incoming<'_> {
    match event {
        Event::NeedMore { consumed } => Incoming::NeedMore { consumed },
        Event::Message { consumed, body, .. } => Incoming::Message { consumed, body },
        Event::Ping { consumed, payload } => Incoming::Ping { consumed, payload },
        Event::Pong { consumed, .. } => Incoming::Pong { consumed },
        Event::Close { .. } => Incoming::Close,
        Event::Malformed(_) => Incoming::Malformed,
    }
}

fn from_plain(decoded: Decoded<'_>) -> Incoming<'_> {
    match decoded {
        Decoded::NeedMore { consumed } => Incoming::NeedMore { consumed },
        Decoded::Message { consumed, body, .. } => Incoming::Message { consumed, body },
        Decoded::Handshake { .. } | Decoded::Close { .. } | Decoded::Malformed(_) => Incoming::Malformed,
    }
}

const LIMITS: Limits = Limits { package_size_max: PACKAGE_SIZE_MAX };
