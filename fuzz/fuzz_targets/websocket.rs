//! The websocket codecs of both sides: the same frames whole and in pieces; and what is compressed of them, inflated.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use protocol::client::websocket::{Deflater, Inflater, Websocket, WebsocketCodec};
use protocol::client::websocket::client::{Decoder, Event, encode_frame, encode_request};
use protocol::client::{Kind, Limits};
use ringway_fuzz::{Unit, listen, pieces};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cuts: &'a [u8],
    package_size_max: u16,
    inflated_size_max: u16,
    /// The client may compress, and does.
    compression: bool,
    parts: Vec<Part<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Part<'a> {
    /// A client's frame: any first byte, the length and the mask as they should be.
    Frame {
        first: u8,
        mask: [u8; 4],
        payload: &'a [u8],
    },
    Raw(&'a [u8]),
}

fuzz_target!(|input: Input<'_>| {
    let limits = Limits::new(input.package_size_max.into());
    let mut frames = Vec::new();
    for part in &input.parts {
        match part {
            Part::Frame { first, mask, payload } => encode_frame(*first, payload, *mask, &mut frames),
            Part::Raw(bytes) => frames.extend_from_slice(bytes),
        }
    }
    let websocket = Websocket { compression: input.compression, ..Websocket::default() };
    let mut bytes = Vec::new();
    encode_request("localhost", "/", [7; 16], &mut bytes);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    bytes.extend_from_slice(&frames);
    let whole = listen(&mut WebsocketCodec::new(websocket), &limits, &bytes, &[]);
    assert_same(&whole, &listen(&mut WebsocketCodec::new(websocket), &limits, &bytes, input.cuts));
    for unit in &whole.units {
        if let Unit::Deflated(payload, kind) = unit {
            inflate(&websocket, payload, *kind, input.inflated_size_max.into());
        }
    }
    assert_eq!(client_side(&limits, &frames, &[]), client_side(&limits, &frames, input.cuts));
});

/// What is inflated is bounded, and can be compressed and inflated again.
fn inflate(websocket: &Websocket, payload: &[u8], kind: Kind, size_max: usize) {
    let (mut inflater, mut message) = (Inflater::default(), Vec::new());
    if websocket.inflate(&mut inflater, (payload, kind), size_max, &mut message).is_err() {
        assert!(message.capacity() <= 2 * size_max + 8192);
        return;
    }
    assert!(message.len() <= size_max);
    let (mut again, mut payload) = (Vec::new(), Vec::new());
    Deflater::new(6).deflate(&message, &mut payload);
    websocket.inflate(&mut inflater, (&payload, kind), size_max, &mut again).expect("it is ours");
    assert_eq!(again, message);
}

fn assert_same(whole: &ringway_fuzz::Heard, cut: &ringway_fuzz::Heard) {
    assert_eq!((&whole.units, &whole.replies), (&cut.units, &cut.replies));
}

#[derive(PartialEq, Debug)]
enum Said {
    Message(Vec<u8>, Kind),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    Malformed,
}

/// What a client makes of the same bytes.
fn client_side(limits: &Limits, input: &[u8], cuts: &[u8]) -> Vec<Said> {
    let (mut decoder, mut said, mut rest) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces(input, cuts) {
        rest.extend_from_slice(piece);
        loop {
            let (consumed, event) = match decoder.decode(limits.package_size_max, &mut rest) {
                Event::NeedMore { consumed } => {
                    rest.drain(..consumed);
                    break;
                }
                Event::Message { consumed, body, kind } => (consumed, Said::Message(body.to_vec(), kind)),
                Event::Ping { consumed, payload } => (consumed, Said::Ping(payload.to_vec())),
                Event::Pong { consumed, payload } => (consumed, Said::Pong(payload.to_vec())),
                Event::Close { code, .. } => {
                    said.push(Said::Close(code));
                    return said;
                }
                Event::Malformed(_) => {
                    said.push(Said::Malformed);
                    return said;
                }
            };
            said.push(event);
            rest.drain(..consumed);
        }
    }
    said
}
