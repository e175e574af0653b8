//! What a worker is told of what was taken (docs/WIRE.md §14): receipts, and from where on it has to go on when its link was lost.

mod world;

use gateway_core::Settings;
use gateway_core::config::{FANOUT_DIRECT_MAX, FANOUTS_MAX, TAKEN_KEPT_MS};
use protocol::inner::ext::{self, WorkerConnect};
use protocol::inner::{Cmd, FLAG_RECEIPT_WANTED, FLAG_SCALAR, Frame, Hello, Receipt, Run, Window};
use world::{World, frame_bytes, listen, to_client};

/// What a worker was told to be taken since it was last asked.
fn receipts(world: &mut World, link: usize) -> Vec<u32> {
    let frames = world.take_frames(link).into_iter().filter(|(cmd, ..)| *cmd == Cmd::Receipt);
    frames.map(|(_, _, _, body)| Receipt::decode(&body).expect("4 bytes").taken).collect()
}

/// Nothing of it was told.
const NONE: [u32; 0] = [];

/// A message for a client, which its sender wants to know to be taken.
fn wanted(body: &[u8]) -> Vec<u8> {
    let flag = FLAG_SCALAR | FLAG_RECEIPT_WANTED;
    frame_bytes(&Frame { flag, body, ..to_client(Cmd::SendToOne, 1) })
}

fn plain() -> Vec<u8> {
    frame_bytes(&Frame::command(Cmd::RingwayPing))
}

/// The worker of this run comes, perhaps to go on from a link; what it is told of that.
fn come(world: &mut World, key: &str, run: u64, resume: Option<u32>) -> (usize, u32, Option<u32>) {
    let link = world.link();
    world.say(link, &connect(key, run, resume));
    let mut frames = world.take_frames(link);
    let hello = Hello::decode(&frames.remove(0).3).expect("it is JSON");
    for (cmd, _, _, body) in frames {
        world.peers[link].received.extend(frame_bytes(&Frame { body: &body, ..Frame::command(cmd) }));
    }
    (link, hello.acks.expect("they were asked for").link, hello.taken)
}

/// What it says first.
fn connect(key: &str, run: u64, resume: Option<u32>) -> Vec<u8> {
    let connect = WorkerConnect {
        worker_key: format!("{key}:0"),
        secret_key: Some(String::new()),
        ringway: true,
        run: Some(Run(run)),
        window: Some(Window { events: 10, bytes: 10_000 }),
        acks: true,
        handshakes: false,
        resume,
    };
    frame_bytes(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) })
}

#[test]
fn who_wants_to_know_is_told_once_for_all_that_came_together() {
    let mut world = World::text();
    let (link, _, taken) = come(&mut world, "w", 1, None);
    assert_eq!(taken, None);
    world.say(link, &plain());
    assert_eq!(receipts(&mut world, link), NONE);
    world.say(link, &[wanted(b"a"), plain(), wanted(b"b"), plain()].concat());
    assert_eq!(receipts(&mut world, link), [5]);
    world.say(link, &plain());
    assert_eq!(receipts(&mut world, link), NONE);
    let half = wanted(b"c");
    world.say(link, &half[..20]);
    assert_eq!(receipts(&mut world, link), NONE);
    world.say(link, &half[20..]);
    assert_eq!(receipts(&mut world, link), [7]);
}

#[test]
fn receipts_of_who_takes_nothing_become_one() {
    let mut world = World::new(Settings {
        send_to_worker_buffer_size: 100,
        ..Settings { listen: listen(&["text://127.0.0.1:1000"]), ..Settings::default() }
    });
    let (link, ..) = come(&mut world, "w", 1, None);
    world.peers[link].room = Some(0);
    for _ in 0..1_000 {
        world.say(link, &wanted(b"a"));
    }
    world.read(link, None);
    let receipts = receipts(&mut world, link);
    assert!(receipts.len() < 6, "{receipts:?}");
    assert_eq!(receipts.last(), Some(&1_000));
}

/// Nothing overtakes a fan-out that is held up, not even what comes on the next link.
#[test]
fn what_is_held_up_holds_up_the_next_link_too() {
    let mut world = World::text();
    let (link, number, _) = come(&mut world, "w", 1, None);
    let clients: Vec<usize> = (0..2 * FANOUT_DIRECT_MAX).map(|_| world.client(0)).collect();
    world.take(link);
    let all = ext::Targets::All.encode();
    let to_all = |body: &str| {
        frame_bytes(&Frame { ext: &all, body: body.as_bytes(), ..Frame::command(Cmd::SendToAll) })
    };
    let mut bytes: Vec<u8> = (0..=FANOUTS_MAX).flat_map(|number| to_all(&format!("{number}"))).collect();
    world.shard.on_received(world.now, world.peers[link].socket, &mut bytes);
    world.shard.on_failed(world.now, world.peers[link].socket);
    let next = world.link_at_once();
    let connect = connect("w", 1, Some(number));
    let mut bytes =
        [connect, frame_bytes(&Frame { body: b"behind", ..to_client(Cmd::SendToOne, 1) })].concat();
    world.shard.on_received(world.now, world.peers[next].socket, &mut bytes);
    world.settle();
    let heard = String::from_utf8(world.take(clients[0])).expect("text");
    assert!(heard.ends_with(&format!("{FANOUTS_MAX}\nbehind\n")), "{heard}");
    assert_eq!(heard.lines().count(), FANOUTS_MAX + 2);
}

