//! Text, frame and tcp.

use proptest::prelude::*;
use ringway_protocol::client::frame::{Frame, FrameCodec};
use ringway_protocol::client::tcp::{Tcp, TcpCodec};
use ringway_protocol::client::text::{Text, TextCodec};
use ringway_protocol::client::{Codec, Kind, Limits, Malformed, Protocol};

use crate::harness::{LIMITS, Unit, cut, run, run_pieces};

const SMALL: Limits = Limits::new(8);

fn message(body: &[u8]) -> Unit {
    Unit::Message(body.into(), Kind::Unspecified)
}

fn encode(protocol: &impl Protocol, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    bodies.iter().for_each(|body| protocol.encode(body, Kind::Unspecified, &mut out));
    out
}

#[test]
fn text_lines() {
    let units = run::<TextCodec>(LIMITS, b"one\ntwo\r\n\n\r\n\rthree\r\r\r\nrest");
    assert_eq!(units, [&b"one"[..], b"two", b"", b"", b"\rthree"].map(message));
}

#[test]
fn text_lines_are_bounded() {
    assert_eq!(run::<TextCodec>(SMALL, b"1234567\n"), [message(b"1234567")]);
    assert_eq!(run::<TextCodec>(SMALL, b"1234567"), []);
    assert_eq!(run::<TextCodec>(SMALL, b"12345678"), [Unit::Malformed(Malformed::TooLarge)]);
    assert_eq!(run::<TextCodec>(SMALL, b"12345678\n"), [Unit::Malformed(Malformed::TooLarge)]);
    assert_eq!(
        run::<TextCodec>(SMALL, b"a\n123456789"),
        [message(b"a"), Unit::Malformed(Malformed::TooLarge)]
    );
}

#[test]
fn text_goes_out_as_it_is() {
    assert_eq!(encode(&Text, &[b"a\nb".to_vec(), Vec::new()]), b"a\nb\n\n");
}

#[test]
fn frames_count_their_own_length() {
    let units = run::<FrameCodec>(LIMITS, b"\0\0\0\x07abc\0\0\0\x04\0\0\0\x05z\0\0\0\x06z");
    assert_eq!(units, [&b"abc"[..], b"", b"z"].map(message));
    assert_eq!(encode(&Frame, &[b"abc".to_vec(), Vec::new()]), b"\0\0\0\x07abc\0\0\0\x04");
}

#[test]
fn frames_are_bounded_by_their_header() {
    assert_eq!(run::<FrameCodec>(SMALL, b"\0\0\0\x081234"), [message(b"1234")]);
    assert_eq!(run::<FrameCodec>(SMALL, b"\0\0\0\x09"), [Unit::Malformed(Malformed::TooLarge)]);
    assert_eq!(run::<FrameCodec>(SMALL, b"\xff\xff\xff\xff"), [Unit::Malformed(Malformed::TooLarge)]);
    for size in 0..4 {
        assert_eq!(run::<FrameCodec>(SMALL, &[0, 0, 0, size]), [Unit::Malformed(Malformed::Protocol)]);
    }
}

#[test]
fn tcp_takes_reads_as_they_come() {
    assert_eq!(run_pieces::<TcpCodec>(LIMITS, [&b"ab"[..], b"c"]), [message(b"ab"), message(b"c")]);
    assert_eq!(run_pieces::<TcpCodec>(SMALL, [&b"123456789"[..]]), [message(b"12345678"), message(b"9")]);
    assert_eq!(encode(&Tcp, &[b"ab".to_vec(), b"c".to_vec()]), b"abc");
}

#[test]
fn only_websocket_pings_and_says_goodbye() {
    let mut out = Vec::new();
    assert!(!Text.encode_ping(&mut out) && !Frame.encode_ping(&mut out) && !Tcp.encode_ping(&mut out));
    Text.encode_close(1001, "", &mut out);
    assert_eq!(out, b"");
    assert!(TextCodec::default().is_open());
}

fn same_however_cut<C: Codec + Default>(input: &[u8], sizes: &[usize]) -> Vec<Unit> {
    let units = run::<C>(Limits::new(64), input);
    assert_eq!(run_pieces::<C>(Limits::new(64), cut(input, sizes)), units);
    units
}

proptest! {
    #[test]
    fn frames_come_back(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..10),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        let units = same_however_cut::<FrameCodec>(&encode(&Frame, &bodies), &sizes);
        prop_assert_eq!(units, bodies.iter().map(|body| message(body)).collect::<Vec<_>>());
    }

    #[test]
    fn lines_come_back(
        bodies in prop::collection::vec("[a-z\r]{0,50}[a-z]", 0..10),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        let bodies: Vec<Vec<u8>> = bodies.into_iter().map(String::into_bytes).collect();
        let units = same_however_cut::<TextCodec>(&encode(&Text, &bodies), &sizes);
        prop_assert_eq!(units, bodies.iter().map(|body| message(body)).collect::<Vec<_>>());
    }

    #[test]
    fn anything_goes_in(
        input in prop::collection::vec(prop_oneof![Just(0u8), Just(b'\n'), 0..20u8, any::<u8>()], 0..300),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        same_however_cut::<FrameCodec>(&input, &sizes);
        same_however_cut::<TextCodec>(&input, &sizes);
        let read = run_pieces::<TcpCodec>(SMALL, cut(&input, &sizes));
        let bytes = read.iter().flat_map(|unit| match unit {
            Unit::Message(body, _) => body.clone(),
            other => panic!("{other:?}"),
        });
        prop_assert!(bytes.eq(input));
    }
}
