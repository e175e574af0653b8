//! Clients with TLS: a real session at the other end of a fake ring.

mod secured;
mod world;

use fastrand::Rng;
use gateway_core::Settings;
use gateway_core::config::{HANDSHAKE_TIMEOUT_MS, SEAL_SIZE_MAX, SHARE_PERIOD_MS};
use gateway_core::tls::Connector;
use protocol::client::websocket::client as websocket;
use protocol::inner::{Cmd, Frame};
use secured::{Secured, acceptor, world};
use world::{World, frame_bytes, listen, to_client};

fn commands(world: &mut World, worker: usize) -> Vec<Cmd> {
    world.take_frames(worker).into_iter().map(|(cmd, ..)| cmd).collect()
}

#[test]
fn text_goes_both_ways_and_the_worker_notices_no_difference() {
    let mut world = world("text");
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 0);
    client.say(&mut world, b"one\ntwo\nthr");
    client.say(&mut world, b"ee\n");
    let frames = world.take_frames(worker);
    let heard: Vec<_> = frames.iter().map(|(cmd, _, _, body)| (*cmd, body.as_slice())).collect();
    let message = |body| (Cmd::OnMessage, body);
    let all = [message(b"one".as_slice()), message(b"two"), message(b"three")];
    assert_eq!(heard, [&[(Cmd::OnConnect, b"".as_slice())], all.as_slice()].concat());
    let id = frames[0].1;
    for body in [b"answer".as_slice(), b"", &[b'x'; 100_000]] {
        world.command(worker, &Frame { body, ..to_client(Cmd::SendToOne, id) });
        assert!(client.take(&mut world) == [body, b"\n"].concat());
    }
    let mut farewell = Vec::new();
    client.session.close(&mut farewell);
    world.say(client.peer, &farewell);
    assert_eq!(commands(&mut world, worker), [Cmd::OnClose]);
    // close_notify, sealed.
    assert_eq!(world.take(client.peer).len(), 24);
    assert!(world.peers[client.peer].closed);
}

#[test]
fn websockets_shake_hands_within_tls() {
    let mut world = world("websocket");
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 1);
    assert_eq!(commands(&mut world, worker), [Cmd::OnConnect]);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    client.say(&mut world, &request);
    assert!(client.take(&mut world).starts_with(b"HTTP/1.1 101 "));
    assert_eq!(commands(&mut world, worker), [Cmd::OnWebsocketConnect]);
    world.command(worker, &Frame { body: b"hello", ..Frame::command(Cmd::SendToAll) });
    assert_eq!(client.take(&mut world), b"\x81\x05hello");
}

