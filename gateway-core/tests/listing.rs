//! Answers, and lists of targets, that are longer than one turn has time for.

mod world;

use allocation_counter::measure;
use gateway_core::Action;
use gateway_core::config::{FANOUT_SENDS_MAX, LISTING_ROWS_MAX, LISTING_SLICE, REPLY_SIZE_MAX};
use protocol::inner::{Cmd, Frame, ext, reply};
use protocol::php::{self, Key, Value};
use world::{Turn, World, frame_bytes, to_client, value};

const CLIENTS: usize = 2 * LISTING_ROWS_MAX + 10;

/// A link that asks, and very many clients, whose ids are 1, 2, 3, ….
fn crowd(clients: usize) -> (World, usize, Vec<usize>) {
    let mut world = World::text();
    let link = world.worker("a");
    let clients = (0..clients).map(|_| world.client(0)).collect();
    world.take(link);
    (world, link, clients)
}

fn query(cmd: Cmd, ext: &[u8]) -> Vec<u8> {
    frame_bytes(&Frame { ext, ..Frame::command(cmd) })
}

/// Every client gets `ext` by `cmd`.
fn to_each(world: &mut World, link: usize, cmd: Cmd, clients: usize, ext: impl Fn(usize) -> Vec<u8>) {
    let frames = (1..=clients).map(|id| frame_bytes(&Frame { ext: &ext(id), ..to_client(cmd, id as u32) }));
    world.say(link, &frames.collect::<Vec<_>>().concat());
    world.take(link);
}

fn ask(world: &mut World, link: usize, cmd: Cmd, ext: &[u8]) -> Vec<(Key, Value)> {
    world.say(link, &query(cmd, ext));
    let bytes = world.take(link);
    let (value, size) = reply::decode(&bytes, usize::MAX).expect("a reply").expect("a whole reply");
    assert_eq!(size, bytes.len());
    elements(php::decode(value).expect("a PHP value"))
}

