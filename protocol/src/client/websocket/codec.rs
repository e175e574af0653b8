//! The server's decoder: the handshake, then frames, with the answers that the protocol demands.

use std::ops::Range;

use super::super::{Codec, Decoded, Kind, Limits, Malformed};
use super::frames::{Frames, Step};
use super::header::{self, Opcode, Sender};
use super::{close, handshake};

/// One websocket client's decoding state: 16 bytes, and a message buffer only while a message is half done.
///
/// Pings are answered, pongs are dropped, a close frame is answered with its own code (an empty one with 1000).
/// After [`Decoded::Close`] and [`Decoded::Malformed`] it swallows whatever comes.
#[derive(Debug, Default)]
pub struct WebsocketCodec {
    phase: Phase,
    frames: Frames,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The first `scanned` bytes of the input hold no end of the request.
    Handshake {
        scanned: u32,
    },
    Open,
    /// Left or thrown out.
    Ended,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Handshake { scanned: 0 }
    }
}

/// What a look at the input ended with: [`Decoded`] without its borrows.
enum Outcome {
    NeedMore,
    Message { body: Range<usize>, kind: Kind },
    Collected { kind: Kind },
    Close,
    Malformed(Malformed),
}

impl Codec for WebsocketCodec {
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], reply: &mut Vec<u8>) -> Decoded<'a> {
        match self.phase {
            Phase::Handshake { scanned } => self.decode_handshake(scanned, input, reply),
            Phase::Open => self.decode_frames(limits, input, reply),
            Phase::Ended => Decoded::NeedMore { consumed: input.len() },
        }
    }

    /// False before the handshake, and again after a close frame: nothing may follow one.
    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }
}

impl WebsocketCodec {
    fn decode_handshake<'a>(&mut self, scanned: u32, input: &'a [u8], reply: &mut Vec<u8>) -> Decoded<'a> {
        match handshake::parse(input, scanned) {
            Ok(handshake::Parsed::NeedMore { scanned }) => {
                self.phase = Phase::Handshake { scanned };
                Decoded::NeedMore { consumed: 0 }
            }
            Ok(handshake::Parsed::Request { consumed, request }) => {
                self.phase = Phase::Open;
                Decoded::Handshake { consumed, request }
            }
            Err(refusal) => {
                self.phase = Phase::Ended;
                refusal.encode(reply);
                Decoded::Malformed(Malformed::Handshake)
            }
        }
    }

    fn decode_frames<'a>(
        &'a mut self,
        limits: &Limits,
        input: &'a mut [u8],
        reply: &mut Vec<u8>,
    ) -> Decoded<'a> {
        let (consumed, outcome) = self.run(limits, input, reply);
        match outcome {
            Outcome::NeedMore => Decoded::NeedMore { consumed },
            Outcome::Message { body, kind } => Decoded::Message { consumed, body: &input[body], kind },
            Outcome::Collected { kind } => Decoded::Message { consumed, body: self.frames.collected(), kind },
            Outcome::Close => {
                self.end();
                Decoded::Close { consumed }
            }
            Outcome::Malformed(malformed) => {
                self.end();
                close::encode(close::code_of(malformed), reply);
                Decoded::Malformed(malformed)
            }
        }
    }

    /// Goes through control frames up to something that concerns the caller.
    fn run(&mut self, limits: &Limits, input: &mut [u8], reply: &mut Vec<u8>) -> (usize, Outcome) {
        let mut offset = 0;
        loop {
            let rest = &mut input[offset..];
            let step = match self.frames.step(Sender::Client, limits.package_size_max, rest) {
                Ok(step) => step,
                Err(malformed) => return (offset, Outcome::Malformed(malformed)),
            };
            match step {
                Step::NeedMore { consumed } => return (offset + consumed, Outcome::NeedMore),
                Step::Message { consumed, body, kind } => {
                    let body = offset + body.start..offset + body.end;
                    return (offset + consumed, Outcome::Message { body, kind });
                }
                Step::Collected { consumed, kind } => {
                    return (offset + consumed, Outcome::Collected { kind });
                }
                Step::Control { consumed, opcode, payload } => {
                    let outcome = answer(opcode, &rest[payload], reply);
                    offset += consumed;
                    if let Some(outcome) = outcome {
                        return (offset, outcome);
                    }
                }
            }
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.frames.clear();
    }
}

/// Answers a control frame; gives an outcome if it was the last frame.
fn answer(opcode: Opcode, payload: &[u8], reply: &mut Vec<u8>) -> Option<Outcome> {
    match opcode {
        Opcode::Ping => {
            header::encode(Opcode::Pong.whole(), payload.len(), None, reply);
            reply.extend_from_slice(payload);
            None
        }
        Opcode::Close => match close::parse(payload) {
            Ok(code) => {
                close::encode(code, reply);
                Some(Outcome::Close)
            }
            Err(malformed) => Some(Outcome::Malformed(malformed)),
        },
        Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => None,
    }
}
