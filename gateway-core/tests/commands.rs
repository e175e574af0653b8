//! Commands and queries of WIRE.md §5 on a shard: effects, exact replies, odd cases.

mod world;

use gateway_core::{Settings, SlowClient};
use protocol::inner::{Cmd, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame, ext};
use world::{World, frame_bytes, listen, to_client, value};

/// A worker and some text clients, whose ids are 1, 2, 3, ….
fn world(clients: usize) -> (World, usize, Vec<usize>) {
    let mut world = World::text();
    let worker = world.worker("a");
    let clients = (0..clients).map(|_| world.client(0)).collect();
    world.take(worker);
    (world, worker, clients)
}

fn ask(world: &mut World, link: usize, cmd: Cmd, ext: &[u8]) -> String {
    value(&world.command(link, &Frame { ext, ..Frame::command(cmd) }))
}

fn ask_of(world: &mut World, link: usize, cmd: Cmd, connection_id: u32) -> String {
    value(&world.command(link, &to_client(cmd, connection_id)))
}

fn join(world: &mut World, link: usize, connection_id: u32, group: &[u8]) {
    world.command(link, &Frame { ext: group, ..to_client(Cmd::JoinGroup, connection_id) });
}

fn bind(world: &mut World, link: usize, connection_id: u32, uid: &[u8]) {
    world.command(link, &Frame { ext: uid, ..to_client(Cmd::BindUid, connection_id) });
}

/// Sends `body` by `cmd` and tells how often each client got it.
fn deliveries(world: &mut World, link: usize, clients: &[usize], cmd: Cmd, ext: &[u8]) -> Vec<usize> {
    world.command(link, &Frame { ext, body: b"m", ..Frame::command(cmd) });
    clients.iter().map(|client| world.take(*client).len() / 2).collect()
}

#[test]
fn a_client_has_its_life_told_to_one_worker() {
    let mut world = World::text();
    let workers = [world.worker("a"), world.worker("b")];
    let clients = [world.client(0), world.client(0)];
    world.say(clients[0], b"one\r\ntwo\nthr");
    world.end(clients[0]);
    let seen: Vec<_> =
        world.take_frames(workers[0]).into_iter().map(|frame| (frame.0, frame.1, frame.3)).collect();
    assert_eq!(
        seen,
        [
            (Cmd::OnConnect, 1, vec![]),
            (Cmd::OnMessage, 1, b"one".to_vec()),
            (Cmd::OnMessage, 1, b"two".to_vec()),
            (Cmd::OnClose, 1, vec![]),
        ]
    );
    assert_eq!(world.take_frames(workers[1]).len(), 1);
    assert!(world.peers[clients[0]].closed && !world.peers[clients[1]].closed);
}

