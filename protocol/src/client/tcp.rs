//! Raw bytes: what one read gives is a message (WIRE.md §10).
//!
//! A stream without units: nothing is added on sending, nothing is waited for, and nothing can be malformed.

use super::{Codec, Decoded, Kind, Limits, Protocol};

/// The raw protocol has no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpCodec;

impl Codec for TcpCodec {
    /// Hands out everything there is, in pieces of at most [`Limits::package_size_max`] bytes: a stream may be cut
    /// anywhere, so nothing is ever too large.
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], _reply: &mut Vec<u8>) -> Decoded<'a> {
        let size = input.len().min(limits.package_size_max.max(1));
        if size == 0 {
            return Decoded::NeedMore { consumed: 0 };
        }
        Decoded::Message { consumed: size, body: &input[..size], kind: Kind::Unspecified }
    }
}

/// The raw protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tcp;

impl Protocol for Tcp {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(TcpCodec)
    }

    fn encode(&self, body: &[u8], _kind: Kind, out: &mut Vec<u8>) {
        out.extend_from_slice(body);
    }
}
