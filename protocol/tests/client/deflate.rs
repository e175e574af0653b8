//! permessage-deflate (RFC 7692), up to what is to be inflated. The numbers are the sections of the Autobahn test suite.

use proptest::prelude::*;
use ringway_protocol::client::websocket::client::encode_frame;
use ringway_protocol::client::websocket::{
    DefaultType, Deflater, Inflater, Websocket, WebsocketCodec, code_of,
};
use ringway_protocol::client::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

use crate::harness::{Conn, LIMITS, Unit, cut, reply, violation};

const WEBSOCKET: Websocket =
    Websocket { compression: true, default_type: DefaultType::Auto, lenient_text: false };

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// "Hello", compressed, as RFC 7692 §7.2.3.1 has it.
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn request(offers: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offers}\r\n"
    )
    .into_bytes()
}

/// What comes behind a handshake that agrees to compression, however the input is cut.
fn run_pieces(frames: &[u8], limits: Limits, sizes: &[usize]) -> Vec<Unit> {
    let input = [&request("Sec-WebSocket-Extensions: permessage-deflate\r\n"), frames].concat();
    let mut conn = Conn::new(WebsocketCodec::new(WEBSOCKET), limits);
    cut(&input, sizes).into_iter().for_each(|piece| conn.receive(piece));
    assert!(matches!(conn.units.remove(0), Unit::Handshake(_)));
    conn.units
}

/// The same of frames of these first bytes and payloads.
fn run(list: &[(u8, &[u8])]) -> Vec<Unit> {
    let mut frames = Vec::new();
    list.iter().for_each(|(first, payload)| encode_frame(*first, payload, MASK, &mut frames));
    let whole = run_pieces(&frames, LIMITS, &[usize::MAX]);
    assert_eq!(run_pieces(&frames, LIMITS, &[1]), whole, "byte by byte");
    whole
}

fn violates(list: &[(u8, &[u8])]) {
    assert_eq!(run(list), violation(1002, Malformed::Protocol), "{list:x?}");
}

fn deflated(payload: &[u8], kind: Kind) -> Unit {
    Unit::Deflated(payload.into(), kind)
}

/// The lines of the answer to a request about extensions.
fn answer(websocket: Websocket, offers: &str) -> (Vec<String>, bool) {
    let (mut codec, mut input, mut out) = (WebsocketCodec::new(websocket), request(offers), Vec::new());
    let Decoded::Handshake { request, .. } = codec.decode(&LIMITS, &mut input, &mut Vec::new()) else {
        panic!("{offers}");
    };
    request.accept(&["X-More: 1"], &mut out);
    let answer = String::from_utf8(out).expect("answers are ASCII");
    assert!(answer.ends_with("\r\nX-More: 1\r\n\r\n"), "{answer}");
    let lines = answer.lines().filter(|line| line.contains("Extensions"));
    (lines.map(str::to_owned).collect(), codec.deflates())
}

/// 13.
#[test]
fn offers_are_answered() {
    const PLAIN: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    const BITS: &str = "; server_max_window_bits=15";
    for (offers, agreed) in [
        // Chromium's, Firefox's, and python-websockets'.
        ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", Some("")),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\n", Some("")),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; client_max_window_bits=12\r\n",
            None,
        ),
        ("sec-websocket-extensions: permessage-deflate; server_max_window_bits=15\r\n", Some(BITS)),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9, permessage-deflate\r\n",
            Some(""),
        ),
        (
            "Sec-WebSocket-Extensions: x-other\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
            Some(""),
        ),
        ("Sec-WebSocket-Extensions: permessage-deflate; more\r\n", None),
        ("", None),
    ] {
        let lines: Vec<String> =
            agreed.map(|parameters| format!("{PLAIN}{parameters}")).into_iter().collect();
        let deflates = !lines.is_empty();
        assert_eq!(answer(WEBSOCKET, offers), (lines, deflates), "{offers}");
        assert_eq!(answer(Websocket::default(), offers), (vec![], false), "{offers}");
    }
}

#[test]
fn the_first_frame_of_a_message_says_that_it_is_compressed() {
    assert_eq!(run(&[(0xc1, HELLO)]), [deflated(HELLO, Kind::Text)]);
    assert_eq!(run(&[(0xc2, HELLO)]), [deflated(HELLO, Kind::Binary)]);
    // RFC 7692 §7.2.3.1, in two fragments, with a control frame between them.
    let fragments: [(u8, &[u8]); 3] = [(0x41, &HELLO[..3]), (0x89, b"?"), (0x80, &HELLO[3..])];
    assert_eq!(run(&fragments), [reply(b"\x8a\x01?"), deflated(HELLO, Kind::Text)]);
    // A fragment may be empty, and the next message is not compressed.
    let list: [(u8, &[u8]); 4] = [(0x42, b""), (0x00, HELLO), (0x80, b""), (0x81, b"plain")];
    assert_eq!(run(&list), [deflated(HELLO, Kind::Binary), Unit::Message(b"plain".into(), Kind::Text)]);
}

