//! Storms of TLS handshakes: all come to their end, and hold up nobody.

mod secured;
mod world;

use gateway_core::Settings;
use gateway_core::config::HANDSHAKE_TIMEOUT_MS;
use gateway_core::tls::{Connector, HANDSHAKES_PER_TURN};
use secured::{Secured, acceptor, world};
use world::{World, listen};

/// So many clients whose hellos have come at once; `padding` follows each in the same receive.
fn storm(world: &mut World, size: usize, padding: usize) -> Vec<Secured> {
    world.worker("w");
    let mut clients: Vec<Secured> = (0..size)
        .map(|_| {
            let session = Connector::insecure().connect("localhost").expect("localhost is a name");
            Secured { peer: world.client(0), session, got: Vec::new() }
        })
        .collect();
    world.settle();
    for client in &mut clients {
        let mut hello = Vec::new();
        client.session.receive(&mut [], &mut Vec::new(), &mut hello).expect("a hello is no failure");
        hello.resize(hello.len() + padding, 0);
        world.shard.on_received(world.now, world.peers[client.peer].socket, &mut hello);
    }
    clients
}

/// Handshakes that wait for longer than a client may take for its own; those that have begun end first.
#[test]
fn a_storm_that_takes_longer_than_a_handshake_may_ends_well() {
    const TURN_MS: u64 = HANDSHAKE_TIMEOUT_MS / 20;
    let mut world = world("long-storm");
    let mut clients = storm(&mut world, 100 * HANDSHAKES_PER_TURN, 0);
    let mut turns_left = 2 * clients.len();
    while clients.iter().any(|client| !client.session.is_open()) {
        turns_left = turns_left.checked_sub(1).expect("handshakes end");
        world.turn();
        for client in &mut clients {
            let (mut bytes, mut reply) = (world.take(client.peer), Vec::new());
            client.session.receive(&mut bytes, &mut client.got, &mut reply).expect("the shard speaks TLS");
            world.shard.on_received(world.now, world.peers[client.peer].socket, &mut reply);
        }
        world.now = world.now.plus(TURN_MS);
        world.shard.on_tick(world.now);
    }
    world.settle();
    assert_eq!(world.shard.counters().tls_handshakes_failed, 0);
    assert_eq!(world.shard.counters().clients_closed_handshake, 0);
}

#[test]
fn nobody_gets_past_the_queue_of_handshakes_by_more_bytes() {
    let mut world = world("padded");
    let clients = storm(&mut world, 5 * HANDSHAKES_PER_TURN, 30_000);
    let answered = |world: &World| world.shard.counters().tls_handshakes_failed as usize;
    assert_eq!(answered(&world), HANDSHAKES_PER_TURN, "as they come");
    world.turn();
    assert_eq!(answered(&world), 2 * HANDSHAKES_PER_TURN);
    world.settle();
    assert_eq!(answered(&world), clients.len());
}

/// A hello that waits is input that is held, and bounded as that is.
#[test]
fn handshakes_that_wait_do_not_fill_memory() {
    let listen = listen(&["ssl+text://127.0.0.1:1"]);
    let settings = Settings {
        listen,
        tls: Some(acceptor("many")),
        max_package_size: 100,
        max_unfinished_size: Some(100_000),
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let clients = storm(&mut world, 40, 18_000);
    assert!(world.shard.is_pending());
    world.turn();
    let closed = world.shard.counters().clients_closed_unfinished_size as usize;
    assert!(closed >= 40 - 100_000 / 18_000 - 2 * HANDSHAKES_PER_TURN, "{closed} of {}", clients.len());
}

#[test]
fn a_storm_of_handshakes_holds_up_nobody() {
    const STORM: usize = 20;
    let mut world = world("storm");
    let mut clients = storm(&mut world, STORM, 0);
    // One breaks while it waits, and its slot is somebody else's.
    world.shard.on_failed(world.now, world.peers[clients.pop().unwrap().peer].socket);
    let mut turns = 0;
    while world.shard.is_pending() {
        let sent = world.turn().sent.len();
        assert!(sent <= 2 * HANDSHAKES_PER_TURN, "as they come, and in the first turn behind that");
        turns += 1;
    }
    assert!(turns >= STORM / HANDSHAKES_PER_TURN - 2, "{turns}");
    for client in &mut clients {
        assert!(!world.peers[client.peer].paused);
        client.hear(&mut world);
        assert!(client.session.is_open());
    }
}
