//! Workers that say which events are safe (docs/WIRE.md §14): what they had in hand when they were lost goes to others, who are
//! told so.

mod world;

use gateway_core::Settings;
use gateway_core::config::ALONE_MS_MAX;
use protocol::inner::{Cmd, EventId, Frame, Hello, Repeat, Run, UNSAFE_WINDOWS_MAX};
use world::{World, frame_bytes, listen};

/// What a worker was told of an event: whose, what, and how often it was sent before.
type Told = (u32, String, Option<(EventId, u8)>);

/// What a worker got since it was last asked.
fn told(world: &mut World, link: usize) -> Vec<Told> {
    let mut repeat = None;
    let mut told = Vec::new();
    for (cmd, id, _, body) in world.take_frames(link) {
        match cmd {
            Cmd::Repeat => repeat = Repeat::decode(&body).map(|repeat| (repeat.id, repeat.deliveries)),
            Cmd::OnMessage => told.push((id, String::from_utf8_lossy(&body).into_owned(), repeat.take())),
            Cmd::RingwayHello => {}
            cmd => told.push((id, format!("{cmd:?}"), repeat.take())),
        }
    }
    assert_eq!(repeat, None, "an event follows");
    told
}

fn fresh(id: u32, text: &str) -> Told {
    (id, text.to_owned(), None)
}

/// The event of this number on this link, sent so often before.
fn again(id: u32, text: &str, link: u32, number: u32, deliveries: u8) -> Told {
    (id, text.to_owned(), Some((EventId::new(RUN, link, number), deliveries)))
}

/// The shard's.
const RUN: Run = Run((u32::MAX as u64) << 32);

/// Two workers, and a client of the first whose arrival is safe.
fn stage() -> (World, usize, usize, usize) {
    let mut world = World::text();
    let first = world.acking_worker("first", 1);
    let client = world.client(0);
    let second = world.acking_worker("second", 2);
    assert_eq!(told(&mut world, first), [fresh(1, "OnConnect")]);
    world.safe(first, 0, 1);
    (world, first, second, client)
}

/// A worker comes, and has heard nothing yet.
fn join(world: &mut World, key: &str, run: u64) -> usize {
    let link = world.link();
    world.introduce_with_acks(link, key, run, 1_000);
    link
}

fn kept(world: &World) -> (usize, usize) {
    let status = world.shard.status();
    world.shard.check_windows();
    (status.events_in_flight, status.events_kept)
}

#[test]
fn who_asks_and_has_a_window_and_a_run_is_told_what_events_are_called() {
    let mut world = World::text();
    let hello =
        |frames: Vec<(Cmd, u32, Vec<u8>, Vec<u8>)>| Hello::decode(&frames[0].3).expect("it is JSON").acks;
    for number in 1..3 {
        let link = world.link();
        world.introduce_with_acks(link, &number.to_string(), 7, 10);
        let acks = hello(world.take_frames(link)).expect("it was asked for");
        assert_eq!((acks.run, acks.link), (RUN, number));
    }
    let link = world.link();
    world.introduce_with_window(link, "w", 10, 10_000);
    assert_eq!(hello(world.take_frames(link)), None);
    // Nobody who did not ask says it.
    world.safe(link, 0, 0);
    world.safe(link, 0, 1);
    assert!(world.peers[link].closed);
}

#[test]
fn what_is_not_safe_goes_to_another_worker_in_order_and_before_anything_newer() {
    let (mut world, first, second, client) = stage();
    world.say(client, b"a\nb\nc\nd\n");
    assert_eq!(told(&mut world, first).len(), 4);
    world.safe(first, 1, 1);
    world.done(first, 3, 1);
    assert_eq!(kept(&world), (2, 3));
    world.end(first);
    let repeats = [again(1, "b", 1, 2, 1), again(1, "c", 1, 3, 1), again(1, "d", 1, 4, 1)];
    assert_eq!(told(&mut world, second), repeats);
    assert_eq!(kept(&world), (3, 3));
    world.say(client, b"e\n");
    assert_eq!(told(&mut world, second), [fresh(1, "e")]);
    world.safe(second, 0, 4);
    assert_eq!((kept(&world), world.shard.status().events_suspected), ((0, 0), 0));
    let counters = world.shard.counters();
    assert_eq!((counters.events_rerouted, counters.events_repeated, counters.dropped()), (3, 3, 0));
}

