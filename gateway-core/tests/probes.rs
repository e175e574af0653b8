//! Load balancers that ask at `--health-path`.

mod world;

use gateway_core::Settings;
use protocol::inner::Cmd;
use world::{World, listen};

const WEBSOCKET: u8 = 0;

const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nUser-Agent: balancer\r\n\r\n";

const HANDSHAKE: &[u8] =
    b"GET /chat HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn world() -> World {
    World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1"]),
        health_path: Some("/healthz".to_owned()),
        ..Settings::default()
    })
}

/// What somebody is answered who says this, in pieces of so many bytes, and is then to be closed.
fn ask(world: &mut World, request: &[u8], size: usize) -> String {
    let client = world.client(WEBSOCKET);
    request.chunks(size).for_each(|piece| world.say(client, piece));
    assert!(world.peers[client].shut, "nothing comes behind the answer");
    String::from_utf8_lossy(&world.take(client)).into_owned()
}

#[test]
fn a_balancer_is_told_whether_to_send_clients_and_no_worker_hears_of_it() {
    let mut world = world();
    let answer = ask(&mut world, PROBE, PROBE.len());
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nno worker\n"), "{answer}");
    let worker = world.worker("w");
    world.take_frames(worker);
    for size in [PROBE.len(), 1, 7] {
        let answer = ask(&mut world, PROBE, size);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    }
    let answer = ask(&mut world, b"HEAD /healthz HTTP/1.0\r\n\r\n", 100);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    // As soon as it is ordered, not when clients are turned away.
    world.shard.cordon(world.now, 10_000);
    assert!(ask(&mut world, PROBE, 100).starts_with("HTTP/1.1 503 "));
    world.shard.uncordon(world.now);
    assert!(ask(&mut world, PROBE, 100).starts_with("HTTP/1.1 200 "));
    assert_eq!(world.take_frames(worker).len(), 0);
    assert_eq!(world.shard.counters().health_checks, 7);
}

#[test]
fn other_requests_are_what_they_are_without_it() {
    for size in [HANDSHAKE.len(), 1, 5] {
        let mut world = world();
        let worker = world.worker("w");
        world.take_frames(worker);
        let client = world.client(WEBSOCKET);
        assert_eq!(world.take_frames(worker).len(), 0, "it may become a balancer");
        HANDSHAKE.chunks(size).for_each(|piece| world.say(client, piece));
        let answer = String::from_utf8_lossy(&world.take(client)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let events: Vec<Cmd> = world.take_frames(worker).into_iter().map(|frame| frame.0).collect();
        assert_eq!(events, [Cmd::OnConnect, Cmd::OnWebsocketConnect]);
        assert_eq!(world.shard.counters().health_checks, 0);
    }
}