#[test]
fn a_load_balancer_is_answered_within_tls() {
    let (listen, tls) = (listen(&["wss://127.0.0.1:1"]), Some(acceptor("balancer")));
    let health_path = Some("/healthz".to_owned());
    let mut world = World::new(Settings { listen, tls, health_path, ..Settings::default() });
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 0);
    client.say(&mut world, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n");
    let answer = String::from_utf8(client.take(&mut world)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    assert_eq!(commands(&mut world, worker), []);
}

#[test]
fn nobody_hears_of_a_client_before_its_handshake_is_done_and_what_comes_for_it_waits() {
    let mut world = world("held");
    let worker = world.worker("w");
    let mut session = Connector::insecure().connect("localhost").unwrap();
    let (mut hello, mut got) = (Vec::new(), Vec::new());
    session.receive(&mut [], &mut got, &mut hello).unwrap();
    let peer = world.client(0);
    for byte in hello {
        world.say(peer, &[byte]);
    }
    assert_eq!(commands(&mut world, worker), []);
    world.command(worker, &Frame { body: b"to all", ..Frame::command(Cmd::SendToAll) });
    let (mut flight, mut finished) = (world.take(peer), Vec::new());
    assert!(!flight.windows(6).any(|bytes| bytes == b"to all"));
    session.receive(&mut flight, &mut got, &mut finished).unwrap();
    for byte in finished {
        world.say(peer, &[byte]);
    }
    assert_eq!(commands(&mut world, worker), [Cmd::OnConnect]);
    session.receive(&mut world.take(peer), &mut got, &mut Vec::new()).unwrap();
    assert_eq!(got, b"to all\n");
}

#[test]
fn a_client_that_is_closed_gets_its_last_messages_then_close_notify_then_the_end() {
    let mut world = world("closed");
    let worker = world.worker("w");
    let mut kicked = Secured::connect(&mut world, 0);
    let mut stays = Secured::connect(&mut world, 1);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    stays.say(&mut world, &request);
    stays.take(&mut world);
    let ids: Vec<u32> = world.take_frames(worker).iter().map(|frame| frame.1).collect();
    // Nothing goes out before the client reads.
    world.peers[kicked.peer].room = Some(0);
    world.command(worker, &Frame { body: b"message", ..to_client(Cmd::SendToOne, ids[0]) });
    world.command(worker, &Frame { body: b"last words", ..to_client(Cmd::Kick, ids[0]) });
    assert!(!world.peers[kicked.peer].shut);
    world.read(kicked.peer, None);
    assert_eq!(kicked.take(&mut world), b"message\nlast words\n");
    assert!(kicked.session.has_ended() && world.peers[kicked.peer].shut);
    world.shard.begin_stop(world.now);
    world.settle();
    assert_eq!(stays.take(&mut world), b"\x88\x02\x03\xe9");
    // What it is at is received, and only its answer brings our end.
    let mut frames = Vec::new();
    websocket::encode_frame(websocket::TEXT, &[b'x'; 50_000], [1; 4], &mut frames);
    stays.say(&mut world, &frames);
    stays.hear(&mut world);
    assert!(!stays.session.has_ended() && !world.peers[stays.peer].shut && !world.shard.is_stopped());
    frames.clear();
    websocket::encode_close(1001, [1; 4], &mut frames);
    world.peers[stays.peer].room = Some(3);
    stays.say(&mut world, &frames);
    assert!(!world.peers[stays.peer].shut, "close_notify comes first");
    world.read(stays.peer, None);
    stays.hear(&mut world);
    assert!(stays.session.has_ended() && world.peers[stays.peer].shut);
    world.end(stays.peer);
    assert!(world.peers[stays.peer].closed);
}

#[test]
fn plain_http_is_told_that_this_is_a_tls_port() {
    let mut world = world("plain");
    for listener in [0, 1] {
        for (request, with_body) in
            [(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], true), (b"HEAD / HTTP/1.1\r\n\r\n", false)]
        {
            let peer = world.client(listener);
            world.say(peer, request);
            let answer = String::from_utf8(world.take(peer)).expect("the answer is plain text");
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
            assert_eq!(answer.ends_with("\r\n\r\nThis is a TLS port: use https:// or wss://.\n"), with_body);
            assert!(world.peers[peer].shut);
        }
    }
    let peer = world.client(0);
    world.say(peer, b"hello\n");
    assert!(world.take(peer).is_empty() && world.peers[peer].shut);
    assert_eq!(world.shard.counters().tls_handshakes_failed, 5);
}

