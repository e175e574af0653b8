//! The heartbeat of WIRE.md §11, under a virtual clock.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use protocol::inner::Cmd;
use world::{World, listen};

fn world(address: &str, limit: u32, websocket_ping: bool) -> World {
    let mut world = World::new(Settings {
        listen: listen(&[address]),
        ping_interval: Duration::from_secs(2),
        ping_not_response_limit: limit,
        ping_data: b"ping".to_vec(),
        websocket_ping,
        ..Settings::default()
    });
    world.worker("w");
    world
}

/// What a client that connected 300 ms after a sweep gets and when, in seconds after connecting; `""` is its end.
fn life(world: &mut World, client: usize) -> Vec<(f64, String)> {
    let mut events = Vec::new();
    for tick in 1..=240 {
        world.pass(50);
        let received = String::from_utf8_lossy(&world.take(client)).into_owned();
        let ended = world.peers[client].closed;
        if !received.is_empty() || ended {
            events.push((f64::from(tick) * 0.05, received));
        }
        if ended {
            break;
        }
    }
    events
}

fn ping(at: f64) -> (f64, String) {
    (at, "ping\n".into())
}

#[test]
fn a_silent_client_is_pinged_and_closed_when_the_php_gateway_would() {
    for (limit, expected) in [
        (1, vec![ping(2.7), (3.7, String::new())]),
        (2, vec![ping(2.7), ping(4.7), (5.7, String::new())]),
        (0, vec![ping(3.7), ping(5.7), ping(7.7), ping(9.7), ping(11.7)]),
    ] {
        let mut world = world("text://127.0.0.1:1", limit, false);
        world.pass(300);
        let client = world.client(0);
        let lived = life(&mut world, client);
        let rounded: Vec<_> =
            lived.into_iter().map(|(at, what)| ((at * 10.0).round() / 10.0, what)).collect();
        assert_eq!(rounded, expected, "limit {limit}");
    }
}

#[test]
fn who_talks_is_not_pinged() {
    let mut world = world("text://127.0.0.1:1", 1, false);
    let client = world.client(0);
    for _ in 0..20 {
        world.pass(900);
        world.say(client, b"x\n");
    }
    assert_eq!(world.take(client), b"");
    assert_eq!(world.shard.client_count(), 1);
}

#[test]
fn websocket_pings_are_answered_by_pongs() {
    let mut world = world("websocket://127.0.0.1:1", 1, true);
    let (alive, silent) = (world.client(0), world.client(0));
    for client in [alive, silent] {
        let request = "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        world.say(client, request.as_bytes());
        world.take(client);
    }
    let mut pings = 0;
    for _ in 0..200 {
        world.pass(50);
        if world.take(alive) == [0x89, 0] {
            pings += 1;
            world.say(alive, &[0x8A, 0x80, 0, 0, 0, 0]);
        }
    }
    assert!((2..=5).contains(&pings), "{pings}");
    assert!(world.peers[silent].closed && !world.peers[alive].closed);
    assert_eq!(world.shard.counters().clients_closed_silent, 1);
}

#[test]
fn workers_elsewhere_are_pinged_every_25_seconds() {
    for (lan_ip, pings) in [("10.0.0.2", 2), ("127.0.0.1", 0)] {
        let lan_ip = lan_ip.parse().unwrap();
        let mut world =
            World::new(Settings { listen: listen(&["text://127.0.0.1:1"]), lan_ip, ..Settings::default() });
        let worker = world.worker("w");
        world.pass(24_900);
        assert_eq!(world.take_frames(worker).len(), 0);
        world.pass(25_200);
        let frames = world.take_frames(worker);
        assert!(frames.len() == pings && frames.iter().all(|frame| frame.0 == Cmd::Ping), "{frames:?}");
    }
}
