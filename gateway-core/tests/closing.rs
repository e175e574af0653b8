//! How clients are closed: told why, heard out, and let go.

mod world;

use std::time::Duration;

use gateway_core::config::{ANSWER_TIMEOUT_MS, LINGER_TIMEOUT_MS};
use gateway_core::{Settings, SlowClient};
use protocol::client::websocket::client as websocket;
use protocol::inner::{Cmd, Frame};
use world::{World, frame_bytes, listen, to_client};

const MASK: [u8; 4] = [1, 2, 3, 4];

fn settings() -> Settings {
    Settings { listen: listen(&["ws://127.0.0.1:1", "text://127.0.0.1:2"]), ..Settings::default() }
}

/// A shard with a worker and a websocket client whose handshake is done; its connection id is 1.
fn world(settings: Settings) -> (World, usize, usize) {
    let mut world = World::new(settings);
    let worker = world.worker("w");
    let client = open(&mut world);
    world.take(worker);
    (world, worker, client)
}

fn open(world: &mut World) -> usize {
    let client = world.client(0);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    world.say(client, &request);
    assert!(world.take(client).starts_with(b"HTTP/1.1 101 "));
    client
}

fn message(size: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::encode_frame(websocket::BINARY, &vec![7; size], MASK, &mut frame);
    frame
}

fn answer() -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::encode_close(1000, MASK, &mut frame);
    frame
}

fn close_frame(code: u16) -> Vec<u8> {
    [&[0x88, 2][..], &code.to_be_bytes()].concat()
}

fn commands(world: &mut World, worker: usize) -> Vec<Cmd> {
    world.take_frames(worker).into_iter().map(|frame| frame.0).collect()
}

/// Asserts that the client has been told `code`, and that its answer, behind more of what it was at, is awaited.
#[track_caller]
fn is_heard_out(world: &mut World, client: usize, code: u16) {
    let said = world.take(client);
    assert!(said.ends_with(&close_frame(code)), "{said:x?}");
    for bytes in [message(70_000), message(3), answer()] {
        assert!(!world.peers[client].shut && !world.peers[client].closed, "the answer is awaited");
        world.say(client, &bytes);
    }
    assert!(world.peers[client].shut && !world.peers[client].closed);
    assert!(world.take(client).is_empty());
    world.end(client);
    assert!(world.peers[client].closed);
}

#[test]
fn a_kicked_client_is_told_and_heard_out() {
    let (mut world, worker, client) = world(settings());
    // It is in the middle of something.
    world.say(client, &message(1000)[..500]);
    world.say(worker, &frame_bytes(&Frame { body: b"last", ..to_client(Cmd::Kick, 1) }));
    assert_eq!(commands(&mut world, worker), [Cmd::OnClose]);
    assert!(world.peers[client].received.starts_with(b"\x81\x04last"));
    world.say(client, &message(1000)[500..]);
    is_heard_out(&mut world, client, 1000);
    assert_eq!(commands(&mut world, worker), []);
    assert_eq!(world.shard.counters().messages_in, 0);
}

#[test]
fn who_does_not_answer_has_two_seconds() {
    let (mut world, worker, client) = world(settings());
    world.command(worker, &to_client(Cmd::Kick, 1));
    world.pass(ANSWER_TIMEOUT_MS - 50);
    world.say(client, &message(10));
    assert!(!world.peers[client].shut);
    world.pass(50);
    assert!(world.peers[client].shut && !world.peers[client].closed);
    world.pass(LINGER_TIMEOUT_MS);
    assert!(world.peers[client].closed);
}

#[test]
fn a_fin_is_an_answer_too() {
    let (mut world, worker, client) = world(settings());
    world.command(worker, &to_client(Cmd::Kick, 1));
    world.end(client);
    assert!(world.peers[client].closed);
}

#[test]
fn other_protocols_have_no_words_for_it() {
    let (mut world, worker, _) = world(settings());
    let client = world.client(1);
    world.command(worker, &Frame { body: b"last", ..to_client(Cmd::Kick, 2) });
    assert_eq!(world.take(client), b"last\n");
    assert!(world.peers[client].shut && !world.peers[client].closed);
}

#[test]
fn a_stop_awaits_the_answers() {
    let (mut world, _, client) = world(settings());
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(!world.shard.is_stopped());
    is_heard_out(&mut world, client, 1001);
    assert!(world.shard.is_stopped());
}

