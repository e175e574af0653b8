//! What workers ask on their command links, and what they are told of their messages (docs/WIRE.md §14).

mod world;

use std::num::NonZeroU32;

use gateway_core::config::{
    ANSWERS_QUEUED_MAX, FANOUT_DIRECT_MAX, FANOUTS_MAX, LISTING_ROWS_MAX, LISTINGS_PER_LINK_MAX,
    QUESTIONS_ASIDE_MAX,
};
use gateway_core::{Settings, SlowClient};
use protocol::inner::{
    self, ANSWER_SLICE_SIZE, AskId, Cmd, FLAG_MORE, FLAG_REPORT_WANTED, FLAG_SCALAR, Frame, MessageReport,
    ext, reply,
};
use protocol::php::{self, Value};
use world::{World, frame_bytes, listen, to_client};

const PLENTY: u32 = 10_000_000;

fn id(number: u32) -> AskId {
    AskId(NonZeroU32::new(number).expect("not 0"))
}

fn asked<'a>(number: u32, frame: Frame<'a>) -> Frame<'a> {
    Frame { client: id(number).address(), ..frame }
}

fn reported<'a>(number: u32, frame: Frame<'a>) -> Vec<u8> {
    frame_bytes(&Frame { flag: frame.flag | FLAG_REPORT_WANTED, ..asked(number, frame) })
}

fn ask(number: u32, cmd: Cmd, ext: &[u8]) -> Vec<u8> {
    frame_bytes(&asked(number, Frame { ext, ..Frame::command(cmd) }))
}

/// Whole frames that a link has got: command, number, flag, body.
fn taken(world: &mut World, link: usize) -> Vec<(Cmd, u32, u8, Vec<u8>)> {
    let bytes = world.take(link);
    let (mut at, mut frames) = (0, Vec::new());
    while let Some((frame, size)) =
        inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX).expect("the shard sends frames")
    {
        at += size;
        let cmd = Cmd::from_u8(frame.cmd).expect("known commands");
        if cmd != Cmd::RingwayPing {
            frames.push((cmd, frame.connection_id, frame.flag, frame.body.to_vec()));
        }
    }
    assert_eq!(at, bytes.len());
    frames
}

fn answer(number: u32, value: &str) -> (Cmd, u32, u8, Vec<u8>) {
    (Cmd::Answer, number, FLAG_SCALAR, value.as_bytes().to_vec())
}

fn report(number: u32, queued: u64, dropped: u64) -> (Cmd, u32, u8, Vec<u8>) {
    (Cmd::Report, number, FLAG_SCALAR, MessageReport { queued, dropped }.encode().to_vec())
}

/// A worker that asks by numbers, and clients with the ids 1, 2, 3, ….
fn stage(clients: usize) -> (World, usize, Vec<usize>) {
    let mut world = World::text();
    let link = world.windowed_worker("w", PLENTY, PLENTY);
    let clients = (0..clients).map(|_| world.client(0)).collect();
    world.take(link);
    (world, link, clients)
}

#[test]
fn an_answer_sees_the_commands_before_it_and_not_those_behind() {
    let (mut world, link, _) = stage(2);
    let join = |client| frame_bytes(&Frame { ext: b"g", ..to_client(Cmd::JoinGroup, client) });
    let count = |number| ask(number, Cmd::GetClientCountByGroup, b"g");
    world.say(link, &[count(1), join(1), count(2), join(2), count(3)].concat());
    assert_eq!(taken(&mut world, link), [answer(1, "i:0;"), answer(2, "i:1;"), answer(3, "i:2;")]);
}

#[test]
fn only_a_link_with_windows_is_answered_by_numbers() {
    let mut world = World::text();
    let link = world.ringway_worker("w");
    world.say(link, &ask(7, Cmd::IsOnline, b""));
    assert_eq!(world.take(link), reply_of("i:0;"));
    let link = world.link();
    world.say(link, &ask(7, Cmd::IsOnline, b""));
    assert_eq!(world.take(link), reply_of("i:0;"));
    let link = world.windowed_worker("x", 10, PLENTY);
    world.say(link, &frame_bytes(&Frame::command(Cmd::IsOnline)));
    assert_eq!(world.take(link), reply_of("i:0;"), "a question without a number has a reply");
}

