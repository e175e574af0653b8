//! What a gateway of one's own may decide: admission, handshakes, routes, a protocol of its own.

#[path = "../examples/own_gateway/json_frames.rs"]
mod json_frames;
mod world;

use std::cell::RefCell;
use std::sync::Arc;

use gateway_core::{
    Admission, ClientInfo, Handshake, Hooks, HooksFactory, Identity, Listen, ListenProtocol, Settings,
    WorkerInfo,
};
use protocol::client::websocket::Request;
use protocol::client::{Codec, Decoded, Kind, Limits, Protocol};
use protocol::inner::{Cmd, Frame};
use world::{World, listen, to_client};

thread_local! {
    /// What the hooks of this test's thread were told.
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn told() -> Vec<String> {
    TOLD.take()
}

fn tell(what: String) {
    TOLD.with_borrow_mut(|told| told.push(what));
}

/// Refuses every second client, wants a token, speaks binary, sends everybody to the last worker.
#[derive(Default)]
struct Picky {
    clients: usize,
}

impl Hooks for Picky {
    fn on_worker_start(&mut self, shard: Identity) {
        tell(format!("start {}", shard.address));
    }

    fn on_worker_stop(&mut self) {
        tell("stop".into());
    }

    fn on_connect(&mut self, client: &ClientInfo) -> Admission {
        tell(format!("connect {}", client.id.connection_id));
        self.clients += 1;
        if self.clients.is_multiple_of(2) {
            Admission::Refuse
        } else {
            Admission::Accept { kind: Kind::Binary }
        }
    }

    fn on_websocket_connect(&mut self, _client: &ClientInfo, request: &Request<'_>) -> Handshake {
        match request.query() {
            b"token" => Handshake::Accept { headers: vec!["Sec-WebSocket-Protocol: chat".into()] },
            _ => Handshake::Refuse { status: 403 },
        }
    }

    fn on_close(&mut self, client: &ClientInfo) {
        tell(format!("close {}", client.id.connection_id));
    }

    fn on_worker_connected(&mut self, key: &str) {
        tell(format!("worker {key}"));
    }

    fn on_worker_closed(&mut self, key: &str) {
        tell(format!("no worker {key}"));
    }

    fn route(&mut self, _client: &ClientInfo, workers: &[WorkerInfo<'_>]) -> Option<usize> {
        workers.iter().position(|worker| worker.key.ends_with(":last"))
    }

    fn routes(&self) -> bool {
        true
    }
}

fn picky_world(addresses: &[&str]) -> World {
    World::new(Settings {
        listen: listen(addresses),
        hooks: HooksFactory::new(Picky::default),
        ..Settings::default()
    })
}

fn handshake(target: &str) -> Vec<u8> {
    let headers = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    format!("GET {target} HTTP/1.1\r\n{headers}\r\n\r\n").into_bytes()
}

#[test]
fn hooks_see_clients_and_workers_come_and_go() {
    let mut world = picky_world(&["text://127.0.0.1:1"]);
    let worker = world.worker("w");
    let (first, second) = (world.client(0), world.client(0));
    assert!(world.peers[second].closed && !world.peers[first].closed);
    assert_eq!(world.take_frames(worker).len(), 1);
    world.end(first);
    world.reset(worker);
    world.shard.begin_stop(world.now);
    let expected = ["start 127.0.0.2:11500", "worker 127.0.0.1:w", "connect 1", "connect 2", "close 1"];
    assert_eq!(told(), [&expected[..], &["no worker 127.0.0.1:w", "stop"]].concat());
}

#[test]
fn a_handshake_may_be_refused_or_get_headers() {
    let mut world = picky_world(&["websocket://127.0.0.1:1"]);
    let worker = world.worker("w");
    let refused = world.client(0);
    world.say(refused, &handshake("/"));
    assert!(world.take(refused).starts_with(b"HTTP/1.1 403 "));
    assert!(world.peers[refused].shut);
    world.client(0);
    let accepted = world.client(0);
    world.say(accepted, &handshake("/?token"));
    let answer = String::from_utf8(world.take(accepted)).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nSec-WebSocket-Protocol: chat\r\n"),
        "{answer}"
    );
    let told: Vec<_> = world.take_frames(worker).into_iter().map(|frame| (frame.0, frame.1)).collect();
    let expected =
        [(Cmd::OnConnect, 1), (Cmd::OnClose, 1), (Cmd::OnConnect, 3), (Cmd::OnWebsocketConnect, 3)];
    assert_eq!(told, expected);
    // The admission set the type of messages that nobody else set.
    for cmd in [Cmd::SendToOne, Cmd::SendToAll] {
        world.command(worker, &Frame { body: b"x", ..to_client(cmd, 3) });
        assert_eq!(world.take(accepted), b"\x82\x01x");
    }
}

#[test]
fn a_route_of_ones_own_goes_before_the_settings() {
    let mut world = picky_world(&["text://127.0.0.1:1"]);
    let workers = [world.worker("first"), world.worker("last")];
    world.client(0);
    assert_eq!(workers.map(|worker| world.take_frames(worker).len()), [0, 1]);
    world.reset(workers[1]);
    world.client(0);
    world.client(0);
    assert_eq!(world.take_frames(workers[0]).len(), 1);
}

/// Panics about clients by what their number is.
#[derive(Default)]
struct Fragile;

impl Hooks for Fragile {
    fn on_connect(&mut self, client: &ClientInfo) -> Admission {
        assert!(client.id.connection_id != 1, "on_connect");
        Admission::Accept { kind: Kind::Unspecified }
    }

    fn on_websocket_connect(&mut self, client: &ClientInfo, _request: &Request<'_>) -> Handshake {
        assert!(client.id.connection_id != 2, "on_websocket_connect");
        Handshake::default()
    }

    fn on_close(&mut self, _client: &ClientInfo) {
        panic!("on_close");
    }

    fn on_worker_connected(&mut self, _key: &str) {
        panic!("on_worker_connected");
    }

    fn on_worker_closed(&mut self, _key: &str) {
        panic!("on_worker_closed");
    }

    fn route(&mut self, client: &ClientInfo, _workers: &[WorkerInfo<'_>]) -> Option<usize> {
        match client.id.connection_id {
            3 => panic!("route"),
            // There are not so many.
            4 => Some(7),
            _ => None,
        }
    }

    fn routes(&self) -> bool {
        true
    }
}

#[test]
fn a_panic_in_a_hook_costs_its_client_only() {
    let mut world = World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1"]),
        hooks: HooksFactory::new(Fragile::default),
        ..Settings::default()
    });
    let worker = world.worker("w");
    let clients: Vec<usize> = (0..5).map(|_| world.client(0)).collect();
    for client in &clients[1..] {
        world.say(*client, &handshake("/"));
    }
    assert!(world.peers[clients[0]].closed, "refused by on_connect");
    assert!(world.take(clients[1]).starts_with(b"HTTP/1.1 500 "));
    assert!(clients[2..4].iter().all(|client| world.peers[*client].shut), "no route");
    assert!(world.take(clients[4]).starts_with(b"HTTP/1.1 101 "));
    assert_eq!(world.shard.client_count(), 1);
    let told: Vec<_> = world.take_frames(worker).into_iter().filter(|frame| frame.1 == 5).collect();
    assert_eq!(told.len(), 2, "the last is served as ever");
    world.reset(worker);
    // on_connect, on_websocket_connect, route twice, on_close three times, on_worker_connected, on_worker_closed.
    assert_eq!(world.shard.counters().hook_panics, 9);
}

