//! Clients behind proxies: whose address counts, and whom a gateway believes.

mod secured;
mod world;

use std::cell::RefCell;

use gateway_core::config::HANDSHAKE_TIMEOUT_MS;
use gateway_core::tls::Connector;
use gateway_core::{Admission, ClientInfo, ForwardedHeader, Handshake, Hooks, HooksFactory, Settings};
use protocol::client::Kind;
use protocol::client::proxy_protocol::HEADER_SIZE_MAX;
use protocol::client::websocket::Request;
use protocol::inner::{self, Cmd, Frame, WebsocketRequest};
use protocol::php::Value;
use secured::{Secured, acceptor};
use world::{World, listen};

/// A proxy that is trusted, and somebody who is not.
const PROXY: &str = "10.0.0.7:40000";
const STRANGER: &str = "192.0.2.66:40000";

/// What a proxy says of a client at `203.0.113.5`.
const LINE: &[u8] = b"PROXY TCP4 203.0.113.5 10.0.0.1 56324 443\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x05\x0a\0\0\x01\xdc\x04\x01\xbb";
/// A proxy's health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn settings(listeners: &[&str]) -> Settings {
    Settings {
        listen: listen(listeners),
        trusted_proxies: "10.0.0.0/8,fd00::/8".parse().expect("networks"),
        proxy_protocol: true,
        ..Settings::default()
    }
}

/// The events that a worker has got: what, from where, and the body.
fn events(world: &mut World, worker: usize) -> Vec<(Cmd, String, Vec<u8>)> {
    let bytes = world.take(worker);
    let (mut at, mut events) = (0, Vec::new());
    while let Some((Frame { cmd, client, body, .. }, size)) =
        inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX).expect("the shard sends frames")
    {
        events.push((Cmd::from_u8(cmd).expect("known"), client.to_string(), body.to_vec()));
        at += size;
    }
    events
}

fn event(cmd: Cmd, address: &str, body: &[u8]) -> (Cmd, String, Vec<u8>) {
    (cmd, address.to_owned(), body.to_vec())
}

fn request(headers: &str) -> Vec<u8> {
    let fixed = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    format!("GET / HTTP/1.1\r\n{fixed}\r\n{headers}\r\n").into_bytes()
}

/// REMOTE_ADDR and REMOTE_PORT in the body of ON_WEBSOCKET_CONNECT.
fn remote(body: &[u8]) -> String {
    let server = WebsocketRequest::decode(body).expect("it is one").server;
    let address = server.get("REMOTE_ADDR").and_then(Value::as_str).expect("it is there");
    format!("{address} {}", server.get("REMOTE_PORT").and_then(Value::as_int).expect("so is the port"))
}

#[test]
fn a_connection_is_a_client_when_its_proxy_has_said_whose_it_is() {
    for header in [LINE, BINARY] {
        for size in 1..=header.len() {
            let mut world = World::new(settings(&["text://127.0.0.1:1"]));
            let worker = world.worker("w");
            let client = world.client_from(0, PROXY);
            for piece in header.chunks(size) {
                assert_eq!((world.shard.client_count(), events(&mut world, worker)), (0, vec![]));
                world.say(client, piece);
            }
            assert_eq!(events(&mut world, worker), [event(Cmd::OnConnect, "203.0.113.5:56324", b"")]);
            world.say(client, b"hello\n");
            world.end(client);
            let (hello, close) = (Cmd::OnMessage, Cmd::OnClose);
            let address = "203.0.113.5:56324";
            let expected = [event(hello, address, b"hello"), event(close, address, b"")];
            assert_eq!(events(&mut world, worker), expected);
        }
    }
}

#[test]
fn what_comes_with_the_header_is_the_clients_first_word() {
    let mut world = World::new(settings(&["text://127.0.0.1:1"]));
    let worker = world.worker("w");
    let client = world.client_from(0, PROXY);
    world.say(client, &[BINARY, b"one\ntw"].concat());
    world.say(client, b"o\n");
    let bodies: Vec<_> = events(&mut world, worker).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, [&b""[..], b"one", b"two"]);
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client() {
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut world = World::new(settings(&["text://127.0.0.1:1"]));
        let worker = world.worker("w");
        let client = world.client_from(0, PROXY);
        world.say(client, header);
        assert_eq!(events(&mut world, worker), [event(Cmd::OnConnect, PROXY, b"")]);
    }
}

#[test]
fn the_header_comes_before_tls() {
    let listen = ["ssl+text://127.0.0.1:1"];
    let tls = Some(acceptor("proxied"));
    let mut world = World::new(Settings { tls, ..settings(&listen) });
    let worker = world.worker("w");
    let session = Connector::insecure().connect("localhost").expect("localhost is a name");
    let mut client = Secured { peer: world.client_from(0, PROXY), session, got: Vec::new() };
    let mut hello = LINE.to_vec();
    client.session.receive(&mut [], &mut Vec::new(), &mut hello).expect("a hello is no failure");
    world.say(client.peer, &hello);
    client.hear(&mut world);
    client.say(&mut world, b"hello\n");
    let address = "203.0.113.5:56324";
    let expected = [event(Cmd::OnConnect, address, b""), event(Cmd::OnMessage, address, b"hello")];
    assert_eq!(events(&mut world, worker), expected);
}