/// Of a worker that reads slowly: only of what it may have had a part, it is said that it comes again.
#[test]
fn what_was_not_sent_is_not_repeated() {
    let (mut world, first, second, client) = stage();
    world.peers[first].room = Some(29 + 10);
    world.say(client, b"a\nb\nc\n");
    world.reset(first);
    let all = [again(1, "a", 1, 1, 1), again(1, "b", 1, 2, 1), fresh(1, "c")];
    assert_eq!(told(&mut world, second), all);
    let third = world.acking_worker("third", 3);
    world.peers[third].room = Some(0);
    world.reset(second);
    // What is repeated and not sent is called the same, and was not delivered once more.
    let fourth = world.acking_worker("fourth", 4);
    world.reset(third);
    // One at a time, for two workers have died with the first of them.
    let all = [again(1, "a", 1, 1, 2), again(1, "b", 1, 2, 2), again(1, "c", 2, 2, 1)];
    for (number, event) in (0..).zip(all) {
        assert_eq!(told(&mut world, fourth), [event]);
        world.safe(fourth, number, 1);
    }
    assert_eq!((kept(&world), world.shard.status().events_suspected), ((0, 0), 0));
}

#[test]
fn repeats_wait_for_the_window_of_their_new_worker_and_newer_events_behind_them() {
    let (mut world, first, _, client) = stage();
    world.say(client, b"a\nb\nc\n");
    let small = world.link();
    world.introduce_with_acks(small, "second", 2, 1);
    world.end(first);
    world.say(client, b"d\n");
    for (number, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
        world.deliver(client, usize::MAX);
        let now = told(&mut world, small);
        assert_eq!(now.iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>(), [text]);
        assert_eq!(now[0].2.is_some(), text != "d");
        world.safe(small, number as u32, 1);
    }
    assert_eq!(kept(&world), (0, 0));
}

#[test]
fn the_end_of_a_client_is_kept_too_with_its_session_and_its_last_words() {
    let (mut world, first, second, client) = stage();
    let session = Frame { connection_id: 1, ext: b"s", ..Frame::command(Cmd::SetSession) };
    world.say(first, &frame_bytes(&session));
    world.say(client, b"a\n");
    world.end(client);
    assert_eq!(told(&mut world, first), [fresh(1, "a"), fresh(1, "OnClose")]);
    assert_eq!((world.shard.client_count(), kept(&world)), (0, (2, 2)));
    world.reset(first);
    let sessions: Vec<_> = world.take_frames(second).into_iter().map(|frame| (frame.0, frame.2)).collect();
    let (a, close) = ((Cmd::OnMessage, b"s".to_vec()), (Cmd::OnClose, b"s".to_vec()));
    assert_eq!(sessions, [(Cmd::Repeat, vec![]), a, (Cmd::Repeat, vec![]), close]);
    world.safe(second, 0, 2);
    assert_eq!(kept(&world), (0, 0));
}

#[test]
fn a_worker_that_says_nothing_of_safety_gets_what_is_kept_and_no_repeat() {
    for has_window in [false, true] {
        let (mut world, first, second, client) = stage();
        world.end(second);
        let php = match has_window {
            false => world.worker("php"),
            true => world.windowed_worker("w", 100, 100_000),
        };
        world.say(client, b"a\n");
        world.end(first);
        assert_eq!(told(&mut world, php), [fresh(1, "a")]);
        assert_eq!((kept(&world).1, world.shard.status().events_suspected), (0, 0));
        assert_eq!(world.shard.counters().events_repeated, 0);
    }
}

#[test]
fn the_same_worker_on_another_link_gets_again_what_it_had() {
    let (mut world, first, _, client) = stage();
    world.say(client, b"a\n");
    let link = join(&mut world, "first", 1);
    assert!(world.peers[first].closed);
    assert_eq!(told(&mut world, link), [again(1, "a", 1, 1, 1)]);
    assert_eq!(kept(&world), (1, 1));
}

/// An event that kills each worker that gets it, among others that kill nobody.
#[test]
fn what_three_workers_die_with_alone_is_dropped_and_its_client_closed() {
    let settings = Settings { listen: listen(&["text://127.0.0.1:1000"]), ..Settings::default() };
    let mut world = World::new(settings);
    let mut link = world.acking_worker("w0", 100);
    let [good, bad, other] = [world.client(0), world.client(0), world.client(0)];
    told(&mut world, link);
    world.safe(link, 0, 3);
    world.say(good, b"good\n");
    world.say(bad, b"bad\nlater\n");
    world.say(other, b"other\n");
    let (mut number, mut deaths, mut alone) = (0, 0, 0);
    for round in 0.. {
        if world.peers[bad].shut {
            break;
        }
        assert!(deaths < 3 && round < 20, "it is dropped");
        let now = told(&mut world, link);
        let is_alone = now.len() == 1;
        if now.iter().any(|(_, text, _)| text == "bad") {
            (deaths, alone) = (deaths + 1, alone + u32::from(is_alone));
            let next = world.acking_worker(&format!("w{deaths}"), 100 + deaths);
            world.end(link);
            (link, number) = (next, 0);
        } else {
            // Nothing bad is among them.
            world.safe(link, number, now.len() as u32);
            number += now.len() as u32;
        }
    }
    assert_eq!((deaths, alone), (3, 1));
    while let now = told(&mut world, link)
        && !now.is_empty()
    {
        assert!(now.iter().all(|(_, text, _)| text != "bad"));
        world.safe(link, number, now.len() as u32);
        number += now.len() as u32;
    }
    assert!(!world.peers[good].closed && !world.peers[other].closed);
    assert_eq!((kept(&world), world.shard.status().events_suspected), ((0, 0), 0));
    assert_eq!((world.shard.counters().events_poisonous, world.shard.counters().events_dropped), (1, 0));
    world.say(good, b"goes on\n");
    assert_eq!(told(&mut world, link), [fresh(1, "goes on")]);
}

