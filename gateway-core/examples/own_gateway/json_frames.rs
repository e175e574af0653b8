//! A client protocol of one's own: JSON texts with a u16 length in front, big-endian.

use gateway_core::protocol::client::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

/// The protocol as a listener speaks it.
pub(crate) struct JsonFrames;

impl Protocol for JsonFrames {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(JsonFrameCodec)
    }

    fn encode(&self, body: &[u8], _kind: Kind, out: &mut Vec<u8>) {
        // What does not fit cannot be told to such a client.
        let Ok(size) = u16::try_from(body.len()) else { return };
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(body);
    }
}

/// A client's decoding state: none, since it waits for whole frames.
struct JsonFrameCodec;

impl Codec for JsonFrameCodec {
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], _reply: &mut Vec<u8>) -> Decoded<'a> {
        let Some((size, rest)) = input.split_first_chunk::<2>() else {
            return Decoded::NeedMore { consumed: 0 };
        };
        let size = usize::from(u16::from_be_bytes(*size));
        if size + 2 > limits.package_size_max {
            return Decoded::Malformed(Malformed::TooLarge);
        }
        match rest.get(..size) {
            None => Decoded::NeedMore { consumed: 0 },
            Some(body) if !matches!(body, [b'{', .., b'}']) => Decoded::Malformed(Malformed::Protocol),
            Some(body) => Decoded::Message { consumed: 2 + size, body, kind: Kind::Text },
        }
    }
}
