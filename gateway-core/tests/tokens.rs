//! Websocket clients that are let in by tokens: what they are told, what workers hear, and when they have to go.

mod secured;
mod world;

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use gateway_core::config::HANDSHAKE_TIMEOUT_MS;
use gateway_core::jwt::{Rules, Verifier};
use gateway_core::{ClientLimits, ForwardedHeader, Millis, Settings};
use protocol::client::websocket;
use protocol::inner::{Cmd, WebsocketRequest};
use secured::{Secured, acceptor};
use serde_json::{Value, json};
use world::{World, frame_bytes, listen, to_client};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW_S: u64 = 1_700_000_000;

fn token(claims: &Value) -> String {
    signed(SECRET, claims)
}

fn signed(secret: &str, claims: &Value) -> String {
    let base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", base64(br#"{"alg":"HS256"}"#), base64(claims.to_string().as_bytes()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64(signature.as_ref()))
}

fn request(token: &str) -> Vec<u8> {
    let fixed = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    format!("GET /?token={token} HTTP/1.1\r\n{fixed}\r\n\r\n").into_bytes()
}

/// Checks tokens by this secret, in a file of that name.
fn verifier(name: &str, secret: &str, rules: Rules) -> Verifier {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tokens-{name}.key"));
    fs::write(&file, secret).expect("a folder for tests");
    Verifier::load(file.to_str().expect("UTF-8").to_owned(), rules).expect("a secret")
}

fn settings(name: &str, rules: Rules) -> Settings {
    let listen = listen(&["ws://127.0.0.1:1", "text://127.0.0.1:2", "wss://127.0.0.1:3"]);
    let jwt = Some(verifier(name, SECRET, rules));
    Settings { listen, jwt, tls: Some(acceptor(name)), ..Settings::default() }
}

fn world(name: &str, rules: Rules) -> World {
    let mut world = World::new(settings(name, rules));
    world.shard.on_unix_time(Millis(0), NOW_S * 1_000);
    world
}

fn answer(world: &mut World, client: usize) -> String {
    String::from_utf8_lossy(&world.take(client)).into_owned()
}

fn cmds(world: &mut World, worker: usize) -> Vec<Cmd> {
    world.take_frames(worker).into_iter().map(|(cmd, ..)| cmd).collect()
}

#[test]
fn one_too_many_of_an_address_is_told_so_before_its_token_is_looked_at() {
    let mut world = World::new(Settings {
        client_limits: ClientLimits { address_clients_max: Some(1), ..ClientLimits::default() },
        trusted_proxies: "10.0.0.0/8".parse().expect("a network"),
        forwarded_header: Some(ForwardedHeader::XForwardedFor),
        ..settings("limited", Rules::default())
    });
    world.shard.on_unix_time(Millis(0), NOW_S * 1_000);
    world.worker("w");
    let mut come = |token: &str| {
        let client = world.client(0);
        let mut bytes = request(token);
        bytes.splice(bytes.len() - 2.., *b"X-Forwarded-For: 192.0.2.1\r\n\r\n");
        world.say(client, &bytes);
        let answer = answer(&mut world, client);
        answer.split(' ').nth(1).map(str::to_owned).expect("it is answered")
    };
    let good = token(&json!({"exp": NOW_S + 60}));
    assert_eq!([come(&good), come("x.y.z"), come(&good)], ["101", "429", "429"]);
    let counters = world.shard.counters();
    assert_eq!((counters.refused_max_clients_per_address, counters.tokens_malformed), (2, 0));
}