#[test]
fn who_is_no_trusted_proxy_is_served_under_its_own_address_and_not_believed() {
    let mut world = World::new(settings(&["text://127.0.0.1:1", "ws://127.0.0.1:2", "frame://127.0.0.1:3"]));
    let worker = world.worker("w");
    let client = world.client_from(0, STRANGER);
    assert_eq!(events(&mut world, worker), [event(Cmd::OnConnect, STRANGER, b"")]);
    // To lines it is a line, which changes nothing.
    world.say(client, LINE);
    let line = &LINE[..LINE.len() - 2];
    assert_eq!(events(&mut world, worker), [event(Cmd::OnMessage, STRANGER, line)]);
    for (listener, header) in [(1, LINE), (1, BINARY), (2, LINE)] {
        let client = world.client_from(listener, STRANGER);
        world.say(client, header);
        assert!(world.peers[client].shut, "{listener}");
    }
    let counters = world.shard.counters();
    assert_eq!((counters.proxy_headers_unexpected, counters.proxy_headers_malformed), (3, 0));
    assert_eq!(counters.clients_malformed, 3);
}

#[test]
fn without_the_flag_nobody_is_believed() {
    let mut world = World::new(Settings { proxy_protocol: false, ..settings(&["ws://127.0.0.1:2"]) });
    let worker = world.worker("w");
    let client = world.client_from(0, PROXY);
    assert_eq!(events(&mut world, worker), [event(Cmd::OnConnect, PROXY, b"")]);
    world.say(client, LINE);
    assert!(world.peers[client].shut);
    assert_eq!(world.shard.counters().proxy_headers_unexpected, 1);
}

#[test]
fn a_trusted_proxy_that_says_something_else_is_closed() {
    let mut world = World::new(settings(&["ws://127.0.0.1:1"]));
    let worker = world.worker("w");
    for wrong in [&request("")[..], b"PROXY TCP4 1.2.3.4\r\n", b"\x16\x03\x01", &[b'x'; HEADER_SIZE_MAX]] {
        let client = world.client_from(0, PROXY);
        world.say(client, wrong);
        assert!(world.peers[client].closed);
        assert_eq!(world.take(client), b"");
    }
    // One that looks whether the port is there, and one that breaks.
    let looks = world.client_from(0, PROXY);
    world.end(looks);
    let breaks = world.client_from(0, PROXY);
    world.say(breaks, b"PROXY ");
    world.reset(breaks);
    assert!(world.peers[looks].closed && world.peers[breaks].closed);
    let counters = world.shard.counters();
    assert_eq!((counters.proxy_headers_malformed, counters.clients_accepted), (4, 0));
    assert_eq!((events(&mut world, worker), world.shard.client_count()), (vec![], 0));
}

#[test]
fn a_header_has_as_long_as_a_handshake_and_both_together_too() {
    let mut world = World::new(settings(&["ws://127.0.0.1:1"]));
    let _worker = world.worker("w");
    let [silent, slow, late] = [(); 3].map(|()| world.client_from(0, PROXY));
    world.say(slow, b"PROXY TCP4 ");
    world.pass(HANDSHAKE_TIMEOUT_MS - 1_000);
    assert!(!world.peers[silent].closed && !world.peers[slow].closed);
    world.say(late, LINE);
    world.pass(1_000);
    assert!(world.peers[silent].closed && world.peers[slow].closed && world.peers[late].closed);
    let counters = world.shard.counters();
    assert_eq!((counters.proxy_headers_malformed, counters.clients_closed_handshake), (2, 1));
}

#[test]
fn who_comes_while_the_gateway_stops_is_closed_when_it_would_be_a_client() {
    let mut world = World::new(settings(&["text://127.0.0.1:1"]));
    let client = world.client_from(0, PROXY);
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(world.shard.is_stopped());
    world.say(client, LINE);
    assert!(world.peers[client].closed);
}

