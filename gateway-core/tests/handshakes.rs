//! What a websocket handshake is answered, and what its worker hears of it, as the settings say.

mod world;

use std::time::Duration;

use gateway_core::{ClientInfo, Handshake, Hooks, HooksFactory, Settings};
use protocol::client::websocket::{Request, client as websocket};
use protocol::inner::{Cmd, WebsocketRequest};
use world::{World, listen};

fn settings() -> Settings {
    Settings {
        listen: listen(&["ws://127.0.0.1:1"]),
        subprotocols: ["ringway.2", "ringway.1"].map(|name| name.parse().expect("a token")).to_vec(),
        response_headers: ["X-Served-By: one", "Set-Cookie: a=b"]
            .map(|line| line.parse().expect("a header"))
            .to_vec(),
        ..Settings::default()
    }
}

/// The answer to a request with these headers.
fn answer(settings: Settings, headers: &str) -> String {
    let mut world = World::new(settings);
    world.worker("w");
    let client = world.client(0);
    let request = format!(
        "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    world.say(client, request.as_bytes());
    let answer = String::from_utf8(world.take(client)).expect("answers are ASCII");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    answer
}

/// The subprotocol in an answer.
fn subprotocol(answer: &str) -> Option<&str> {
    let mut lines = answer.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
    let first = lines.next();
    assert_eq!(lines.next(), None, "{answer}");
    first
}

#[test]
fn the_preferred_subprotocol_of_those_offered_is_chosen() {
    for (offered, chosen) in [
        ("", None),
        ("Sec-WebSocket-Protocol: chat\r\n", None),
        ("Sec-WebSocket-Protocol: ringway.1\r\n", Some("ringway.1")),
        ("Sec-WebSocket-Protocol: chat, ringway.1 ,ringway.2\r\n", Some("ringway.2")),
        ("sec-websocket-protocol: ringway.1\r\nSec-WebSocket-Protocol: ringway.2\r\n", Some("ringway.2")),
        ("Sec-WebSocket-Protocol: RINGWAY.2, ringway.11\r\n", None),
    ] {
        assert_eq!(subprotocol(&answer(settings(), offered)), chosen, "{offered}");
    }
    let none = Settings { subprotocols: Vec::new(), ..settings() };
    assert_eq!(subprotocol(&answer(none, "Sec-WebSocket-Protocol: ringway.1\r\n")), None);
}

#[test]
fn headers_of_the_operator_are_in_every_answer() {
    let answer = answer(settings(), "");
    assert!(answer.ends_with("\r\nX-Served-By: one\r\nSet-Cookie: a=b\r\n\r\n"), "{answer}");
}

/// Has a subprotocol of its own.
struct Own;

impl Hooks for Own {
    fn on_websocket_connect(&mut self, _: &ClientInfo, _: &Request<'_>) -> Handshake {
        Handshake::Accept { headers: vec!["sec-websocket-protocol: own".into()] }
    }
}

#[test]
fn a_hooks_choice_comes_before_the_settings() {
    let own = Settings { hooks: HooksFactory::new(|| Own), ..settings() };
    let answer = answer(own, "Sec-WebSocket-Protocol: ringway.1\r\n");
    assert!(answer.ends_with("\r\nSet-Cookie: a=b\r\nsec-websocket-protocol: own\r\n\r\n"), "{answer}");
    assert_eq!(subprotocol(&answer), None);
}

#[test]
fn a_query_in_latin_1_reaches_the_worker_as_it_is() {
    let mut world = World::new(settings());
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(
        client,
        b"GET /?name=Jos\xe9 HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let frames = world.take_frames(worker);
    let [_, (Cmd::OnWebsocketConnect, _, _, body)] = &frames[..] else { panic!("{frames:?}") };
    let request = WebsocketRequest::decode(body).unwrap();
    assert_eq!(request.get.get("name").unwrap().as_bytes(), Some(&b"Jos\xe9"[..]));
    assert_eq!(request.server.get("QUERY_STRING").unwrap().as_bytes(), Some(&b"name=Jos\xe9"[..]));
    assert_eq!(request.server.get("REQUEST_URI").unwrap().as_bytes(), Some(&b"/?name=Jos\xe9"[..]));
}

#[test]
fn text_that_is_not_utf8_is_passed_on_where_the_listener_takes_it() {
    let gbk = b"\xc4\xe3\xba\xc3";
    for lenient in [false, true] {
        let mut settings = settings();
        settings.listen[0].protocol.set_lenient_text(lenient);
        let mut world = World::new(settings);
        let worker = world.worker("w");
        let client = world.client(0);
        let mut input = Vec::new();
        websocket::encode_request("host", "/", [1; 16], &mut input);
        websocket::encode_frame(websocket::TEXT, gbk, [1, 2, 3, 4], &mut input);
        world.say(client, &input);
        let last = world.take_frames(worker).pop().unwrap();
        match lenient {
            true => assert_eq!((last.0, &last.3[..]), (Cmd::OnMessage, &gbk[..])),
            false => {
                assert_eq!(last.0, Cmd::OnClose);
                assert!(world.take(client).ends_with(b"\x88\x02\x03\xef"));
            }
        }
    }
}

fn request() -> Vec<u8> {
    let mut request = Vec::new();
    websocket::encode_request("host", "/", [1; 16], &mut request);
    request
}

/// A worker that has taken nothing since it has many clients' events.
fn full_worker(world: &mut World) -> usize {
    let worker = world.worker("w");
    let talker = world.client(0);
    let mut input = request();
    websocket::encode_frame(websocket::TEXT, &[b'x'; 1_000], [1, 2, 3, 4], &mut input);
    world.peers[worker].room = Some(0);
    world.say(talker, &input);
    worker
}

#[test]
fn a_handshake_that_waits_for_a_worker_that_takes_nothing_is_answered_in_its_time() {
    let mut world = World::new(Settings { send_to_worker_buffer_size: 1_000, ..settings() });
    full_worker(&mut world);
    let (said_all, said_half, said_nothing) = (world.client(0), world.client(0), world.client(0));
    world.say(said_all, &request());
    world.say(said_half, b"GET / HTTP/1.1\r\n");
    world.pass(9_900);
    for client in [said_all, said_half, said_nothing] {
        assert!(!world.peers[client].shut && world.take(client).is_empty());
    }
    world.pass(150);
    for client in [said_all, said_half, said_nothing] {
        let answer = String::from_utf8(world.take(client)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
        assert!(world.peers[client].shut);
    }
    let counters = world.shard.counters();
    assert_eq!((counters.clients_closed_unserved, counters.clients_closed_handshake), (3, 0));
    assert_eq!(world.shard.client_count(), 1, "who talks already waits for as long as it takes");
}

#[test]
fn a_handshake_that_waited_for_room_goes_on_when_there_is_some() {
    let mut world = World::new(Settings { send_to_worker_buffer_size: 1_000, ..settings() });
    let worker = full_worker(&mut world);
    let client = world.client(0);
    world.say(client, &request());
    world.pass(9_000);
    world.read(worker, None);
    world.deliver(client, usize::MAX);
    assert!(world.take(client).starts_with(b"HTTP/1.1 101 "));
    world.pass(20_000);
    assert_eq!(world.shard.counters().clients_closed_unserved, 0);
}

#[test]
fn a_handshake_without_any_worker_waits_as_long_as_the_settings_say() {
    let mut world = World::new(Settings { no_worker_wait: Duration::from_secs(25), ..settings() });
    let client = world.client(0);
    world.say(client, &request());
    world.pass(24_900);
    assert!(world.take(client).is_empty() && !world.peers[client].shut);
    world.pass(150);
    assert!(world.take(client).starts_with(b"HTTP/1.1 503 ") && world.peers[client].shut);
    let counters = world.shard.counters();
    assert_eq!((counters.clients_closed_no_worker, counters.clients_closed_unserved), (1, 0));
}
