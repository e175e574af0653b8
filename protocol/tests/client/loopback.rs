//! The client's side: by itself, and against the server's.

use proptest::prelude::*;
use ringway_protocol::client::websocket::client::{
    self, Answer, Decoder, Event, decode_answer, encode_close, encode_frame, encode_request,
};
use ringway_protocol::client::websocket::{Websocket, WebsocketCodec};
use ringway_protocol::client::{Codec, Decoded, Kind, Malformed, Protocol};

use crate::harness::{LIMITS, Unit, binary, cut, text};

const NONCE: [u8; 16] = *b"the sample nonce";

/// What a client sees in pieces of a server's frames.
fn run_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Unit> {
    let (mut decoder, mut rest, mut units) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces {
        rest.extend_from_slice(piece);
        loop {
            let (consumed, unit) = match decoder.decode(1 << 16, &mut rest) {
                Event::NeedMore { consumed } => {
                    rest.drain(..consumed);
                    break;
                }
                Event::Message { consumed, body, kind } => (consumed, Unit::Message(body.to_vec(), kind)),
                Event::Ping { consumed, payload } => (consumed, Unit::Reply([b"ping ", payload].concat())),
                Event::Pong { consumed, payload } => (consumed, Unit::Reply([b"pong ", payload].concat())),
                Event::Close { consumed, code } => {
                    units.push(Unit::Reply(format!("{code:?}").into_bytes()));
                    (consumed, Unit::Close)
                }
                Event::Malformed(malformed) => {
                    units.push(Unit::Malformed(malformed));
                    return units;
                }
            };
            rest.drain(..consumed);
            units.push(unit);
        }
    }
    units
}

fn run(input: &[u8]) -> Vec<Unit> {
    let units = run_pieces([input]);
    assert_eq!(run_pieces(input.chunks(1)), units, "byte by byte");
    units
}

/// RFC 6455 §5.7, the frames that a server may send.
#[test]
fn examples_of_the_rfc() {
    assert_eq!(run(b"\x81\x05Hello"), [text("Hello")]);
    assert_eq!(run(b"\x01\x03Hel\x80\x02lo"), [text("Hello")]);
    assert_eq!(run(b"\x89\x05Hello"), [Unit::Reply(b"ping Hello".to_vec())]);
    assert_eq!(run(&[b"\x82\x7e\x01\x00", &[5; 256][..]].concat()), [binary(&[5; 256])]);
}

#[test]
fn servers_are_not_trusted() {
    assert_eq!(run(b"\x81\x85\0\0\0\0Hello"), [Unit::Malformed(Malformed::Protocol)]);
    assert_eq!(run(b"\x82\x7f\0\0\0\0\0\x01\0\0"), [Unit::Malformed(Malformed::TooLarge)]);
    assert_eq!(run(b"\x81\x01\xff"), [Unit::Malformed(Malformed::Utf8)]);
    assert_eq!(run(b"\x88\x01\x03"), [Unit::Malformed(Malformed::Protocol)]);
    assert_eq!(run(b"\x88\0"), [Unit::Reply(b"None".to_vec()), Unit::Close]);
    assert_eq!(run(b"\x88\x02\x03\xf5"), [Unit::Reply(b"Some(1013)".to_vec()), Unit::Close]);
}

#[test]
fn answers_to_a_handshake() {
    let mut input = Vec::new();
    encode_request("localhost:8282", "/chat?room=1", NONCE, &mut input);
    assert!(input.windows(24).any(|window| window == b"dGhlIHNhbXBsZSBub25jZQ=="));
    let mut codec = WebsocketCodec::default();
    let Decoded::Handshake { request, .. } = codec.decode(&LIMITS, &mut input, &mut Vec::new()) else {
        panic!("no handshake");
    };
    let mut answer = Vec::new();
    request.accept(&["X: y"], &mut answer);
    for cut in 0..answer.len() {
        assert_eq!(decode_answer(&answer[..cut], NONCE), Answer::NeedMore);
    }
    let size = answer.len();
    answer.extend_from_slice(b"\x81\x02hi");
    assert_eq!(decode_answer(&answer, NONCE), Answer::Open { consumed: size });
    assert_eq!(decode_answer(&answer, [0; 16]), Answer::Malformed);
    assert_eq!(decode_answer(b"\x81\x02hi", NONCE), Answer::Malformed);
    assert_eq!(decode_answer(&[b"HTTP/1.1 101 ", &[b'x'; 70_000][..]].concat(), NONCE), Answer::Malformed);

    let mut refusal = Vec::new();
    request.refuse(503, &mut refusal);
    assert_eq!(decode_answer(&refusal, NONCE), Answer::Refused { status: 503 });
}

#[test]
fn closing_is_answered() {
    let mut input = crate::harness::REQUEST.to_vec();
    encode_close(4000, [1, 2, 3, 4], &mut input);
    let mut conn = crate::harness::Conn::new(WebsocketCodec::default(), LIMITS);
    conn.receive(&input);
    assert_eq!(conn.units[1..], [crate::harness::close_frame(4000), Unit::Close]);
}

proptest! {
    #[test]
    fn what_one_side_sends_the_other_reads(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        mask: [u8; 4],
        sizes in prop::collection::vec(1usize..200, 1..5),
    ) {
        let mut to_client = Vec::new();
        let mut to_server = crate::harness::REQUEST.to_vec();
        for body in &bodies {
            Websocket::default().encode(body, Kind::Binary, &mut to_client);
            encode_frame(client::BINARY, body, mask, &mut to_server);
        }
        let expected: Vec<_> = bodies.iter().map(|body| binary(body)).collect();
        prop_assert_eq!(&run_pieces(cut(&to_client, &sizes)), &expected);
        let units = crate::harness::run_pieces::<WebsocketCodec>(LIMITS, cut(&to_server, &sizes));
        prop_assert_eq!(&units[1..], &expected);
    }

    #[test]
    fn anything_may_come_from_a_server(
        input in prop::collection::vec(prop_oneof![Just(0x81u8), Just(1), Just(0x80), 0..9u8, any::<u8>()], 0..200),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        prop_assert_eq!(run_pieces(cut(&input, &sizes)), run(&input));
    }

    #[test]
    fn any_answer_may_come(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut answer = b"HTTP/1.1 ".to_vec();
        answer.extend(input);
        let decoded = decode_answer(&answer, NONCE);
        let open = matches!(decoded, Answer::Open { .. });
        prop_assert!(!open);
    }
}
