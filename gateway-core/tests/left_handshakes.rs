//! Websocket handshakes that are left to their workers (docs/WIRE.md §14).

mod world;

use gateway_core::config::HANDSHAKE_TIMEOUT_MS;
use gateway_core::{ClientCounts, ClientLimits, ForwardedHeader, Settings, Shard};
use protocol::client::websocket::client as websocket;
use protocol::inner::{self, Cmd, FLAG_ANSWER_WANTED, FLAG_SCALAR, Frame, HandshakeAnswer};
use world::{World, frame_bytes, listen, to_client};

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocol\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Of: the gateway\r\n";

fn world() -> World {
    World::new(settings())
}

fn settings() -> Settings {
    Settings {
        listen: listen(&["ws://127.0.0.1:1"]),
        subprotocols: vec!["one".parse().expect("a token")],
        response_headers: vec!["X-Of: the gateway".parse().expect("a header")],
        ..Settings::default()
    }
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: two, one\r\n\r\n";

fn text(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    websocket::encode_frame(websocket::TEXT, message.as_bytes(), [1, 2, 3, 4], &mut out);
    out
}

/// The events that a worker has got: what, and its flag.
fn events(world: &mut World, worker: usize) -> Vec<(Cmd, u8)> {
    let bytes = world.take(worker);
    let (mut at, mut events) = (0, Vec::new());
    while let Some((Frame { cmd, flag, .. }, size)) =
        inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX).expect("the shard sends frames")
    {
        events.push((Cmd::from_u8(cmd).expect("known"), flag));
        at += size;
    }
    events.retain(|(cmd, _)| *cmd != Cmd::RingwayPing);
    events
}

const LEFT: [(Cmd, u8); 2] = [(Cmd::OnConnect, FLAG_SCALAR), (Cmd::OnWebsocketConnect, FLAG_ANSWER_WANTED)];

/// A client that has asked, whose worker has been told.
fn asked(world: &mut World, worker: usize) -> usize {
    let client = world.client(0);
    world.say(client, REQUEST);
    assert_eq!(events(world, worker), LEFT);
    assert!(world.take(client).is_empty());
    client
}

fn answer(world: &mut World, worker: usize, connection_id: u32, answer: &HandshakeAnswer) {
    let bytes = answer.encode(connection_id, frame_bytes);
    world.say(worker, &bytes);
}

fn received(world: &mut World, client: usize) -> String {
    String::from_utf8(world.take(client)).expect("ASCII")
}

fn closed(shard: &Shard) -> (u64, u64) {
    let counters = shard.counters();
    (counters.handshakes_refused, counters.clients_closed_unserved)
}

#[test]
fn a_worker_lets_in_with_headers_and_a_subprotocol_of_its_own() {
    for (accepted, more) in [
        (HandshakeAnswer::accept(), "Sec-WebSocket-Protocol: one\r\n\r\n"),
        (
            HandshakeAnswer::accept().with_subprotocol("two").with_header("X-A", "b"),
            "Sec-WebSocket-Protocol: two\r\nX-A: b\r\n\r\n",
        ),
        // What would be another's answer is left out.
        (
            HandshakeAnswer::accept().with_header("Upgrade", "h2c").with_header("no name", "b"),
            "Sec-WebSocket-Protocol: one\r\n\r\n",
        ),
    ] {
        let mut world = world();
        let worker = world.answering_worker("w", 1);
        let client = asked(&mut world, worker);
        world.say(worker, &frame_bytes(&Frame { body: b"before", ..to_client(Cmd::SendToOne, 1) }));
        assert!(world.take(client).is_empty());
        answer(&mut world, worker, 1, &accepted);
        world.say(worker, &frame_bytes(&Frame { body: b"behind", ..to_client(Cmd::SendToOne, 1) }));
        let expected = [ACCEPTED.as_bytes(), more.as_bytes(), b"\x81\x06before\x81\x06behind"].concat();
        assert_eq!(world.take(client), expected);
    }
}

#[test]
fn what_a_client_says_meanwhile_waits_and_comes_in_order() {
    let mut world = world();
    let worker = world.answering_worker("w", 1);
    let client = world.client(0);
    world.say(client, &[REQUEST, &text("one"), &text("two")[..3]].concat());
    assert_eq!(events(&mut world, worker), LEFT);
    assert!(world.peers[client].paused);
    world.say(client, &text("two")[3..]);
    assert_eq!(world.peers[client].inbox.len(), text("two").len() - 3);
    answer(&mut world, worker, 1, &HandshakeAnswer::accept());
    assert!(!world.peers[client].paused);
    world.deliver(client, usize::MAX);
    let bodies: Vec<_> = world.take_frames(worker).into_iter().map(|(cmd, .., body)| (cmd, body)).collect();
    assert_eq!(bodies, [(Cmd::OnMessage, b"one".to_vec()), (Cmd::OnMessage, b"two".to_vec())]);
}

#[test]
fn who_is_refused_is_told_why_and_gone() {
    let mut world = world();
    let worker = world.answering_worker("w", 1);
    let client = asked(&mut world, worker);
    answer(&mut world, worker, 1, &HandshakeAnswer::refuse(403, "banned"));
    let told = received(&mut world, client);
    assert!(told.starts_with("HTTP/1.1 403 Forbidden\r\n") && told.ends_with("\r\n\r\nbanned"), "{told}");
    assert!(world.peers[client].shut);
    world.end(client);
    assert_eq!(events(&mut world, worker), [(Cmd::OnClose, FLAG_SCALAR)]);
    // What comes later is about nobody.
    answer(&mut world, worker, 1, &HandshakeAnswer::accept());
    assert!(world.take(client).is_empty());
    assert_eq!(closed(&world.shard), (1, 0));
}