#[test]
fn elsewhere_the_bit_breaks_the_protocol() {
    violates(&[(0x41, HELLO), (0xc0, b"")]);
    violates(&[(0xc0, HELLO)]);
    violates(&[(0x01, b"a"), (0xc0, b"b")]);
    for control in [0xc8, 0xc9, 0xca] {
        violates(&[(control, b"")]);
    }
    for other in [0xa1, 0x91, 0xe1, 0xf2] {
        violates(&[(other, HELLO)]);
    }
    let mut frame = Vec::new();
    encode_frame(0xc1, HELLO, MASK, &mut frame);
    let mut conn = Conn::new(WebsocketCodec::new(WEBSOCKET), LIMITS);
    conn.receive(&request(""));
    conn.receive(&frame);
    assert_eq!(conn.units[1..], violation(1002, Malformed::Protocol), "nothing was agreed upon");
}

#[test]
fn what_is_compressed_is_bounded_as_it_comes() {
    let limits = Limits::new(20);
    let mut frames = Vec::new();
    encode_frame(0xc2, &[0; 21], MASK, &mut frames);
    assert_eq!(run_pieces(&frames, limits, &[usize::MAX]), violation(1009, Malformed::TooLarge));
}

fn inflated(payload: &[u8], kind: Kind, websocket: Websocket) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    websocket.inflate(&mut Inflater::default(), (payload, kind), 1 << 20, &mut out).map(|()| out)
}

#[test]
fn text_is_judged_when_it_is_inflated() {
    let mut payload = Vec::new();
    Deflater::new(1).deflate(b"\xc4\xe3\xba\xc3", &mut payload);
    assert_eq!(inflated(&payload, Kind::Text, WEBSOCKET), Err(Malformed::Utf8));
    assert!(inflated(&payload, Kind::Binary, WEBSOCKET).is_ok());
    assert!(inflated(&payload, Kind::Text, Websocket { lenient_text: true, ..WEBSOCKET }).is_ok());
    assert_eq!(inflated(HELLO, Kind::Text, WEBSOCKET).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(inflated(b"\xff", Kind::Text, WEBSOCKET), Err(Malformed::Compression));
    assert_eq!(
        [Malformed::Utf8, Malformed::Compression, Malformed::TooLarge].map(code_of),
        [1007, 1007, 1009]
    );
}

#[test]
fn frames_that_go_out() {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    WEBSOCKET.encode(b"Hello", Kind::Text, &mut plain);
    assert_eq!(plain, b"\x81\x05Hello");
    WEBSOCKET.encode_deflated(b"Hello", HELLO, Kind::Unspecified, &mut out);
    assert_eq!(out, [&[0xc1, 0x07], HELLO].concat());
    out.clear();
    WEBSOCKET.encode_deflated(b"\xff", HELLO, Kind::Unspecified, &mut out);
    assert_eq!(out, [&[0xc2, 0x07], HELLO].concat());
}

/// 12, where all of it is sent in one frame, and in frames of 256, 1024, 4096 and 32768 bytes.
#[test]
fn sizes_of_messages() {
    let (mut deflater, mut inflater) = (Deflater::new(6), Inflater::default());
    for (size, kind) in [16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072]
        .into_iter()
        .flat_map(|size| [(size, Kind::Text), (size, Kind::Binary)])
    {
        let message: Vec<u8> = (0..size).map(|index| b'a' + (index * index / 7 % 23) as u8).collect();
        let (mut payload, mut out) = (Vec::new(), Vec::new());
        deflater.deflate(&message, &mut payload);
        for fragment_size in [256, 1024, 4096, 32_768, usize::MAX] {
            let frames = fragments(&payload, kind, &[fragment_size]);
            let units = run_pieces(&frames, LIMITS, &[usize::MAX]);
            assert_eq!(units, [deflated(&payload, kind)], "{size} in {fragment_size}");
        }
        WEBSOCKET.inflate(&mut inflater, (&payload, kind), size, &mut out).unwrap();
        assert_eq!(out, message);
    }
}

/// A compressed message in frames of these sizes.
fn fragments(payload: &[u8], kind: Kind, sizes: &[usize]) -> Vec<u8> {
    let opcode = if kind == Kind::Text { 1 } else { 2 };
    let pieces = cut(payload, sizes);
    let mut frames = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let first = if index == 0 { 0x40 | opcode } else { 0 };
        let fin = if index + 1 == pieces.len() { 0x80 } else { 0 };
        encode_frame(fin | first, piece, MASK, &mut frames);
    }
    frames
}

proptest! {
    #[test]
    fn any_message_in_any_fragments_and_reads_comes_back(
        message in prop::collection::vec(prop::sample::select(b"aaabc\xc3".to_vec()), 0..3000),
        fragment_sizes in prop::collection::vec(1usize..400, 1..5),
        read_sizes in prop::collection::vec(1usize..400, 1..5),
        level in 1u32..=9,
    ) {
        let (mut payload, mut out) = (Vec::new(), Vec::new());
        Deflater::new(level).deflate(&message, &mut payload);
        let frames = fragments(&payload, Kind::Binary, &fragment_sizes);
        let units = run_pieces(&frames, LIMITS, &read_sizes);
        prop_assert_eq!(&units, &[deflated(&payload, Kind::Binary)]);
        WEBSOCKET.inflate(&mut Inflater::default(), (&payload, Kind::Binary), message.len(), &mut out).unwrap();
        prop_assert_eq!(out, message);
    }
}
