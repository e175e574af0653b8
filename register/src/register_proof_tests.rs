//! Where the key is proven, not said.

use protocol::InnerAuth;
use protocol::register_client::{Connection, Limits, RegisterClient, Role};

use super::*;

const GATEWAY: &str = "10.0.0.1:2900";

fn world() -> World {
    let config = Config { secret_key: "k".to_owned(), inner_auth: InnerAuth::Challenge, ..Config::default() };
    World::with(&config)
}

/// A program of ours that knows `key`, on a connection that stands.
fn client(role: Role, key: &str) -> RegisterClient {
    let credentials = Credentials::new(key.to_owned(), InnerAuth::Challenge, &Nonces::default());
    let mut client = RegisterClient::new("10.0.0.9:1236", role, credentials, Limits::default());
    client.on_tick(0);
    client.on_connecting(0, Connection::Main);
    client.on_connected(0, Connection::Main);
    client
}

/// What it says next, having heard what the register said.
fn next(world: &mut World, socket: SocketId, client: &mut RegisterClient) -> String {
    client.on_bytes(0, Connection::Main, world.hears(socket).as_bytes());
    let said = String::from_utf8(client.unsent(Connection::Main).to_vec()).unwrap();
    client.on_sent(Connection::Main, said.len());
    said
}

/// Both talk until neither has anything more to say; all that was said to the register.
fn talk(world: &mut World, socket: SocketId, client: &mut RegisterClient) -> String {
    let mut all = String::new();
    loop {
        let said = next(world, socket, client);
        if said.is_empty() {
            return all;
        }
        world.say(socket, &said);
        all.push_str(&said);
    }
}

#[test]
fn who_proves_the_key_is_listed_and_told_and_says_it_never() {
    let mut world = world();
    let [one, other] = [world.accept(), world.accept()];
    let mut worker = client(Role::Follower, "k");
    let mut gateway = client(Role::Gateway(GATEWAY.to_owned()), "k");
    let said = talk(&mut world, one, &mut worker) + &talk(&mut world, other, &mut gateway);
    assert!(worker.is_held() && gateway.is_held() && !said.contains("\"k\""), "{said}");
    assert_eq!(world.hears(one), list(&[GATEWAY]));
    let status = world.register.status();
    assert_eq!((status.gateways, status.workers, status.counters.refused_unproven), (1, 1, 0));
}

#[test]
fn a_key_that_is_said_a_wrong_proof_and_a_second_one_let_nobody_in() {
    let worker_with_key = "{\"event\":\"worker_connect\",\"secret_key\":\"k\"}\n";
    let mut world = world();
    for (index, line) in [worker_with_key, WORKER, &gateway(GATEWAY), PING, RINGWAY_PING].iter().enumerate() {
        let socket = world.saying(line);
        let heard = world.hears(socket);
        assert!(
            heard.starts_with("{\"event\":\"challenge\"") && heard.lines().count() == 1,
            "{line}: {heard}"
        );
        assert!(world.is_closed(socket), "{line}");
        assert_eq!(world.counters().refused_unproven, index as u64 + 1);
    }
    let socket = world.accept();
    let mut wrong = client(Role::Follower, "other");
    talk(&mut world, socket, &mut wrong);
    assert!(world.is_closed(socket));
    assert_eq!(world.counters().refused_wrong_key, 1);
    let socket = world.accept();
    let mut right = client(Role::Follower, "k");
    let proof = next(&mut world, socket, &mut right);
    world.say(socket, &proof);
    assert!(!world.is_closed(socket));
    world.say(socket, &proof);
    assert!(world.is_closed(socket), "one proof");
    // The same words on another connection.
    let socket = world.saying(&proof);
    assert!(world.is_closed(socket));
    assert_eq!(world.counters().refused_wrong_key, 2);
    let socket = world.accept();
    let mut said_too = client(Role::Follower, "k");
    let proof = next(&mut world, socket, &mut said_too);
    world.say(socket, &(proof + worker_with_key));
    assert!(world.is_closed(socket), "the key is not to be said, then neither");
    assert_eq!(world.register.status().workers, 0);
}

#[test]
fn a_gateways_proof_lists_that_gateway_alone() {
    let mut world = world();
    for (proven, listed) in [("", GATEWAY), (GATEWAY, "10.6.6.6:2900")] {
        let role = if proven.is_empty() { Role::Follower } else { Role::Gateway(proven.to_owned()) };
        let socket = world.accept();
        let proof = next(&mut world, socket, &mut client(role, "k"));
        // Passed on by who is between, who then says what he likes.
        world.say(socket, &(proof + &gateway(listed)));
        assert!(world.is_closed(socket), "{proven:?} {listed}");
    }
    assert_eq!(world.register.status().gateways, 0);
}

#[test]
fn a_register_that_has_the_key_said_knows_no_proofs() {
    let mut plain = World::new();
    let socket = world().accept();
    let mut asking = world();
    let asked = asking.accept();
    let proof = next(&mut asking, asked, &mut client(Role::Follower, "k"));
    assert_eq!(plain.saying(&proof), socket);
    assert!(plain.is_closed(socket) && plain.hears(socket).is_empty());
    assert_eq!(plain.counters().refused_unknown_event, 1);
}

#[test]
fn who_is_asked_has_as_long_as_all_strangers() {
    let mut world = world();
    let socket = world.accept();
    world.pass(INTRODUCTION_TIMEOUT.as_millis() as u64);
    assert!(world.is_closed(socket));
    assert_eq!(world.counters().refused_silent, 1);
}
