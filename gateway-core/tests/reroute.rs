//! A worker is lost before it took what was queued for it: others get that, whole, in order, before anything newer.

mod world;

use std::time::Duration;

use gateway_core::Settings;
use protocol::inner::drain::Drain;
use protocol::inner::ext::WorkerConnect;
use protocol::inner::{Cmd, FLAG_BINARY, FLAG_TEXT, Frame};
use world::{World, frame_bytes, listen, to_client};

/// Commands, ids and bodies that a worker got since it was last asked.
fn told(world: &mut World, link: usize) -> Vec<(Cmd, u32, String)> {
    let frames = world.take_frames(link).into_iter();
    frames.map(|(cmd, id, _, body)| (cmd, id, String::from_utf8_lossy(&body).into_owned())).collect()
}

fn message(id: u32, text: &str) -> (Cmd, u32, String) {
    (Cmd::OnMessage, id, text.to_owned())
}

fn close(id: u32) -> (Cmd, u32, String) {
    (Cmd::OnClose, id, String::new())
}

fn small(limit: usize) -> World {
    World::new(Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        send_to_worker_buffer_size: limit,
        ..Settings::default()
    })
}

/// A worker that never reads.
fn deaf_worker(world: &mut World, number: u32) -> usize {
    let link = world.link();
    world.peers[link].room = Some(0);
    world.introduce(link, &number.to_string(), false);
    link
}

#[test]
fn frames_of_which_a_byte_was_not_taken_go_whole_and_in_order_to_the_next_worker() {
    let mut world = World::text();
    let lost = world.worker("lost");
    let clients = [world.client(0), world.client(0)];
    let other = world.worker("other");
    world.take(lost);
    // One whole frame and a few bytes of the next.
    world.peers[lost].room = Some(28 + "taken".len() + 10);
    for (client, text) in [(0, "taken"), (0, "cut"), (1, "one"), (0, "after"), (1, "two")] {
        world.say(clients[client], format!("{text}\n").as_bytes());
    }
    world.reset(lost);
    assert_eq!(told(&mut world, lost), [message(1, "taken")]);
    let moved = told(&mut world, other);
    let of = |id| moved.iter().filter(|event| event.1 == id).cloned().collect::<Vec<_>>();
    assert_eq!(of(1), [message(1, "cut"), message(1, "after")]);
    assert_eq!(of(2), [message(2, "one"), message(2, "two")]);
    assert_eq!(moved.len(), 4);
    assert_eq!((world.shard.counters().events_rerouted, world.shard.counters().messages_in), (4, 5));
    world.say(clients[0], b"newer\n");
    assert_eq!(told(&mut world, other), [message(1, "newer")]);
}

