//! What clients speak: websocket, text, frame, tcp.

use std::hint::black_box;

use protocol::client::frame::{Frame, FrameCodec};
use protocol::client::tcp::{Tcp, TcpCodec};
use protocol::client::text::{Text, TextCodec};
use protocol::client::websocket::client::{BINARY, PING, TEXT, encode_frame};
use protocol::client::websocket::{Websocket, WebsocketCodec};
use protocol::client::{Codec, Decoded, Kind, Limits, Protocol};

use crate::meter::{Bench, MANY};

/// What a browser sends.
pub(crate) const HANDSHAKE: &[u8] = b"GET /chat?room=lobby HTTP/1.1\r\n\
    Host: chat.example.com:8282\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=5f1d7a2e9b3c4d6f8a0b1c2d3e4f5a6b\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const LIMITS: Limits = Limits::new(10_485_760);

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// First byte of the first frame of a text message in several.
const TEXT_BEGINS: u8 = 0x01;
/// First byte of a frame in the middle of one.
const GOES_ON: u8 = 0x00;
/// First byte of the last one.
const ENDS: u8 = 0x80;

pub(crate) fn benches() -> Vec<Bench> {
    let mut benches = vec![handshake()];
    for (size, in_words) in [(64, "64 B"), (1024, "1 KiB"), (65_536, "64 KiB")] {
        let body = text(size);
        benches.push(websocket(format!("decode text, {in_words}"), masked(TEXT, &body)));
        benches.push(encode("websocket", in_words, &Websocket::default(), &body));
    }
    let body = text(1024);
    benches.push(websocket("decode binary, 1 KiB".into(), masked(BINARY, &body)));
    benches.push(websocket("decode text in 4 frames, 1 KiB".into(), fragments(&body)));
    benches.push(websocket("decode and answer ping, 16 B".into(), masked(PING, &body[..16])));
    let small = text(64);
    benches.push(encode("text", "64 B", &Text, &small));
    benches.push(encode("frame", "64 B", &Frame, &small));
    benches.push(encode("tcp", "64 B", &Tcp, &small));
    benches.push(decode("codec/text decode, 64 B", TextCodec::default, encoded(&Text, &small)));
    benches.push(decode("codec/frame decode, 64 B", FrameCodec::default, encoded(&Frame, &small)));
    benches.push(decode("codec/tcp decode, 64 B", TcpCodec::default, encoded(&Tcp, &small)));
    benches
}

/// The request of a browser, read and answered.
fn handshake() -> Bench {
    Bench::new("codec/websocket handshake", MANY, |meter| {
        let mut reply = Vec::new();
        meter.each(
            || HANDSHAKE.to_vec(),
            |input| {
                reply.clear();
                let mut codec = WebsocketCodec::default();
                match codec.decode(&LIMITS, input, &mut Vec::new()) {
                    Decoded::Handshake { request, .. } => request.accept(&[], &mut reply),
                    other => panic!("not a handshake: {other:?}"),
                }
            },
        );
    })
}

fn websocket(what: String, input: Vec<u8>) -> Bench {
    let open = || {
        let mut codec = WebsocketCodec::default();
        let mut request = HANDSHAKE.to_vec();
        let opened = codec.decode(&LIMITS, &mut request, &mut Vec::new());
        assert!(matches!(opened, Decoded::Handshake { .. }), "a browser's request is accepted");
        codec
    };
    decode(format!("codec/websocket {what}"), open, input)
}

/// `input`, which is whole messages, until the codec wants more, as the shard calls it.
fn decode<C: Codec + 'static>(name: impl Into<String>, open: fn() -> C, input: Vec<u8>) -> Bench {
    Bench::new(name, MANY, move |meter| {
        let (mut codec, mut reply) = (open(), Vec::new());
        meter.each(
            || input.clone(),
            |input| {
                reply.clear();
                let mut done = 0;
                loop {
                    match codec.decode(&LIMITS, &mut input[done..], &mut reply) {
                        Decoded::Message { consumed, body, .. } => {
                            black_box(body);
                            done += consumed;
                        }
                        Decoded::NeedMore { consumed } => {
                            assert_eq!(done + consumed, input.len(), "whole messages");
                            break;
                        }
                        other => panic!("not a message: {other:?}"),
                    }
                }
            },
        );
    })
}

/// A message whose sender did not say whether it is text.
fn encode(protocol_name: &str, size: &str, protocol: &(impl Protocol + Copy), body: &[u8]) -> Bench {
    let (protocol, body) = (*protocol, body.to_vec());
    Bench::new(format!("codec/{protocol_name} encode, {size}"), MANY, move |meter| {
        let mut out = Vec::new();
        meter.each(
            || (),
            |()| {
                out.clear();
                protocol.encode(black_box(&body), Kind::Unspecified, &mut out);
            },
        );
    })
}

fn encoded(protocol: &impl Protocol, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    protocol.encode(body, Kind::Unspecified, &mut out);
    out
}

/// A client's frame.
pub(crate) fn masked(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(first, body, MASK, &mut bytes);
    bytes
}

fn fragments(body: &[u8]) -> Vec<u8> {
    let pieces = body.chunks(body.len() / 4);
    let firsts = [TEXT_BEGINS, GOES_ON, GOES_ON, ENDS];
    pieces.zip(firsts).flat_map(|(piece, first)| masked(first, piece)).collect()
}

/// Text of so many bytes, mostly ASCII, as people write.
pub(crate) fn text(size: usize) -> Vec<u8> {
    let mut text = "Grüße aus der Ferne: how are you all today? ".repeat(size / 40 + 1).into_bytes();
    text.truncate(size);
    // The cut may have gone through a character.
    if let Err(error) = str::from_utf8(&text) {
        text.truncate(error.valid_up_to());
    }
    text.resize(size, b'.');
    text
}
