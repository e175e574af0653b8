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
fn a_worker_says_why() {
    let long = [&[0x0f, 0xa1][..], &[b'x'; 124]].concat();
    let told = [
        (&b""[..], close_frame(1000)),
        (b"\x0f\xa3other place", [b"\x88\x0d\x0f\xa3", &b"other place"[..]].concat()),
        (b"\x03\xee", close_frame(1000)),
        (b"\x0f", close_frame(1000)),
        (b"\x0f\xa1\xff", close_frame(1000)),
        (&long, close_frame(1000)),
    ];
    for (ext, frame) in told {
        let (mut world, worker, client) = world(settings());
        world.command(worker, &Frame { ext, body: b"N;", flag: 0, ..to_client(Cmd::Kick, 1) });
        assert_eq!(world.take(client), frame, "{}", ext.escape_ascii());
        world.say(client, &answer());
        assert!(world.peers[client].shut);
    }
}

/// The status line and Retry-After of what a client has got.
fn refusal(world: &mut World, client: usize) -> String {
    let response = String::from_utf8(world.take(client)).expect("refusals are ASCII");
    assert!(response.contains("\r\nRetry-After: 5\r\n"), "{response}");
    response.lines().next().expect("a first line").to_owned()
}

#[test]
fn without_a_worker_handshakes_are_refused_and_others_closed() {
    let mut world = World::new(settings());
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    let [whole, half, mute] = [world.client(0), world.client(0), world.client(0)];
    let text = world.client(1);
    // Nobody is read: what they say waits in the kernel.
    world.peers[whole].inbox.extend(&request);
    world.peers[half].inbox.extend(&request[..30]);
    world.pass(4_950);
    for client in [whole, half, mute, text] {
        assert!(world.peers[client].received.is_empty() && !world.peers[client].closed);
    }
    world.pass(50);
    for client in [whole, half, mute] {
        assert_eq!(refusal(&mut world, client), "HTTP/1.1 503 Service Unavailable");
        assert!(world.peers[client].shut && !world.peers[client].paused);
        world.deliver(client, usize::MAX);
        assert!(world.take(client).is_empty());
    }
    assert!(world.peers[text].shut && world.take(text).is_empty());
    assert_eq!(world.shard.counters().clients_closed_no_worker, 4);
}

#[test]
fn the_wait_for_a_worker_is_not_the_clients_fault() {
    let mut world = World::new(Settings { no_worker_wait: Duration::from_secs(25), ..settings() });
    let client = world.client(0);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    world.peers[client].inbox.extend(&request[..30]);
    world.pass(24_000);
    world.worker("late");
    world.deliver(client, usize::MAX);
    world.pass(3_000);
    assert!(!world.peers[client].closed);
    world.say(client, &request[30..]);
    assert!(world.take(client).starts_with(b"HTTP/1.1 101 "));
    // Whose fault it is has its ten seconds.
    let slow = world.client(0);
    world.say(slow, &request[..30]);
    world.pass(10_000);
    assert!(world.peers[slow].closed);
}

#[test]
fn a_gateway_that_stops_refuses_handshakes() {
    let (mut world, _, _) = world(settings());
    let (client, mute) = (world.client(0), world.client(0));
    world.say(client, b"GET / HTTP/1.1\r\n");
    world.shard.begin_stop(world.now);
    world.settle();
    assert_eq!(refusal(&mut world, client), "HTTP/1.1 503 Service Unavailable");
    assert!(world.peers[mute].shut && world.take(mute).is_empty(), "there is nothing to answer");
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
fn who_is_closed_is_not_closed_again() {
    let (mut world, worker, client) = world(settings());
    world.peers[client].room = Some(0);
    world.command(worker, &Frame { body: b"last", ..to_client(Cmd::Kick, 1) });
    world.command(worker, &Frame { body: b"again", ..to_client(Cmd::Kick, 1) });
    world.shard.begin_stop(world.now);
    world.settle();
    world.read(client, None);
    assert_eq!(world.take(client), [&b"\x81\x04last"[..], &close_frame(1000)].concat());
    assert!(!world.peers[client].shut && !world.peers[client].closed);
}

#[test]
fn a_destroyed_client_is_told_nothing() {
    let (mut world, worker, client) = world(settings());
    world.command(worker, &to_client(Cmd::Destroy, 1));
    assert!(world.peers[client].closed && world.take(client).is_empty());
}

/// What it sent while it was not read is the end of it: it is heard out like all others.
#[test]
fn who_breaks_the_protocol_while_it_is_not_read_is_heard_out_too() {
    for (last, code) in [(vec![0xf2, 0x80, 0, 0, 0, 0], 1002), (message(9_000), 1009)] {
        let (mut world, worker, client) =
            world(Settings { send_to_worker_buffer_size: 100, max_package_size: 8_000, ..settings() });
        world.peers[worker].room = Some(0);
        world.say(client, &[message(50), message(50), message(50), last].concat());
        assert!(world.peers[client].paused);
        world.read(worker, None);
        assert!(!world.peers[client].paused, "its answer is to be read");
        is_heard_out(&mut world, client, code);
    }
}
