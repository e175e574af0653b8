//! Fan-outs to more clients than one turn has room for.

mod world;

use gateway_core::config::{
    COPY_MAX, EVERYBODY_DIRECT_MAX, FANOUT_SENDS_MAX, FANOUTS_MAX, HELD_SIZE_MAX, HELD_UP_PER_TURN_MAX,
    SLICES_PER_SEND_MAX, WALK_MESSAGES_MAX, WALK_SENDS_MAX,
};
use gateway_core::{Action, Settings, SlowClient};
use protocol::inner::{Cmd, Frame, ext};
use world::{World, frame_bytes, listen, to_client};

const CLIENTS: usize = FANOUT_SENDS_MAX * 3 + 10;

fn to_all(body: &[u8]) -> Vec<u8> {
    frame_bytes(&Frame { body, ..Frame::command(Cmd::SendToAll) })
}

/// A worker, another one, and very many clients.
fn crowd() -> (World, usize, usize, Vec<usize>) {
    let mut world = World::text();
    let (worker, other) = (world.worker("a"), world.worker("b"));
    let clients = (0..CLIENTS).map(|_| world.client(0)).collect();
    (world, worker, other, clients)
}

#[test]
fn others_get_their_turn_between_slices() {
    let (mut world, worker, other, clients) = crowd();
    let (worker, other) = (world.peers[worker].socket, world.peers[other].socket);
    world.shard.on_received(world.now, worker, &mut to_all(b"all"));
    // The echo comes in when the fan-out has begun, and leaves with the next send, behind the fan-out's message. The last
    // client would be the last to get that.
    let last = CLIENTS as u32;
    let echo = frame_bytes(&Frame { body: b"echo", ..to_client(Cmd::SendToOne, last) });
    world.shard.on_received(world.now, other, &mut echo.clone());
    let turn = world.turn();
    assert_eq!(turn.sent.len(), WALK_SENDS_MAX + 1);
    assert_eq!(world.take(clients[CLIENTS - 1]), b"all\necho\n");
    // The link it came on is read on, too.
    assert_eq!(turn.actions, []);
    world.shard.on_received(world.now, worker, &mut echo.clone());
    world.turn();
    assert_eq!(world.take(clients[CLIENTS - 1]), b"echo\n");
    assert!(world.shard.is_pending());
    world.settle();
    assert_eq!(world.take(clients[CLIENTS - 1]), b"");
    assert_eq!(world.take(clients[CLIENTS - 2]), b"all\n");
}

#[test]
fn a_burst_to_many_leaves_in_one_send_per_client() {
    let (mut world, worker, _, clients) = crowd();
    let mut burst: Vec<u8> = (0..5).flat_map(|_| to_all(b"tick")).collect();
    world.shard.on_received(world.now, world.peers[worker].socket, &mut burst);
    let mut sends = 0;
    while world.shard.is_pending() {
        sends += world.turn().sent.len();
    }
    assert_eq!(sends, CLIENTS);
    assert!(clients.iter().all(|client| world.take(*client) == b"tick\n".repeat(5)));
}

#[test]
fn a_link_with_more_fan_outs_than_the_log_holds_waits() {
    let (mut world, worker, _, clients) = crowd();
    let socket = world.peers[worker].socket;
    let bodies: Vec<String> = (0..FANOUTS_MAX + 3).map(|number| number.to_string()).collect();
    let behind = frame_bytes(&Frame { body: b"behind", ..to_client(Cmd::SendToOne, CLIENTS as u32) });
    let mut said: Vec<u8> = bodies.iter().flat_map(|body| to_all(body.as_bytes())).chain(behind).collect();
    world.shard.on_received(world.now, socket, &mut said);
    assert_eq!(world.turn().actions, [Action::Pause(socket)]);
    world.settle();
    assert!(!world.peers[worker].paused);
    let expected: String = bodies.iter().flat_map(|body| [body, "\n"]).collect();
    assert_eq!(world.take(clients[0]), expected.as_bytes());
    assert_eq!(world.take(clients[CLIENTS - 1]), (expected + "behind\n").as_bytes());
}

#[test]
fn what_comes_behind_a_large_fan_out_does_not_overtake_it() {
    let (mut world, worker, _, clients) = crowd();
    let behind = frame_bytes(&Frame { body: b"behind", ..to_client(Cmd::SendToOne, CLIENTS as u32) });
    world.say(worker, &[to_all(b"one"), to_all(b"two"), behind].concat());
    world.settle();
    for client in &clients[..CLIENTS - 1] {
        assert_eq!(world.take(*client), b"one\ntwo\n");
    }
    assert_eq!(world.take(clients[CLIENTS - 1]), b"one\ntwo\nbehind\n");
}

#[test]
fn a_fan_out_outlives_its_link_and_its_targets() {
    let (mut world, _, _, clients) = crowd();
    let passing = world.link();
    let socket = world.peers[passing].socket;
    world.shard.on_received(world.now, socket, &mut to_all(b"pushed"));
    world.shard.on_end_of_stream(world.now, socket);
    // Before the next slice the last client goes, and somebody else gets its slot.
    let last = world.peers[clients[CLIENTS - 1]].socket;
    world.shard.on_failed(world.now, last);
    world.settle();
    for client in &clients[..CLIENTS - 1] {
        assert_eq!(world.take(*client), b"pushed\n");
    }
    assert_eq!(world.take(clients[CLIENTS - 1]), b"");
    assert!(world.peers[passing].closed);
    let newcomer = world.client(0);
    assert_eq!(world.take(newcomer), b"");
}

