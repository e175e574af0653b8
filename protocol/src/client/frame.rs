//! The frame protocol: a u32 total length in front, big-endian, counting its own four bytes (WIRE.md §10).

use super::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

/// Size of the length field in bytes, which is the smallest frame too.
const HEADER_SIZE: usize = 4;

/// The frame protocol needs no state: a frame waits in the input until it is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameCodec;

impl Codec for FrameCodec {
    /// A length below 4 is malformed: PHP gets stuck or out of step there, so no client can depend on it. A length
    /// over the limit is refused as soon as the header is in.
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], _reply: &mut Vec<u8>) -> Decoded<'a> {
        let Some(header) = input.first_chunk::<HEADER_SIZE>() else {
            return Decoded::NeedMore { consumed: 0 };
        };
        let Ok(size) = usize::try_from(u32::from_be_bytes(*header)) else {
            return Decoded::Malformed(Malformed::TooLarge);
        };
        if size < HEADER_SIZE {
            return Decoded::Malformed(Malformed::Protocol);
        }
        if size > limits.package_size_max {
            return Decoded::Malformed(Malformed::TooLarge);
        }
        match input.get(HEADER_SIZE..size) {
            Some(body) => Decoded::Message { consumed: size, body, kind: Kind::Unspecified },
            None => Decoded::NeedMore { consumed: 0 },
        }
    }
}

/// The frame protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frame;

impl Protocol for Frame {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(FrameCodec)
    }

    fn encode(&self, body: &[u8], _kind: Kind, out: &mut Vec<u8>) {
        let size = u32::try_from(HEADER_SIZE + body.len())
            .expect("bodies come in inner frames, whose length is a u32 too and counts a longer header");
        out.reserve(HEADER_SIZE + body.len());
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(body);
    }
}