/// Limits go first: no worker is asked about whom they refuse, and whom a worker refuses counts no more.
#[test]
fn limits_and_workers_that_answer_count_everybody_once() {
    let limits = ClientLimits { address_clients_max: Some(1), ..ClientLimits::default() };
    let counts = ClientCounts::new(&limits);
    let mut world = World::new(Settings {
        client_limits: limits,
        client_counts: Some(counts.clone()),
        trusted_proxies: "10.0.0.7".parse().expect("a network"),
        forwarded_header: Some(ForwardedHeader::XForwardedFor),
        ..settings()
    });
    let worker = world.answering_worker("w", 1);
    let proxied = |ip: &str| {
        let request = String::from_utf8(REQUEST.to_vec()).expect("ASCII");
        request.replacen("\r\n", &format!("\r\nX-Forwarded-For: {ip}\r\n"), 1).into_bytes()
    };
    let come = |world: &mut World, from: &str, request: &[u8]| {
        let client = world.client_from(0, from);
        world.say(client, request);
        client
    };
    let counted = |ip: &str| (counts.clients(), counts.clients_of(ip.parse().expect("an address")));

    let unanswered = come(&mut world, "192.0.2.1:1", REQUEST);
    assert_eq!((events(&mut world, worker), counted("192.0.2.1")), (LEFT.to_vec(), (1, 1)));
    let second = come(&mut world, "192.0.2.1:2", REQUEST);
    assert!(received(&mut world, second).starts_with("HTTP/1.1 429 "));
    assert_eq!((events(&mut world, worker), counted("192.0.2.1")), (vec![], (1, 1)));
    // Its address is known when its worker has heard that somebody is there.
    let third = come(&mut world, "10.0.0.7:1", &proxied("192.0.2.1"));
    assert!(received(&mut world, third).starts_with("HTTP/1.1 429 "));
    world.end(third);
    let told = [(Cmd::OnConnect, FLAG_SCALAR), (Cmd::OnClose, FLAG_SCALAR)];
    assert_eq!((events(&mut world, worker), counted("192.0.2.1")), (told.to_vec(), (1, 1)));
    // The first is refused, by the worker; then another one of its address may come, and goes without an answer.
    answer(&mut world, worker, 1, &HandshakeAnswer::refuse(403, ""));
    world.end(unanswered);
    assert_eq!(counted("192.0.2.1"), (0, 0));
    world.take(worker);
    let late = come(&mut world, "10.0.0.7:2", &proxied("192.0.2.1"));
    assert_eq!((events(&mut world, worker), counted("192.0.2.1")), (LEFT.to_vec(), (1, 1)));
    world.pass(HANDSHAKE_TIMEOUT_MS + 100);
    world.end(late);
    assert_eq!(counted("192.0.2.1"), (0, 0));
    assert_eq!(closed(&world.shard), (1, 1));
    assert_eq!(world.shard.counters().refused_max_clients_per_address, 2);
}

#[test]
fn without_an_answer_a_client_is_told_to_try_again() {
    let mut world = world();
    let worker = world.answering_worker("w", 1);
    let client = asked(&mut world, worker);
    world.pass(HANDSHAKE_TIMEOUT_MS - 100);
    assert!(world.take(client).is_empty());
    world.pass(200);
    assert!(received(&mut world, client).starts_with("HTTP/1.1 503 "));
    world.end(client);
    answer(&mut world, worker, 1, &HandshakeAnswer::accept());
    assert!(world.take(client).is_empty());
    assert_eq!(events(&mut world, worker), [(Cmd::OnClose, FLAG_SCALAR)]);
    assert_eq!(closed(&world.shard), (0, 1));
}

#[test]
fn the_first_answer_counts_and_a_client_that_leaves_needs_none() {
    let mut world = world();
    let worker = world.answering_worker("w", 1);
    let (client, leaves) = (asked(&mut world, worker), asked(&mut world, worker));
    world.reset(leaves);
    assert_eq!(events(&mut world, worker), [(Cmd::OnClose, FLAG_SCALAR)]);
    answer(&mut world, worker, 2, &HandshakeAnswer::accept());
    answer(&mut world, worker, 1, &HandshakeAnswer::accept());
    answer(&mut world, worker, 1, &HandshakeAnswer::refuse(403, ""));
    assert!(received(&mut world, client).starts_with(ACCEPTED));
    assert!(!world.peers[client].shut && !world.peers[client].closed);
}

/// Its worker dies without an answer: the next one is asked.
#[test]
fn a_handshake_goes_on_to_another_worker() {
    let mut world = world();
    let first = world.answering_worker("first", 1);
    let client = asked(&mut world, first);
    let second = world.answering_worker("second", 2);
    world.reset(first);
    world.pass(50);
    let told: Vec<_> =
        events(&mut world, second).into_iter().filter(|(cmd, _)| *cmd != Cmd::Repeat).collect();
    assert_eq!(told, LEFT);
    answer(&mut world, second, 1, &HandshakeAnswer::accept());
    assert!(received(&mut world, client).starts_with(ACCEPTED));
}

#[test]
fn workers_that_do_not_say_so_hear_of_a_handshake_that_is_answered() {
    let mut world = world();
    let worker = world.acking_worker("w", 1);
    let client = world.client(0);
    world.say(client, REQUEST);
    assert!(received(&mut world, client).starts_with(ACCEPTED));
    assert_eq!(events(&mut world, worker), [(Cmd::OnConnect, FLAG_SCALAR), (Cmd::OnWebsocketConnect, 0)]);
    answer(&mut world, worker, 1, &HandshakeAnswer::refuse(403, ""));
    assert!(world.take(client).is_empty() && !world.peers[client].shut);
}
