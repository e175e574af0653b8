//! The client's side of websocket, for load generators and tests.
//!
//! As free of IO as the server's side, and free of randomness too: keys and masks are passed in. It trusts a server
//! as little as the server trusts a client.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::super::{Kind, Limits, Malformed};
use super::frames::{Frames, Step};
use super::handshake::{self, HANDSHAKE_SIZE_MAX, HEADER_COUNT_MAX};
use super::header::{self, Opcode, Sender};
use super::mask;

/// First byte of a whole text message.
pub const TEXT: u8 = Opcode::Text.whole();
/// First byte of a whole binary message.
pub const BINARY: u8 = Opcode::Binary.whole();
/// First byte of a close frame.
pub const CLOSE: u8 = Opcode::Close.whole();
/// First byte of a ping.
pub const PING: u8 = Opcode::Ping.whole();
/// First byte of a pong.
pub const PONG: u8 = Opcode::Pong.whole();

/// Length of a nonce in base64.
const KEY_SIZE: usize = 24;

/// Appends a handshake request for `target` (path and query) at `host`. The nonce should be random (RFC 6455 §4.1);
/// [`decode_answer`] wants the same one.
pub fn encode_request(host: &str, target: &str, nonce: [u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    out.extend_from_slice(&key(nonce));
    out.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

/// What a server answered to a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// No whole answer yet; nothing is consumed.
    NeedMore,
    /// The connection is open; frames may follow behind the first `consumed` bytes.
    Open {
        /// Bytes of the input that are done with.
        consumed: usize,
    },
    /// The server does not want this client.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Not an answer to this handshake: not HTTP, a wrong accept key, or over the size limits of a request.
    Malformed,
}

/// Reads the answer to the request that was encoded with `nonce`.
pub fn decode_answer(input: &[u8], nonce: [u8; 16]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_COUNT_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let consumed = match response.parse(input) {
        Ok(httparse::Status::Complete(consumed)) if consumed <= HANDSHAKE_SIZE_MAX => consumed,
        Ok(httparse::Status::Partial) if input.len() < HANDSHAKE_SIZE_MAX => return Answer::NeedMore,
        Ok(_) | Err(_) => return Answer::Malformed,
    };
    match response.code {
        Some(101) => {}
        Some(status) => return Answer::Refused { status },
        None => return Answer::Malformed,
    }
    let accept = handshake::find(response.headers, "Sec-WebSocket-Accept").map(<[u8]>::trim_ascii);
    if accept == Some(&handshake::accept_key(&key(nonce))) {
        Answer::Open { consumed }
    } else {
        Answer::Malformed
    }
}

/// Appends a masked frame. `first` is the first byte as it goes out ([`TEXT`], [`PING`], …), so that tests can send
/// fragments and nonsense; the mask should be random (RFC 6455 §5.3).
pub fn encode_frame(first: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    header::encode(first, payload.len(), Some(mask), out);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(mask, &mut out[start..]);
}

/// Appends a masked close frame with a code.
pub fn encode_close(code: u16, mask: [u8; 4], out: &mut Vec<u8>) {
    encode_frame(CLOSE, &code.to_be_bytes(), mask, out);
}

/// What a server sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// Nothing whole in what is left: drop `consumed` bytes, and call again with the rest and more behind it.
    NeedMore {
        /// Bytes of the input that the decoder has taken over.
        consumed: usize,
    },
    /// A whole message.
    Message {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// The message, valid until the next call.
        body: &'a [u8],
        /// [`Kind::Text`] or [`Kind::Binary`].
        kind: Kind,
    },
    /// A ping; answer it with a [`PONG`] of the same payload.
    Ping {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// At most 125 bytes.
        payload: &'a [u8],
    },
    /// A pong.
    Pong {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// At most 125 bytes.
        payload: &'a [u8],
    },
    /// A close frame. Nothing that follows counts.
    Close {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// The code as sent, if one was. Not judged: servers send codes that clients may not.
        code: Option<u16>,
    },
    /// The server broke the protocol; give up.
    Malformed(Malformed),
}

/// The decoding state of a client behind its handshake: one pointer while no message is half done.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: Frames,
}

impl Decoder {
    /// Decodes the next event of `input`. Messages over `package_size_max` bytes, the last frame's header included,
    /// are malformed.
    pub fn decode<'a>(&'a mut self, package_size_max: usize, input: &'a mut [u8]) -> Event<'a> {
        match self.frames.step(Sender::Server, &Limits::new(package_size_max), input) {
            Err(broken) => Event::Malformed(broken.malformed),
            Ok(Step::NeedMore { consumed }) => Event::NeedMore { consumed },
            // Nothing was agreed upon, so a compressed message is none.
            Ok(Step::Deflated { .. } | Step::Collected { deflated: true, .. }) => {
                Event::Malformed(Malformed::Protocol)
            }
            Ok(Step::Message { consumed, body, kind }) => {
                Event::Message { consumed, body: &input[body], kind }
            }
            Ok(Step::Collected { consumed, kind, .. }) => {
                Event::Message { consumed, body: self.frames.collected(), kind }
            }
            Ok(Step::Control { consumed, opcode, payload }) => control(opcode, consumed, &input[payload]),
        }
    }
}

fn control(opcode: Opcode, consumed: usize, payload: &[u8]) -> Event<'_> {
    match (opcode, payload) {
        (Opcode::Ping, _) => Event::Ping { consumed, payload },
        (Opcode::Pong, _) => Event::Pong { consumed, payload },
        (_, []) => Event::Close { consumed, code: None },
        (_, &[high, low, ..]) => Event::Close { consumed, code: Some(u16::from_be_bytes([high, low])) },
        (_, [_]) => Event::Malformed(Malformed::Protocol),
    }
}

/// The nonce as its header has it.
fn key(nonce: [u8; 16]) -> [u8; KEY_SIZE] {
    let mut key = [0; KEY_SIZE];
    BASE64_STANDARD.encode_slice(nonce, &mut key).expect("16 bytes are 24 in base64");
    key
}