#[test]
fn everything_that_is_about_a_client_goes_on_with_its_present_session_and_nothing_that_is_about_the_link() {
    let settings = Settings { listen: listen(&["websocket://127.0.0.1:1000"]), ..Settings::default() };
    let mut world = World::new(settings);
    let lost = world.ringway_worker("lost");
    world.peers[lost].room = Some(0);
    let client = world.client(0);
    let leaver = world.client(0);
    let request = "GET /path HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    world.say(client, request.as_bytes());
    world.say(lost, &frame_bytes(&Frame { ext: b"session", ..to_client(Cmd::SetSession, 1) }));
    world.say(lost, &frame_bytes(&Frame { ext: b"of the leaver", ..to_client(Cmd::SetSession, 2) }));
    // An answer, between events, and a ping.
    world.say(lost, &frame_bytes(&Frame::command(Cmd::GetGroupIdList)));
    world.pass(3_000);
    world.reset(leaver);
    world.say(client, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    let other = world.ringway_worker("other");
    world.reset(lost);
    let moved = world.take_frames_and_pings(other);
    let seen: Vec<_> = moved.iter().map(|(cmd, id, ext, _)| (*cmd, *id, &ext[..])).collect();
    let expected = [
        (Cmd::OnConnect, 2, &b"of the leaver"[..]),
        (Cmd::OnClose, 2, b"of the leaver"),
        (Cmd::OnConnect, 1, b"session"),
        (Cmd::OnWebsocketConnect, 1, b"session"),
        (Cmd::OnMessage, 1, b"session"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn kinds_are_told_only_to_those_who_know_them() {
    let settings = Settings { listen: listen(&["websocket://127.0.0.1:1000"]), ..Settings::default() };
    let mut world = World::new(settings);
    let lost = world.ringway_worker("lost");
    let client = world.client(0);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    world.say(client, request.as_bytes());
    world.peers[lost].room = Some(0);
    world.say(client, &[0x82, 0x81, 0, 0, 0, 0, b'b']);
    let php = world.worker("php");
    world.reset(lost);
    let bytes = world.take(php);
    let (frame, _) = protocol::inner::decode(&bytes, usize::MAX).expect("a frame").expect("a whole one");
    assert_eq!((frame.cmd, frame.flag & (FLAG_TEXT | FLAG_BINARY)), (Cmd::OnMessage as u8, 0));
}

#[test]
fn without_another_worker_they_wait_for_one_and_their_clients_are_not_read() {
    let mut world = World::text();
    let lost = world.worker("lost");
    let client = world.client(0);
    let leaver = world.client(0);
    world.take(lost);
    world.peers[lost].room = Some(0);
    world.say(client, b"first\n");
    world.say(leaver, b"last words\n");
    world.end(leaver);
    world.end(lost);
    assert!(world.peers[lost].closed && world.peers[client].paused);
    world.pass(4_000);
    world.say(client, b"second\n");
    let other = world.worker("other");
    let moved = told(&mut world, other);
    assert_eq!(
        moved.iter().filter(|event| event.1 == 2).cloned().collect::<Vec<_>>(),
        [message(2, "last words"), close(2)]
    );
    world.deliver(client, usize::MAX);
    let mut of_client: Vec<_> = moved.into_iter().filter(|event| event.1 == 1).collect();
    of_client.extend(told(&mut world, other));
    assert_eq!(of_client, [message(1, "first"), message(1, "second")]);
    assert!(!world.peers[client].paused);
}

#[test]
fn without_a_worker_for_too_long_they_are_dropped_and_counted() {
    let mut world = World::text();
    let lost = world.worker("lost");
    let client = world.client(0);
    world.peers[lost].room = Some(0);
    world.say(client, b"one\n");
    world.say(client, b"two\n");
    world.end(lost);
    world.pass(5_100);
    assert!(world.peers[client].shut);
    world.pass(6_000);
    let counters = world.shard.counters();
    assert_eq!(
        (counters.clients_closed_no_worker, counters.closes_dropped, counters.events_dropped),
        (1, 1, 2)
    );
    let other = world.worker("other");
    assert_eq!(told(&mut world, other), []);
}

/// Nobody who has a healthy worker waits for what another worker does not take.
#[test]
fn events_that_wait_for_a_worker_that_reads_nothing_hold_up_its_clients_and_nobody_else() {
    let mut world = small(100);
    let lost = world.worker("lost");
    let mover = world.client(0);
    let deaf = deaf_worker(&mut world, 1);
    let of_deaf = world.client(0);
    let healthy = world.worker("healthy");
    let of_healthy = world.client(0);
    world.take(healthy);
    world.say(of_deaf, format!("{}\n", "x".repeat(100)).as_bytes());
    world.peers[lost].room = Some(0);
    world.say(mover, format!("{}\n", "y".repeat(300)).as_bytes());
    // Its client goes to the worker that reads nothing: that is the first of those with fewest clients.
    world.reset(lost);
    world.say(of_healthy, b"hello\n");
    assert_eq!(told(&mut world, healthy), [message(3, "hello")]);
    world.say(of_deaf, b"behind\n");
    world.say(mover, b"newer\n");
    // The worker for which so much waits already gets no more clients while there is another.
    let newcomers = [world.client(0), world.client(0), world.client(0)];
    newcomers.iter().for_each(|client| world.say(*client, b"hi\n"));
    let of_newcomers = told(&mut world, healthy);
    assert_eq!(of_newcomers.iter().filter(|event| event.0 == Cmd::OnMessage).count(), newcomers.len());
    world.read(deaf, None);
    [of_deaf, mover].iter().for_each(|client| world.deliver(*client, usize::MAX));
    let messages = told(&mut world, deaf).into_iter().filter(|event| event.0 == Cmd::OnMessage);
    let of_deaf: Vec<_> = messages.map(|event| (event.1, event.2.len())).collect();
    assert_eq!(of_deaf, [(2, 100), (1, 300), (2, "behind".len()), (1, "newer".len())]);
}

/// The bound is the worker's that holds others' events up, and it ends also when their client goes.
#[test]
fn who_waits_for_others_events_goes_on_when_their_client_has_gone() {
    let mut world = small(100);
    let lost = world.worker("lost");
    let mover = world.client(0);
    let next = deaf_worker(&mut world, 1);
    let waiting = world.client(0);
    world.say(waiting, format!("{}\n", "x".repeat(100)).as_bytes());
    world.peers[lost].room = Some(0);
    world.say(mover, format!("{}\n", "y".repeat(300)).as_bytes());
    world.reset(lost);
    world.say(waiting, b"behind\n");
    world.reset(mover);
    world.read(next, None);
    world.pass(50);
    world.deliver(waiting, usize::MAX);
    let told = told(&mut world, next);
    assert!(told.contains(&message(2, "behind")) && told.contains(&close(1)), "{told:?}");
}

/// A connection that asked, and waits for its answers to be read, says a worker's name: in the batch of sends in which the
/// link that has the name had an event.
#[test]
fn what_a_displaced_link_was_given_in_the_same_batch_is_not_given_to_its_successor_as_well() {
    let mut world = small(100);
    let worker = world.worker("w");
    let client = world.client(0);
    world.take(worker);
    let asker = world.link();
    world.peers[asker].room = Some(0);
    let mut input = frame_bytes(&Frame::command(Cmd::GetGroupIdList)).repeat(20);
    let connect = WorkerConnect {
        worker_key: "w".into(),
        secret_key: Some(String::new()),
        ringway: false,
        run: None,
        window: None,
        acks: false,
        resume: None,
        handshakes: false,
    };
    input.extend(frame_bytes(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) }));
    world.say(asker, &input);
    assert!(!world.peers[worker].closed && world.peers[asker].paused);
    world.peers[asker].room = None;
    world.shard.on_writable(world.now, world.peers[asker].socket);
    world.shard.on_received(world.now, world.peers[client].socket, &mut b"hello\n".to_vec());
    world.settle();
    assert!(world.peers[worker].closed);
    let (taken, again) = (told(&mut world, worker), world.take(asker));
    assert_eq!(taken, [message(1, "hello")]);
    assert!(!again.windows(5).any(|part| part == b"hello"), "it is handled twice");
    assert_eq!(world.shard.counters().events_rerouted, 0);
}

/// A worker with little room gets them by and by; nobody is read before that.
#[test]
fn a_full_link_takes_them_by_and_by_and_nothing_newer_overtakes() {
    let mut world = small(100);
    let lost = world.worker("lost");
    let clients: Vec<_> = (0..3).map(|_| world.client(0)).collect();
    world.take(lost);
    world.peers[lost].room = Some(0);
    // One event of each fits beyond what is left of the link's room.
    for client in &clients {
        world.say(*client, b"0\n1\n2\n3\n");
    }
    let other = world.worker("other");
    world.peers[other].room = Some(0);
    world.reset(lost);
    let mut moved = Vec::new();
    for _ in 0..200 {
        clients.iter().for_each(|client| world.deliver(*client, usize::MAX));
        world.read(other, Some(7));
        moved.extend(told(&mut world, other));
    }
    for id in 1..=3 {
        let of_client: Vec<_> = moved.iter().filter(|event| event.1 == id).map(|event| &event.2).collect();
        assert_eq!(of_client, ["0", "1", "2", "3"], "{id}");
    }
    assert!(clients.iter().all(|client| !world.peers[*client].paused));
}

#[test]
fn what_was_moved_once_and_is_lost_again_is_still_older_than_what_waited() {
    let mut world = small(80);
    let mut lost = world.worker("0");
    let client = world.client(0);
    world.take(lost);
    world.peers[lost].room = Some(0);
    world.say(client, b"a\nb\nc\nd\ne\nf\n");
    for round in 1..20 {
        let next = world.worker(&round.to_string());
        world.peers[next].room = Some(0);
        world.reset(lost);
        lost = next;
    }
    // All that moving is more than the client's share of one period.
    world.pass(50);
    world.read(lost, None);
    world.deliver(client, usize::MAX);
    let texts: Vec<_> = told(&mut world, lost).into_iter().map(|event| event.2).collect();
    assert_eq!(texts, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(world.shard.counters().messages_in, 6);
}

/// Workers that come and go at once with full links, and many clients: what is kept is never more than a link held.
#[test]
fn what_waits_is_bounded_however_often_workers_are_lost() {
    const LIMIT: usize = 1_000;
    let mut world = small(LIMIT);
    let mut lost = deaf_worker(&mut world, 0);
    let mut clients = Vec::new();
    for round in 1..50 {
        for _ in 0..10 {
            let client = world.client(0);
            world.say(client, b"a message of some length\n");
            clients.push(client);
        }
        world.reset(lost);
        lost = deaf_worker(&mut world, round);
    }
    // All that was read of clients is in the link's queue or waits to get there.
    let accepted = world.shard.counters().messages_in as usize * (28 + "a message of some length".len());
    assert!(accepted <= 3 * LIMIT, "{accepted}");
    for _ in 0..200 {
        world.pass(50);
        world.read(lost, None);
        clients.iter().for_each(|client| world.deliver(*client, usize::MAX));
    }
    let messages = told(&mut world, lost).into_iter().filter(|event| event.0 == Cmd::OnMessage).count();
    assert_eq!(messages, clients.len());
}

#[test]
fn a_message_that_the_next_worker_cannot_be_told_closes_its_client_as_a_new_one_would() {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        max_package_size: 20_000_000,
        send_to_worker_buffer_size: 30_000_000,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let lost = world.ringway_worker("lost");
    let client = world.client(0);
    world.peers[lost].room = Some(0);
    world.say(client, &[vec![b'x'; 15_000_000], b"\n".to_vec()].concat());
    let php = world.worker("php");
    world.reset(lost);
    assert!(world.peers[client].shut);
    assert_eq!(told(&mut world, php), [close(1)]);
    assert_eq!(world.shard.counters().events_dropped, 1);
}

/// DRAINED is not moved, and a client whose worker hands it over waits for that.
#[test]
fn a_draining_worker_that_is_lost_leaves_its_events_to_the_others() {
    let mut world = World::text();
    let old = world.ringway_worker("old");
    let client = world.client(0);
    let new = world.ringway_worker("new");
    world.take(old);
    world.peers[old].room = Some(0);
    world.say(client, b"one\n");
    let body = Drain { round: 1, within_ms: 30_000 }.encode();
    world.say(old, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::Drain) }));
    world.say(client, b"two\n");
    assert!(world.peers[client].paused);
    world.reset(old);
    assert_eq!(told(&mut world, new), [message(1, "one"), message(1, "two")]);
}

