//! What the fuzz targets share: decoding in pieces.
#![forbid(unsafe_code)]

use protocol::client::{Codec, Decoded, Kind, Limits, Malformed};

/// What a codec made of its input, without borrows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unit {
    Message(Vec<u8>, Kind),
    /// Still compressed.
    Deflated(Vec<u8>, Kind),
    /// Method, target, and the response that would accept it.
    Handshake(String, Vec<u8>, Vec<u8>),
    Close,
    Malformed(Malformed),
}

/// A codec's whole conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    pub units: Vec<Unit>,
    pub replies: Vec<u8>,
    /// Bytes that wait for more.
    pub rest: usize,
}

/// Cuts `input` into pieces of 1 to 256 bytes, sized by `cuts` from the start; what is left is one piece.
pub fn pieces<'a>(mut input: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut cuts = cuts.iter();
    std::iter::from_fn(move || {
        let size = cuts.next().map_or(input.len(), |cut| usize::from(*cut) + 1).min(input.len());
        let (piece, rest) = input.split_at(size);
        input = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Feeds `input` to a codec as the gateway does, cut by `cuts`.
pub fn listen(codec: &mut dyn Codec, limits: &Limits, input: &[u8], cuts: &[u8]) -> Heard {
    let (mut heard, mut rest) = (Heard::default(), Vec::new());
    for piece in pieces(input, cuts) {
        rest.extend_from_slice(piece);
        if !hear(codec, limits, &mut rest, &mut heard) {
            // Nothing that follows counts.
            return heard;
        }
    }
    heard.rest = rest.len();
    heard
}

/// Decodes what there is. Returns whether the conversation goes on.
fn hear(codec: &mut dyn Codec, limits: &Limits, rest: &mut Vec<u8>, heard: &mut Heard) -> bool {
    let mut done = 0;
    let goes_on = loop {
        let left = rest.len() - done;
        let consumed = match codec.decode(limits, &mut rest[done..], &mut heard.replies) {
            Decoded::NeedMore { consumed } => {
                assert!(consumed <= left);
                done += consumed;
                break true;
            }
            Decoded::Message { consumed, body, kind } => {
                assert!(body.len() <= limits.package_size_max.max(1));
                heard.units.push(Unit::Message(body.to_vec(), kind));
                consumed
            }
            Decoded::Deflated { consumed, payload, kind } => {
                assert!(payload.len() <= limits.package_size_max.max(1));
                heard.units.push(Unit::Deflated(payload.to_vec(), kind));
                consumed
            }
            Decoded::Handshake { consumed, request } => {
                let mut accepted = Vec::new();
                request.accept(&["X-Extra: 1"], &mut accepted);
                heard.units.push(Unit::Handshake(
                    request.method().into(),
                    request.target().to_vec(),
                    accepted,
                ));
                consumed
            }
            Decoded::Close { consumed } => {
                assert!(consumed <= left);
                heard.units.push(Unit::Close);
                break false;
            }
            Decoded::Malformed(malformed) => {
                heard.units.push(Unit::Malformed(malformed));
                break false;
            }
        };
        assert!((1..=left).contains(&consumed), "a unit takes input, and no more than there is");
        done += consumed;
    };
    rest.drain(..done);
    goes_on
}