#[test]
fn who_did_not_ask_for_acks_gets_no_receipt() {
    let mut world = World::text();
    let link = world.windowed_worker("w", 10, 10_000);
    let client = world.client(0);
    world.say(link, &wanted(b"a"));
    assert_eq!(world.take(client), b"a\n");
    assert_eq!(receipts(&mut world, link), NONE);
}

/// A worker that asks and does not read the answers: what is behind its next question waits, and is not taken.
#[test]
fn what_waits_is_not_taken_and_goes_with_its_link() {
    let listen = listen(&["text://127.0.0.1:1"]);
    let settings = Settings { listen, send_to_worker_buffer_size: 5, ..Settings::default() };
    let mut world = World::new(settings);
    let (link, number, _) = come(&mut world, "w", 1, None);
    let client = world.client(0);
    world.peers[link].room = Some(0);
    let question = frame_bytes(&Frame::command(Cmd::GetGroupIdList));
    let input = [wanted(b"a"), plain(), question.clone(), question, wanted(b"b")].concat();
    world.say(link, &input);
    assert_eq!(world.take(client), b"a\n");
    // It comes again: what waits is not served any more, but said again.
    let (link, _, taken) = come(&mut world, "w", 1, Some(number));
    assert_eq!(taken, Some(3));
    assert_eq!(world.take(client), b"");
    world.say(link, &wanted(b"b"));
    assert_eq!((world.take(client), receipts(&mut world, link)), (b"b\n".to_vec(), vec![1]));
}

#[test]
fn who_comes_back_is_told_what_was_taken_of_the_link_that_it_names() {
    let mut world = World::text();
    let (first, number, _) = come(&mut world, "w", 1, None);
    world.say(first, &[wanted(b"a"), wanted(b"b"), wanted(b"c")[..9].to_vec()].concat());
    world.end(first);
    // This answer does not arrive, so the worker asks again for the same.
    let (second, other, taken) = come(&mut world, "w", 1, Some(number));
    assert_eq!(taken, Some(2));
    world.end(second);
    let (third, _, taken) = come(&mut world, "w", 1, Some(number));
    assert_eq!(taken, Some(2));
    world.say(third, &wanted(b"c"));
    assert_eq!(receipts(&mut world, third), [1]);
    // In place of the third, though the question is about the second.
    assert_eq!(come(&mut world, "w", 1, Some(other)).2, Some(0));
    assert!(world.peers[third].closed);
    // Nobody else's, and not for ever.
    assert_eq!(come(&mut world, "other", 2, Some(number)).2, None);
    assert_eq!(come(&mut world, "w", 1, Some(99)).2, None);
    let remembered = world.shard.status().links_remembered;
    assert_eq!(remembered, 4);
    for link in 0..world.peers.len() {
        if !world.peers[link].closed {
            world.end(link);
        }
    }
    world.pass(TAKEN_KEPT_MS - 50);
    assert_eq!(world.shard.status().links_remembered, 6);
    world.pass(50);
    assert_eq!(world.shard.status().links_remembered, 0);
    assert_eq!(come(&mut world, "w", 1, Some(number)).2, None);
}

#[test]
fn a_gateway_that_ends_says_that_it_takes_nothing_more() {
    let mut world = World::text();
    let (link, ..) = come(&mut world, "w", 1, None);
    world.shard.begin_stop(world.now);
    world.settle();
    world.shard.end_stop(world.now);
    world.settle();
    let last = world.take_frames(link).pop().map(|(cmd, _, _, body)| (cmd, body));
    assert_eq!((last, world.peers[link].shut), (Some((Cmd::Receipt, vec![])), true));
    world.say(link, &wanted(b"a"));
    assert!(world.take_frames(link).is_empty());
    let (late, ..) = come(&mut world, "late", 2, None);
    let last = world.take_frames(late).pop().map(|(cmd, _, _, body)| (cmd, body));
    assert_eq!(last, Some((Cmd::Receipt, vec![])), "who comes then is told as well");
}
