//! A gateway that is cordoned, drained, and taken back.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use protocol::inner::Cmd;
use world::{World, listen};

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Listeners of a [`world`].
const WEBSOCKET: u8 = 0;
const TEXT: u8 = 1;

/// How long a cordoned shard takes clients, in ms.
const DELAY_MS: u64 = 10_000;

/// A shard that has a worker.
fn world() -> (World, usize) {
    let mut world = World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1", "text://127.0.0.1:2"]),
        drain_timeout: Duration::from_secs(10),
        ..Settings::default()
    });
    let worker = world.worker("w");
    (world, worker)
}

/// Connects a websocket; what it is answered.
fn connect(world: &mut World) -> (usize, String) {
    let client = world.client(WEBSOCKET);
    world.say(client, REQUEST);
    (client, String::from_utf8_lossy(&world.take(client)).into_owned())
}

fn cordon(world: &mut World, delay_ms: u64) {
    world.shard.cordon(world.now, delay_ms);
    world.settle();
}

/// What the worker hears, in order.
fn events(world: &mut World, worker: usize) -> Vec<Cmd> {
    world.take_frames(worker).into_iter().map(|frame| frame.0).collect()
}

#[test]
fn newcomers_are_taken_for_a_while_and_then_turned_away_while_the_others_are_served() {
    let (mut world, worker) = world();
    let (first, answer) = connect(&mut world);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let text = world.client(TEXT);
    cordon(&mut world, DELAY_MS);
    world.pass(DELAY_MS - 1_000);
    assert!(connect(&mut world).1.starts_with("HTTP/1.1 101 "));
    world.pass(1_000);
    events(&mut world, worker);
    let (late, answer) = connect(&mut world);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("Retry-After: 5\r\n") && world.peers[late].shut, "{answer}");
    let late = world.client(TEXT);
    assert!(world.peers[late].closed);
    assert_eq!(events(&mut world, worker), [], "no worker hears of them");
    world.say(text, b"still here\n");
    assert_eq!(events(&mut world, worker), [Cmd::OnMessage]);
    assert!(!world.peers[first].shut && !world.peers[text].shut);
    assert_eq!(world.shard.counters().clients_cordoned, 2);
}

#[test]
fn a_request_that_comes_in_pieces_is_answered_once() {
    let (mut world, worker) = world();
    cordon(&mut world, 0);
    let client = world.client(WEBSOCKET);
    assert!(!world.peers[client].shut && !world.peers[client].closed, "it has not said anything");
    for byte in REQUEST {
        world.say(client, &[*byte]);
    }
    let answer = String::from_utf8(world.take(client)).unwrap();
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    world.end(client);
    world.pass(3_000);
    assert!(world.peers[client].closed && world.shard.client_count() == 0);
    assert_eq!(events(&mut world, worker), []);
}

#[test]
fn a_cordon_is_taken_back() {
    let (mut world, worker) = world();
    cordon(&mut world, 0);
    let waiting = world.client(WEBSOCKET);
    world.shard.uncordon(world.now);
    world.settle();
    world.say(waiting, REQUEST);
    assert!(world.take(waiting).starts_with(b"HTTP/1.1 101 "), "it came too late, and in time after all");
    assert!(connect(&mut world).1.starts_with("HTTP/1.1 101 "));
    let text = world.client(TEXT);
    assert!(!world.peers[text].closed);
    assert_eq!(events(&mut world, worker).len(), 5);
}

/// A second cordon does not begin anew, and who waited for a worker all the time is one of those that are there.
#[test]
fn who_came_before_is_served_whatever_it_waited_for() {
    let mut world = World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1"]),
        no_worker_wait: Duration::from_secs(60),
        ..Settings::default()
    });
    let client = world.client(WEBSOCKET);
    cordon(&mut world, 1_000);
    world.pass(900);
    cordon(&mut world, 1_000);
    world.pass(100);
    let (_, answer) = connect(&mut world);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    world.worker("w");
    world.say(client, REQUEST);
    assert!(world.take(client).starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_drain_closes_all_by_and_by_and_the_shard_goes_on() {
    let (mut world, worker) = world();
    let (websocket, _) = connect(&mut world);
    for _ in 0..199 {
        world.client(TEXT);
    }
    events(&mut world, worker);
    world.shard.drain_clients(world.now);
    world.settle();
    assert_eq!(events(&mut world, worker), [Cmd::OnClose; 50]);
    assert!(connect(&mut world).1.starts_with("HTTP/1.1 503 "), "who is sent away is not to come back here");
    // It is not begun anew.
    world.shard.drain_clients(world.now);
    (0..3).for_each(|_| world.pass(50));
    assert_eq!(events(&mut world, worker), [Cmd::OnClose; 150]);
    assert_eq!(world.take(websocket), [0x88, 2, 3, 0xE9]);
    world.pass(60_000);
    assert!(!world.shard.is_stopped() && !world.peers[worker].shut, "nobody has asked for its end");
    assert!(connect(&mut world).1.starts_with("HTTP/1.1 503 "));
    world.shard.uncordon(world.now);
    assert!(connect(&mut world).1.starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_drain_that_is_taken_back_lets_the_others_stay() {
    let (mut world, worker) = world();
    let clients: Vec<usize> = (0..1_000).map(|_| world.client(TEXT)).collect();
    events(&mut world, worker);
    world.shard.drain_clients(world.now);
    world.settle();
    world.shard.uncordon(world.now);
    world.pass(60_000);
    assert_eq!(events(&mut world, worker).iter().filter(|cmd| **cmd == Cmd::OnClose).count(), 50);
    assert_eq!(clients.iter().filter(|client| !world.peers[**client].shut).count(), 950);
}

#[test]
fn a_stop_of_a_shard_that_is_drained_closes_all() {
    let (mut world, worker) = world();
    for _ in 0..1_000 {
        world.client(TEXT);
    }
    world.shard.drain_clients(world.now);
    world.settle();
    world.shard.begin_stop(world.now);
    world.shard.uncordon(world.now);
    world.pass(10_000);
    assert_eq!(events(&mut world, worker).iter().filter(|cmd| **cmd == Cmd::OnClose).count(), 1_000);
    let late = world.client(WEBSOCKET);
    assert!(world.peers[late].closed);
}