#[test]
fn send_to_all_knows_values_of_connections_and_keys_of_exclude() {
    let (mut world, worker, clients) = world(3);
    let mut to_all = |ext: &[u8]| deliveries(&mut world, worker, &clients, Cmd::SendToAll, ext);
    assert_eq!(to_all(b""), [1, 1, 1]);
    assert_eq!(to_all(br#"{"connections":{"9":1,"8":3}}"#), [1, 0, 1]);
    assert_eq!(to_all(br#"{"connections":[2,77]}"#), [0, 1, 0]);
    assert_eq!(to_all(br#"{"exclude":{"1":9,"3":9}}"#), [0, 1, 0]);
    assert_eq!(to_all(br#"{"exclude":[2]}"#), [1, 1, 1]);
    assert_eq!(to_all(br#"{"connections":{"1":1},"exclude":{"1":1}}"#), [1, 0, 0]);
}

#[test]
fn groups_deliver_group_by_group() {
    let (mut world, worker, clients) = world(3);
    join(&mut world, worker, 1, b"g");
    join(&mut world, worker, 1, b"7");
    join(&mut world, worker, 2, b"g");
    join(&mut world, worker, 2, b"g");
    join(&mut world, worker, 3, b"0");
    join(&mut world, worker, 3, b"");
    let mut to_groups = |ext: &[u8]| deliveries(&mut world, worker, &clients, Cmd::SendToGroup, ext);
    assert_eq!(to_groups(br#"{"group":["g",7],"exclude":null}"#), [2, 1, 0]);
    assert_eq!(to_groups(br#"{"group":["g"],"exclude":{"2":2}}"#), [1, 0, 0]);
    assert_eq!(to_groups(b"{broken"), [0, 0, 0]);
    world.command(worker, &Frame { ext: b"7", ..to_client(Cmd::LeaveGroup, 1) });
    world.command(worker, &Frame { ext: b"g", ..Frame::command(Cmd::Ungroup) });
    assert_eq!(
        deliveries(&mut world, worker, &clients, Cmd::SendToGroup, br#"{"group":["g","7"],"exclude":null}"#),
        [0, 0, 0]
    );
    assert_eq!(
        ask(&mut world, worker, Cmd::Select, br#"{"fields":["groups"],"where":{"connection_id":[1,3]}}"#),
        r#"a:2:{i:1;a:1:{s:6:"groups";a:0:{}}i:3;a:1:{s:6:"groups";N;}}"#
    );
}

#[test]
fn uids_replace_each_other_and_deliver_in_list_order() {
    let (mut world, worker, clients) = world(3);
    bind(&mut world, worker, 1, b"u");
    bind(&mut world, worker, 2, b"100");
    bind(&mut world, worker, 3, b"old");
    bind(&mut world, worker, 3, b"u");
    bind(&mut world, worker, 2, b"0");
    assert_eq!(ask(&mut world, worker, Cmd::GetClientIdByUid, b"u"), "a:2:{i:0;i:1;i:1;i:3;}");
    assert_eq!(
        ask(&mut world, worker, Cmd::BatchGetClientIdByUid, br#"["u",100,"none","u"]"#),
        r#"a:3:{s:1:"u";a:2:{i:0;i:1;i:1;i:3;}i:100;a:1:{i:0;i:2;}s:4:"none";a:0:{}}"#
    );
    assert_eq!(deliveries(&mut world, worker, &clients, Cmd::SendToUid, br#"["u","100","u"]"#), [2, 1, 2]);
    world.command(worker, &Frame { ext: b"whatever", ..to_client(Cmd::UnbindUid, 1) });
    assert_eq!(ask(&mut world, worker, Cmd::GetClientIdByUid, b"u"), "a:1:{i:0;i:3;}");
    assert_eq!(
        ask(&mut world, worker, Cmd::Select, br#"{"fields":["uid","nonsense"],"where":{"uid":["100"]}}"#),
        r#"a:1:{i:2;a:2:{s:3:"uid";s:3:"100";s:8:"nonsense";N;}}"#
    );
}

#[test]
fn sessions_are_stored_as_sent_and_merged_on_update() {
    let (mut world, worker, clients) = world(2);
    assert_eq!(ask_of(&mut world, worker, Cmd::GetSessionByClientId, 1), "a:0:{}");
    assert_eq!(ask_of(&mut world, worker, Cmd::GetSessionByClientId, 9), "N;");
    let session = br#"a:2:{s:1:"f";d:0.1;s:1:"a";a:1:{s:1:"k";i:1;}}"#;
    world.command(worker, &Frame { ext: session, ..to_client(Cmd::SetSession, 1) });
    world.command(
        worker,
        &Frame { ext: br#"a:1:{s:1:"a";a:1:{s:1:"l";b:1;}}"#, ..to_client(Cmd::UpdateSession, 1) },
    );
    world.command(worker, &Frame { ext: b"a:1:{i:0;N;}", ..to_client(Cmd::UpdateSession, 2) });
    let merged = r#"a:2:{s:1:"f";d:0.1;s:1:"a";a:2:{s:1:"k";i:1;s:1:"l";b:1;}}"#;
    assert_eq!(ask_of(&mut world, worker, Cmd::GetSessionByClientId, 1), merged);
    assert_eq!(
        ask(&mut world, worker, Cmd::GetAllClientSessions, b""),
        format!(r#"a:2:{{i:1;s:{}:"{merged}";i:2;s:12:"a:1:{{i:0;N;}}";}}"#, merged.len())
    );
    world.say(clients[0], b"x\n");
    assert_eq!(world.take_frames(worker)[0].2, merged.as_bytes());
    world.command(worker, &to_client(Cmd::SetSession, 1));
    assert_eq!(ask_of(&mut world, worker, Cmd::GetSessionByClientId, 1), "a:0:{}");
}

#[test]
fn counts_and_lists() {
    let (mut world, worker, _) = world(3);
    join(&mut world, worker, 2, b"g");
    join(&mut world, worker, 2, b"7");
    bind(&mut world, worker, 2, b"u");
    assert_eq!(ask(&mut world, worker, Cmd::GetClientCountByGroup, b""), "i:3;");
    assert_eq!(ask(&mut world, worker, Cmd::GetClientCountByGroup, b"g"), "i:1;");
    assert_eq!(ask(&mut world, worker, Cmd::GetGroupIdList, b""), r#"a:2:{i:0;s:1:"g";i:1;i:7;}"#);
    assert_eq!(
        ask(&mut world, worker, Cmd::BatchGetClientCountByGroup, br#"["7","none"]"#),
        r#"a:2:{i:7;i:1;s:4:"none";i:0;}"#
    );
    for broken in [Cmd::BatchGetClientCountByGroup, Cmd::BatchGetClientIdByUid, Cmd::Select] {
        assert_eq!(ask(&mut world, worker, broken, b"[broken"), "a:0:{}");
    }
    assert_eq!(ask(&mut world, worker, Cmd::GetClientSessionsByGroup, b"none"), "a:0:{}");
    assert_eq!(ask_of(&mut world, worker, Cmd::IsOnline, 3), "i:1;");
    assert_eq!(ask_of(&mut world, worker, Cmd::IsOnline, 4), "i:0;");
    // Everybody: those with uid and group first, the others as they came.
    assert_eq!(
        ask(&mut world, worker, Cmd::Select, br#"{"fields":["groups"],"where":[]}"#),
        r#"a:3:{i:2;a:1:{s:6:"groups";a:2:{s:1:"g";s:1:"g";i:7;s:1:"7";}}i:1;a:1:{s:6:"groups";N;}i:3;a:1:{s:6:"groups";N;}}"#
    );
    assert_eq!(ask(&mut world, worker, Cmd::Select, br#"{"fields":[],"where":[]}"#), "a:0:{}");
}

#[test]
fn kick_says_last_words_and_destroy_does_not() {
    let (mut world, worker, clients) = world(4);
    world.command(worker, &Frame { body: b"bye", ..to_client(Cmd::Kick, 1) });
    world.command(worker, &Frame { flag: 0, body: b"N;", ..to_client(Cmd::Kick, 2) });
    world.peers[clients[2]].room = Some(0);
    world.command(worker, &Frame { body: b"late", ..to_client(Cmd::SendToOne, 3) });
    world.command(worker, &to_client(Cmd::Kick, 3));
    world.command(worker, &to_client(Cmd::Destroy, 4));
    assert_eq!((world.take(clients[0]), world.take(clients[1])), (b"bye\n".to_vec(), vec![]));
    assert!(world.peers[clients[0]].shut && !world.peers[clients[0]].closed);
    assert!(world.peers[clients[3]].closed);
    assert!(!world.peers[clients[2]].shut);
    world.read(clients[2], None);
    assert_eq!(world.take(clients[2]), b"late\n\n");
    assert!(world.peers[clients[2]].shut);
    // The peer's FIN, or a while without it, ends what lingers.
    world.end(clients[0]);
    assert!(world.peers[clients[0]].closed);
    world.pass(3_000);
    assert!(world.peers[clients[1]].closed && world.peers[clients[2]].closed);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn arrays_go_out_as_json_and_raw_bodies_as_they_are() {
    let (mut world, worker, clients) = world(1);
    world.command(
        worker,
        &Frame { flag: 0, body: br#"a:1:{s:1:"a";s:1:"/";}"#, ..to_client(Cmd::SendToOne, 1) },
    );
    assert_eq!(world.take(clients[0]), b"{\"a\":\"\\/\"}\n");
    world.command(
        worker,
        &Frame { flag: FLAG_SCALAR | FLAG_RAW, body: b"raw", ..to_client(Cmd::SendToOne, 1) },
    );
    assert_eq!(world.take(clients[0]), b"raw");
    world.command(worker, &Frame { flag: 0, body: b"garbage", ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(world.take(clients[0]), b"");
}

#[test]
fn a_key_is_demanded_first_and_compared_strictly() {
    let settings =
        Settings { listen: listen(&["text://127.0.0.1:1"]), secret_key: "k".into(), ..Settings::default() };
    let mut world = World::new(settings);
    let say = |world: &mut World, body: &[u8]| {
        let link = world.link();
        world.say(link, &frame_bytes(&Frame { body, ..Frame::command(Cmd::GatewayClientConnect) }));
        link
    };
    let wrong = [&br#"{"secret_key":"K"}"#[..], b"{}", b"", br#"{"secret_key":null}"#];
    for body in wrong {
        let link = say(&mut world, body);
        assert!(world.peers[link].closed, "{}", String::from_utf8_lossy(body));
    }
    let early = world.link();
    world.say(early, &frame_bytes(&to_client(Cmd::IsOnline, 1)));
    assert!(world.peers[early].closed);
    let silent = world.link();
    let right = say(&mut world, br#"{"secret_key":"k"}"#);
    assert_eq!(ask_of(&mut world, right, Cmd::IsOnline, 1), "i:0;");
    world.pass(11_000);
    assert!(world.peers[silent].closed && !world.peers[right].closed);
}

#[test]
fn a_missing_key_is_wrong_even_where_none_is_set() {
    let mut world = World::text();
    let link = world.link();
    world.say(link, &frame_bytes(&Frame { body: b"{}", ..Frame::command(Cmd::GatewayClientConnect) }));
    assert!(world.peers[link].closed);
}

#[test]
fn a_packet_right_before_fin_is_served() {
    let (mut world, _, clients) = world(1);
    let other = world.link();
    let message = frame_bytes(&Frame { body: b"pushed", ..to_client(Cmd::SendToOne, 1) });
    world.peers[other].inbox.extend(message);
    world.end(other);
    assert_eq!(world.take(clients[0]), b"pushed\n");
    assert!(world.peers[other].closed);
    let asking = world.link();
    world.peers[asking].inbox.extend(frame_bytes(&to_client(Cmd::IsOnline, 1)));
    world.end(asking);
    assert_eq!(value(&world.take(asking)), "i:1;");
    assert!(world.peers[asking].closed);
}

#[test]
fn who_does_not_read_answers_gets_no_more_of_them() {
    let settings = Settings { send_to_worker_buffer_size: 100, ..Settings::default() };
    let mut world = World::new(settings);
    let link = world.link();
    world.peers[link].room = Some(0);
    let question = frame_bytes(&to_client(Cmd::IsOnline, 1));
    world.peers[link].inbox.extend(question.repeat(50));
    world.deliver(link, 28 * 49 + 5);
    assert!(world.peers[link].paused);
    let mut answers = 0;
    for _ in 0..20 {
        world.read(link, Some(50));
        world.deliver(link, usize::MAX);
        answers += world.take(link).len();
    }
    assert_eq!((answers, world.peers[link].paused), (50 * 8, false));
}

#[test]
fn slow_clients_lose_messages_or_go() {
    for (slow_client, gone) in [(SlowClient::Drop, false), (SlowClient::Close, true)] {
        let mut world = World::new(Settings {
            listen: listen(&["text://127.0.0.1:1"]),
            send_to_client_buffer_size: 10,
            slow_client,
            ..Settings::default()
        });
        let worker = world.worker("a");
        let clients = [world.client(0), world.client(0)];
        world.peers[clients[0]].room = Some(0);
        for _ in 0..4 {
            world.command(worker, &Frame { body: b"12345", ..Frame::command(Cmd::SendToAll) });
        }
        assert_eq!(world.peers[clients[0]].closed, gone);
        assert_eq!(world.take(clients[1]).len(), 24);
        if !gone {
            world.read(clients[0], None);
            assert_eq!(world.take(clients[0]), b"12345\n12345\n");
            assert_eq!(world.shard.counters().messages_dropped_slow_client, 2);
        }
    }
}

#[test]
fn without_a_worker_clients_wait_and_then_go() {
    let mut world = World::text();
    let clients = [world.client(0), world.client(0)];
    world.peers[clients[0]].inbox.extend(b"early\n");
    world.deliver(clients[0], 100);
    assert!(world.peers[clients[0]].paused);
    world.pass(4_000);
    let worker = world.worker("a");
    world.say(clients[0], b"");
    world.deliver(clients[0], 100);
    let frames = world.take_frames(worker);
    let told: Vec<_> = frames.iter().map(|frame| (frame.0, frame.1, &frame.3[..])).collect();
    assert_eq!(
        told,
        [(Cmd::OnConnect, 1, &b""[..]), (Cmd::OnConnect, 2, b""), (Cmd::OnMessage, 1, b"early")]
    );
    world.reset(worker);
    world.say(clients[0], b"lost?\n");
    world.reset(clients[1]);
    world.pass(4_000);
    // The next worker hears of everything that happened meanwhile.
    let worker = world.worker("b");
    let told: Vec<_> = world.take_frames(worker).into_iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(told, [(Cmd::OnClose, 2), (Cmd::OnMessage, 1)]);
    world.reset(worker);
    world.say(clients[0], b"nobody\n");
    world.pass(6_000);
    assert_eq!((world.shard.client_count(), world.shard.counters().clients_closed_no_worker), (0, 1));
}

#[test]
fn a_full_link_stops_its_clients_and_nobody_else() {
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        send_to_worker_buffer_size: 100,
        ..Settings::default()
    });
    let slow = world.worker("slow");
    let slow_client = world.client(0);
    world.peers[slow].room = Some(0);
    let fast = world.worker("fast");
    let fast_client = world.client(0);
    for _ in 0..20 {
        world.peers[slow_client].inbox.extend(b"message\n");
        world.deliver(slow_client, 1_000);
    }
    assert!(world.peers[slow_client].paused && !world.peers[fast_client].paused);
    world.say(fast_client, b"hello\n");
    assert_eq!(world.take_frames(fast).len(), 2);
    let mut messages = 0;
    for _ in 0..30 {
        world.read(slow, Some(200));
        world.deliver(slow_client, 1_000);
        messages += world.take_frames(slow).iter().filter(|frame| frame.0 == Cmd::OnMessage).count();
    }
    assert_eq!(messages, 20);
}

#[test]
fn the_same_worker_key_again_takes_the_place() {
    let mut world = World::text();
    let old = world.worker("a");
    let client = world.client(0);
    let new = world.worker("a");
    assert!(world.peers[old].closed);
    world.say(client, b"x\n");
    assert_eq!(world.take_frames(new).len(), 1);
    assert_eq!(world.shard.worker_count(), 1);
}

#[test]
fn websocket_answers_wait_for_the_handshake_and_kinds_pass_between_our_own() {
    let mut world =
        World::new(Settings { listen: listen(&["websocket://127.0.0.1:1"]), ..Settings::default() });
    let worker = world.link();
    let connect = ext::WorkerConnect {
        worker_key: "w".into(),
        secret_key: Some("".into()),
        ringway: true,
        run: None,
        window: None,
        acks: false,
        resume: None,
        handshakes: false,
    };
    world.say(worker, &frame_bytes(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) }));
    assert_eq!(world.take_frames(worker)[0].0, Cmd::RingwayHello);
    let client = world.client(0);
    world.command(worker, &Frame { body: b"early", ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(world.take(client), b"");
    let request =
        b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    world.say(client, &[&request[..], &[0x81, 0x81, 0, 0, 0, 0, b'x']].concat());
    let answer = world.take(client);
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n\x81\x05early"));
    world.command(
        worker,
        &Frame { flag: FLAG_SCALAR | FLAG_TEXT, body: b"t", ..to_client(Cmd::SendToOne, 1) },
    );
    assert_eq!(world.take(client), b"\x81\x01t");
    world.say(client, &[0x81, 0x80, 0, 0, 0, 0]);
    world.say(client, &[0x88, 0x80, 0, 0, 0, 0]);
    assert!(world.take(client).starts_with(&[0x88]));
    world.end(client);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn a_handshake_must_end_in_time() {
    let mut world =
        World::new(Settings { listen: listen(&["websocket://127.0.0.1:1"]), ..Settings::default() });
    world.worker("w");
    let client = world.client(0);
    for byte in b"GET / HTT" {
        world.say(client, &[*byte]);
        world.pass(1_000);
    }
    assert!(!world.peers[client].closed);
    world.pass(2_000);
    assert!(world.peers[client].closed);
    assert_eq!(world.shard.counters().clients_closed_handshake, 1);
}

#[test]
fn what_a_send_brings_about_on_another_socket_of_the_batch_is_not_lost() {
    let (mut world, worker, clients) = world(1);
    let mut kick = frame_bytes(&Frame { body: b"bye", ..to_client(Cmd::Kick, 1) });
    world.shard.on_received(world.now, world.peers[worker].socket, &mut kick);
    // One batch: last words for the client, whose end they bring about, and then news for the worker.
    world.client(0);
    world.settle();
    assert!(world.peers[clients[0]].shut);
    let told: Vec<_> = world.take_frames(worker).into_iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(told, [(Cmd::OnConnect, 2), (Cmd::OnClose, 1)]);
}
