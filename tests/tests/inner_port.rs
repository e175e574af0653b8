//! The inner port: who may speak, what is done with nonsense, and commands and queries byte for byte.

use fastrand::Rng;
use protocol::inner::{Cmd, FRAME_SIZE_MAX, Frame, HEADER_SIZE};
use ringway_tests::client::Framing;
use ringway_tests::peer::Link;
use ringway_tests::{Builder, Clients, Cluster};

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
