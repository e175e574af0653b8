//! The bytes that a PHP gateway exchanged with its clients.

use ringway_protocol::client::text::{Text, TextCodec};
use ringway_protocol::client::websocket::{Websocket, WebsocketCodec};
use ringway_protocol::client::{Codec, Decoded, Kind, Protocol};

use crate::harness::LIMITS;

/// The lines of a capture that one side sent at once.
struct Turn {
    from_client: bool,
    bytes: Vec<u8>,
}

fn turns(capture: &str) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for line in capture.lines() {
        match line {
            "client >" => turns.push(Turn { from_client: true, bytes: Vec::new() }),
            "client <" => turns.push(Turn { from_client: false, bytes: Vec::new() }),
            _ => {
                let Some(dump) = line.strip_prefix("    ") else { continue };
                let hex = &dump[6..54.min(dump.len())];
                let bytes = hex
                    .split_ascii_whitespace()
                    .map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits"));
                turns.last_mut().expect("a side is named before its bytes").bytes.extend(bytes);
            }
        }
    }
    turns
}

/// Echoes as the captured application did: every message as text.
fn echo(protocol: &impl Protocol, codec: &mut impl Codec, mut input: &mut [u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let mut reply = Vec::new();
        let consumed = match codec.decode(&LIMITS, input, &mut reply) {
            Decoded::NeedMore { consumed } => {
                out.extend(reply);
                assert_eq!(consumed, input.len());
                return out;
            }
            Decoded::Message { consumed, body, .. } => {
                out.extend(reply);
                protocol.encode(body, Kind::Text, &mut out);
                consumed
            }
            Decoded::Handshake { consumed, request } => {
                request.accept(&[], &mut out);
                consumed
            }
            Decoded::Close { consumed } => {
                out.extend(reply);
                assert_eq!(consumed, input.len());
                return out;
            }
            Decoded::Deflated { .. } => panic!("nobody agreed to compression"),
            Decoded::Malformed(malformed) => panic!("{malformed}"),
        };
        input = &mut input[consumed..];
    }
}

/// Each turn of the client with PHP's answer, and with ours.
fn answers(capture: &str, protocol: &impl Protocol, mut codec: impl Codec) -> Vec<[Vec<u8>; 3]> {
    let turns = turns(capture);
    let pairs = turns.chunks(2).map(|pair| {
        let [question, answer] = pair else { panic!("an unanswered turn") };
        assert!(question.from_client && !answer.from_client);
        let ours = echo(protocol, &mut codec, &mut question.bytes.clone());
        [question.bytes.clone(), answer.bytes.clone(), ours]
    });
    pairs.collect()
}

#[test]
fn websocket() {
    let capture = include_str!("../golden/client-websocket.txt");
    let mut answers = answers(capture, &Websocket::default(), WebsocketCodec::default());
    // PHP answers 1000 to whatever a client closes with; we answer with the client's code, 4001 here.
    let [close, php, ours] = answers.pop().unwrap();
    assert_eq!(close, b"\x88\x82\x01\x02\x03\x04\x0e\xa3");
    assert_eq!((&php[..], &ours[..]), (&b"\x88\x02\x03\xe8"[..], &b"\x88\x02\x0f\xa1"[..]));
    assert_eq!(answers.len(), 4);
    answers.iter().for_each(|[_, php, ours]| assert_eq!(php, ours));
}

#[test]
fn text() {
    let answers = answers(include_str!("../golden/client-text.txt"), &Text, TextCodec::default());
    assert_eq!(answers.len(), 3);
    answers.iter().for_each(|[_, php, ours]| assert_eq!(php, ours));
}
