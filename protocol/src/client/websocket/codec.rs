//! The server's decoder.
use super::super::{Codec, Decoded, Limits};

/// One websocket client's decoding state.
#[derive(Debug, Default)]
pub struct WebsocketCodec {}

impl Codec for WebsocketCodec {
    fn decode<'a>(&'a mut self, _limits: &Limits, _input: &'a mut [u8], _reply: &mut Vec<u8>) -> Decoded<'a> {
        Decoded::NeedMore { consumed: 0 }
    }
}