/// Links that are cut, silent or taken over say nothing of an event.
#[test]
fn a_worker_that_comes_back_has_not_died() {
    let (mut world, mut link, second, client) = stage();
    world.end(second);
    world.say(client, b"a\n");
    for deliveries in 1..10 {
        world.reset(link);
        world.pass(1_000);
        link = join(&mut world, "first", 1);
        assert_eq!(told(&mut world, link), [again(1, "a", 1, 1, deliveries)]);
    }
    assert_eq!(world.shard.status().events_suspected, 0);
    world.safe(link, 0, 1);
    assert_eq!(kept(&world), (0, 0));
}

#[test]
fn a_worker_that_never_says_safe_is_closed_before_much_is_kept() {
    let mut world = World::text();
    let link = world.link();
    world.introduce_with_acks(link, "w", 7, 2);
    let client = world.client(0);
    let mut number = 0;
    while !world.peers[link].closed {
        world.done(link, number, 1);
        world.say(client, b"a\n");
        number += 1;
        assert!(number as usize <= 2 * UNSAFE_WINDOWS_MAX + 3);
    }
    assert_eq!(world.shard.counters().links_malformed, 1);
}

#[test]
fn what_is_not_kept_is_not_safe() {
    for (first, count) in [(0, 1), (2, 1), (1, 2), (u32::MAX, 1), (1, u32::MAX)] {
        let (mut world, link, _, client) = stage();
        world.say(client, b"a\n");
        world.safe(link, first, count);
        assert!(world.peers[link].closed, "{first} {count}");
    }
}

/// As when a handler holds it for longer than the client stays.
#[test]
fn what_a_client_said_is_given_again_when_its_end_is_safe_already() {
    let (mut world, first, second, client) = stage();
    world.say(client, b"a\n");
    world.end(client);
    world.safe(first, 2, 1);
    world.reset(first);
    assert_eq!(told(&mut world, second), [again(1, "a", 1, 1, 1)]);
    world.safe(second, 0, 1);
    assert_eq!((kept(&world), world.shard.counters().dropped()), ((0, 0), 0));
}

/// As in rolling deploys whose handlers take longer than they may.
#[test]
fn a_worker_that_has_handed_over_has_not_died() {
    let (mut world, _, _, client) = stage();
    let mut link = join(&mut world, "w0", 100);
    for round in 1..6 {
        world.say(client, format!("{round}\n").as_bytes());
        let next = join(&mut world, &format!("w{round}"), 100 + round);
        world.say(
            link,
            &frame_bytes(&Frame { body: &[0, 0, 0, 1, 0, 0, 1, 0], ..Frame::command(Cmd::Drain) }),
        );
        world.end(link);
        link = next;
        assert_eq!(world.shard.status().events_suspected, 0);
    }
}

/// The third worker has it in hand for longer than others are to wait.
#[test]
fn others_do_not_wait_for_long_behind_what_is_sent_alone() {
    let (mut world, mut link, second, client) = stage();
    world.end(second);
    let other = world.client(0);
    world.safe(link, 1, 1);
    world.say(client, b"slow\n");
    for round in 0..2 {
        let next = join(&mut world, &format!("w{round}"), 100 + round);
        world.end(link);
        link = next;
    }
    assert_eq!(told(&mut world, link), [again(1, "slow", 1, 2, 2)]);
    world.say(other, b"hello\n");
    world.pass(ALONE_MS_MAX - 100);
    world.say(link, &frame_bytes(&Frame::command(Cmd::RingwayPing)));
    assert_eq!(told(&mut world, link), []);
    world.pass(200);
    assert_eq!(told(&mut world, link), [fresh(2, "hello")]);
}
