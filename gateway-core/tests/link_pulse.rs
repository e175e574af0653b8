//! Signs of life on inner connections (WIRE.md §14), under a virtual clock.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use protocol::inner::{Cmd, Frame};
use uring::Acks;
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
    world.ringway_worker("other");
    world.pass(10_050);
    assert!(world.peers[worker].closed, "once it is read, it can be silent");
}

/// A worker of this key that reads nothing, and a client whose messages have filled its link.
fn stuck(ringway: bool) -> (World, usize, usize) {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let worker = if ringway { world.ringway_worker("w") } else { world.worker("w") };
    let client = world.client(0);
    world.take(worker);
    world.peers[worker].room = Some(0);
    for index in 0..10 {
        world.say(client, format!("message {index}\n").as_bytes());
    }
    assert!(world.peers[client].paused);
    (world, worker, client)
}

fn bodies(world: &mut World, link: usize) -> Vec<String> {
    let frames = world.take_frames(link).into_iter().filter(|frame| frame.0 == Cmd::OnMessage);
    frames.map(|frame| String::from_utf8(frame.3).expect("text")).collect()
}

fn messages() -> Vec<String> {
    (0..10).map(|index| format!("message {index}")).collect()
}

/// A handler waits for its database for minutes; its worker pings.
#[test]
fn a_worker_of_ours_that_reads_nothing_for_minutes_and_pings_loses_nothing() {
    let (mut world, worker, client) = stuck(true);
    world.ringway_worker("other");
    for _ in 0..100 {
        world.pass(2_000);
        ping(&mut world, worker);
    }
    world.read(worker, None);
    assert!(!world.peers[worker].closed && !world.peers[client].paused);
    world.deliver(client, usize::MAX);
    assert_eq!(bodies(&mut world, worker), messages());
}

#[test]
fn a_php_worker_that_reads_nothing_for_minutes_loses_nothing_while_its_kernel_acknowledges() {
    let (mut world, worker, client) = stuck(false);
    world.worker("other");
    for second in 0..300 {
        // Asked every two minutes whether there is room; for a moment the answer is on its way.
        let awaited = second % 120 < 2;
        world.peers[worker].acks =
            Some(Acks { awaited, last: Duration::from_secs(if awaited { 119 } else { second % 120 }) });
        world.pass(1_000);
    }
    world.read(worker, None);
    assert!(!world.peers[worker].closed && !world.peers[client].paused);
    world.deliver(client, usize::MAX);
    assert_eq!(bodies(&mut world, worker), messages());
}

#[test]
fn a_worker_whose_machine_acknowledges_nothing_for_a_minute_is_given_up_and_others_get_what_it_had_not_taken()
{
    let (mut world, worker, client) = stuck(false);
    let other = world.worker("other");
    for second in 0..59 {
        world.peers[worker].acks = Some(Acks { awaited: true, last: Duration::from_secs(second) });
        world.pass(1_000);
    }
    assert!(!world.peers[worker].closed);
    world.peers[worker].acks = Some(Acks { awaited: true, last: Duration::from_secs(60) });
    world.pass(8_000);
    assert!(world.peers[worker].closed && !world.peers[client].paused);
    world.deliver(client, usize::MAX);
    assert_eq!(bodies(&mut world, other), messages());
    assert_eq!((world.shard.counters().links_stuck, world.shard.counters().events_dropped), (1, 0));
}

/// Two workers that ping; the first has the client.
fn two_workers() -> (World, [usize; 2], usize) {
    let mut world = World::text();
    let one = world.ringway_worker("one");
    let client = world.client(0);
    let two = world.ringway_worker("two");
    [one, two].iter().for_each(|link| ping(&mut world, *link));
    (world, [one, two], client)
}

#[test]
fn the_only_worker_is_kept_although_it_is_silent_and_its_clients_are_not_read() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    let client = world.client(0);
    ping(&mut world, worker);
    world.pass(15_000);
    world.take(worker);
    world.say(client, b"are you there?\n");
    assert!(world.peers[client].paused && !world.peers[client].closed && !world.peers[worker].closed);
    world.pass(3_000);
    let pings = told(&mut world, worker);
    assert!(
        pings.len() >= 2 && pings.iter().all(|cmd| *cmd == Cmd::RingwayPing),
        "it is not given up: {pings:?}"
    );
    ping(&mut world, worker);
    assert_eq!(bodies(&mut world, worker), ["are you there?"]);
    assert!(!world.peers[client].paused);
    let counters = world.shard.counters();
    assert_eq!((counters.links_kept, counters.links_silent, counters.stalls_silent), (1, 0, 1));
}

#[test]
fn a_silent_worker_is_given_up_as_soon_as_another_comes() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    let client = world.client(0);
    ping(&mut world, worker);
    world.pass(15_000);
    world.say(client, b"anybody?\n");
    let other = world.ringway_worker("other");
    world.pass(1_050);
    assert!(world.peers[worker].closed && !world.peers[client].paused);
    assert_eq!(bodies(&mut world, other), ["anybody?"]);
}

/// Only then the time begins that clients wait for a worker.
#[test]
fn a_silent_worker_is_given_up_after_a_minute_in_any_case() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    let client = world.client(0);
    ping(&mut world, worker);
    world.pass(10_000);
    world.say(client, b"anybody?\n");
    world.pass(49_000);
    assert!(!world.peers[worker].closed);
    world.pass(2_500);
    assert!(world.peers[worker].closed && !world.peers[client].closed);
    world.pass(4_000);
    assert!(!world.peers[client].shut, "5 s from when it was given up");
    world.pass(2_000);
    assert!(world.peers[client].shut);
    assert_eq!(world.shard.counters().clients_closed_no_worker, 1);
}

/// As for a gateway that is cut off from everybody.
#[test]
fn workers_that_fall_silent_together_are_all_kept() {
    let (mut world, workers, client) = two_workers();
    world.pass(20_000);
    assert!(workers.iter().all(|link| !world.peers[*link].closed));
    world.say(client, b"x\n");
    assert!(world.peers[client].paused);
    ping(&mut world, workers[1]);
    world.pass(1_050);
    assert!(world.peers[workers[0]].closed, "there is another again");
    assert!(bodies(&mut world, workers[1]).contains(&"x".to_owned()));
}
