//! Workers that say which events are done (docs/WIRE.md §14): how much they get before they have, and each client's share of it.

mod world;

use gateway_core::config::{CLIENT_EVENTS_MAX, CLIENT_EVENTS_RESUMED, CLIENT_LARGE_EVENT_SIZE};
use protocol::inner::drain::Drain;
use protocol::inner::{Cmd, EventRange, Frame};
use world::{World, frame_bytes};

/// As much as any test needs.
const PLENTY: u32 = 10_000_000;

const SHARE: usize = CLIENT_EVENTS_MAX as usize;

/// What a worker got since it was last asked: of whom, and what.
fn told(world: &mut World, link: usize) -> Vec<(u32, String)> {
    let text = |cmd, body| match cmd {
        Cmd::OnMessage => String::from_utf8(body).expect("clients say UTF-8"),
        other => format!("{other:?}"),
    };
    world.take_frames(link).into_iter().map(|(cmd, id, _, body)| (id, text(cmd, body))).collect()
}

fn message(id: u32, text: &str) -> (u32, String) {
    (id, text.to_owned())
}

/// Lines of one letter each.
fn flood(count: usize) -> Vec<u8> {
    b"x\n".repeat(count)
}

/// Clients of a worker of which nothing is in flight.
fn stage<const COUNT: usize>(events: u32, bytes: u32) -> (World, usize, [usize; COUNT]) {
    let mut world = World::text();
    let link = world.windowed_worker("w", PLENTY, PLENTY);
    let clients = [0; COUNT].map(|listener| world.client(listener));
    world.introduce_with_window(link, "w", events, bytes);
    world.take(link);
    assert_eq!((in_flight(&world), world.shard.check_windows()), (0, 0));
    (world, link, clients)
}

fn in_flight(world: &World) -> usize {
    world.shard.status().events_in_flight
}