#[test]
fn a_header_of_http_counts_where_a_trusted_proxy_says_it() {
    let plain = Settings { proxy_protocol: false, ..settings(&["ws://127.0.0.1:1"]) };
    let forwarded_header = Some(ForwardedHeader::XForwardedFor);
    let headers = request("X-Forwarded-For: 1.1.1.1, 203.0.113.5, 10.0.0.9\r\nX-Real-IP: 1.1.1.1\r\n");
    for (settings, peer, said, remote_says) in [
        (Settings { forwarded_header, ..plain.clone() }, PROXY, "203.0.113.5:0", "203.0.113.5 0"),
        (Settings { forwarded_header, ..plain.clone() }, STRANGER, STRANGER, "192.0.2.66 40000"),
        (plain, PROXY, PROXY, "10.0.0.7 40000"),
    ] {
        let mut world = World::new(settings);
        let worker = world.worker("w");
        let client = world.client_from(0, peer);
        // Nothing is known but the connection before the request has come.
        assert_eq!(events(&mut world, worker), [event(Cmd::OnConnect, peer, b"")]);
        world.say(client, &headers);
        let (cmd, address, body) = events(&mut world, worker).remove(0);
        assert_eq!(
            (cmd, address.as_str(), remote(&body).as_str()),
            (Cmd::OnWebsocketConnect, said, remote_says)
        );
        world.reset(client);
        assert_eq!(events(&mut world, worker), [event(Cmd::OnClose, said, b"")]);
    }
}

/// A client that reaches the gateway past its HTTP proxy, by one that only passes connections on, is not believed.
#[test]
fn who_is_believed_is_who_the_proxy_protocol_says() {
    let forwarded_header = Some(ForwardedHeader::XForwardedFor);
    let mut world = World::new(Settings { forwarded_header, ..settings(&["ws://127.0.0.1:1"]) });
    let worker = world.worker("w");
    for (line, said) in [
        ("PROXY TCP4 203.0.113.5 10.0.0.1 56324 443\r\n", "203.0.113.5:56324"),
        ("PROXY TCP4 10.0.0.8 10.0.0.1 56324 443\r\n", "1.1.1.1:0"),
    ] {
        let client = world.client_from(0, PROXY);
        world.say(client, line.as_bytes());
        world.say(client, &request("X-Forwarded-For: 1.1.1.1\r\n"));
        assert_eq!(events(&mut world, worker).remove(1).1, said);
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let allow_origins =
        ["https://example.com", "https://*.example.org"].map(|origin| origin.parse().expect("good"));
    let listen = listen(&["ws://127.0.0.1:1"]);
    let mut world =
        World::new(Settings { allow_origins: allow_origins.to_vec(), listen, ..Settings::default() });
    let worker = world.worker("w");
    for (headers, is_allowed) in [
        ("Origin: https://example.com\r\n", true),
        ("origin: HTTPS://chat.Example.org\r\n", true),
        ("", true),
        ("Origin: https://example.org\r\n", false),
        ("Origin: https://example.com.evil.org\r\n", false),
        ("Origin: null\r\n", false),
        ("Origin: https://example.com\r\nOrigin: https://evil.org\r\n", false),
        ("Origin:\r\n", false),
    ] {
        let client = world.client(0);
        world.say(client, &request(headers));
        let status: &[u8] = if is_allowed { b"HTTP/1.1 101 " } else { b"HTTP/1.1 403 " };
        assert!(world.take(client).starts_with(status), "{headers}");
        assert_eq!(world.peers[client].shut, !is_allowed);
        // Of the connection the worker has heard before.
        let commands: Vec<_> = events(&mut world, worker).into_iter().map(|(cmd, ..)| cmd).collect();
        let last = if is_allowed { Cmd::OnWebsocketConnect } else { Cmd::OnClose };
        assert_eq!(commands, [Cmd::OnConnect, last]);
    }
    assert_eq!(world.shard.counters().origins_refused, 5);
}

thread_local! {
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes what it is told.
struct Noting;

impl Noting {
    fn note(what: &str, client: &ClientInfo) {
        TOLD.with_borrow_mut(|told| told.push(format!("{what} {}", client.address)));
    }
}

impl Hooks for Noting {
    fn on_authority(&mut self, client: &ClientInfo, authority: &str) {
        Noting::note(authority, client);
    }

    fn on_connect(&mut self, client: &ClientInfo) -> Admission {
        Noting::note("connect", client);
        Admission::Accept { kind: Kind::Unspecified }
    }

    fn on_websocket_connect(&mut self, client: &ClientInfo, _request: &Request<'_>) -> Handshake {
        Noting::note("websocket", client);
        Handshake::default()
    }

    fn on_close(&mut self, client: &ClientInfo) {
        Noting::note("close", client);
    }
}

#[test]
fn hooks_are_told_what_proxies_say() {
    let forwarded_header = Some(ForwardedHeader::Forwarded);
    let hooks = HooksFactory::new(|| Noting);
    let mut world = World::new(Settings { forwarded_header, hooks, ..settings(&["ws://127.0.0.1:1"]) });
    let _worker = world.worker("w");
    let client = world.client_from(0, "[fd00::7]:40000");
    let with_host = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x0b\x02\0\x08chat.org";
    world.say(client, with_host);
    world.say(client, &request("Forwarded: for=\"[2001:db8::1]:5\"\r\n"));
    world.end(client);
    let expected = [
        "chat.org [fd00::7]:40000",
        "connect [fd00::7]:40000",
        "websocket [2001:db8::1]:5",
        "close [2001:db8::1]:5",
    ];
    assert_eq!(TOLD.take(), expected);
}
