//! The inner port: who may speak, what is done with nonsense, and commands and queries byte for byte.

use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;
use gateway_client::{Config, Confirm, InnerAuth, blocking};
use protocol::Nonces;
use protocol::inner::{Cmd, Dialler, FRAME_SIZE_MAX, Frame, HEADER_SIZE, Scope, Step};
use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::peer::Link;
use ringway_tests::process::Process;
use ringway_tests::relay::Relay;
use ringway_tests::wait::wait_until;
use ringway_tests::{Builder, Clients, Cluster, own_address};
use rustix::process::Signal;

const KEY: &str = "k3y";

fn gateway_alone() -> Builder {
    Cluster::builder().workers(0).listen(&[ringway_tests::Listen::Text])
}

fn body(cmd: Cmd, json: &str) -> Frame<'_> {
    Frame { body: json.as_bytes(), ..Frame::command(cmd) }
}

#[test]
fn the_right_key_opens() {
    let cluster = gateway_alone().secret_key(KEY).start();
    let mut link = Link::gateway_client(cluster.inner_address(0, 0), KEY);
    assert_eq!(link.query(Cmd::IsOnline, 1, b""), b"i:0;");
    // PHP says it again before every query.
    link.send(&body(Cmd::GatewayClientConnect, r#"{"secret_key":"k3y"}"#));
    assert_eq!(link.query(Cmd::IsOnline, 1, b""), b"i:0;");
    cluster.stop();
}

#[test]
fn no_key_or_a_wrong_one_closes_without_a_word() {
    let cluster = gateway_alone().secret_key(KEY).start();
    let refused = [
        body(Cmd::WorkerConnect, r#"{"worker_key":"a:0","secret_key":"wrong"}"#),
        body(Cmd::WorkerConnect, r#"{"worker_key":"a:0"}"#),
        body(Cmd::GatewayClientConnect, r#"{"secret_key":""}"#),
        body(Cmd::GatewayClientConnect, r#"{"secret_key":"k3y "}"#),
        body(Cmd::GatewayClientConnect, r#"{"secret_key":null}"#),
        body(Cmd::GatewayClientConnect, "{}"),
        body(Cmd::GatewayClientConnect, "not JSON"),
        Frame::command(Cmd::IsOnline),
    ];
    for frame in refused {
        let mut link = Link::connect(cluster.inner_address(0, 0));
        // A query behind it is not served.
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        Frame::command(Cmd::IsOnline).encode(&mut bytes);
        link.send_bytes(&bytes);
        assert_eq!(link.read_to_end(), b"", "{frame:?}");
    }
    cluster.stop();
}

#[test]
fn without_a_key_queries_are_open_but_a_wrong_key_is_still_wrong() {
    let cluster = gateway_alone().start();
    let mut link = Link::connect(cluster.inner_address(0, 0));
    assert_eq!(link.query(Cmd::IsOnline, 1, b""), b"i:0;");
    link.send(&body(Cmd::GatewayClientConnect, r#"{"secret_key":"some"}"#));
    assert_eq!(link.read_to_end(), b"");
    let mut link = Link::connect(cluster.inner_address(0, 0));
    link.send(&body(Cmd::WorkerConnect, r#"{"worker_key":"a:0"}"#));
    assert_eq!(link.read_to_end(), b"", "a missing key is a mismatch even where the key is empty");
    cluster.stop();
}

#[test]
fn malformed_frames_close_that_link_alone() {
    let cluster = gateway_alone().start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut client = cluster.plain(0, Framing::Text);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    let too_long = FRAME_SIZE_MAX as u32 + 1;
    for pack_len in [0, 1, HEADER_SIZE as u32 - 1, too_long, u32::MAX] {
        let mut link = Link::connect(cluster.inner_address(0, 0));
        // Refused by the length alone, before the rest is there.
        link.send_bytes(&pack_len.to_be_bytes());
        assert_eq!(link.read_to_end(), b"", "pack_len {pack_len}");
        worker.send_to_one(id, b"alive");
        assert_eq!(client.receive().unwrap(), b"alive");
    }
    drop(client);
    cluster.stop();
}

#[test]
fn what_is_not_understood_is_ignored() {
    let cluster = gateway_alone().start();
    let mut link = Link::connect(cluster.inner_address(0, 0));
    let nonsense = b"{\"group\":[";
    for cmd in [Cmd::SendToGroup, Cmd::SendToUid, Cmd::SendToAll, Cmd::Ping, Cmd::UpdateSession, Cmd::Kick] {
        link.command(cmd, 99, nonsense, b"");
    }
    link.send(&Frame { cmd: 99, body: b"unknown", ..Frame::command(Cmd::Ping) });
    for cmd in [Cmd::Select, Cmd::BatchGetClientIdByUid, Cmd::BatchGetClientCountByGroup] {
        assert_eq!(link.query(cmd, 0, nonsense), b"a:0:{}", "{cmd:?}");
    }
    cluster.stop();
}

/// Every command number with random ext_data and body: whatever happens to that link, the gateway goes on.
#[test]
fn random_commands_break_nothing() {
    let cluster = gateway_alone().start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut client = cluster.plain(0, Framing::Text);
    let steady = worker.expect(Cmd::OnConnect).connection_id;
    let mut random = Rng::with_seed(1);
    for round in 0..8 {
        for cmd in 0..=u8::MAX {
            let mut link = Link::connect(cluster.inner_address(0, 0));
            let (ext, body) = (random_bytes(&mut random, 60), random_bytes(&mut random, 60));
            // The client that the test holds is to get nothing of this.
            if cmd == Cmd::SendToAll as u8 {
                continue;
            }
            let connection_id = steady.wrapping_add(random.u32(1..=1000));
            link.send(&Frame {
                cmd,
                connection_id,
                flag: round,
                ext: &ext,
                body: &body,
                ..Frame::command(Cmd::Ping)
            });
            link.finish_writing();
            link.read_to_end();
        }
    }
    worker.send_to_one(steady, b"alive");
    assert_eq!(client.receive().unwrap(), b"alive");
    cluster.stop();
}

/// Less than `size_max` bytes, half of the time from the alphabet of JSON and serialized values.
fn random_bytes(random: &mut Rng, size_max: usize) -> Vec<u8> {
    const ALPHABET: &[u8] = b"{}[]\":,;asiN0123456789\\";
    let (size, plain) = (random.usize(..size_max), random.bool());
    let mut byte = || if plain { ALPHABET[random.usize(..ALPHABET.len())] } else { random.u8(..) };
    (0..size).map(|_| byte()).collect()
}

/// GatewayClient writes its command and closes; what arrived before the FIN counts.
#[test]
fn a_command_followed_by_fin_is_served() {
    let cluster = gateway_alone().start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut client = cluster.plain(0, Framing::Text);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    for size in [3, 500_000] {
        let mut link = Link::gateway_client(cluster.inner_address(0, 0), "");
        link.send_to_one(id, &vec![b'x'; size]);
        link.finish_writing();
        assert_eq!(client.receive().unwrap().len(), size);
        assert_eq!(link.read_to_end(), b"");
    }
    drop(client);
    cluster.stop();
}

#[test]
fn a_second_worker_of_the_same_name_takes_the_place_of_the_first() {
    let cluster = gateway_alone().start();
    let mut first = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut client = cluster.plain(0, Framing::Text);
    first.expect(Cmd::OnConnect);
    let mut second = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    assert_eq!(first.read_to_end(), b"");
    client.send(b"who is there?");
    second.expect_message(b"who is there?");
    drop(client);
    cluster.stop();
}

#[test]
fn clients_go_to_the_worker_with_the_fewest_and_stay_there() {
    let cluster = gateway_alone().start();
    let mut workers = ["a:0", "b:0"].map(|name| Link::worker(cluster.inner_address(0, 0), name, ""));
    // Both are registered once a query that came after them is answered.
    Link::connect(cluster.inner_address(0, 0)).query(Cmd::IsOnline, 0, b"");
    let mut clients: Vec<_> = (0..10).map(|_| cluster.plain(0, Framing::Text)).collect();
    for worker in &mut workers {
        for _ in 0..5 {
            worker.expect(Cmd::OnConnect);
        }
    }
    for round in 0..3 {
        for client in &mut clients {
            client.send(format!("round {round}").as_bytes());
        }
        for worker in &mut workers {
            for _ in 0..5 {
                worker.expect_message(format!("round {round}").as_bytes());
            }
        }
    }
    drop(clients);
    cluster.stop();
}

fn program(program: &str, flags: &[&str]) -> Process {
    let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Process::start(program, program, &flags)
}

/// A program that pushes, which shows that it knows the key in this way.
fn push_client(register: &str, secret_key: &str, inner_auth: InnerAuth) -> Config {
    Config {
        register_addresses: vec![register.to_owned()],
        secret_key: secret_key.to_owned(),
        inner_auth,
        confirm: Confirm::Handled,
        ..Config::default()
    }
}

/// A register, and a gateway that is reached through a relay, as the register is: all that programs say to each other passes
/// one of the two.
struct Tapped {
    cluster: Cluster,
    gateway: Process,
    register: String,
    clients: SocketAddrV4,
    relays: [Relay; 2],
}

/// No part of anything else that programs say.
const LONG_KEY: &str = "a-key-that-nobody-says";

impl Tapped {
    fn start(inner_auth: &str) -> Tapped {
        let cluster =
            Cluster::builder().gateways(0).workers(0).secret_key(LONG_KEY).inner_auth(inner_auth).start();
        let [lan, inner]: [Ipv4Addr; 2] = [own_address(), own_address()];
        let register = SocketAddrV4::new(lan, 1236);
        let ports = [lan, inner].map(|ip| SocketAddrV4::new(ip, 2900));
        let relays = [Relay::start(register, cluster.register_address()), Relay::start(ports[0], ports[1])];
        let clients = SocketAddrV4::new(inner, 8282);
        let (register, listen) = (register.to_string(), format!("websocket://{clients}"));
        let [lan, inner] = [lan, inner].map(|ip| ip.to_string());
        let own = ["--listen", &listen, "--lan-ip", &lan, "--inner-listen", &inner, "--count", "1"];
        let gateway = program("gateway", &[&own[..], &common(&register, inner_auth)].concat());
        gateway.await_ready("gateway");
        Tapped { cluster, gateway, register, clients, relays }
    }

    fn worker(&self, inner_auth: &str) -> Process {
        let own = ["--app", "echo", "--count", "1", "--name", "tapped"];
        let worker = program("worker", &[&own[..], &common(&self.register, inner_auth)].concat());
        worker.await_ready("worker");
        worker
    }

    fn have_passed(&self, bytes: &[u8]) -> [bool; 2] {
        [&self.relays[0], &self.relays[1]].map(|relay| relay.has_passed(bytes))
    }
}

fn common<'a>(register: &'a str, inner_auth: &'a str) -> [&'a str; 6] {
    ["--register-address", register, "--secret-key", LONG_KEY, "--inner-auth", inner_auth]
}

/// Everything that programs do with each other, and the key is on no wire; said as it is, it would be on each.
#[test]
fn where_the_key_is_proven_all_is_served_and_nobody_says_it() {
    let mut tapped = Tapped::start("challenge");
    let mut worker = tapped.worker("challenge");
    let mut client = WebsocketClient::connect(tapped.clients.into());
    client.echo("served");
    let push = blocking::Client::connect(push_client(&tapped.register, LONG_KEY, InnerAuth::Challenge));
    let push = push.expect("it is let in");
    assert_eq!(push.client_count().value, 1);
    assert!(push.send_to_all("pushed").is_complete());
    client.expect(&Event::Text(b"pushed".to_vec()));
    // Another process of the worker, and another register: both begin anew.
    worker.signal(Signal::USR1);
    wait_until("the worker to be another process", || {
        worker.stderr().contains("the old worker process").then_some(())
    });
    client.echo("served by the next");
    tapped.cluster.register().stop();
    tapped.cluster.start_register();
    wait_until("the gateway to be registered again", || {
        let config = push_client(&tapped.register, LONG_KEY, InnerAuth::Challenge);
        let push = blocking::Client::connect(config).ok()?;
        (push.gateways().len() == 1 && push.client_count().value == 1).then_some(())
    });
    assert_eq!(tapped.have_passed(LONG_KEY.as_bytes()), [false; 2]);
    assert!(tapped.relays[0].has_passed(b"gateway_connect") && tapped.relays[1].has_passed(b"tapped:0"));
    drop(client);
    worker.stop();
    tapped.gateway.stop();
    tapped.cluster.stop();
    let plain = Tapped::start("plain");
    let mut worker = plain.worker("plain");
    assert_eq!(plain.have_passed(LONG_KEY.as_bytes()), [true; 2], "this test would see it");
    worker.stop();
}

/// A gateway in whose threads cores run is let in by others' register, and lets in others' workers.
#[test]
fn an_embedded_gateway_proves_the_key_too() {
    let cluster = Cluster::builder().workers(1).secret_key(LONG_KEY).inner_auth("challenge").start();
    let register = cluster.register_address().to_string();
    let ip = own_address();
    let (listen, lan) = (format!("websocket://{ip}:8282"), ip.to_string());
    let own = ["--listen", &listen, "--lan-ip", &lan, "--count", "1"];
    let mut embedded = program("ringway", &[&own[..], &common(&register, "challenge")].concat());
    embedded.await_ready("ringway");
    WebsocketClient::connect((ip, 8282).into()).send_text("hello");
    let push = blocking::Client::connect(push_client(&register, LONG_KEY, InnerAuth::Challenge));
    let push = push.expect("it is let in");
    wait_until("both gateways to be listed", || {
        let count = push.client_count();
        (push.gateways().len() == 2 && count.missing.is_empty()).then_some(())
    });
    drop(push);
    embedded.stop();
    cluster.stop();
}

fn assert_says(process: &mut Process, what: &str) {
    wait_until(&format!("'{what}' in the log"), || process.stderr().contains(what).then_some(()));
    process.kill();
    assert_eq!(process.stderr().matches(what).count(), 1, "{}", process.stderr());
}

#[test]
fn peers_of_the_other_mode_are_told_what_to_set_and_nobody_falls_back() {
    let mut proving = Cluster::builder().workers(0).secret_key(KEY).inner_auth("challenge").start();
    let register = proving.register_address().to_string();
    let worker = |key, inner_auth| {
        let flags = ["--app", "echo", "--count", "2", "--register-address", &register, "--secret-key", key];
        program("worker", &[&flags[..], &["--inner-auth", inner_auth]].concat())
    };
    let (mut plain, mut wrong) = (worker(KEY, "plain"), worker("other", "challenge"));
    assert_says(&mut plain, "set --inner-auth challenge here, too");
    assert_says(&mut wrong, "compare the secret keys");
    let refused = |key, inner_auth| match blocking::Client::connect(push_client(&register, key, inner_auth)) {
        Ok(_) => panic!("it was let in"),
        Err(why) => why.to_string(),
    };
    assert!(refused(KEY, InnerAuth::Plain).contains("set --inner-auth challenge here, too"));
    assert!(refused("other", InnerAuth::Challenge).contains("compare the secret keys"));
    // At the inner port.
    let mut said = Link::gateway_client(proving.inner_address(0, 0), KEY);
    said.expect(Cmd::Challenge);
    assert_eq!(said.read_to_end(), b"");
    let unproven = "no proof of the secret key; set --inner-auth challenge there, too";
    wait_until("the gateway to say so", || proving.gateway(0).stderr().contains(unproven).then_some(()));
    proving.stop();
    // A plain register never asks; who would prove says nothing, and says what to set.
    let plain = Cluster::builder().gateways(0).workers(0).secret_key(KEY).start();
    let config = Config {
        reply_timeout: std::time::Duration::from_millis(300),
        ..push_client(&plain.register_address().to_string(), KEY, InnerAuth::Challenge)
    };
    let why = blocking::Client::connect(config).expect_err("it is not let in").to_string();
    assert!(why.contains("does not ask for a proof of the secret key"), "{why}");
    plain.stop();
}

/// What somebody in between could try without the key.
#[test]
fn a_proof_opens_one_connection_to_one_gateway() {
    let cluster = Cluster::builder().shards(2).workers(0).secret_key(KEY).inner_auth("challenge").start();
    let [one, other] = [0, 1].map(|shard| cluster.inner_address(0, shard));
    let answer = |dialler: &mut Dialler, link: &mut Link, address| {
        let challenge = link.expect(Cmd::Challenge).body;
        match dialler.take(KEY, Scope::Gateway(address), &challenge) {
            Ok(Step::Answer(answer)) => answer,
            other => panic!("{other:?}"),
        }
    };
    let say = |link: &mut Link, body: &[u8]| link.send(&Frame { body, ..Frame::command(Cmd::Challenge) });
    let mut dialler = Dialler::new(Nonces::default().draw());
    let mut link = Link::connect(one);
    let good = answer(&mut dialler, &mut link, one);
    say(&mut link, &good);
    let proof = link.expect(Cmd::Challenge).body;
    assert_eq!(dialler.take(KEY, Scope::Gateway(one), &proof), Ok(Step::Proven));
    assert_eq!(link.query(Cmd::IsOnline, 1, b""), b"i:0;");
    let refused = |address: SocketAddrV4, said: &dyn Fn(&mut Link) -> Vec<u8>| {
        let mut link = Link::connect(address);
        let said = said(&mut link);
        say(&mut link, &said);
        assert_eq!(link.expect(Cmd::RingwayHello).body, br#"{"ringway":1,"refused":"key"}"#);
        link.finish_writing();
        assert_eq!(link.read_to_end(), b"");
    };
    // Said again on another connection; made for another gateway, and passed on; the challenge itself, given back.
    refused(one, &|link| {
        link.expect(Cmd::Challenge);
        good.to_vec()
    });
    refused(one, &|link| answer(&mut Dialler::new(Nonces::default().draw()), link, other).to_vec());
    refused(one, &|link| {
        let challenge = link.expect(Cmd::Challenge).body;
        [challenge.clone(), challenge].concat()
    });
    cluster.stop();
}
