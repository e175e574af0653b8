//! Runs a codec as a gateway does, with the input cut wherever a test likes.

use ringway_protocol::client::websocket::WebsocketCodec;
use ringway_protocol::client::{Codec, Decoded, Kind, Limits, Malformed};

/// The limit that PHP has.
pub(crate) const LIMITS: Limits = Limits::new(10_485_760);

/// One thing that a gateway sees, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Message(Vec<u8>, Kind),
    Deflated(Vec<u8>, Kind),
    Handshake(Vec<u8>),
    Reply(Vec<u8>),
    Close,
    Malformed(Malformed),
}

pub(crate) fn text(body: &str) -> Unit {
    Unit::Message(body.into(), Kind::Text)
}

pub(crate) fn binary(body: &[u8]) -> Unit {
    Unit::Message(body.into(), Kind::Binary)
}

pub(crate) fn reply(bytes: &[u8]) -> Unit {
    Unit::Reply(bytes.into())
}

pub(crate) fn close_frame(code: u16) -> Unit {
    let [high, low] = code.to_be_bytes();
    reply(&[0x88, 2, high, low])
}

/// Last words and the end, as a violation gives them.
pub(crate) fn violation(code: u16, malformed: Malformed) -> [Unit; 2] {
    [close_frame(code), Unit::Malformed(malformed)]
}

/// A client as the gateway keeps it: its codec and the rest of its input.
pub(crate) struct Conn<C> {
    pub codec: C,
    pub units: Vec<Unit>,
    pub rest: Vec<u8>,
    limits: Limits,
    ended: bool,
}

impl<C: Codec> Conn<C> {
    pub(crate) fn new(codec: C, limits: Limits) -> Self {
        Self { codec, units: Vec::new(), rest: Vec::new(), limits, ended: false }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while !self.ended {
            let mut answer = Vec::new();
            let decoded = self.codec.decode(&self.limits, &mut self.rest, &mut answer);
            let (consumed, unit) = match decoded {
                Decoded::NeedMore { consumed } => (consumed, None),
                Decoded::Message { consumed, body, kind } => {
                    assert!(consumed > 0, "a message out of nothing");
                    (consumed, Some(Unit::Message(body.to_vec(), kind)))
                }
                Decoded::Deflated { consumed, payload, kind } => {
                    (consumed, Some(Unit::Deflated(payload.to_vec(), kind)))
                }
                Decoded::Handshake { consumed, request } => {
                    (consumed, Some(Unit::Handshake(request.target().to_vec())))
                }
                Decoded::Close { consumed } => (consumed, Some(Unit::Close)),
                Decoded::Malformed(malformed) => (0, Some(Unit::Malformed(malformed))),
            };
            if !answer.is_empty() {
                self.reply(&answer);
            }
            self.rest.drain(..consumed);
            self.ended = matches!(unit, Some(Unit::Close | Unit::Malformed(_)));
            match unit {
                Some(unit) => self.units.push(unit),
                None => break,
            }
        }
    }

    /// Replies without a unit in between are one reply, however the input was cut.
    fn reply(&mut self, answer: &[u8]) {
        if let Some(Unit::Reply(last)) = self.units.last_mut() {
            last.extend_from_slice(answer);
        } else {
            self.units.push(reply(answer));
        }
    }
}

/// What comes of input in these pieces.
pub(crate) fn run_pieces<'p, C: Codec + Default>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Unit> {
    let mut conn = Conn::new(C::default(), limits);
    pieces.into_iter().for_each(|piece| conn.receive(piece));
    conn.units
}

/// What comes of `input`, which must be the same whole and byte by byte.
pub(crate) fn run<C: Codec + Default>(limits: Limits, input: &[u8]) -> Vec<Unit> {
    let whole = run_pieces::<C>(limits, [input]);
    assert_eq!(run_pieces::<C>(limits, input.chunks(1)), whole, "byte by byte");
    whole
}

/// `input` cut into pieces of these sizes, over and over.
pub(crate) fn cut<'a>(input: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    for size in sizes.iter().cycle() {
        if rest.is_empty() || sizes.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*size).clamp(1, rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// The smallest request that is accepted.
pub(crate) const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What comes of these frames behind a handshake.
pub(crate) fn run_frames(frames: &[u8]) -> Vec<Unit> {
    run_frames_within(LIMITS, frames)
}

/// The same with another limit.
pub(crate) fn run_frames_within(limits: Limits, frames: &[u8]) -> Vec<Unit> {
    let mut units = run::<WebsocketCodec>(limits, &[REQUEST, frames].concat());
    assert_eq!(units.remove(0), Unit::Handshake(b"/".to_vec()));
    units
}
