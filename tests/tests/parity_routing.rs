//! Which worker a client gets (WIRE.md §8), through a real gateway. The test plays the workers.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use protocol::inner::Cmd;
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::peer::Link;
use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;
use ringway_tests::{Builder, Clients, Cluster, Listen};

fn gateway_alone() -> Builder {
    Cluster::builder().workers(0).listen(&[Listen::Text])
}

/// A worker that the gateway knows: the answer to a query behind its first packet shows it.
fn worker(address: SocketAddrV4, key: &str) -> Link {
    let mut link = Link::worker(address, key, "");
    assert_eq!(link.query(Cmd::IsOnline, 0, b""), b"i:0;");
    link
}

/// A client of the gateway, and the worker among `workers` that it is expected to get.
fn client_of(cluster: &Cluster, worker: &mut Link) -> PlainClient {
    let client = cluster.plain(0, Framing::Text);
    worker.expect(Cmd::OnConnect);
    client
}

#[test]
fn a_key_that_comes_back_gets_its_clients_back() {
    let cluster = gateway_alone().start();
    let inner = cluster.inner_address(0, 0);
    let (mut first, mut second) = (worker(inner, "a:0"), worker(inner, "b:0"));
    let mut loyal = client_of(&cluster, &mut first);
    let mut other = client_of(&cluster, &mut second);
    drop(first);
    cluster.await_links(0, 0, 1);
    let mut returned = worker(inner, "a:0");
    for text in ["one", "two"] {
        loyal.send(text.as_bytes());
        returned.expect_message(text.as_bytes());
        other.send(text.as_bytes());
        second.expect_message(text.as_bytes());
    }
    drop((loyal, other));
    cluster.stop();
}

/// It starts at 0 although it has clients, so it gets the next ones.
#[test]
fn a_key_that_comes_back_is_preferred_until_it_is_even() {
    let cluster = gateway_alone().start();
    let inner = cluster.inner_address(0, 0);
    let (mut first, mut second) = (worker(inner, "a:0"), worker(inner, "b:0"));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(client_of(&cluster, &mut first));
        clients.push(client_of(&cluster, &mut second));
    }
    drop(first);
    cluster.await_links(0, 0, 1);
    let mut returned = worker(inner, "a:0");
    for _ in 0..3 {
        clients.push(client_of(&cluster, &mut returned));
    }
    // Both count 3 now, and the one that connected first comes first.
    clients.push(client_of(&cluster, &mut second));
    clients.push(client_of(&cluster, &mut returned));
    drop(clients);
    cluster.stop();
}

#[test]
fn clients_of_a_key_that_stays_away_get_another_and_stay_there() {
    let cluster = gateway_alone().start();
    let inner = cluster.inner_address(0, 0);
    let (mut first, mut second) = (worker(inner, "a:0"), worker(inner, "b:0"));
    let mut client = client_of(&cluster, &mut first);
    drop(first);
    cluster.await_links(0, 0, 1);
    client.send(b"is anybody there?");
    second.expect_message(b"is anybody there?");
    let mut late = worker(inner, "a:0");
    client.send(b"still you?");
    second.expect_message(b"still you?");
    let newcomer = client_of(&cluster, &mut late);
    drop((client, newcomer));
    cluster.stop();
}

#[test]
fn a_client_that_leaves_makes_room_at_its_worker() {
    let cluster = gateway_alone().start();
    let inner = cluster.inner_address(0, 0);
    let (mut first, mut second) = (worker(inner, "a:0"), worker(inner, "b:0"));
    let stays = [client_of(&cluster, &mut first), client_of(&cluster, &mut second)];
    let leaves = client_of(&cluster, &mut first);
    drop(leaves);
    first.expect(Cmd::OnClose);
    let came = client_of(&cluster, &mut first);
    drop((stays, came));
    cluster.stop();
}

#[test]
fn the_random_router_reaches_every_worker_and_clients_stay_where_they_are() {
    const CLIENTS: usize = 120;
    const WORKERS: usize = 3;
    let mut cluster = gateway_alone().gateway_flags(&["--router", "random"]).start();
    let inner = cluster.inner_address(0, 0);
    let mut workers: Vec<_> = (0..WORKERS).map(|index| worker(inner, &format!("w:{index}"))).collect();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| cluster.plain(0, Framing::Text)).collect();
    let mut asking = Link::gateway_client(inner, "");
    wait_until("all clients to be accepted", || {
        (asking.query(Cmd::GetClientCountByGroup, 0, b"") == format!("i:{CLIENTS};").as_bytes()).then_some(())
    });
    for round in 0..3 {
        clients.iter_mut().for_each(|client| client.send(format!("round {round}").as_bytes()));
    }
    clients.iter_mut().for_each(PlainClient::finish_writing);
    clients.iter_mut().for_each(|client| assert_eq!(client.read_to_end(), b""));
    cluster.gateway(0).terminate();
    let mut worker_of = BTreeMap::new();
    for (index, worker) in workers.iter_mut().enumerate() {
        let mut events: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        while let Some(event) = worker.receive() {
            events.entry(event.connection_id).or_default().push(event.cmd);
        }
        assert!(!events.is_empty(), "nobody came to worker {index}");
        for (client, seen) in events {
            let message = Cmd::OnMessage as u8;
            assert_eq!(seen, [Cmd::OnConnect as u8, message, message, message, Cmd::OnClose as u8]);
            assert_eq!(worker_of.insert(client, index), None, "a client is at one worker");
        }
    }
    let in_turn = worker_of.values().enumerate().all(|(client, worker)| client % WORKERS == *worker);
    assert!(worker_of.len() == CLIENTS && !in_turn, "{worker_of:?}");
    cluster.gateway(0).await_clean_exit();
    cluster.stop();
}

/// PHP's workers of one name throw each other out every second for ever, without a word. A second one of ours ends.
#[test]
fn two_workers_of_one_name_are_told_so() {
    let cluster = Cluster::builder().start();
    cluster.await_links(0, 0, 1);
    let registers = cluster.register_address().to_string();
    let flags = ["--app", "echo", "--count", "1", "--name", "worker0", "--register-address", &registers];
    let mut twin = Process::start("twin", "worker", &flags.map(str::to_owned));
    assert_eq!(twin.await_exit().code(), Some(69));
    assert!(twin.output().contains("another worker named 'worker0' runs on this machine"));
    cluster.websocket(0).echo("the first is as it was");
    cluster.stop();
}