/// 200 clients with sessions of 1 MB end while their worker reads nothing.
#[test]
fn closes_with_large_sessions_wait_for_room_and_hold_up_newcomers_instead_of_filling_the_link() {
    const LIMIT: usize = 3_000_000;
    const CLIENTS: usize = 40;
    let mut world = small(LIMIT);
    let worker = world.worker("w");
    let clients: Vec<_> = (0..CLIENTS).map(|_| world.client(0)).collect();
    let session = |id: u32| vec![b'a' + (id % 26) as u8; 1_000_000];
    for id in 1..=CLIENTS as u32 {
        world.say(worker, &frame_bytes(&Frame { ext: &session(id), ..to_client(Cmd::SetSession, id) }));
    }
    world.take(worker);
    world.peers[worker].room = Some(0);
    clients.iter().for_each(|client| world.end(*client));
    let queued: usize = world.shard.unsent(world.peers[worker].socket).map(|slice| slice.len()).sum();
    assert!(queued <= LIMIT + 1_100_000, "{queued} bytes for a worker that takes nothing");
    assert!(world.holds_accepts, "no newcomers while so much waits");
    world.pass(30_000);
    let mut closed = Vec::new();
    for _ in 0..200 {
        world.read(worker, Some(1_000_000));
        closed.extend(world.take_frames(worker));
    }
    assert!(!world.holds_accepts);
    assert_eq!(world.shard.counters().accepts_held, 1);
    assert_eq!(closed.len(), CLIENTS);
    for (index, (cmd, id, ext, _)) in closed.iter().enumerate() {
        assert_eq!((*cmd, *id), (Cmd::OnClose, index as u32 + 1));
        assert!(*ext == session(*id));
    }
    assert_eq!(world.shard.counters().closes_dropped, 0);
}

