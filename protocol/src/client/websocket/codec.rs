//! The server's decoder: the handshake, then frames, with the answers that the protocol demands.

use std::ops::Range;

use super::super::{Codec, Decoded, Kind, Limits, Malformed};
use super::discard::Discard;
use super::frames::{Frames, Step};
use super::header::{self, Opcode, Sender};
use super::{Websocket, close, extension, handshake};

/// One websocket client's decoding state: 16 bytes, and a message buffer only while a message is half done.
///
/// Pings are answered, pongs are dropped, a close frame is answered with its own code (an empty one with 1000).
/// After [`Decoded::Close`] it swallows whatever comes, and so it does after [`Decoded::Malformed`]; but behind a close
/// frame of ours it waits for the client's.
#[derive(Debug)]
pub struct WebsocketCodec {
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The first `scanned` bytes of the input hold no end of the request.
    Handshake {
        scanned: u32,
        lenient_text: bool,
        /// Messages may be compressed, if the client wants that.
        compression: bool,
    },
    Open(Frames),
    /// Our close frame is out, the client's is awaited.
    Closing(Box<Discard>),
    /// Left or thrown out.
    Ended,
}

/// What of a request is there ([`WebsocketCodec::peek`]).
#[derive(Debug)]
pub enum Peeked<'a> {
    /// Not all of it.
    NeedMore,
    /// All of it.
    Request(handshake::Request<'a>),
    /// None will come of it: decoding says why.
    Malformed,
}

impl Default for WebsocketCodec {
    fn default() -> Self {
        Self::new(Websocket::default())
    }
}

/// What a look at the input ended with: [`Decoded`] without its borrows.
enum Outcome {
    NeedMore,
    Message { body: Range<usize>, kind: Kind },
    Deflated { payload: Range<usize>, kind: Kind },
    Collected { kind: Kind, deflated: bool },
    Close,
    Malformed(Malformed),
}

impl Codec for WebsocketCodec {
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], reply: &mut Vec<u8>) -> Decoded<'a> {
        match self.phase {
            Phase::Handshake { .. } => self.decode_handshake(limits, input, reply),
            Phase::Open(_) => self.decode_frames(limits, input, reply),
            Phase::Closing(_) => self.discard(input),
            Phase::Ended => Decoded::NeedMore { consumed: input.len() },
        }
    }

    fn kept_size(&self) -> usize {
        match &self.phase {
            Phase::Open(frames) => frames.kept_size(),
            Phase::Handshake { .. } | Phase::Closing(_) | Phase::Ended => 0,
        }
    }

    /// False before the handshake, and again after a close frame: nothing may follow one.
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    fn begin_close(&mut self) {
        if let Phase::Open(frames) = &self.phase {
            self.phase = Phase::Closing(Box::new(Discard::new(frames.remaining())));
        }
    }

    fn awaits_close(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }
}

impl WebsocketCodec {
    /// A client of this listener that has said nothing.
    pub fn new(websocket: Websocket) -> Self {
        let Websocket { lenient_text, compression, .. } = websocket;
        Self { phase: Phase::Handshake { scanned: 0, lenient_text, compression } }
    }

    /// Whether it was agreed upon that messages may be compressed. So may those for the client, by
    /// [`Websocket::encode_deflated`].
    pub fn deflates(&self) -> bool {
        matches!(&self.phase, Phase::Open(frames) if frames.deflates())
    }

