//! The gateway's stop: everybody is told, by and by when there are many, and those who have not been are served.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use protocol::inner::drain::Drain;
use protocol::inner::{Cmd, Frame};
use world::{World, listen, to_client};

/// A shard of text clients, each known to its only worker. Connection ids begin at 1.
fn world(clients: usize, drain_seconds: u64, seed: u64) -> (World, usize, Vec<usize>) {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        drain_timeout: Duration::from_secs(drain_seconds),
        ..Settings::default()
    };
    let mut world = World::seeded(settings, seed << 32);
    let worker = world.worker("w");
    let clients = (0..clients).map(|_| world.client(0)).collect();
    world.take_frames(worker);
    (world, worker, clients)
}

fn begin_stop(world: &mut World) {
    world.shard.begin_stop(world.now);
    world.settle();
}

/// The connection ids that the worker hears the end of.
fn closed(world: &mut World, worker: usize) -> Vec<u32> {
    let frames = world.take_frames(worker).into_iter();
    frames.filter(|frame| frame.0 == Cmd::OnClose).map(|frame| frame.1).collect()
}

#[test]
fn a_few_clients_go_at_once() {
    let (mut world, worker, clients) = world(50, 10, 1);
    begin_stop(&mut world);
    assert_eq!(closed(&mut world, worker).len(), 50);
    for client in clients {
        assert!(world.peers[client].shut);
        world.end(client);
    }
    assert!(world.shard.is_stopped());
}

#[test]
fn without_time_all_go_at_once() {
    let (mut world, worker, _) = world(3_000, 0, 1);
    begin_stop(&mut world);
    assert_eq!(closed(&mut world, worker).len(), 3_000);
}

#[test]
fn many_clients_go_by_and_by_and_each_of_them_once() {
    let (mut world, worker, _) = world(4_000, 2, 1);
    begin_stop(&mut world);
    let mut gone = closed(&mut world, worker);
    let mut ticks = 0;
    while gone.len() < 4_000 {
        world.pass(50);
        ticks += 1;
        let now_gone = closed(&mut world, worker);
        assert!((50..=101).contains(&now_gone.len()), "{} in tick {ticks}", now_gone.len());
        gone.extend(now_gone);
    }
    assert!((39..=40).contains(&ticks), "{ticks} ticks of 50 ms for 2 s");
    gone.sort_unstable();
    assert_eq!(gone, (1..=4_000).collect::<Vec<u32>>());
    world.pass(3_000);
    assert!(world.shard.is_stopped());
}

#[test]
fn the_pace_has_a_least_however_long_the_time() {
    let (mut world, worker, _) = world(1_000, 3_600, 1);
    begin_stop(&mut world);
    world.pass(1_000);
    assert_eq!(closed(&mut world, worker).len(), 1_000);
}

#[test]
fn who_goes_when_is_the_seeds_choice() {
    let order = |seed| {
        let (mut world, worker, _) = world(1_000, 10, seed);
        begin_stop(&mut world);
        world.pass(1_000);
        closed(&mut world, worker)
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let first: Vec<u32> = order(3).into_iter().take(50).collect();
    assert!(first.iter().any(|id| *id > 500) && first.iter().any(|id| *id <= 500), "{first:?}");
    assert!(!first.is_sorted());
}

#[test]
fn who_has_not_been_told_is_served_as_ever() {
    let (mut world, worker, clients) = world(1_000, 10, 1);
    for id in [1, 2] {
        world.command(worker, &Frame { ext: b"room", ..to_client(Cmd::JoinGroup, id) });
    }
    begin_stop(&mut world);
    let left: Vec<usize> = clients.into_iter().filter(|client| !world.peers[*client].shut).collect();
    assert_eq!(left.len(), 950);
    closed(&mut world, worker);
    world.say(left[0], b"still here\n");
    let frames = world.take_frames(worker);
    let [(Cmd::OnMessage, id, _, body)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(body, b"still here");
    world.command(worker, &Frame { body: b"yes", ..to_client(Cmd::SendToOne, *id) });
    assert_eq!(world.take(left[0]), b"yes\n");
    world.command(worker, &Frame { body: b"all", ..Frame::command(Cmd::SendToAll) });
    assert!(left.iter().all(|client| world.take(*client) == b"all\n"));
    let late = world.client(0);
    assert!(world.peers[late].closed, "nobody new is taken");
}

#[test]
fn who_leaves_before_its_turn_is_not_told_twice() {
    let (mut world, worker, clients) = world(200, 10, 1);
    begin_stop(&mut world);
    let left = clients.into_iter().find(|client| !world.peers[*client].shut).unwrap();
    world.end(left);
    world.pass(200);
    let mut gone = closed(&mut world, worker);
    gone.sort_unstable();
    assert_eq!(gone, (1..=200).collect::<Vec<u32>>());
}

#[test]
fn a_stop_that_takes_too_long_tells_workers_of_everybody_all_the_same() {
    let (mut world, worker, clients) = world(2, 10, 1);
    world.peers[clients[0]].room = Some(0);
    world.command(worker, &Frame { body: b"never read", ..to_client(Cmd::SendToOne, 1) });
    world.peers[worker].room = Some(30);
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(!world.shard.is_stopped());
    world.shard.end_stop(world.now);
    world.settle();
    assert!(world.peers[clients[0]].closed && !world.peers[worker].shut);
    world.read(worker, None);
    assert_eq!(world.take_frames(worker).len(), 2);
    assert!(world.peers[worker].shut);
}

#[test]
fn stopping_says_goodbye_to_all() {
    let mut world = World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1", "text://127.0.0.1:2"]),
        ..Settings::default()
    });
    let worker = world.worker("w");
    let (websocket, text) = (world.client(0), world.client(1));
    world.say(
        websocket,
        b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    world.take(websocket);
    world.take(worker);
    world.shard.begin_stop(world.now);
    world.settle();
    assert_eq!(world.take(websocket), [0x88, 2, 3, 0xE9]);
    assert_eq!(world.take(text), b"");
    assert!(world.take_frames(worker).iter().all(|frame| frame.0 == Cmd::OnClose));
    assert!(!world.shard.is_stopped());
    world.end(websocket);
    world.pass(3_000);
    assert!(world.shard.is_stopped() && world.peers[text].closed);
    world.shard.end_stop(world.now);
    world.settle();
    assert!(world.peers[worker].shut && world.shard.has_links());
    world.end(worker);
    assert!(world.peers[worker].closed && !world.shard.has_links());
    let late = world.client(1);
    assert!(world.peers[late].closed);
}

#[test]
fn in_the_end_a_worker_that_stops_too_is_told_of_everybody_however_much_waits_for_it() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_worker_buffer_size: 40,
        drain_timeout: Duration::ZERO,
        ..Settings::default()
    });
    let worker = world.ringway_worker("w");
    let clients: Vec<usize> = (0..20).map(|_| world.client(0)).collect();
    world.take_frames(worker);
    world.peers[worker].room = Some(0);
    begin_stop(&mut world);
    clients.into_iter().for_each(|client| world.end(client));
    world.pass(5_000);
    assert!(!world.shard.is_stopped(), "most wait for room");
    world.shard.end_clients(world.now);
    let drain = Drain { round: 1, within_ms: 1_000 }.encode();
    world.command(worker, &Frame { body: &drain, ..Frame::command(Cmd::Drain) });
    world.read(worker, None);
    let told = world.take_frames(worker).into_iter().map(|frame| frame.0);
    let told: Vec<Cmd> = told.take_while(|cmd| *cmd != Cmd::Drained).collect();
    assert_eq!(told, [Cmd::OnClose; 20]);
}