#[test]
fn a_burst_to_few_is_done_at_once() {
    let mut world = World::text();
    let worker = world.worker("a");
    let clients: Vec<usize> = (0..EVERYBODY_DIRECT_MAX).map(|_| world.client(0)).collect();
    world.settle();
    let mut burst: Vec<u8> = (0..20).flat_map(|_| to_all(b"tick")).collect();
    world.shard.on_received(world.now, world.peers[worker].socket, &mut burst);
    for client in &clients {
        let bytes = world.shard.unsent(world.peers[*client].socket);
        assert_eq!(bytes.map(|slice| slice.len()).collect::<Vec<_>>(), [20 * b"tick\n".len()]);
    }
    assert_eq!(world.turn().sent.len(), clients.len());
}

/// What two links say to nobody here, while both wait for the log, is done with it, and not a turn for each.
#[test]
fn what_is_held_up_does_not_hold_up_for_longer_than_the_log() {
    let (mut world, worker, other, _) = crowd();
    let to_nobody = Frame { ext: &ext::encode_names(&["nobody"]), ..Frame::command(Cmd::SendToUid) };
    let to_nobody = frame_bytes(&to_nobody).repeat(500);
    let mut many = [to_all(b"all").repeat(FANOUTS_MAX + 1), to_nobody.clone()].concat();
    world.shard.on_received(world.now, world.peers[worker].socket, &mut many);
    world.shard.on_received(world.now, world.peers[other].socket, &mut to_nobody.clone());
    let mut turns = 0;
    while world.shard.is_pending() {
        world.turn();
        turns += 1;
    }
    let of_walk = CLIENTS.div_ceil(WALK_SENDS_MAX);
    assert!(turns <= 2 * of_walk + 1_000 / HELD_UP_PER_TURN_MAX + 4, "{turns}");
}

/// Nothing is sent to those whose handshake is under way, or that take nothing; a turn has a bound all the same.
#[test]
fn the_walk_is_bounded_where_nothing_is_sent() {
    let settings = Settings { listen: listen(&["ws://127.0.0.1:1"]), ..Settings::default() };
    let mut world = World::new(settings);
    let worker = world.worker("a");
    (0..1_000).for_each(|_| _ = world.accept(0));
    world.settle();
    // Too large to be all in one piece.
    let mut many = to_all(&[b'x'; 2_000]).repeat(FANOUTS_MAX);
    world.shard.on_received(world.now, world.peers[worker].socket, &mut many);
    world.turn();
    let queued = world.shard.counters().messages_out as usize;
    assert!((1..WALK_MESSAGES_MAX + FANOUTS_MAX).contains(&queued), "{queued}");
    world.settle();
    let counters = world.shard.counters();
    assert!(counters.messages_dropped_slow_client > 0, "what is kept for each has a bound");
    assert_eq!(counters.messages_out + counters.messages_dropped_slow_client, 1_000 * FANOUTS_MAX as u64);
}

/// Whose handshake is under way takes nothing yet: that is no reason to close it.
#[test]
fn who_has_just_come_is_not_closed_for_being_slow() {
    let settings = Settings {
        listen: listen(&["ws://127.0.0.1:1"]),
        slow_client: SlowClient::Close,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let worker = world.worker("a");
    let newcomer = world.accept(0);
    let body = [b'x'; 2 * HELD_SIZE_MAX];
    world.shard.on_received(world.now, world.peers[worker].socket, &mut to_all(&body).repeat(3));
    world.settle();
    assert!(!world.peers[newcomer].closed);
    let counters = world.shard.counters();
    assert_eq!((counters.messages_out, counters.messages_dropped_slow_client), (1, 2));
}

/// Of a burst that most get in one piece.
#[test]
fn a_burst_for_which_a_client_has_no_room_is_taken_in_part() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_client_buffer_size: 101,
        ..Settings::default()
    });
    let worker = world.worker("a");
    let clients: Vec<usize> = (0..=EVERYBODY_DIRECT_MAX).map(|_| world.client(0)).collect();
    let sent_before = frame_bytes(&Frame { body: b"1", ..to_client(Cmd::SendToOne, 1) });
    let mut burst = [sent_before, to_all(b"tick").repeat(20)].concat();
    let link = world.peers[worker].socket;
    world.shard.on_received(world.now, link, &mut burst);
    world.settle();
    assert_eq!(world.take(clients[1]), b"tick\n".repeat(20));
    // 2 bytes, and 20 times 5: the last begins below the bound.
    assert_eq!(world.take(clients[0]), [b"1\n".as_slice(), &b"tick\n".repeat(20)].concat());
    world.peers[clients[0]].room = Some(0);
    world.shard.on_received(world.now, link, &mut to_all(b"tick").repeat(30));
    world.settle();
    assert_eq!(world.take(clients[1]), b"tick\n".repeat(21));
    world.read(clients[0], None);
    assert_eq!(world.take(clients[0]), b"tick\n".repeat(21));
    let dropped = 9 * clients.len() as u64;
    assert_eq!(world.shard.counters().messages_dropped_slow_client, dropped);
}

/// A turn whose sends nothing follows from waits in the system call that sends. A client's queue may be longer than one send.
#[test]
fn what_does_not_fit_into_one_send_leaves_without_a_wait() {
    let mut world = World::text();
    let worker = world.worker("a");
    let client = world.client(0);
    world.settle();
    let socket = world.peers[worker].socket;
    // Too large to be copied, so each is a piece of its own.
    let body = [b'x'; COPY_MAX + 1];
    world.shard.on_received(world.now, socket, &mut to_all(&body).repeat(SLICES_PER_SEND_MAX + 1));
    assert!(!world.turn().waits);
    let turn = world.turn();
    assert!(turn.waits && turn.sent.len() == 1);
    assert_eq!(world.take(client).len(), (SLICES_PER_SEND_MAX + 1) * (body.len() + 1));
}