fn reply_of(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply::encode(value.as_bytes(), &mut bytes);
    bytes
}

/// A client with a session of this size.
fn with_session(world: &mut World, link: usize, client: u32, size: usize) {
    let session = php::to_bytes(&Value::Array([("k", vec![b'x'; size])].into_iter().collect()));
    world.say(link, &frame_bytes(&Frame { ext: &session, ..to_client(Cmd::SetSession, client) }));
    world.take(link);
}

#[test]
fn events_go_between_the_slices_of_a_long_answer() {
    let (mut world, link, clients) = stage(1);
    let size = 4 * ANSWERS_QUEUED_MAX;
    with_session(&mut world, link, 1, size);
    world.peers[link].room = Some(0);
    world.say(link, &[ask(5, Cmd::GetSessionByClientId, b""), ask(6, Cmd::IsOnline, b"")].concat());
    let of_client = asked(7, to_client(Cmd::GetSessionByClientId, 1));
    world.say(link, &frame_bytes(&of_client));
    world.say(link, &ask(8, Cmd::IsOnline, b""));
    world.say(clients[0], b"hello\n");
    world.read(link, None);
    let frames = taken(&mut world, link);
    let at = |wanted: Cmd, number: u32| {
        frames.iter().position(|frame| (frame.0, frame.1) == (wanted, number)).expect("it came")
    };
    let slices: Vec<_> = frames.iter().filter(|frame| frame.1 == 7).collect();
    assert!(slices.iter().all(|slice| slice.3.len() <= ANSWER_SLICE_SIZE));
    let (last, before) = slices.split_last().expect("slices");
    assert!(before.iter().all(|slice| slice.2 == FLAG_SCALAR | FLAG_MORE) && last.2 == FLAG_SCALAR);
    let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.3.clone()).collect();
    let Value::Array(session) = php::decode(&whole).expect("a session") else { panic!("no array") };
    assert_eq!(session.get("k").and_then(Value::as_bytes).map(<[u8]>::len), Some(size));
    let last = frames.iter().rposition(|frame| frame.1 == 7).expect("slices");
    assert!(at(Cmd::OnMessage, 1) < last && at(Cmd::Answer, 8) < last, "they do not wait for all of it");
}

#[test]
fn questions_of_who_takes_nothing_are_put_aside_and_its_link_is_read() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        send_to_worker_buffer_size: 1_000,
        ..Settings::default()
    });
    let link = world.windowed_worker("w", 10, PLENTY);
    let client = world.client(0);
    with_session(&mut world, link, 1, 10_000);
    world.say(client, b"a\n");
    world.take(link);
    world.peers[link].room = Some(0);
    world.say(link, &frame_bytes(&asked(1, to_client(Cmd::GetSessionByClientId, 1))));
    for number in 2..100 {
        world.say(link, &frame_bytes(&asked(number, to_client(Cmd::IsOnline, 1))));
    }
    assert!(!world.peers[link].paused);
    world.done(link, 0, 2);
    assert_eq!(world.shard.status().events_in_flight, 0, "what it says of events is heard");
    world.read(link, None);
    let frames = taken(&mut world, link);
    let numbers: Vec<u32> =
        frames.iter().filter(|frame| frame.0 == Cmd::Answer).map(|frame| frame.1).collect();
    assert_eq!(numbers, (1..100).collect::<Vec<_>>());
}

#[test]
fn who_asks_without_end_and_takes_nothing_loses_its_link() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    });
    let link = world.windowed_worker("w", 10, PLENTY);
    world.take(link);
    world.peers[link].room = Some(0);
    let few = ask(1, Cmd::IsOnline, b"").repeat(QUESTIONS_ASIDE_MAX);
    world.say(link, &few);
    assert!(!world.peers[link].closed);
    world.say(link, &ask(1, Cmd::IsOnline, b"").repeat(10));
    assert!(world.peers[link].closed);
    assert_eq!(world.shard.counters().links_malformed, 1);
}