#[test]
fn only_who_says_a_window_is_told_that_there_are_any() {
    for (with_window, body) in
        [(true, &br#"{"ringway":1,"windows":1,"answers":1}"#[..]), (false, br#"{"ringway":1}"#)]
    {
        let mut world = World::text();
        let link = world.link();
        match with_window {
            true => world.introduce_with_window(link, "w", 1, PLENTY),
            false => world.introduce(link, "w", true),
        }
        let frames = world.take_frames(link);
        assert_eq!(frames, [(Cmd::RingwayHello, 0, vec![], body.to_vec())]);
        let client = world.client(0);
        world.say(client, b"a\nb\n");
        let all = [message(1, "OnConnect"), message(1, "a"), message(1, "b")];
        assert_eq!(told(&mut world, link), all[..if with_window { 1 } else { 3 }]);
        assert_eq!(in_flight(&world), usize::from(with_window));
        // Whoever has none may say what it likes.
        world.done(link, 0, if with_window { 1 } else { 77 });
        assert!(!world.peers[link].closed);
        assert_eq!(in_flight(&world), 0);
    }
}

#[test]
fn clients_wait_for_a_full_window_and_are_served_in_order() {
    let (mut world, link, clients) = stage::<5>(2, PLENTY);
    world.say(clients[0], b"0\n0\n");
    assert_eq!((told(&mut world, link).len(), world.shard.check_windows()), (2, 0));
    for (client, text) in clients.iter().zip(["a\nA\n", "b\n", "c\n", "d\n", "e\n"]) {
        world.say(*client, text.as_bytes());
        assert!(world.peers[*client].paused);
    }
    assert_eq!((told(&mut world, link), world.shard.check_windows()), (vec![], 5));
    assert_eq!(world.shard.counters().stalls_window, 5, "once each");
    world.done(link, 0, 2);
    assert_eq!(told(&mut world, link), [message(1, "a"), message(1, "A")]);
    assert!(!world.peers[clients[0]].paused && world.peers[clients[1]].paused);
    // In any order.
    world.done(link, 3, 1);
    world.done(link, 2, 1);
    assert_eq!(told(&mut world, link), [message(2, "b"), message(3, "c")]);
    // Who has waited goes before who comes.
    world.say(clients[1], b"B\n");
    world.done(link, 4, 2);
    assert_eq!(told(&mut world, link), [message(4, "d"), message(5, "e")]);
    world.done(link, 7, 1);
    assert_eq!(told(&mut world, link), [message(2, "B")]);
    world.done(link, 6, 1);
    world.done(link, 8, 1);
    assert_eq!((in_flight(&world), world.shard.check_windows()), (0, 0));
}

#[test]
fn who_floods_has_its_share_and_no_more() {
    let (mut world, link, [flooder, other]) = stage(40, PLENTY);
    world.say(flooder, &flood(1_000));
    assert_eq!(told(&mut world, link).len(), SHARE);
    assert!(world.peers[flooder].paused);
    assert_eq!(world.shard.counters().stalls_own_events, 1);
    // Others find room behind it, however long it takes the worker.
    world.say(other, b"hello\n");
    assert_eq!(told(&mut world, link), [message(2, "hello")]);
    // It is read again when half of its share is done.
    let half = u32::from(CLIENT_EVENTS_MAX - CLIENT_EVENTS_RESUMED);
    world.done(link, 0, half - 1);
    assert_eq!(told(&mut world, link), []);
    world.done(link, half - 1, 1);
    assert_eq!(told(&mut world, link).len(), half as usize);
    assert_eq!(in_flight(&world), SHARE + 1);
}

/// Many flood, so that their shares are more than the window.
#[test]
fn others_have_their_turn_between_those_who_flood() {
    let (mut world, link, clients) = stage::<11>(40, PLENTY);
    let (other, flooders) = clients.split_last().expect("there are 11");
    let mut next = 0;
    flooders.iter().for_each(|flooder| world.say(*flooder, &flood(1_000)));
    for round in 0..50 {
        world.say(*other, format!("{round}\n").as_bytes());
        // Behind one event of each of them at most.
        let mut events = 0;
        while !told(&mut world, link).iter().any(|(id, _)| *id == 11) {
            world.done(link, next, 1);
            (next, events) = (next + 1, events + 1);
            assert!(events <= flooders.len() + 1, "{events}");
        }
        world.shard.check_windows();
    }
}

#[test]
fn bytes_fill_a_window_and_one_event_fits_whatever_its_size() {
    let (mut world, link, [large, small]) = stage(40, 1_000);
    let line = [b"y".repeat(5_000), b"\n".to_vec()].concat();
    world.say(large, &line);
    world.say(small, b"behind\n");
    world.say(large, &line);
    assert_eq!((told(&mut world, link).len(), world.shard.check_windows()), (1, 2));
    world.done(link, 0, 1);
    assert_eq!(told(&mut world, link)[0], message(2, "behind"));
    assert_eq!((in_flight(&world), world.shard.check_windows()), (2, 0));
}

#[test]
fn a_large_event_is_a_share() {
    let (mut world, link, [client]) = stage(40, PLENTY);
    let line = [b"y".repeat(CLIENT_LARGE_EVENT_SIZE), b"\n".to_vec()].concat();
    for (first, before) in [(0, 0), (2, 15)] {
        world.say(client, &flood(before));
        world.say(client, &line);
        world.say(client, b"behind\n");
        let all = told(&mut world, link);
        assert_eq!((all.len(), world.shard.check_windows()), (before + 1, 1), "nothing is behind it");
        world.done(link, first, before as u32 + 1);
        assert_eq!(told(&mut world, link), [message(1, "behind")]);
        world.done(link, first + before as u32 + 1, 1);
        assert_eq!(in_flight(&world), 0);
    }
}

#[test]
fn a_lost_link_gives_back_what_it_had_and_what_it_had_not_taken_counts_anew() {
    let (mut world, old, clients) = stage::<2>(40, PLENTY);
    world.say(clients[0], &flood(4));
    // It takes no more.
    world.peers[old].room = Some(0);
    world.say(clients[0], &flood(30));
    world.say(clients[1], b"a\n");
    assert_eq!((in_flight(&world), world.shard.check_windows()), (SHARE + 1, 1));
    let new = world.windowed_worker("new", 6, PLENTY);
    world.reset(old);
    // First what the old one had not taken, and no more than it may.
    let mut seen = told(&mut world, new);
    assert_eq!(seen.len(), 6);
    assert_eq!((in_flight(&world), world.shard.check_windows()), (6, 1));
    let mut first = 0;
    while in_flight(&world) > 0 {
        world.done(new, first, 1);
        first += 1;
        seen.extend(told(&mut world, new));
        world.shard.check_windows();
    }
    // But for the 4 that the old one had taken.
    assert_eq!((first, world.shard.check_windows()), (34 + 1 - 4, 0));
    assert!(seen.contains(&message(2, "a")));
    assert!(!world.peers[clients[0]].paused && !world.peers[clients[1]].paused);
}

#[test]
fn a_worker_that_says_again_who_it_is_begins_anew() {
    let (mut world, link, [client]) = stage(20, PLENTY);
    world.say(client, &flood(SHARE + 5));
    assert_eq!((told(&mut world, link).len(), in_flight(&world)), (SHARE, SHARE));
    world.introduce_with_window(link, "w", 3, PLENTY);
    let frames = told(&mut world, link);
    assert_eq!(frames[0], message(0, "RingwayHello"));
    assert_eq!((frames.len(), in_flight(&world), world.shard.check_windows()), (1 + 3, 3, 1));
    world.done(link, 0, 3);
    assert_eq!((told(&mut world, link).len(), in_flight(&world), world.shard.check_windows()), (2, 2, 0));
    // And one that says no window has none.
    world.introduce(link, "w", true);
    world.say(client, &flood(100));
    assert_eq!((told(&mut world, link).len(), in_flight(&world)), (101, 0));
}

#[test]
fn who_says_done_what_is_not_in_flight_is_closed() {
    for (first, count, is_wrong) in [
        (0, 3, false),
        (1, 1, false),
        (2, 0, false),
        (9, 0, false),
        (3, 1, true),
        (0, 4, true),
        (u32::MAX, 1, true),
        (u32::MAX, 2, true),
        (0, u32::MAX, true),
        (1 << 31, 1 << 31, true),
    ] {
        let (mut world, link, [client]) = stage(40, PLENTY);
        world.say(client, b"a\nb\nc\n");
        world.done(link, first, count);
        assert_eq!(world.peers[link].closed, is_wrong, "{first} {count}");
        assert_eq!(world.shard.counters().links_malformed, u64::from(is_wrong));
        assert_eq!(in_flight(&world), if is_wrong { 0 } else { 3 - count as usize });
        if !is_wrong && count > 0 {
            world.done(link, first, count);
            assert!(world.peers[link].closed, "twice");
        }
        world.shard.check_windows();
    }
}

/// As many parts as a frame holds, each of them about all there is.
#[test]
fn a_long_list_of_what_is_not_in_flight_is_not_read_to_its_end() {
    let (mut world, link, clients) = stage::<100>(1_000, PLENTY);
    clients.iter().for_each(|client| world.say(*client, b"a\n"));
    let mut body = Vec::new();
    (0..1_000_000).for_each(|_| EventRange { first: 0, count: 100 }.encode(&mut body));
    world.say(link, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::EventsDone) }));
    assert!(world.peers[link].closed);
}

