//! Text is UTF-8, and what is not is found as soon as it can be. Autobahn's section 6.

use ringway_protocol::client::Malformed;
use ringway_protocol::client::websocket::WebsocketCodec;
use ringway_protocol::client::websocket::client::encode_frame;

use crate::harness::{Conn, LIMITS, REQUEST, Unit, run_frames, text, violation};

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(first, payload, [1, 0x82, 3, 0x84], &mut out);
    out
}

/// In one frame, and cut into two fragments at every place.
fn check(body: &[u8]) {
    let expected = match std::str::from_utf8(body) {
        Ok(body) => vec![text(body)],
        Err(_) => violation(1007, Malformed::Utf8).to_vec(),
    };
    assert_eq!(run_frames(&frame(0x81, body)), expected, "{body:x?}");
    for cut in 0..=body.len() {
        let (front, back) = body.split_at(cut);
        let input = [frame(0x01, front), frame(0x80, back)].concat();
        assert_eq!(run_frames(&input), expected, "{body:x?} cut at {cut}");
    }
}

#[test]
fn every_boundary() {
    for code in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10ffff] {
        check(format!("a{}z", char::from_u32(code).unwrap()).as_bytes());
    }
    let bad: [&[u8]; 22] = [
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc2A",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xe1\x80",
        b"\xe1\x80A",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xf1\x80\x80",
        b"\xf1\x80\x80A",
    ];
    for bytes in bad {
        assert!(std::str::from_utf8(bytes).is_err());
        check(bytes);
        check(&[b"\xce\xba", bytes, b"\xce\xba"].concat());
    }
}

#[test]
fn every_pair_of_bytes_behind_a_long_text() {
    // Long enough for vector instructions to be at work.
    let long = "κόσμε ".repeat(12);
    for first in 0x70..=0xffu8 {
        for second in [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff] {
            let body = [long.as_bytes(), &[first, second]].concat();
            let expected = match std::str::from_utf8(&body) {
                Ok(body) => vec![text(body)],
                Err(_) => violation(1007, Malformed::Utf8).to_vec(),
            };
            let (front, back) = body.split_at(body.len() - 1);
            assert_eq!(run_frames(&[frame(0x01, front), frame(0x80, back)].concat()), expected);
        }
    }
}

/// The frame is far from whole when its text cannot become good any more.
#[test]
fn failing_fast() {
    let body = [b"\xce\xba\xf4\x90".as_slice(), &[b'x'; 1000]].concat();
    let mut conn = Conn::new(WebsocketCodec::default(), LIMITS);
    conn.receive(REQUEST);
    let input = frame(0x81, &body);
    let (header, payload) = input.split_at(8);
    conn.receive(header);
    payload[..3].iter().for_each(|byte| conn.receive(&[*byte]));
    assert_eq!(conn.units.len(), 1);
    conn.receive(&payload[3..4]);
    assert_eq!(conn.units[1..], violation(1007, Malformed::Utf8));
}

#[test]
fn binary_may_be_anything() {
    let units = run_frames(&[frame(0x02, b"\xff"), frame(0x80, b"\xc0")].concat());
    assert!(matches!(&units[..], [Unit::Message(body, _)] if body == b"\xff\xc0"));
}
