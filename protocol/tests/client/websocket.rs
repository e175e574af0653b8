//! Frames, as RFC 6455 wants them and as it does not. The numbers are the sections of the Autobahn test suite.

use ringway_protocol::client::websocket::client::encode_frame;
use ringway_protocol::client::websocket::{DefaultType, Websocket, WebsocketCodec};
use ringway_protocol::client::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

use crate::harness::{
    Conn, LIMITS, REQUEST, Unit, binary, close_frame, reply, run_frames, run_frames_within, text, violation,
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Frames of these first bytes and payloads, masked.
fn frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|(first, payload)| encode_frame(*first, payload, MASK, &mut out));
    out
}

fn run(list: &[(u8, &[u8])]) -> Vec<Unit> {
    run_frames(&frames(list))
}

fn violates(list: &[(u8, &[u8])]) {
    assert_eq!(run(list), violation(1002, Malformed::Protocol), "{list:x?}");
}

/// RFC 6455 §5.7, the frames that a client may send.
#[test]
fn examples_of_the_rfc() {
    assert_eq!(run_frames(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [text("Hello")]);
    assert_eq!(
        run_frames(
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        ),
        [reply(b"\x8a\x05Hello")]
    );
    assert_eq!(run(&[(0x01, b"Hel"), (0x80, b"lo")]), [text("Hello")]);
    assert_eq!(run(&[(0x82, &[7; 256])]), [binary(&[7; 256])]);
    assert_eq!(run(&[(0x82, &[7; 65536])]), [binary(&[7; 65536])]);
}

/// 1 and 9.
#[test]
fn sizes_of_messages() {
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1 << 18] {
        let body = "*".repeat(size);
        assert_eq!(run(&[(0x81, body.as_bytes())]), [text(&body)]);
        assert_eq!(run(&[(0x82, body.as_bytes())]), [binary(body.as_bytes())]);
    }
}

/// 2.
#[test]
fn pings() {
    assert_eq!(run(&[(0x89, b"")]), [reply(b"\x8a\0")]);
    assert_eq!(run(&[(0x89, &[0xfe; 125])]), [reply(&[&b"\x8a\x7d"[..], &[0xfe; 125]].concat())]);
    violates(&[(0x89, &[0xfe; 126])]);
    assert_eq!(run(&[(0x8a, b""), (0x8a, b"unasked")]), []);
    let ten = [(0x89u8, &b"x"[..]); 10];
    assert_eq!(run(&ten), [reply(&b"\x8a\x01x".repeat(10))]);
}

/// 3 and 4.
#[test]
fn reserved_bits_and_opcodes() {
    for rsv in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
        violates(&[(0x81 | rsv, b"x")]);
        violates(&[(0x89 | rsv, b"")]);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        violates(&[(0x80 | opcode, b"")]);
        violates(&[(opcode, b"x")]);
    }
    let units = run(&[(0x81, b"a"), (0x83, b""), (0x81, b"b")]);
    assert_eq!(units, [&[text("a")][..], &violation(1002, Malformed::Protocol)].concat());
}

/// 5.
#[test]
fn fragments() {
    assert_eq!(run(&[(0x02, b"\xff"), (0x00, b""), (0x80, b"\xfe")]), [binary(b"\xff\xfe")]);
    assert_eq!(run(&[(0x01, b""), (0x00, b""), (0x80, b"")]), [text("")]);
    assert_eq!(
        run(&[(0x01, b"a"), (0x89, b"mid"), (0x00, b"b"), (0x8a, b""), (0x80, b"c"), (0x81, b"d")]),
        [reply(b"\x8a\x03mid"), text("abc"), text("d")]
    );
    violates(&[(0x80, b"x")]);
    violates(&[(0x00, b"x")]);
    violates(&[(0x01, b"a"), (0x81, b"b")]);
    violates(&[(0x01, b"a"), (0x02, b"b")]);
    violates(&[(0x09, b"")]);
    violates(&[(0x08, b"")]);
    let units = run(&[(0x01, b"a"), (0x80, b"b"), (0x80, b"c")]);
    assert_eq!(units, [&[text("ab")][..], &violation(1002, Malformed::Protocol)].concat());
}

/// 7.
#[test]
fn closing() {
    let closes = |payload: &[u8], code: u16| {
        let units = run(&[(0x88, payload), (0x81, b"late")]);
        assert_eq!(units, [close_frame(code), Unit::Close], "{payload:x?}");
    };
    closes(b"", 1000);
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999u16]
    {
        closes(&code.to_be_bytes(), code);
        closes(&[&code.to_be_bytes()[..], &[b'x'; 123]].concat(), code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535u16] {
        violates(&[(0x88, &code.to_be_bytes())]);
    }
    violates(&[(0x88, b"\x03")]);
    violates(&[(0x88, &[3; 126])]);
    assert_eq!(run(&[(0x88, b"\x03\xe8\xce\xba\xe1\xbd")]), violation(1007, Malformed::Utf8));
    assert_eq!(run(&[(0x01, b"half"), (0x88, b"")]), [close_frame(1000), Unit::Close]);
}