#[test]
fn the_ends_of_clients_wait_for_the_window_and_not_for_the_clients_own_events() {
    let (mut world, link, [flooder, other, third]) = stage(SHARE as u32 + 2, PLENTY);
    world.say(flooder, &flood(SHARE));
    world.end(flooder);
    world.reset(other);
    world.reset(third);
    let frames = told(&mut world, link);
    assert_eq!(frames[SHARE..], [message(1, "OnClose"), message(2, "OnClose")]);
    world.done(link, 0, 1);
    assert_eq!(told(&mut world, link), [message(3, "OnClose")]);
    world.done(link, 1, SHARE as u32 + 2);
    assert_eq!((in_flight(&world), world.shard.client_count()), (0, 0));
}

#[test]
fn what_is_no_event_does_not_wait_for_a_window() {
    let (mut world, link, [client]) = stage(1, PLENTY);
    world.say(client, b"first\n");
    world.say(client, b"waits\n");
    assert_eq!(told(&mut world, link), [message(1, "first")]);
    let body = Drain { round: 1, within_ms: 1_000 }.encode();
    world.say(link, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::Drain) }));
    assert_eq!(told(&mut world, link), [message(0, "Drained")]);
    // What waited goes to another, whatever the first has in its hands.
    let new = world.windowed_worker("new", 1, PLENTY);
    world.say(link, &frame_bytes(&Frame::command(Cmd::DrainBusy)));
    assert_eq!(told(&mut world, new), [message(1, "waits")]);
    assert_eq!(in_flight(&world), 2);
    world.done(link, 0, 1);
    world.done(new, 0, 1);
    assert_eq!((in_flight(&world), world.shard.check_windows()), (0, 0));
}

#[test]
fn a_stop_that_has_no_more_time_tells_of_all_clients_whatever_the_window() {
    let (mut world, link, clients) = stage::<5>(2, PLENTY);
    world.say(clients[0], b"a\nb\n");
    world.shard.begin_stop(world.now);
    world.settle();
    assert_eq!(told(&mut world, link).len(), 2);
    world.shard.end_clients(world.now);
    world.settle();
    let mut all = told(&mut world, link);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5].map(|id| message(id, "OnClose")));
}