#[test]
fn who_has_no_good_token_gets_a_401_and_no_worker_hears_of_it() {
    let mut world = world("refused", Rules::default());
    let worker = world.worker("w");
    let with = |token: &str| request(token);
    let expired = token(&json!({"exp": NOW_S - 60}));
    for (bytes, error) in [
        (b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n\r\n".to_vec(), ""),
        (with("x.y.z"), " error=\"invalid_token\""),
        (with(&expired), " error=\"invalid_token\""),
        (with(&signed("another", &json!({"exp": NOW_S + 60}))), " error=\"invalid_token\""),
    ] {
        // Whole, and byte by byte.
        for size in [bytes.len(), 1] {
            let client = world.client(0);
            for piece in bytes.chunks(size) {
                world.say(client, piece);
            }
            let answer = answer(&mut world, client);
            let head = format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer{error}\r\n");
            assert!(answer.starts_with(&head), "{answer}");
            assert!(world.peers[client].shut);
            world.end(client);
        }
    }
    assert_eq!((world.shard.client_count(), cmds(&mut world, worker)), (0, vec![]));
    let counters = world.shard.counters();
    let counted = [counters.tokens_missing, counters.tokens_malformed, counters.tokens_expired];
    assert_eq!((counted, counters.tokens_bad_signature), ([2; 3], 2));
    assert_eq!(counters.clients_malformed, 0);
}

#[test]
fn a_worker_is_told_what_the_token_claims() {
    let mut world = world("claims", Rules::default());
    let worker = world.worker("w");
    let claims = json!({"sub": "ann", "exp": NOW_S + 60, "rooms": ["a", "b"]});
    let bytes = request(&token(&claims));
    for size in [bytes.len(), 1] {
        let client = world.client(0);
        for piece in bytes.chunks(size) {
            assert_eq!(cmds(&mut world, worker), []);
            world.say(client, piece);
        }
        assert!(answer(&mut world, client).starts_with("HTTP/1.1 101 "));
        let frames = world.take_frames(worker);
        let [(Cmd::OnConnect, ..), (Cmd::OnWebsocketConnect, _, _, body)] = &frames[..] else {
            panic!("{frames:?}")
        };
        let told = WebsocketRequest::decode(body).expect("it is one");
        assert_eq!(told.jwt_claims::<Value>().expect("JSON"), Some(claims.clone()));
        // Nobody is bound whom nobody asked to bind.
        assert_eq!(world.shard.status().uids, 0);
    }
}

#[test]
fn a_header_of_a_clients_is_no_claim() {
    let mut world = World::new(Settings { listen: listen(&["ws://127.0.0.1:1"]), ..Settings::default() });
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(
        client,
        b"GET /?JWT_CLAIMS={} HTTP/1.1\r\nJWT_CLAIMS: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n\r\n",
    );
    let (.., body) = world.take_frames(worker).pop().expect("ON_WEBSOCKET_CONNECT");
    let told = WebsocketRequest::decode(&body).expect("it is one");
    assert_eq!(told.jwt_claims::<Value>().expect("none is no error"), None);
}

#[test]
fn the_subject_is_the_clients_uid_before_its_worker_hears_of_it() {
    let mut world = world("bound", Rules { binds_sub: true, ..Rules::default() });
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(client, &request(&token(&json!({"sub": "ann", "exp": NOW_S + 60}))));
    world.take(client);
    assert_eq!(world.shard.status().uids, 1);
    let nameless = world.client(0);
    world.say(nameless, &request(&token(&json!({"exp": NOW_S + 60}))));
    assert!(answer(&mut world, nameless).starts_with("HTTP/1.1 401 "));
    assert_eq!(world.shard.counters().tokens_incomplete, 1);
    world.end(client);
    assert_eq!(world.shard.status().uids, 0);
    assert_eq!(cmds(&mut world, worker), [Cmd::OnConnect, Cmd::OnWebsocketConnect, Cmd::OnClose]);
}

#[test]
fn a_client_goes_when_its_token_expires() {
    let mut world = world("expires", Rules::default());
    let worker = world.worker("w");
    let enter = |world: &mut World, seconds: u64| {
        let client = world.client(0);
        world.say(client, &request(&token(&json!({"exp": NOW_S + seconds}))));
        assert!(answer(world, client).starts_with("HTTP/1.1 101 "));
        client
    };
    let [first, gone, last] = [20, 30, 40].map(|seconds| enter(&mut world, seconds));
    world.end(gone);
    world.pass(29_900);
    assert!(world.take(first).is_empty());
    world.pass(200);
    let mut close = Vec::new();
    protocol::client::Protocol::encode_close(
        &websocket::Websocket::default(),
        websocket::TOKEN_EXPIRED,
        "",
        &mut close,
    );
    assert_eq!(world.take(first), close);
    world.end(first);
    assert_eq!(cmds(&mut world, worker).iter().filter(|cmd| **cmd == Cmd::OnClose).count(), 2);
    // The clock is set, as after a pause of the machine.
    let now = world.now;
    world.shard.on_unix_time(now, (NOW_S + 1_000) * 1_000);
    world.pass(50);
    assert_eq!(world.take(last), close);
    assert_eq!(world.shard.counters().clients_closed_token, 2);
}

/// Who waits for a worker is not checked again, and is let in by what it has shown.
#[test]
fn a_good_token_waits_for_a_worker_and_a_bad_one_does_not() {
    let mut world = world("waits", Rules::default());
    let (good, bad) = (world.client(0), world.client(0));
    world.say(bad, &request("x"));
    assert!(answer(&mut world, bad).starts_with("HTTP/1.1 401 "));
    world.say(good, &request(&token(&json!({"exp": NOW_S + 1}))));
    assert!(world.take(good).is_empty());
    world.pass(2_000);
    let worker = world.worker("w");
    world.pass(50);
    assert!(answer(&mut world, good).starts_with("HTTP/1.1 101 "));
    assert_eq!(cmds(&mut world, worker), [Cmd::OnConnect, Cmd::OnWebsocketConnect]);
}

#[test]
fn a_handshake_that_does_not_end_is_nobodys_client() {
    let mut world = world("slow", Rules::default());
    let worker = world.worker("w");
    let (client, no_http) = (world.client(0), world.client(0));
    world.say(client, b"GET / HTTP/1.1\r\n");
    world.say(no_http, b"hello\r\n");
    assert!(answer(&mut world, no_http).starts_with("HTTP/1.1 400 "));
    world.pass(HANDSHAKE_TIMEOUT_MS + 50);
    assert!(world.peers[client].closed);
    let counters = world.shard.counters();
    assert_eq!((counters.clients_malformed, counters.clients_closed_handshake), (1, 1));
    assert_eq!(cmds(&mut world, worker), []);
}

#[test]
fn within_tls_it_is_the_same_and_other_protocols_have_no_tokens() {
    let mut world = world("secured", Rules::default());
    let worker = world.worker("w");
    let (mut refused, mut client) = (Secured::connect(&mut world, 2), Secured::connect(&mut world, 2));
    refused.say(&mut world, &request("x"));
    assert!(refused.take(&mut world).starts_with(b"HTTP/1.1 401 "));
    assert_eq!(cmds(&mut world, worker), []);
    client.say(&mut world, &request(&token(&json!({"exp": NOW_S + 60}))));
    assert!(client.take(&mut world).starts_with(b"HTTP/1.1 101 "));
    assert_eq!(cmds(&mut world, worker), [Cmd::OnConnect, Cmd::OnWebsocketConnect]);
    world.client(1);
    assert_eq!(cmds(&mut world, worker), [Cmd::OnConnect]);
}

/// What was queued for everybody before a client's handshake is not for one that is refused.
#[test]
fn who_is_refused_gets_nothing_that_was_sent_to_all() {
    let mut world = world("all", Rules::default());
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(
        worker,
        &frame_bytes(&protocol::inner::Frame { body: b"secret", ..to_client(Cmd::SendToAll, 0) }),
    );
    world.say(client, &request("x"));
    let answer = answer(&mut world, client);
    assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("secret"), "{answer}");
}

#[test]
fn other_keys_count_for_clients_that_come_from_then_on() {
    let mut world = world("renewed", Rules::default());
    world.worker("w");
    let (stays, old, new) = (world.client(0), world.client(0), world.client(0));
    let good = token(&json!({"exp": NOW_S + 60}));
    world.say(stays, &request(&good));
    world.take(stays);
    let other = "fedcba9876543210fedcba9876543210";
    world.shard.on_token_keys(verifier("renewed", other, Rules::default()));
    world.say(old, &request(&good));
    world.say(new, &request(&signed(other, &json!({"exp": NOW_S + 60}))));
    assert!(answer(&mut world, old).starts_with("HTTP/1.1 401 "));
    assert!(answer(&mut world, new).starts_with("HTTP/1.1 101 "));
    assert!(!world.peers[stays].shut);
}
