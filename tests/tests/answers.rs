//! What handlers ask gateways on their links, and what they are told of their messages, among real programs.

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::process::Process;
use ringway_tests::{Clients, Cluster, Listen, app};

/// Two gateways of two shards, and a worker of two cores.
fn start() -> (Cluster, Process) {
    let cluster = Cluster::builder().gateways(2).shards(2).workers(0).listen(&[Listen::Text]).start();
    let worker = app::start(&cluster, 2);
    (cluster, worker)
}

/// What a client is told next, but for news.
fn ask(client: &mut PlainClient, what: &str) -> String {
    client.send(what.as_bytes());
    loop {
        let text = client.receive().expect("an answer");
        if text != b"news" {
            return String::from_utf8(text).expect("handlers say text");
        }
    }
}

#[test]
fn a_query_sees_the_command_before_it() {
    let (cluster, mut worker) = start();
    for gateway in 0..2 {
        assert_eq!(ask(&mut cluster.plain(gateway, Framing::Text), "rooms 100"), "rooms 100");
    }
    worker.stop();
    cluster.stop();
}

#[test]
fn a_report_counts_the_clients_of_all_gateways() {
    let (cluster, mut worker) = start();
    let mut clients: Vec<_> = (0..6).map(|number| cluster.plain(number % 2, Framing::Text)).collect();
    // Served once means known to its gateway.
    for client in &mut clients {
        assert_eq!(ask(client, "hello"), "hello");
    }
    assert_eq!(ask(&mut clients[0], "report"), "6 0 dropped 0 missing 0");
    worker.stop();
    cluster.stop();
}