#[test]
fn lists_are_written_side_by_side_but_not_any_number_of_them() {
    let (mut world, link, _) = stage(2 * LISTING_ROWS_MAX);
    let socket = world.peers[link].socket;
    let lists: Vec<u8> = (1..=LISTINGS_PER_LINK_MAX as u32 + 3)
        .flat_map(|number| ask(number, Cmd::GetAllClientSessions, b""))
        .collect();
    let join = frame_bytes(&Frame { ext: b"g", ..to_client(Cmd::JoinGroup, 1) });
    let mut bytes = [lists, join, ask(99, Cmd::GetClientCountByGroup, b"g")].concat();
    world.shard.on_received(world.now, socket, &mut bytes);
    world.turn();
    assert!(!world.peers[link].paused, "questions wait, and nothing else");
    assert_eq!(world.shard.status().groups, 1);
    world.settle();
    let frames = taken(&mut world, link);
    assert!(frames.contains(&answer(99, "i:1;")));
    let ends: Vec<_> = frames.iter().filter(|frame| frame.2 == FLAG_SCALAR).map(|frame| frame.1).collect();
    let mut sorted = ends.clone();
    sorted.sort_unstable();
    let all: Vec<u32> = (1..=LISTINGS_PER_LINK_MAX as u32 + 3).chain([99]).collect();
    assert_eq!(sorted, all);
}

#[test]
fn a_short_question_does_not_wait_for_a_long_list() {
    let (mut world, link, _) = stage(2 * LISTING_ROWS_MAX);
    world.say(link, &[ask(1, Cmd::GetAllClientSessions, b""), ask(2, Cmd::IsOnline, b"")].concat());
    assert_eq!(taken(&mut world, link)[0], answer(2, "i:0;"));
}

#[test]
fn a_message_to_nobody_is_reported_so() {
    let (mut world, link, _) = stage(1);
    let to_uid = |uid: &str| ext::encode_names(&[uid.as_bytes()]);
    let uids = to_uid("nobody");
    world.say(link, &reported(1, Frame { ext: &uids, body: b"hi", ..Frame::command(Cmd::SendToUid) }));
    world.say(link, &reported(2, Frame { body: b"hi", ..to_client(Cmd::SendToOne, 1) }));
    world.say(link, &reported(3, Frame { body: b"hi", ..to_client(Cmd::SendToOne, 77) }));
    world
        .say(link, &reported(4, Frame { ext: b"nonsense", body: b"hi", ..Frame::command(Cmd::SendToGroup) }));
    assert_eq!(taken(&mut world, link), [report(1, 0, 0), report(2, 1, 0), report(3, 0, 0), report(4, 0, 0)]);
    world.say(link, &frame_bytes(&asked(5, Frame { body: b"hi", ..to_client(Cmd::SendToOne, 1) })));
    assert_eq!(taken(&mut world, link), [], "nobody asked");
}

#[test]
fn a_large_message_is_reported_when_it_is_through() {
    let count = 4 * FANOUT_DIRECT_MAX;
    let (mut world, link, clients) = stage(count);
    let all = ext::Targets::All.encode();
    let message =
        |number, body| reported(number, Frame { ext: &all, body, ..Frame::command(Cmd::SendToAll) });
    let mut bytes = [message(1, b"one"), message(2, b"two"), ask(3, Cmd::IsOnline, b"")].concat();
    world.shard.on_received(world.now, world.peers[link].socket, &mut bytes);
    world.turn();
    assert_eq!(taken(&mut world, link), [answer(3, "i:0;")], "the message is on its way");
    world.settle();
    let count = count as u64;
    assert_eq!(taken(&mut world, link), [report(1, count, 0), report(2, count, 0)]);
    assert_eq!(world.take(clients[0]), b"one\ntwo\n");
}