fn elements(value: Value) -> Vec<(Key, Value)> {
    match value {
        Value::Array(array) => array.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn others_are_served_between_the_slices_of_a_long_answer() {
    let (mut world, link, _) = crowd(CLIENTS);
    let other = world.link();
    let (asking, other) = (world.peers[link].socket, world.peers[other].socket);
    world.shard.on_received(world.now, asking, &mut query(Cmd::GetAllClientSessions, b""));
    let mut turn = world.turn();
    assert_eq!(turn.actions, [Action::Pause(asking)]);
    let mut turns = 0;
    while !turn.actions.contains(&Action::Resume(asking)) {
        assert!(world.shard.is_pending(), "nobody goes to sleep before it is done");
        world.shard.on_received(world.now, other, &mut frame_bytes(&to_client(Cmd::IsOnline, 5)));
        turn = world.turn();
        assert!(turn.sent.contains(&other));
        turns += 1;
    }
    assert!(turns >= CLIENTS / LISTING_SLICE, "{turns}");
}

#[test]
fn those_who_have_gone_meanwhile_take_turns_too() {
    let (mut world, link, clients) = crowd(CLIENTS);
    let asking = world.peers[link].socket;
    world.shard.on_received(world.now, asking, &mut query(Cmd::GetAllClientSessions, b""));
    for _ in 0..=CLIENTS / LISTING_ROWS_MAX {
        assert!(!world.turn().actions.contains(&Action::Resume(asking)));
    }
    clients.iter().for_each(|client| world.shard.on_failed(world.now, world.peers[*client].socket));
    let turns = (1..).find(|_| world.turn().actions.contains(&Action::Resume(asking)));
    assert!(turns >= Some(CLIENTS / LISTING_SLICE - 1), "{turns:?}");
}

#[test]
fn several_long_answers_take_turns() {
    let (mut world, first, _) = crowd(CLIENTS);
    let second = world.link();
    let sockets = [first, second].map(|link| world.peers[link].socket);
    for socket in sockets {
        world.shard.on_received(world.now, socket, &mut query(Cmd::GetAllClientSessions, b""));
    }
    let mut done = Vec::new();
    for at in 0..1_000 {
        let Turn { actions, .. } = world.turn();
        done.extend(sockets.iter().filter(|socket| actions.contains(&Action::Resume(**socket))).map(|_| at));
    }
    assert!(done.len() == 2 && done[1] - done[0] <= 2, "{done:?}");
}

#[test]
fn a_long_answer_is_in_the_order_of_acceptance() {
    let (mut world, link, clients) = crowd(CLIENTS);
    // Slots are used again: their order is not that of acceptance any more.
    for client in clients.iter().step_by(3) {
        world.reset(*client);
    }
    let newcomers: Vec<usize> = clients.iter().step_by(3).map(|_| world.client(0)).collect();
    world.take(link);
    to_each(&mut world, link, Cmd::SetSession, CLIENTS + newcomers.len(), |id| format!("{id}").into_bytes());
    let old = (0..CLIENTS).filter(|index| index % 3 != 0).map(|index| index + 1);
    let expected: Vec<_> = old
        .chain((0..newcomers.len()).map(|index| CLIENTS + index + 1))
        .map(|id| (Key::Int(id as i64), Value::from(id.to_string())))
        .collect();
    assert!(ask(&mut world, link, Cmd::GetAllClientSessions, b"") == expected);
}

#[test]
fn long_answers_of_every_kind_are_whole() {
    let (mut world, link, _) = crowd(CLIENTS);
    to_each(&mut world, link, Cmd::JoinGroup, CLIENTS, |_| b"all".to_vec());
    to_each(&mut world, link, Cmd::JoinGroup, CLIENTS, |id| format!("g{id}").into_bytes());
    to_each(&mut world, link, Cmd::BindUid, CLIENTS, |id| format!("u{}", id % 2).into_bytes());
    let ids = |of: Vec<(Key, Value)>| of.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let all: Vec<Key> = (1..=CLIENTS as i64).map(Key::Int).collect();
    let places = |count: usize| (0..count as i64).map(Key::Int).collect::<Vec<_>>();
    assert!(ids(ask(&mut world, link, Cmd::GetClientSessionsByGroup, b"all")) == all);
    assert!(ids(ask(&mut world, link, Cmd::GetClientIdByUid, b"u1")) == places(CLIENTS / 2));
    assert!(ids(ask(&mut world, link, Cmd::GetGroupIdList, b"")) == places(CLIENTS + 1));
    let fields = br#"{"fields":["session","uid","groups"],"where":[]}"#;
    assert!(ids(ask(&mut world, link, Cmd::Select, fields)) == all);
    let condition = br#"{"fields":["uid"],"where":{"uid":["u0","u1"],"groups":["all"]}}"#;
    assert!(ids(ask(&mut world, link, Cmd::Select, condition)) == all);
    let groups: Vec<String> = (1..=CLIENTS).map(|id| format!("g{id}")).collect();
    let counts = ask(&mut world, link, Cmd::BatchGetClientCountByGroup, &ext::encode_names(&groups));
    assert!(counts.len() == CLIENTS && counts.iter().all(|(_, count)| *count == Value::Int(1)));
    let lists = ask(&mut world, link, Cmd::BatchGetClientIdByUid, br#"["u1","nobody","u0","u1"]"#);
    let lists: Vec<_> = lists.into_iter().map(|(key, list)| (key, elements(list).len())).collect();
    assert_eq!(
        lists,
        [(Key::from("u1"), CLIENTS / 2), (Key::from("nobody"), 0), (Key::from("u0"), CLIENTS / 2)]
    );
}

#[test]
fn who_goes_meanwhile_is_left_out_and_who_comes_is_not_in() {
    for (cmd, ext) in [
        (Cmd::GetAllClientSessions, &b""[..]),
        (Cmd::GetClientSessionsByGroup, b"all"),
        (Cmd::GetClientIdByUid, b"u"),
        (Cmd::Select, br#"{"fields":["uid"],"where":{"groups":["all"]}}"#),
        (Cmd::Select, br#"{"fields":["uid"],"where":[]}"#),
    ] {
        let (mut world, link, clients) = crowd(CLIENTS);
        to_each(&mut world, link, Cmd::JoinGroup, CLIENTS, |_| b"all".to_vec());
        to_each(&mut world, link, Cmd::BindUid, CLIENTS, |_| b"u".to_vec());
        let other = world.link();
        let (asking, setting) = (world.peers[link].socket, world.peers[other].socket);
        world.shard.on_received(world.now, asking, &mut query(cmd, ext));
        world.turn();
        // The last one goes, and somebody else gets its slot, its group and its uid.
        let last = world.peers[clients[CLIENTS - 1]].socket;
        world.shard.on_failed(world.now, last);
        world.turn();
        let newcomer = world.accept(0);
        assert_eq!(world.peers[newcomer].socket.index(), last.index());
        for (cmd, ext) in [(Cmd::JoinGroup, b"all".as_slice()), (Cmd::BindUid, b"u")] {
            let id = CLIENTS as u32 + 1;
            let mut frame = frame_bytes(&Frame { ext, ..to_client(cmd, id) });
            world.shard.on_received(world.now, setting, &mut frame);
        }
        assert!(world.shard.is_pending());
        world.settle();
        let received = world.take(link);
        // Its worker is told of the two on the same link, before the answer.
        let at = received.len() - answer_size(&received);
        let (value, _) = reply::decode(&received[at..], usize::MAX).unwrap().unwrap();
        assert_eq!(elements(php::decode(value).unwrap()).len(), CLIENTS - 1, "{cmd:?}");
    }
}

/// The bytes of the only reply, which is behind all frames.
fn answer_size(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Ok(Some((frame, size))) = protocol::inner::decode(&bytes[at..], usize::MAX) {
        match Cmd::from_u8(frame.cmd) {
            Some(Cmd::OnConnect | Cmd::OnClose) => at += size,
            _ => break,
        }
    }
    bytes.len() - at
}

#[test]
fn what_is_asked_behind_a_long_answer_is_answered_behind_it() {
    let (mut world, link, _) = crowd(CLIENTS);
    world.say(
        link,
        &[query(Cmd::GetAllClientSessions, b""), frame_bytes(&to_client(Cmd::IsOnline, 1))].concat(),
    );
    world.settle();
    let bytes = world.take(link);
    let (_, size) = reply::decode(&bytes, usize::MAX).unwrap().unwrap();
    assert_eq!(value(&bytes[size..]), "i:1;");
}

#[test]
fn who_asks_and_goes_leaves_nothing_behind() {
    let (mut world, _, _) = crowd(CLIENTS);
    let link = world.link();
    let asking = world.peers[link].socket;
    world.shard.on_received(world.now, asking, &mut query(Cmd::GetAllClientSessions, b""));
    world.reset(link);
    assert!(!world.shard.is_pending());
}

#[test]
fn who_asks_and_says_fin_gets_a_long_answer() {
    let (mut world, _, _) = crowd(CLIENTS);
    let link = world.link();
    let asking = world.peers[link].socket;
    world.shard.on_received(world.now, asking, &mut query(Cmd::GetAllClientSessions, b""));
    world.shard.on_end_of_stream(world.now, asking);
    world.settle();
    let bytes = world.take(link);
    assert!(reply::decode(&bytes, usize::MAX).unwrap().is_some() && world.peers[link].closed);
}

#[test]
fn an_answer_of_4_gib_ends_the_connection_that_asked_and_nothing_else() {
    const NAME_SIZE: usize = 1 << 20;
    let (mut world, worker, _) = crowd(4_200);
    let uid = vec![b'u'; NAME_SIZE];
    let socket = world.peers[worker].socket;
    for id in 1..=4_200 {
        let mut frame = frame_bytes(&Frame { ext: &uid, ..to_client(Cmd::BindUid, id) });
        world.shard.on_received(world.now, socket, &mut frame);
    }
    let link = world.link();
    let select = br#"{"fields":["uid"],"where":[]}"#;
    let used = measure(|| world.say(link, &query(Cmd::Select, select)));
    assert!(world.peers[link].closed && world.take(link).is_empty());
    assert!(used.bytes_max < REPLY_SIZE_MAX as u64 * 5 / 4, "{used:?}");
    let counters = world.shard.counters();
    assert_eq!((counters.replies_too_large, counters.links_malformed), (1, 0));
    assert_eq!(value(&world.command(worker, &to_client(Cmd::IsOnline, 1))), "i:1;");
}

#[test]
fn a_list_of_targets_takes_no_more_memory_than_its_names() {
    let (mut world, worker, clients) = crowd(FANOUT_SENDS_MAX + 10);
    to_each(&mut world, worker, Cmd::BindUid, clients.len(), |_| b"u".to_vec());
    let uids = ext::encode_names(&vec!["u"; 100_000]);
    let mut frame = frame_bytes(&Frame { ext: &uids, body: b"m", ..Frame::command(Cmd::SendToUid) });
    let socket = world.peers[worker].socket;
    let used = measure(|| world.shard.on_received(world.now, socket, &mut frame));
    assert!(used.bytes_max < 32 << 20, "{used:?}");
    assert!((1..=2 * FANOUT_SENDS_MAX).contains(&world.turn().sent.len()));
}

#[test]
fn a_long_list_of_connections_reaches_all_that_are_there() {
    let (mut world, worker, clients) = crowd(3 * FANOUT_SENDS_MAX);
    // Every other one is nobody's.
    let ids: Vec<u32> = (1..=clients.len() as u32).flat_map(|id| [id, 1_000_000 + id]).collect();
    let ext = ext::Targets::Only(ids).encode();
    world.say(worker, &frame_bytes(&Frame { ext: &ext, body: b"m", ..Frame::command(Cmd::SendToAll) }));
    world.settle();
    assert!(clients.iter().all(|client| world.take(*client) == b"m\n"));
}
