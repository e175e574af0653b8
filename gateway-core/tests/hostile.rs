//! Peers that mean harm, and loads that nobody meant: bounds hold, and others are served.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use gateway_core::config::{FANOUT_SENDS_MAX, SESSION_SIZE_MAX, WALK_SENDS_MAX, WORKER_KEYS_MAX};
use protocol::client::websocket::client as websocket;
use protocol::inner::{Cmd, Frame, ext};
use world::{World, frame_bytes, listen, to_client, value};

#[test]
fn pings_of_a_client_that_does_not_read_are_not_answered_without_bound() {
    let mut world =
        World::new(Settings { listen: listen(&["websocket://127.0.0.1:1"]), ..Settings::default() });
    world.worker("w");
    let client = world.client(0);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    world.say(client, &request);
    world.peers[client].room = Some(0);
    let mut pings = Vec::new();
    for _ in 0..500 {
        websocket::encode_frame(websocket::PING, &[7; 125], [1, 2, 3, 4], &mut pings);
    }
    for _ in 0..100 {
        world.say(client, &pings);
    }
    world.read(client, None);
    let answered = world.take(client).len();
    assert!((1_000_000..1_200_000).contains(&answered), "{answered}");
    world.say(client, &pings);
    assert_eq!(world.take(client).len(), 500 * 127);
}

#[test]
fn a_fan_out_gets_on_beside_any_other_traffic() {
    let mut world = World::text();
    let (worker, other) = (world.worker("a"), world.worker("b"));
    let clients: Vec<usize> = (0..FANOUT_SENDS_MAX * 3).map(|_| world.client(0)).collect();
    let (worker, other) = (world.peers[worker].socket, world.peers[other].socket);
    let answer = |id| frame_bytes(&Frame { body: b"answer", ..to_client(Cmd::SendToOne, id) });
    let mut answers: Vec<u8> = (1..=FANOUT_SENDS_MAX as u32).flat_map(answer).collect();
    let mut to_all = frame_bytes(&Frame { body: b"all", ..Frame::command(Cmd::SendToAll) });
    world.shard.on_received(world.now, worker, &mut to_all);
    for _ in 0..=clients.len() / WALK_SENDS_MAX {
        world.shard.on_received(world.now, other, &mut answers);
        world.turn();
    }
    for client in &clients[FANOUT_SENDS_MAX..] {
        assert_eq!(world.take(*client), b"all\n");
    }
}

fn session(size: usize, key: char) -> Vec<u8> {
    format!("a:1:{{s:1:\"{key}\";s:{size}:\"{}\";}}", "x".repeat(size)).into_bytes()
}

#[test]
fn a_session_leaves_room_for_the_frames_that_carry_it() {
    let mut world = World::text();
    let worker = world.worker("w");
    let client = world.client(0);
    for key in "abcdefgh".chars() {
        let ext = session(10_000_000, key);
        world.say(worker, &frame_bytes(&Frame { ext: &ext, ..to_client(Cmd::UpdateSession, 1) }));
    }
    let too_large = vec![b'x'; SESSION_SIZE_MAX + 1];
    world.say(worker, &frame_bytes(&Frame { ext: &too_large, ..to_client(Cmd::SetSession, 1) }));
    assert_eq!(world.shard.counters().commands_refused, 8);
    world.take(worker);
    world.say(client, b"still here\n");
    assert_eq!(world.take_frames(worker)[0].2, session(10_000_000, 'a'));
    world.reset(worker);
    world.reset(client);
}

#[test]
fn a_session_may_be_set_before_any_worker_knows_the_client() {
    let mut world = World::text();
    let other = world.link();
    world.client(0);
    for key in "ab".chars() {
        let ext = session(9_000_000, key);
        world.say(other, &frame_bytes(&Frame { ext: &ext, ..to_client(Cmd::UpdateSession, 1) }));
    }
    let worker = world.worker("w");
    assert_eq!(world.take_frames(worker)[0].2, session(9_000_000, 'a'));
}