#[test]
fn unmasked_frames() {
    assert_eq!(run_frames(b"\x81\x02hi"), violation(1002, Malformed::Protocol));
    assert_eq!(run_frames(b"\x89\x00"), violation(1002, Malformed::Protocol));
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits::new(200);
    let too_large = violation(1009, Malformed::TooLarge);
    // The header has 8 bytes from a payload of 126 on.
    assert_eq!(run_frames_within(limits, &frames(&[(0x82, &[1; 192])])), [binary(&[1; 192])]);
    assert_eq!(run_frames_within(limits, &frames(&[(0x82, &[1; 193])])), too_large);
    let split = |last: &[u8]| run_frames_within(limits, &frames(&[(0x02, &[1; 150]), (0x80, last)]));
    assert_eq!(split(&[1; 44]), [binary(&[1; 194])]);
    assert_eq!(split(&[1; 45]), too_large);
    // An announcement is enough to be refused, and 2^63 is none.
    assert_eq!(
        run_frames(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd"),
        violation(1009, Malformed::TooLarge)
    );
    assert_eq!(run_frames(b"\x82\xff\x80\0\0\0\0\0\0\0abcd"), violation(1002, Malformed::Protocol));
}

#[test]
fn fragments_are_bounded() {
    let limits = Limits { fragments_max: 3, ..LIMITS };
    let in_frames = |count: usize| {
        let middle = [(0x00, &b""[..]), (0x89, b"?")].into_iter().cycle().take(2 * (count - 2));
        frames(&[(0x02, &b"a"[..])].into_iter().chain(middle).chain([(0x80, &b"z"[..])]).collect::<Vec<_>>())
    };
    assert_eq!(run_frames_within(limits, &in_frames(2)), [binary(b"az")]);
    assert_eq!(run_frames_within(limits, &in_frames(3)), [reply(b"\x8a\x01?"), binary(b"az")]);
    let refused = [reply(b"\x8a\x01?\x8a\x01?\x88\x02\x03\xf0"), Unit::Malformed(Malformed::Fragments)];
    assert_eq!(run_frames_within(limits, &in_frames(4)), refused);
    // Each message has so many, and one in one piece has one.
    let limits = Limits { fragments_max: 1, ..LIMITS };
    let whole = frames(&[(0x82, b"a"), (0x82, b"b")]);
    assert_eq!(run_frames_within(limits, &whole), [binary(b"a"), binary(b"b")]);
}

/// What waits with the gateway is at most a header or a control frame.
#[test]
fn halves_are_taken_over() {
    let mut conn = Conn::new(WebsocketCodec::default(), LIMITS);
    conn.receive(REQUEST);
    for byte in frames(&[(0x02, &[9; 70_000]), (0x80, &[8; 300])]) {
        conn.receive(&[byte]);
        assert!(conn.rest.len() < 14);
    }
    conn.receive(&frames(&[(0x89, &[7; 125])])[..130]);
    assert_eq!(conn.rest.len(), 130);
}

#[test]
fn idle_clients_are_small() {
    assert!(size_of::<WebsocketCodec>() <= 32);
}

/// Native clients with another character set (PHP passes on whatever they send).
#[test]
fn lenient_text_may_be_anything() {
    let gbk = b"\xc4\xe3\xba\xc3";
    for list in [&[(0x81, &gbk[..])][..], &[(0x01, &gbk[..1]), (0x89, b""), (0x80, &gbk[1..])]] {
        let list = [list, &[(0x81, b"\xff"), (0x83, b"")]].concat();
        for size in [1, 3, 1000] {
            let mut conn = Conn::new(
                WebsocketCodec::new(Websocket { lenient_text: true, ..Websocket::default() }),
                LIMITS,
            );
            conn.receive(REQUEST);
            frames(&list).chunks(size).for_each(|piece| conn.receive(piece));
            let messages: Vec<_> =
                conn.units.iter().filter(|unit| matches!(unit, Unit::Message(..))).cloned().collect();
            let text = |body: &[u8]| Unit::Message(body.to_vec(), Kind::Text);
            assert_eq!(messages, [text(gbk), text(b"\xff")]);
            assert_eq!(conn.units[conn.units.len() - 2..], violation(1002, Malformed::Protocol));
        }
    }
    assert_eq!(run(&[(0x81, gbk)]), violation(1007, Malformed::Utf8));
}

/// Whatever came before, and wherever our close frame cut in: the client's own one ends the wait.
#[test]
fn our_close_frame_awaits_the_answer() {
    let message = frames(&[(0x82, &[9; 1000])]);
    let answer = frames(&[(0x81, b"late"), (0x89, b"ping"), (0x88, b"\x03\xe8")]);
    for cut in [0, 1, 5, 8, 500, message.len()] {
        let mut conn = Conn::new(WebsocketCodec::default(), LIMITS);
        conn.receive(REQUEST);
        conn.receive(&message[..cut]);
        let before = conn.units.len();
        conn.codec.begin_close();
        assert!(conn.codec.awaits_close() && !conn.codec.is_open());
        for byte in [&message[cut..], &answer[..answer.len() - 1]].concat() {
            conn.receive(&[byte]);
            assert!(conn.rest.is_empty());
        }
        assert_eq!((conn.units.len(), conn.codec.awaits_close()), (before, true), "cut at {cut}");
        conn.receive(&answer[answer.len() - 1..]);
        assert_eq!(conn.units.last(), Some(&Unit::Close));
        assert!(!conn.codec.awaits_close());
    }
}

#[test]
fn who_is_thrown_out_may_still_answer() {
    let leaves = |list: &[(u8, &[u8])], answered: bool| {
        let mut conn = Conn::new(WebsocketCodec::default(), Limits::new(200));
        conn.receive(REQUEST);
        conn.receive(&frames(list));
        assert!(matches!(conn.units.last(), Some(Unit::Malformed(_))), "{list:x?}");
        assert_eq!(conn.codec.awaits_close(), !answered, "{list:x?}");
        let mut answer = frames(&[(0x88, b"")]);
        let decoded = conn.codec.decode(&LIMITS, &mut answer, &mut Vec::new());
        assert!(answered || matches!(decoded, Decoded::Close { .. }), "{list:x?}");
    };
    for (first, payload) in [(0x83, &b"x"[..]), (0xf1, b"x"), (0x80, b""), (0x82, &[1; 300]), (0x81, b"\xff")]
    {
        leaves(&[(0x82, b"before"), (first, payload)], false);
        leaves(&[(0x82, b"before"), (first, payload), (0x81, b"behind"), (0x88, b"")], true);
    }
    // A text that ends within a character.
    leaves(&[(0x01, b"\xce"), (0x80, b"\xff"), (0x82, b"behind")], false);
    leaves(&[(0x88, b"\x03")], true);
    leaves(&[(0x08, b"")], true);
}

#[test]
fn nobody_leaves_who_is_not_open() {
    let mut codec = WebsocketCodec::default();
    codec.begin_close();
    assert!(codec.is_handshaking() && !codec.awaits_close());
}

/// A codec that said goodbye takes nothing seriously any more.
#[test]
fn nothing_follows_the_end() {
    let mut codec = WebsocketCodec::default();
    let mut reply = Vec::new();
    codec.decode(&LIMITS, &mut b"nonsense".to_vec(), &mut reply);
    reply.clear();
    let mut late = REQUEST.to_vec();
    let again = codec.decode(&LIMITS, &mut late, &mut reply);
    assert!(matches!(again, Decoded::NeedMore { consumed } if consumed == REQUEST.len()));
    assert!(reply.is_empty() && !codec.is_open());
}

#[test]
fn outgoing_frames() {
    let encode = |default_type, body: &[u8], kind| {
        let mut out = Vec::new();
        Websocket { default_type, ..Websocket::default() }.encode(body, kind, &mut out);
        out
    };
    assert_eq!(encode(DefaultType::Auto, b"hi", Kind::Unspecified), b"\x81\x02hi");
    assert_eq!(encode(DefaultType::Auto, b"\xff", Kind::Unspecified), b"\x82\x01\xff");
    assert_eq!(encode(DefaultType::Text, b"\xff", Kind::Unspecified), b"\x81\x01\xff");
    assert_eq!(encode(DefaultType::Binary, b"hi", Kind::Unspecified), b"\x82\x02hi");
    assert_eq!(encode(DefaultType::Binary, b"hi", Kind::Text), b"\x81\x02hi");
    assert_eq!(encode(DefaultType::Text, b"hi", Kind::Binary), b"\x82\x02hi");
    assert_eq!(encode(DefaultType::Text, b"", Kind::Text), b"\x81\0");
    assert_eq!(encode(DefaultType::Auto, &[b'x'; 126], Kind::Text)[..4], *b"\x81\x7e\0\x7e");
    assert_eq!(encode(DefaultType::Auto, &[b'x'; 65_536], Kind::Text)[..10], *b"\x81\x7f\0\0\0\0\0\x01\0\0");

    let mut out = Vec::new();
    Websocket::default().encode_close(1001, "", &mut out);
    assert!(Websocket::default().encode_ping(&mut out));
    assert_eq!(out, b"\x88\x02\x03\xe9\x89\0");
}

#[test]
fn default_types_have_names() {
    assert_eq!("auto".parse(), Ok(DefaultType::default()));
    assert_eq!("text".parse(), Ok(DefaultType::Text));
    assert_eq!("binary".parse(), Ok(DefaultType::Binary));
    assert!("Text".parse::<DefaultType>().is_err());
}
