//! Messages that clients send and get compressed (RFC 7692).

mod world;

use std::sync::LazyLock;

use gateway_core::Settings;
use gateway_core::config::{COPY_MAX, EVERYBODY_DIRECT_MAX, FANOUT_SENDS_MAX};
use protocol::client::websocket::client::encode_frame;
use protocol::client::websocket::{Deflater, Inflater};
use protocol::inner::{Cmd, FLAG_RAW, FLAG_SCALAR, Frame};
use world::{World, frame_bytes, listen, to_client};

/// Text that becomes smaller, of more bytes than are copied into queues even then.
static BODY: LazyLock<String> = LazyLock::new(|| {
    (0..COPY_MAX).map(|index| format!("{{\"id\":{},\"on\":true}}", index * index)).collect()
});

const FIRST_DEFLATED_TEXT: u8 = 0xc1;
const FIRST_DEFLATED_BINARY: u8 = 0xc2;
const FIRST_TEXT: u8 = 0x81;

fn settings() -> Settings {
    let mut settings = Settings { listen: listen(&["ws://127.0.0.1:1"]), ..Settings::default() };
    settings.listen[0].protocol.set_compression(true);
    settings
}

/// A client that is connected, and whether it has offered compression.
fn client(world: &mut World, offers: bool) -> usize {
    let client = world.client(0);
    let offer = match offers {
        true => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        false => "",
    };
    let request = format!(
        "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    world.say(client, request.as_bytes());
    let answer = String::from_utf8(world.take(client)).expect("answers are ASCII");
    assert_eq!(answer.contains("permessage-deflate; server_no_context_takeover"), offers, "{answer}");
    client
}

fn say_deflated(world: &mut World, client: usize, first: u8, message: &[u8]) {
    let (mut payload, mut frame) = (Vec::new(), Vec::new());
    Deflater::new(6).deflate(message, &mut payload);
    encode_frame(first, &payload, [1, 2, 3, 4], &mut frame);
    world.say(client, &frame);
}

/// First bytes and messages of the frames that a client was sent.
fn taken(world: &mut World, client: usize) -> Vec<(u8, Vec<u8>)> {
    let (bytes, mut frames, mut rest) = (world.take(client), Vec::new(), &[][..]);
    rest.clone_from(&&bytes[..]);
    while let [first, size, behind @ ..] = rest {
        let (size, behind) = match size {
            126 => (usize::from(u16::from_be_bytes([behind[0], behind[1]])), &behind[2..]),
            127 => (u64::from_be_bytes(behind[..8].try_into().expect("eight bytes")) as usize, &behind[8..]),
            size => (usize::from(*size), behind),
        };
        let (payload, behind) = behind.split_at(size);
        let mut message = payload.to_vec();
        if first & 0x40 != 0 {
            Inflater::default().inflate(payload, usize::MAX - 1, &mut message).expect("a message");
        }
        frames.push((*first, message));
        rest = behind;
    }
    frames
}

fn to_all(body: &[u8]) -> Vec<u8> {
    frame_bytes(&Frame { body, ..Frame::command(Cmd::SendToAll) })
}

#[test]
fn workers_see_what_was_said_and_clients_get_it_compressed() {
    let mut world = World::new(settings());
    let worker = world.worker("w");
    let client = client(&mut world, true);
    world.take(worker);
    say_deflated(&mut world, client, FIRST_DEFLATED_TEXT, BODY.as_bytes());
    say_deflated(&mut world, client, FIRST_DEFLATED_BINARY, b"");
    let frames: Vec<_> = world.take_frames(worker).into_iter().map(|(cmd, _, _, body)| (cmd, body)).collect();
    assert_eq!(frames, [(Cmd::OnMessage, BODY.as_bytes().to_vec()), (Cmd::OnMessage, Vec::new())]);
    world.command(worker, &Frame { body: BODY.as_bytes(), ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(taken(&mut world, client), [(FIRST_DEFLATED_TEXT, BODY.as_bytes().to_vec())]);
    let counters = world.shard.counters();
    assert_eq!((counters.messages_inflated, counters.messages_compressed), (2, 1));
    assert!(counters.compression_saved_bytes > BODY.len() as u64 / 2);
}

#[test]
fn what_is_small_raw_or_without_a_pattern_goes_out_plain() {
    let mut world = World::new(settings());
    let worker = world.worker("w");
    let client = client(&mut world, true);
    let small = "x".repeat(255);
    world.command(worker, &Frame { body: small.as_bytes(), ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(taken(&mut world, client), [(FIRST_TEXT, small.clone().into_bytes())]);
    let large = "x".repeat(256);
    world.command(worker, &Frame { body: large.as_bytes(), ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(taken(&mut world, client), [(FIRST_DEFLATED_TEXT, large.into_bytes())]);
    let raw = format!("\u{1}\u{7f}{}", "x".repeat(0x7f));
    let flag = FLAG_RAW | FLAG_SCALAR;
    world.command(worker, &Frame { body: raw.as_bytes(), flag, ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(world.take(client), raw.as_bytes());
    assert_eq!(world.shard.counters().messages_compressed, 1);
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..300).map(|_| random.u8(..)).collect();
    world.command(worker, &Frame { body: &noise, ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(taken(&mut world, client), [(0x82, noise)]);
}

/// Directly, by the log of fan-outs, and several in one piece.
#[test]
fn what_many_get_is_compressed_once() {
    for count in [EVERYBODY_DIRECT_MAX / 2, FANOUT_SENDS_MAX] {
        let mut world = World::new(settings());
        let worker = world.worker("w");
        let compressing: Vec<usize> = (0..count).map(|_| client(&mut world, true)).collect();
        let plain: Vec<usize> = (0..3).map(|_| client(&mut world, false)).collect();
        world.say(worker, &[to_all(BODY.as_bytes()), to_all(BODY.as_bytes()), to_all(b"small")].concat());
        world.settle();
        let expected = |first| {
            let body = BODY.as_bytes().to_vec();
            [(first, body.clone()), (first, body), (FIRST_TEXT, b"small".to_vec())]
        };
        for client in compressing {
            assert_eq!(taken(&mut world, client), expected(FIRST_DEFLATED_TEXT));
        }
        for client in plain {
            assert_eq!(taken(&mut world, client), expected(FIRST_TEXT));
        }
        assert_eq!(world.shard.counters().messages_compressed, 2);
    }
}

#[test]
fn a_bomb_ends_its_client_and_is_not_inflated() {
    const ZEROS: usize = 1_000_000;
    let mut world = World::new(Settings { max_inflated_size: Some(ZEROS), ..settings() });
    let worker = world.worker("w");
    let (mut good, mut bomb) = (Vec::new(), Vec::new());
    Deflater::new(9).deflate(&vec![0; ZEROS], &mut good);
    Deflater::new(9).deflate(&vec![0; ZEROS * 1_000], &mut bomb);
    assert!(bomb.len() < ZEROS, "within --max-package-size");
    let client = client(&mut world, true);
    let mut frame = Vec::new();
    encode_frame(FIRST_DEFLATED_BINARY, &good, [1, 2, 3, 4], &mut frame);
    world.say(client, &frame);
    assert_eq!(world.take_frames(worker).last().map(|frame| frame.3.len()), Some(ZEROS));
    frame.clear();
    let client = self::client(&mut world, true);
    encode_frame(FIRST_DEFLATED_BINARY, &bomb, [1, 2, 3, 4], &mut frame);
    let info = allocation_counter::measure(|| world.say(client, &frame));
    assert!(info.bytes_max < 8 * ZEROS as u64, "{info:?}");
    assert_eq!(world.take(client), b"\x88\x02\x03\xf1", "1009");
    assert_eq!(world.take_frames(worker).last().map(|frame| frame.0), Some(Cmd::OnClose));
}

#[test]
fn what_cannot_be_inflated_ends_its_client() {
    for (payload, code) in [(&b"plain"[..], 1007u16), (b"\xf2\x48\xcd", 1007)] {
        let mut world = World::new(settings());
        world.worker("w");
        let client = client(&mut world, true);
        let mut frame = Vec::new();
        encode_frame(FIRST_DEFLATED_TEXT, payload, [1, 2, 3, 4], &mut frame);
        world.say(client, &frame);
        assert_eq!(world.take(client), [&b"\x88\x02"[..], &code.to_be_bytes()].concat());
        assert_eq!(world.shard.counters().clients_malformed, 1);
    }
    let mut world = World::new(settings());
    world.worker("w");
    let text = client(&mut world, true);
    say_deflated(&mut world, text, FIRST_DEFLATED_TEXT, b"not \xff UTF-8");
    assert_eq!(world.take(text), b"\x88\x02\x03\xef");
    // Nothing was agreed upon.
    let plain = client(&mut world, false);
    say_deflated(&mut world, plain, FIRST_DEFLATED_TEXT, b"hello");
    assert_eq!(world.take(plain), b"\x88\x02\x03\xea");
}

#[test]
fn it_is_off_unless_a_listener_has_it() {
    let mut world = World::new(Settings { listen: listen(&["ws://127.0.0.1:1"]), ..Settings::default() });
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(
        client,
        b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
    assert!(!String::from_utf8_lossy(&world.take(client)).contains("Extensions"));
    world.command(worker, &Frame { body: BODY.as_bytes(), ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(taken(&mut world, client), [(FIRST_TEXT, BODY.as_bytes().to_vec())]);
}

/// An agreement is a bit that has room beside others.
#[test]
fn who_has_agreed_and_says_nothing_costs_no_byte_more() {
    let cost = |offers, count| {
        let mut world = World::new(settings());
        let worker = world.worker("w");
        client(&mut world, offers);
        let clients: Vec<usize> = (0..count).map(|_| world.client(0)).collect();
        let request = format!(
            "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}: permessage-deflate\r\n\r\n",
            if offers { "Sec-WebSocket-Extensions" } else { "Sec-WebSocket-Whatevers!" }
        );
        let mut requests = vec![request.into_bytes(); count];
        world.take(worker);
        let info = allocation_counter::measure(|| {
            for (client, request) in clients.iter().zip(&mut requests) {
                world.shard.on_received(world.now, world.peers[*client].socket, request);
                world.settle();
                drop(world.take(*client));
            }
            drop(world.take(worker));
        });
        info.bytes_current
    };
    // What the first ones cost is buffers, which are there once.
    let of_200 = |offers| cost(offers, 300) - cost(offers, 100);
    assert_eq!(of_200(true), of_200(false));
}