#[test]
fn closes_that_wait_for_a_full_link_go_elsewhere_when_it_is_lost_and_nowhere_when_there_is_no_worker() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        send_to_worker_buffer_size: 30,
        no_worker_wait: Duration::from_secs(2),
        ..Settings::default()
    });
    let lost = world.worker("lost");
    let clients: Vec<_> = (0..5).map(|_| world.client(0)).collect();
    world.take(lost);
    world.peers[lost].room = Some(0);
    clients.iter().for_each(|client| world.end(*client));
    world.pass(10_000);
    let other = world.worker("other");
    world.reset(lost);
    assert_eq!(told(&mut world, other), (1..=5).map(close).collect::<Vec<_>>());
    let late = world.client(0);
    world.take(other);
    world.peers[other].room = Some(0);
    world.end(late);
    world.reset(other);
    world.pass(2_100);
    assert_eq!(world.shard.counters().closes_dropped, 1);
}

/// An idle connection for queries does not notice our FIN before its next question.
#[test]
fn a_gateway_that_ends_does_not_wait_for_idle_query_connections() {
    let mut world = World::text();
    let (worker, asker) = (world.worker("w"), world.link());
    world.command(asker, &Frame::command(Cmd::GetGroupIdList));
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(world.shard.is_stopped());
    world.shard.end_stop(world.now);
    world.settle();
    assert!(world.peers[asker].shut && world.shard.has_links(), "the worker's FIN is awaited");
    world.end(worker);
    assert!(!world.shard.has_links());
}

/// A connection that asks before it says that it is a worker's.
#[test]
fn answers_before_the_name_of_a_worker_are_not_taken_for_its_events() {
    let mut world = World::text();
    let lost = world.link();
    world.peers[lost].room = Some(0);
    world.say(lost, &frame_bytes(&Frame::command(Cmd::GetGroupIdList)));
    world.introduce(lost, "lost", false);
    let client = world.client(0);
    world.say(client, b"hi\n");
    let other = world.worker("other");
    world.reset(lost);
    assert_eq!(told(&mut world, other), [(Cmd::OnConnect, 1, String::new()), message(1, "hi")]);
}