#[test]
fn a_client_that_is_too_slow_is_told_behind_what_waits_for_it() {
    let (mut world, worker, client) =
        world(Settings { send_to_client_buffer_size: 10, slow_client: SlowClient::Close, ..settings() });
    world.peers[client].room = Some(3);
    for _ in 0..4 {
        world.command(worker, &Frame { body: b"12345", ..Frame::command(Cmd::SendToAll) });
    }
    assert_eq!(world.shard.counters().clients_closed_slow, 1);
    world.say(client, &message(10));
    world.read(client, None);
    assert_eq!(world.peers[client].received.len(), 2 * 7 + 4);
    assert_eq!(commands(&mut world, worker), [Cmd::OnClose]);
    is_heard_out(&mut world, client, 1008);
}

#[test]
fn a_silent_client_is_told() {
    let (mut world, worker, client) =
        world(Settings { ping_interval: Duration::from_secs(1), ping_not_response_limit: 1, ..settings() });
    let mut waited = 0;
    while world.peers[client].received.is_empty() {
        assert!(waited < 5_000);
        world.pass(50);
        waited += 50;
    }
    assert_eq!(commands(&mut world, worker), [Cmd::OnClose]);
    is_heard_out(&mut world, client, 4000);
}

#[test]
fn a_silent_client_that_does_not_read_either_goes_at_once() {
    let (mut world, worker, client) =
        world(Settings { ping_interval: Duration::from_secs(1), ping_not_response_limit: 1, ..settings() });
    world.peers[client].room = Some(1);
    world.command(worker, &Frame { body: b"12345", ..Frame::command(Cmd::SendToAll) });
    world.pass(3_000);
    assert!(world.peers[client].closed);
    assert_eq!(world.take(client).len(), 1);
}

#[test]
fn messages_that_break_a_rule_end_with_the_code_for_it() {
    for (bytes, code) in [
        (message(2_000), 1009),
        (b"\x83\x80\0\0\0\0".to_vec(), 1002),
        (b"\x81\x81\0\0\0\0\xff".to_vec(), 1007),
    ] {
        let (mut world, worker, client) = world(Settings { max_package_size: 1_000, ..settings() });
        world.say(client, &bytes[..bytes.len() - 1]);
        world.say(client, &bytes[bytes.len() - 1..]);
        assert_eq!(commands(&mut world, worker), [Cmd::OnClose], "{code}");
        is_heard_out(&mut world, client, code);
    }
}

#[test]
fn a_message_that_no_frame_holds_ends_like_one_that_is_too_large() {
    let (mut world, worker, client) = world(Settings { max_package_size: 20 << 20, ..settings() });
    world.say(client, &[message(11 << 20), message(1)].concat());
    assert_eq!(commands(&mut world, worker), [Cmd::OnClose]);
    is_heard_out(&mut world, client, 1009);
}

#[test]
fn what_waited_for_a_worker_is_thrown_away_and_the_answer_in_it_found() {
    let (mut world, worker, client) = world(settings());
    world.reset(worker);
    world.say(client, &[message(100), message(5)[..3].to_vec()].concat());
    assert!(world.peers[client].paused);
    world.pass(5_000);
    let said = world.take(client);
    assert_eq!((said, world.peers[client].paused), (close_frame(1013), false));
    world.say(client, &message(5)[3..]);
    assert!(!world.peers[client].shut);
    world.say(client, &answer());
    assert!(world.peers[client].shut);
    assert_eq!(world.shard.counters().clients_closed_no_worker, 1);
}

#[test]
fn who_takes_leave_at_the_same_time_is_not_awaited() {
    let (mut world, worker, client) = world(settings());
    world.peers[client].room = Some(0);
    world.command(worker, &Frame { body: b"last", ..to_client(Cmd::Kick, 1) });
    world.say(client, &[message(10), answer()].concat());
    assert!(!world.peers[client].shut);
    world.read(client, None);
    assert!(world.take(client).ends_with(&close_frame(1000)));
    assert!(world.peers[client].shut);
}

#[test]
fn a_destroyed_client_is_told_nothing() {
    let (mut world, worker, client) = world(settings());
    world.command(worker, &to_client(Cmd::Destroy, 1));
    assert!(world.peers[client].closed && world.take(client).is_empty());
}