/// Panics at the first byte.
struct Grenade;

impl Protocol for Grenade {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(Grenade)
    }

    fn encode(&self, _body: &[u8], _kind: Kind, _out: &mut Vec<u8>) {}
}

impl Codec for Grenade {
    fn decode<'a>(&'a mut self, _: &Limits, input: &'a mut [u8], _: &mut Vec<u8>) -> Decoded<'a> {
        assert!(input.is_empty(), "a byte");
        Decoded::NeedMore { consumed: 0 }
    }
}

#[test]
fn a_panic_in_a_protocol_costs_its_client_only() {
    let protocol = ListenProtocol::Custom(Arc::new(Grenade));
    let address = "127.0.0.1:1".parse().unwrap();
    let listen = vec![Listen { address, protocol, tls: false }];
    let mut world = World::new(Settings { listen, ..Settings::default() });
    world.worker("w");
    let (victim, other) = (world.client(0), world.client(0));
    world.say(victim, b"x");
    assert!(world.peers[victim].shut && !world.peers[other].shut);
    assert_eq!(world.shard.counters().clients_malformed, 1);
}

#[test]
fn a_protocol_of_ones_own_is_decoded_and_encoded() {
    let address = "127.0.0.1:1".parse().unwrap();
    let protocol = ListenProtocol::Custom(Arc::new(json_frames::JsonFrames));
    let mut world = World::new(Settings {
        listen: vec![Listen { address, protocol, tls: false }],
        ..Settings::default()
    });
    let worker = world.worker("w");
    let (client, rude) = (world.client(0), world.client(0));
    for byte in b"\x00\x02{}\x00\x07{\"a\":1}" {
        world.say(client, &[*byte]);
    }
    world.say(rude, b"\x00\x02hi");
    let bodies: Vec<_> = world.take_frames(worker).into_iter().map(|frame| (frame.1, frame.3)).collect();
    assert_eq!(bodies[2..4], [(1, b"{}".to_vec()), (1, b"{\"a\":1}".to_vec())]);
    assert_eq!(world.shard.client_count(), 1);
    world.command(worker, &Frame { body: b"{\"b\":2}", ..to_client(Cmd::SendToOne, 1) });
    assert_eq!(world.take(client), b"\x00\x07{\"b\":2}");
}