#[test]
fn the_heartbeat_reaches_everybody_within_a_period() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        ping_interval: Duration::from_secs(1),
        ping_not_response_limit: 1,
        ..Settings::default()
    });
    world.worker("w");
    for _ in 0..120_000 {
        world.client(0);
    }
    world.pass(3_000);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn who_is_not_read_is_not_taken_for_silent() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        ping_interval: Duration::from_secs(1),
        ping_not_response_limit: 1,
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    });
    let worker = world.worker("w");
    let client = world.client(0);
    world.peers[worker].room = Some(0);
    for _ in 0..10 {
        world.say(client, b"hello hello hello\n");
    }
    assert!(world.peers[client].paused);
    world.pass(10_000);
    assert!(!world.peers[client].closed);
    world.read(worker, None);
    world.pass(10_000);
    assert!(world.peers[client].closed);
}

#[test]
fn one_worker_key_too_many_ends_that_link_alone() {
    let mut world = World::text();
    let first = world.worker("first");
    for number in 1..WORKER_KEYS_MAX {
        world.worker(&number.to_string());
    }
    let client = world.client(0);
    let connect = ext::WorkerConnect {
        worker_key: "new".into(),
        secret_key: Some(String::new()),
        ringway: false,
        run: None,
        window: None,
        acks: false,
        resume: None,
        handshakes: false,
    };
    world.say(first, &frame_bytes(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) }));
    assert!(world.peers[first].closed);
    world.say(client, b"served by another\n");
    assert_eq!((world.shard.worker_count(), world.shard.client_count()), (WORKER_KEYS_MAX - 1, 1));
}

#[test]
fn a_link_that_ends_while_it_is_held_up_is_served_and_closed() {
    let mut world = World::new(Settings { send_to_worker_buffer_size: 100, ..Settings::default() });
    let asking = world.link();
    world.peers[asking].room = Some(0);
    world.peers[asking].inbox.extend(frame_bytes(&to_client(Cmd::IsOnline, 1)).repeat(40));
    world.deliver(asking, usize::MAX);
    assert!(world.peers[asking].paused);
    world.shard.on_end_of_stream(world.now, world.peers[asking].socket);
    world.read(asking, None);
    assert_eq!(world.take(asking).len(), 40 * 8);
    assert!(world.peers[asking].closed);
}

#[test]
fn who_has_not_said_the_key_may_not_fill_memory() {
    let settings = Settings { secret_key: "key".into(), ..Settings::default() };
    let mut world = World::new(settings);
    let stranger = world.link();
    world.say(stranger, &10_000_000_u32.to_be_bytes());
    assert!(world.peers[stranger].closed);
    let friend = world.link();
    let key = Frame { body: br#"{"secret_key":"key"}"#, ..Frame::command(Cmd::GatewayClientConnect) };
    world.say(friend, &frame_bytes(&key));
    world.say(friend, &10_000_000_u32.to_be_bytes());
    assert!(!world.peers[friend].closed);
    let other = world.link();
    world.say(other, &frame_bytes(&key));
    assert_eq!(value(&world.command(other, &to_client(Cmd::IsOnline, 1))), "i:0;");
}

#[test]
fn what_waited_may_have_been_the_last_of_a_client() {
    let mut world = World::new(Settings { listen: listen(&["frame://127.0.0.1:1"]), ..Settings::default() });
    let first = world.worker("first");
    let (malformed, leaving) = (world.client(0), world.client(0));
    world.reset(first);
    // A length that cannot be, while there is no worker: it waits. So does the end of the other.
    world.say(malformed, &[0, 0, 0, 0]);
    world.say(leaving, &[0, 0, 0, 5, b'x']);
    world.shard.on_end_of_stream(world.now, world.peers[leaving].socket);
    assert!(world.peers[malformed].paused && world.peers[leaving].paused);
    let second = world.worker("second");
    let told: Vec<_> = world.take_frames(second).into_iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(told, [(Cmd::OnClose, 1), (Cmd::OnMessage, 2), (Cmd::OnClose, 2)]);
    assert_eq!((world.shard.client_count(), world.shard.counters().clients_malformed), (0, 1));
}
