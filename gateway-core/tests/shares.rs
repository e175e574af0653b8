//! A client's share of a worker that grants no window: PHP's, or one in the shard's own thread.

mod world;

use gateway_core::config::{SHARE_EVENT_SIZE, SHARE_EVENTS_MAX, SHARE_PERIOD_MS};
use world::World;

const SHARE: usize = SHARE_EVENTS_MAX as usize;

/// The worker, and so many clients that have said nothing for some time.
fn stage<const N: usize>() -> (World, usize, [usize; N]) {
    let mut world = World::text();
    let worker = world.worker("w");
    let clients = [(); N].map(|()| world.client(0));
    world.pass(100);
    world.take(worker);
    (world, worker, clients)
}

/// What the worker has been told since: who said how much.
fn told(world: &mut World, worker: usize) -> Vec<(u32, usize)> {
    world.take_frames(worker).into_iter().map(|(_, id, _, body)| (id, body.len())).collect()
}

#[test]
fn who_floods_has_its_share_of_each_period_and_others_come_next() {
    let (mut world, worker, [flooder, other]) = stage();
    world.say(flooder, &b"x\n".repeat(SHARE * 3 - 1));
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
    assert!(world.peers[flooder].paused);
    world.say(other, b"hello\n");
    assert_eq!(told(&mut world, worker), [(2, 5)]);
    assert_eq!(
        world.shard.next_turn(),
        Some(world.now.plus(SHARE_PERIOD_MS - world.now.0 % SHARE_PERIOD_MS))
    );
    world.turn();
    assert_eq!(told(&mut world, worker), [], "not before the next period");
    world.pause(SHARE_PERIOD_MS);
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
    world.pause(SHARE_PERIOD_MS);
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE - 1]);
    assert!(!world.peers[flooder].paused);
    assert_eq!((world.shard.next_turn(), world.shard.counters().stalls_share), (None, 2));
}

/// Nobody's share is what the one before left of it.
#[test]
fn all_who_flood_have_the_same_share() {
    let (mut world, worker, clients) = stage::<5>();
    clients.iter().for_each(|client| world.say(*client, &b"x\n".repeat(SHARE * 10)));
    told(&mut world, worker);
    for _ in 0..5 {
        world.pause(SHARE_PERIOD_MS);
        let told = told(&mut world, worker);
        let of = |id: u32| told.iter().filter(|(who, _)| *who == id).count();
        assert_eq!([1, 2, 3, 4, 5].map(of), [SHARE; 5]);
    }
}

#[test]
fn large_messages_count_for_more() {
    let (mut world, worker, [client]) = stage();
    let large = [&vec![b'x'; 7 * SHARE_EVENT_SIZE][..], b"\n"].concat();
    world.say(client, &large.repeat(SHARE));
    assert_eq!(told(&mut world, worker).len(), SHARE / 8);
    world.pause(SHARE_PERIOD_MS);
    assert_eq!(told(&mut world, worker).len(), SHARE / 8);
}

/// Its end, too, is behind all that it said.
#[test]
fn who_leaves_meanwhile_is_heard_to_the_end() {
    let (mut world, worker, [client]) = stage();
    world.say(client, &b"x\n".repeat(SHARE + 1));
    world.peers[client].paused = false;
    world.end(client);
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
    world.pause(SHARE_PERIOD_MS);
    assert_eq!(told(&mut world, worker), [(1, 1), (1, 0)]);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn a_lost_worker_changes_nothing() {
    let (mut world, worker, [client]) = stage();
    world.say(client, &b"x\n".repeat(SHARE + 3));
    world.reset(worker);
    world.pause(SHARE_PERIOD_MS);
    let next = world.worker("next");
    let messages = told(&mut world, next).into_iter().filter(|(_, size)| *size == 1).count();
    assert_eq!(messages, 3);
}

#[test]
fn workers_of_ours_are_not_guessed_about() {
    let mut world = World::text();
    let worker = world.ringway_worker("w");
    let client = world.client(0);
    world.take(worker);
    world.say(client, &b"x\n".repeat(SHARE * 3));
    assert_eq!((told(&mut world, worker).len(), world.shard.next_turn()), (SHARE * 3, None));
}

/// Bytes of a client come, and nothing is done about it before the next turn.
fn receive(world: &mut World, client: usize, bytes: &[u8]) {
    world.shard.on_received(world.now, world.peers[client].socket, &mut bytes.to_vec());
}

#[test]
fn of_a_worker_in_the_same_thread_each_client_has_a_share_of_each_turn() {
    let mut world = World::text();
    let worker = world.guest_worker("w");
    let [flooder, other] = [(); 2].map(|()| world.client(0));
    world.turn();
    world.take(worker);
    receive(&mut world, flooder, &b"x\n".repeat(SHARE * 3 - 1));
    world.turn();
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
    assert!(world.peers[flooder].paused && world.shard.is_pending());
    receive(&mut world, other, b"hello\n");
    world.turn();
    assert_eq!(told(&mut world, worker), [&[(2, 5)], &[(1, 1); SHARE][..]].concat());
    world.turn();
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE - 1]);
    assert!(!world.peers[flooder].paused);
    world.turn();
    assert!(!world.shard.is_pending());
}

/// What it was given is still in the queue.
#[test]
fn a_turn_in_which_the_worker_takes_nothing_renews_no_share() {
    let mut world = World::text();
    let worker = world.guest_worker("w");
    let flooder = world.client(0);
    world.turn();
    world.take(worker);
    world.peers[worker].room = Some(0);
    receive(&mut world, flooder, &b"x\n".repeat(SHARE * 2));
    (0..10).for_each(|_| drop(world.turn()));
    world.peers[worker].room = None;
    world.shard.on_writable(world.now, world.peers[worker].socket);
    world.turn();
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
    world.turn();
    assert_eq!(told(&mut world, worker), [(1, 1); SHARE]);
}