    /// Whether the handshake is still to come, or to be answered.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshake { .. })
    }

    /// Looks at the request of the handshake without taking it: it stays in the input, and is decoded from there later.
    pub fn peek<'a>(&mut self, limits: &Limits, input: &'a [u8]) -> Peeked<'a> {
        let Phase::Handshake { scanned, .. } = &mut self.phase else { return Peeked::Malformed };
        match handshake::parse(input, *scanned, limits.head_size_max) {
            Ok(handshake::Parsed::NeedMore { scanned: more }) => {
                *scanned = more;
                Peeked::NeedMore
            }
            Ok(handshake::Parsed::Request { request, .. }) => Peeked::Request(request),
            Err(_) => Peeked::Malformed,
        }
    }

    fn decode_handshake<'a>(&mut self, limits: &Limits, input: &'a [u8], reply: &mut Vec<u8>) -> Decoded<'a> {
        let Phase::Handshake { scanned, lenient_text, compression } = &mut self.phase else {
            unreachable!("the caller has looked")
        };
        match handshake::parse(input, *scanned, limits.head_size_max) {
            Ok(handshake::Parsed::NeedMore { scanned: so_far }) => {
                *scanned = so_far;
                Decoded::NeedMore { consumed: 0 }
            }
            Ok(handshake::Parsed::Request { consumed, mut request }) => {
                request.deflate = if *compression { extension::agree(&request) } else { None };
                self.phase = Phase::Open(Frames::new(*lenient_text, request.deflate.is_some()));
                Decoded::Handshake { consumed, request }
            }
            Err(refusal) => {
                self.phase = Phase::Ended;
                refusal.encode(reply);
                Decoded::Malformed(refusal.malformed())
            }
        }
    }

    fn decode_frames<'a>(
        &'a mut self,
        limits: &Limits,
        input: &'a mut [u8],
        reply: &mut Vec<u8>,
    ) -> Decoded<'a> {
        let Phase::Open(frames) = &mut self.phase else { unreachable!("the caller has looked") };
        let (consumed, outcome) = run(frames, limits, input, reply);
        match outcome {
            Outcome::NeedMore => Decoded::NeedMore { consumed },
            Outcome::Message { body, kind } => Decoded::Message { consumed, body: &input[body], kind },
            Outcome::Deflated { payload, kind } => {
                Decoded::Deflated { consumed, payload: &input[payload], kind }
            }
            Outcome::Collected { kind, deflated: false } => {
                Decoded::Message { consumed, body: self.collected(), kind }
            }
            Outcome::Collected { kind, deflated: true } => {
                Decoded::Deflated { consumed, payload: self.collected(), kind }
            }
            Outcome::Close => {
                self.phase = Phase::Ended;
                Decoded::Close { consumed }
            }
            Outcome::Malformed(malformed) => {
                close::encode(close::code_of(malformed), "", reply);
                self.begin_close();
                self.discard(&input[consumed..]);
                Decoded::Malformed(malformed)
            }
        }
    }

    fn collected(&self) -> &[u8] {
        match &self.phase {
            Phase::Open(frames) => frames.collected(),
            _ => &[],
        }
    }

    fn discard(&mut self, input: &[u8]) -> Decoded<'static> {
        let consumed = input.len();
        let Phase::Closing(discard) = &mut self.phase else { return Decoded::NeedMore { consumed } };
        if !discard.feed(input) {
            return Decoded::NeedMore { consumed };
        }
        self.phase = Phase::Ended;
        Decoded::Close { consumed }
    }
}

/// Goes through control frames up to something that concerns the caller.
fn run(frames: &mut Frames, limits: &Limits, input: &mut [u8], reply: &mut Vec<u8>) -> (usize, Outcome) {
    let mut offset = 0;
    loop {
        let rest = &mut input[offset..];
        let step = match frames.step(Sender::Client, limits, rest) {
            Ok(step) => step,
            Err(broken) => return (offset + broken.consumed, Outcome::Malformed(broken.malformed)),
        };
        match step {
            Step::NeedMore { consumed } => return (offset + consumed, Outcome::NeedMore),
            Step::Message { consumed, body, kind } => {
                let body = offset + body.start..offset + body.end;
                return (offset + consumed, Outcome::Message { body, kind });
            }
            Step::Deflated { consumed, payload, kind } => {
                let payload = offset + payload.start..offset + payload.end;
                return (offset + consumed, Outcome::Deflated { payload, kind });
            }
            Step::Collected { consumed, kind, deflated } => {
                return (offset + consumed, Outcome::Collected { kind, deflated });
            }
            Step::Control { consumed, opcode, payload } => {
                match answer(opcode, &rest[payload], reply) {
                    None => offset += consumed,
                    // The frame at fault is to be seen again: it is a close frame for all that.
                    Some(malformed @ Outcome::Malformed(_)) => return (offset, malformed),
                    Some(outcome) => return (offset + consumed, outcome),
                }
            }
        }
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
                close::encode(code, "", reply);
                Some(Outcome::Close)
            }
            Err(malformed) => Some(Outcome::Malformed(malformed)),
        },
        Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => None,
    }
}