#[test]
fn who_is_too_slow_is_counted_as_such() {
    for slow_client in [SlowClient::Drop, SlowClient::Close] {
        let mut world = World::new(Settings {
            listen: listen(&["text://127.0.0.1:1000"]),
            send_to_client_buffer_size: 100,
            slow_client,
            ..Settings::default()
        });
        let link = world.windowed_worker("w", 10, PLENTY);
        let clients: Vec<usize> = (0..3).map(|_| world.client(0)).collect();
        world.take(link);
        world.peers[clients[1]].room = Some(0);
        let (all, body) = (ext::Targets::All.encode(), [b'x'; 200]);
        let mut reports = Vec::new();
        for number in 1..=2 {
            let message = Frame { ext: &all, body: &body, ..Frame::command(Cmd::SendToAll) };
            world.say(link, &reported(number, message));
            reports.extend(taken(&mut world, link).into_iter().filter(|frame| frame.0 == Cmd::Report));
        }
        assert_eq!(reports, [report(1, 3, 0), report(2, 2, 1)], "{slow_client:?}");
    }
}

#[test]
fn who_does_not_take_what_it_is_told_gets_no_more_reports() {
    for is_worker in [true, false] {
        let mut world = World::new(Settings {
            listen: listen(&["text://127.0.0.1:1000"]),
            send_to_worker_buffer_size: 1_000,
            ..Settings::default()
        });
        let link = if is_worker { world.windowed_worker("w", 10, PLENTY) } else { world.link() };
        let client = world.client(0);
        world.take(link);
        world.peers[link].room = Some(0);
        let number = u32::from(is_worker);
        let message = Frame {
            client: NonZeroU32::new(number)
                .map_or(Frame::command(Cmd::IsOnline).client, |id| AskId(id).address()),
            flag: FLAG_SCALAR | FLAG_REPORT_WANTED,
            body: b"x",
            ..to_client(Cmd::SendToOne, 1)
        };
        world.say(link, &frame_bytes(&message).repeat(1_000));
        let heard = world.take(client).len() / 2;
        // A connection of its own is not read any more.
        assert_eq!((heard == 1_000, world.peers[link].paused), (is_worker, !is_worker));
        world.read(link, None);
        let told = world.take(link).len();
        assert!(told < 3_000 || !is_worker, "{told} bytes were kept for who takes nothing");
        assert_eq!(heard + world.take(client).len() / 2, 1_000, "each message is sent");
    }
}

/// The core in the shard's thread commands on one link and asks on another one.
#[test]
fn what_a_guest_asks_is_behind_what_it_has_commanded() {
    let mut world = World::text();
    let link = world.guest_worker("w");
    for _ in 0..2 * FANOUT_DIRECT_MAX {
        world.client(0);
    }
    let asking = world.guest_link();
    let all = ext::Targets::All.encode();
    let to_all = frame_bytes(&Frame { ext: &all, body: b"x", ..Frame::command(Cmd::SendToAll) });
    let join = frame_bytes(&Frame { ext: b"g", ..to_client(Cmd::JoinGroup, 1) });
    let mut commands = [to_all.repeat(FANOUTS_MAX + 1), join].concat();
    world.shard.on_received(world.now, world.peers[link].socket, &mut commands);
    let mut question = frame_bytes(&Frame { ext: b"g", ..Frame::command(Cmd::GetClientCountByGroup) });
    world.shard.on_received(world.now, world.peers[asking].socket, &mut question);
    world.settle();
    assert_eq!(world.take(asking), reply_of("i:1;"));
}

#[test]
fn a_connection_of_its_own_gets_the_report_as_a_reply_in_order() {
    let count = 4 * FANOUT_DIRECT_MAX;
    let (mut world, worker, _) = stage(count);
    world.take(worker);
    let link = world.link();
    let all = ext::Targets::All.encode();
    let message = Frame {
        ext: &all,
        body: b"one",
        flag: FLAG_SCALAR | FLAG_REPORT_WANTED,
        ..Frame::command(Cmd::SendToAll)
    };
    let question = frame_bytes(&Frame::command(Cmd::IsOnline));
    world.say(link, &[frame_bytes(&message), question.clone(), frame_bytes(&message), question].concat());
    let expected = [format!("a:2:{{i:0;i:{count};i:1;i:0;}}"), "i:0;".to_owned()];
    let replies: Vec<u8> = expected.iter().flat_map(|value| reply_of(value)).collect();
    assert_eq!(world.take(link), replies.repeat(2));
    assert!(!world.peers[link].paused);
}
