//! Signs of life on inner connections (WIRE.md §14), under a virtual clock.

mod world;

use gateway_core::Settings;
use protocol::inner::{Cmd, Frame};
use world::{World, frame_bytes, listen, to_client};

fn ping(world: &mut World, link: usize) {
    world.say(link, &frame_bytes(&Frame::command(Cmd::RingwayPing)));
}

/// Commands that a worker has received, by name.
fn told(world: &mut World, link: usize) -> Vec<Cmd> {
    world.take_frames_and_pings(link).into_iter().map(|frame| frame.0).collect()
}

#[test]
fn a_worker_of_ours_is_greeted_with_a_ping_and_gets_one_every_two_seconds() {
    let mut world = World::text();
    let (ours, php) = (world.link(), world.worker("php"));
    world.introduce(ours, "ours", true);
    assert_eq!(told(&mut world, ours), [Cmd::RingwayHello, Cmd::RingwayPing]);
    for _ in 0..10 {
        world.pass(4_000);
        assert_eq!(told(&mut world, ours), [Cmd::RingwayPing, Cmd::RingwayPing]);
    }
    assert_eq!(told(&mut world, php), []);
}

#[test]
fn traffic_makes_pings_needless() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    let client = world.client(0);
    told(&mut world, worker);
    for _ in 0..20 {
        world.say(client, b"x\n");
        world.pass(500);
    }
    assert_eq!(told(&mut world, worker), [Cmd::OnMessage; 20]);
}

#[test]
fn a_worker_that_pinged_and_is_silent_is_dead_within_nine_seconds_and_its_clients_go_elsewhere() {
    let mut world = World::text();
    let dead = world.ringway_worker("dead");
    let client = world.client(0);
    ping(&mut world, dead);
    let other = world.ringway_worker("other");
    ping(&mut world, other);
    for _ in 0..4 {
        world.pass(1_950);
        ping(&mut world, other);
    }
    assert!(!world.peers[dead].closed, "not before 8 s");
    world.pass(1_250);
    assert!(world.peers[dead].closed && !world.peers[other].closed);
    assert_eq!(world.shard.counters().links_silent, 1);
    told(&mut world, other);
    world.say(client, b"anybody?\n");
    assert_eq!(told(&mut world, other), [Cmd::OnMessage]);
}

/// A worker of an older version, or PHP's.
#[test]
fn who_never_pinged_may_be_silent() {
    let mut world = World::text();
    let links = [world.ringway_worker("old"), world.worker("php"), world.link()];
    // What PHP's worker may not say counts for nothing.
    ping(&mut world, links[1]);
    world.pass(300_000);
    assert!(links.iter().all(|link| !world.peers[*link].closed));
}

#[test]
fn who_says_anything_now_and_then_is_alive() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    world.client(0);
    ping(&mut world, worker);
    for _ in 0..20 {
        world.pass(7_000);
        world.command(worker, &Frame { body: b"hello", ..to_client(Cmd::SendToOne, 1) });
    }
    assert!(!world.peers[worker].closed);
}

/// The shard's own pause, however long, is not its peers' silence.
#[test]
fn a_shard_that_was_held_up_hears_first_and_judges_then() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    ping(&mut world, worker);
    for _ in 0..5 {
        world.now = world.now.plus(60_000);
        world.pass(50);
        ping(&mut world, worker);
    }
    assert!(!world.peers[worker].closed);
}

/// A link that is not read, because its peer does not take its answers, cannot be heard.
#[test]
fn a_link_that_is_not_read_is_not_taken_for_silent() {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let worker = world.ringway_worker("w");
    world.client(0);
    ping(&mut world, worker);
    world.peers[worker].room = Some(0);
    let question = frame_bytes(&Frame::command(Cmd::GetGroupIdList));
    world.say(worker, &question.repeat(20));
    assert!(world.peers[worker].paused);
    world.pass(30_000);
    assert!(!world.peers[worker].closed);
    world.read(worker, None);
    assert!(!world.peers[worker].paused);
    world.pass(9_050);
    assert!(world.peers[worker].closed, "once it is read, it can be silent");
}

#[test]
fn a_worker_that_takes_nothing_for_a_minute_gives_its_clients_up() {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let stuck = world.worker("stuck");
    let client = world.client(0);
    world.peers[stuck].room = Some(0);
    for _ in 0..10 {
        world.say(client, b"a message\n");
    }
    assert!(world.peers[client].paused);
    world.pass(40_000);
    world.read(stuck, Some(1));
    world.pass(59_000);
    assert!(!world.peers[stuck].closed, "a byte is progress");
    let other = world.worker("other");
    world.pass(2_000);
    assert!(world.peers[stuck].closed && !world.peers[client].paused);
    assert_eq!(world.shard.counters().links_stuck, 1);
    world.peers[client].inbox.extend(b"another\n");
    world.deliver(client, usize::MAX);
    assert!(told(&mut world, other).contains(&Cmd::OnMessage));
}
