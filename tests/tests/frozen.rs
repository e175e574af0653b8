//! Programs that stand still, as a paused or migrated virtual machine does: their kernel goes on accepting, and nobody
//! answers.

use std::time::Duration;

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::wait::{Deadline, Stopwatch, wait_until};
use ringway_tests::{Clients, Cluster, Listen, app};

/// How many clients are online, and how many gateways did not say.
fn online(client: &mut PlainClient) -> String {
    client.send(b"online");
    String::from_utf8(client.receive().expect("an answer")).expect("numbers")
}

#[test]
fn a_frozen_gateway_is_left_out_of_queries_until_it_goes_on() {
    let mut cluster = Cluster::builder().gateways(2).workers(0).listen(&[Listen::Text]).start();
    let mut worker = app::start(&cluster, 1);
    let (mut client, _other) = (cluster.plain(0, Framing::Text), cluster.plain(1, Framing::Text));
    wait_until("both to be counted", || (online(&mut client) == "2 0").then_some(()));
    cluster.gateway(1).pause();
    // Within ten seconds it is left out, and what was asked before has given up.
    let settled = Deadline::after(Duration::from_secs(15));
    let mut answers = Vec::new();
    while !settled.is_over() {
        answers.push(online(&mut client));
    }
    assert!(answers.contains(&"1 1".to_owned()), "the answer says that one was missing: {answers:?}");
    // Each would take five seconds.
    let asking = Stopwatch::start();
    for _ in 0..20 {
        let answer = online(&mut client);
        // No register lists it any more, then nobody misses it.
        assert!(answer == "1 1" || answer == "1 0", "{answer}");
    }
    assert!(asking.elapsed() < Duration::from_secs(50), "{:?}", asking.elapsed());
    cluster.gateway(1).resume();
    wait_until("both to be counted again", || (online(&mut client) == "2 0").then_some(()));
    worker.stop();
    cluster.stop();
}

#[test]
fn a_gateway_that_stood_still_has_every_change_of_a_session() {
    let mut cluster = Cluster::builder().gateways(2).workers(0).listen(&[Listen::Text]).start();
    let mut worker = app::start(&cluster, 1);
    let (mut asking, mut counting) = (cluster.plain(0, Framing::Text), cluster.plain(1, Framing::Text));
    wait_until("both to be counted", || (online(&mut asking) == "2 0").then_some(()));
    cluster.gateway(1).pause();
    // Until the question has given up, after five seconds: the gateway is left out of what is asked.
    assert_eq!(online(&mut asking), "1 1");
    // It reads them all at once: each but the first brings the session from before another one's change.
    (0..COUNTS).for_each(|_| counting.send(b"count"));
    cluster.gateway(1).resume();
    for count in 0..COUNTS {
        assert_eq!(counting.receive().expect("an answer"), format!("count {count}").into_bytes());
    }
    worker.stop();
    cluster.stop();
}

/// As many as a gateway sends of one client before any is done.
const COUNTS: usize = 16;