#[test]
fn a_handshake_without_a_worker_is_refused_within_tls() {
    let mut world = world("unserved");
    let mut client = Secured::connect(&mut world, 1);
    let mut text = Secured::connect(&mut world, 0);
    world.pass(5_000);
    assert!(client.take(&mut world).starts_with(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"));
    assert!(client.session.has_ended() && world.peers[client.peer].shut);
    assert!(text.take(&mut world).is_empty() && text.session.has_ended() && world.peers[text.peer].shut);
}

#[test]
fn whoever_breaks_tls_while_the_answer_is_awaited_goes() {
    let mut world = world("broken");
    world.worker("w");
    let mut client = Secured::connect(&mut world, 1);
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    client.say(&mut world, &request);
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(!world.peers[client.peer].shut);
    world.say(
        client.peer,
        &[0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
    );
    assert!(world.peers[client.peer].shut);
    assert_eq!(world.shard.counters().tls_sessions_failed, 1);
    world.pass(2_050);
    assert!(world.peers[client.peer].closed && world.shard.is_stopped());
}

#[test]
fn a_client_that_does_not_read_has_a_bound() {
    let mut world = world("slow");
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 0);
    world.take(client.peer);
    world.peers[client.peer].room = Some(0);
    let body = vec![b'x'; 50_000];
    for _ in 0..100 {
        world.command(worker, &Frame { body: &body, ..Frame::command(Cmd::SendToAll) });
    }
    let socket = world.peers[client.peer].socket;
    let sealed: usize = world.shard.unsent(socket).map(|slice| slice.len()).sum();
    assert!((SEAL_SIZE_MAX..SEAL_SIZE_MAX + 100).contains(&sealed), "{sealed}");
    assert!(world.shard.counters().messages_dropped_slow_client >= 78);
    world.read(client.peer, None);
    let whole = client.take(&mut world);
    assert_eq!(whole.len() % 50_001, 0);
    assert!((1_000_000..1_100_000).contains(&whole.len()), "{}", whole.len());
    // In small bites, too.
    world.peers[client.peer].room = Some(0);
    world.command(worker, &Frame { body: &body, ..Frame::command(Cmd::SendToAll) });
    let mut bites = Vec::new();
    while bites.len() < 50_001 {
        world.read(client.peer, Some(777));
        bites.extend(client.take(&mut world));
    }
    assert_eq!(bites.len(), 50_001);
}

#[test]
fn a_client_that_speaks_no_tls_or_bad_tls_is_closed_and_counted() {
    let mut world = world("wrong");
    let worker = world.worker("w");
    for wrong in [b"GET / HTTP/1.1\r\n".as_slice(), b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", b"\0"] {
        let peer = world.client(1);
        world.say(peer, wrong);
        assert!(world.peers[peer].shut || world.peers[peer].closed);
    }
    let gone = world.client(0);
    world.say(gone, b"\x16\x03");
    world.end(gone);
    let reset = world.client(0);
    world.reset(reset);
    assert_eq!(world.shard.counters().tls_handshakes_failed, 5);
    let silent = world.client(0);
    world.pass(HANDSHAKE_TIMEOUT_MS + 100);
    assert!(world.peers[silent].closed);
    assert_eq!(world.shard.counters().tls_handshakes_failed, 6);
    assert_eq!(commands(&mut world, worker), []);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn garbage_within_a_session_ends_it_behind_what_came_before() {
    let mut world = world("garbage");
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 0);
    let mut bytes = Vec::new();
    client.session.seal(b"good\n", &mut bytes).unwrap();
    bytes.extend_from_slice(b"\x17\x03\x03\x00\x20bad bad bad bad bad bad bad bad ");
    world.say(client.peer, &bytes);
    assert_eq!(commands(&mut world, worker), [Cmd::OnConnect, Cmd::OnMessage, Cmd::OnClose]);
    assert_eq!(world.shard.counters().tls_sessions_failed, 1);
    assert!(world.peers[client.peer].shut);
    // The alert came.
    assert!(client.session.receive(&mut world.take(client.peer), &mut Vec::new(), &mut Vec::new()).is_err());
}

#[test]
fn a_client_with_tls_where_there_is_none_is_counted() {
    let mut world = world("unexpected");
    world.worker("w");
    let mut hello = Vec::new();
    let mut session = Connector::insecure().connect("localhost").unwrap();
    session.receive(&mut [], &mut Vec::new(), &mut hello).unwrap();
    let peer = world.client(3);
    world.say(peer, &hello);
    assert!(world.peers[peer].shut);
    assert_eq!(world.shard.counters().tls_unexpected, 1);
}

#[test]
fn new_certificates_are_for_new_clients() {
    let mut world = world("reload");
    let worker = world.worker("w");
    let mut before = Secured::connect(&mut world, 0);
    world.shard.on_certificates(acceptor("reloaded"));
    let mut after = Secured::connect(&mut world, 0);
    world.command(worker, &Frame { body: b"hi", ..Frame::command(Cmd::SendToAll) });
    assert_eq!((before.take(&mut world), after.take(&mut world)), (b"hi\n".to_vec(), b"hi\n".to_vec()));
}

#[test]
fn whatever_the_pieces_nothing_is_lost_or_out_of_order() {
    let mut world = world("pieces");
    let worker = world.worker("w");
    let mut client = Secured::connect(&mut world, 0);
    let mut random = Rng::with_seed(7);
    let (mut said, mut expected) = (Vec::new(), Vec::new());
    for turn in 0..300_usize {
        let message = vec![b'a' + (turn % 26) as u8; random.usize(0..3_000)];
        let mut sealed = Vec::new();
        client.session.seal(&[message.as_slice(), b"\n"].concat(), &mut sealed).unwrap();
        world.peers[client.peer].inbox.extend(sealed);
        said.push(message);
        world.deliver(client.peer, random.usize(1..4_000));
        world.pause(SHARE_PERIOD_MS);
        world.read(client.peer, Some(random.usize(0..60_000)));
        let dropped = world.shard.counters().messages_dropped_slow_client;
        let answer = vec![b'A' + (turn % 26) as u8; random.usize(0..40_000)];
        let frame = frame_bytes(&Frame { body: &answer, ..Frame::command(Cmd::SendToAll) });
        world.say(worker, &frame);
        if world.shard.counters().messages_dropped_slow_client == dropped {
            expected.extend([answer.as_slice(), b"\n"].concat());
        }
        client.hear(&mut world);
    }
    world.deliver(client.peer, usize::MAX);
    world.read(client.peer, None);
    assert!(client.take(&mut world) == expected);
    let frames = world.take_frames(worker).into_iter().filter(|(cmd, ..)| *cmd == Cmd::OnMessage);
    assert!(frames.map(|(_, _, _, body)| body).eq(said));
}

#[test]
fn unfinished_messages_within_tls_have_a_bound_and_an_end() {
    let settings = Settings {
        listen: listen(&["ssl+text://127.0.0.1:1", "wss://127.0.0.1:2"]),
        tls: Some(acceptor("unfinished")),
        max_package_size: 100_000,
        max_unfinished_size: Some(200_000),
        ..Settings::default()
    };
    let mut world = World::new(settings);
    world.worker("w");
    let (mut text, mut websocket) = (Secured::connect(&mut world, 0), Secured::connect(&mut world, 1));
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    websocket.say(&mut world, &request);
    websocket.take(&mut world);
    text.say(&mut world, &[b'x'; 90_000]);
    let mut message = Vec::new();
    websocket::encode_frame(websocket::TEXT, &[b'x'; 98_000], [1, 2, 3, 4], &mut message);
    websocket.say(&mut world, &message[..95_000]);
    assert_eq!(world.shard.counters().clients_closed_unfinished_size, 0);
    let mut third = Secured::connect(&mut world, 0);
    third.say(&mut world, &[b'x'; 20_000]);
    assert_eq!(world.shard.counters().clients_closed_unfinished_size, 1);
    assert_eq!(websocket.take(&mut world), [0x88, 2, 0x03, 0xf0], "the largest: close frame 1008");
    assert!(!world.peers[text.peer].closed);
    world.pass(122_000);
    assert_eq!(world.shard.counters().clients_closed_unfinished_time, 2);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn a_record_that_does_not_come_to_an_end_is_an_unfinished_message() {
    let mut world = world("record");
    let worker = world.worker("w");
    let [mut held, mut idle] = [(); 2].map(|()| Secured::connect(&mut world, 0));
    idle.say(&mut world, b"whole\n");
    let mut sealed = Vec::new();
    held.session.seal(&[b'x'; 10_000], &mut sealed).expect("few bytes are sealed");
    world.say(held.peer, &sealed[..9_000]);
    world.pass(60_000);
    assert!(!world.peers[held.peer].closed);
    world.pass(62_000);
    assert!(world.peers[held.peer].closed && !world.peers[idle.peer].closed);
    assert_eq!(world.shard.counters().clients_closed_unfinished_time, 1);
    world.take(worker);
}
