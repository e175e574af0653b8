//! Workers that die or freeze with what clients have said in hand: others handle it.

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::status::counter;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster};

const CLIENTS: usize = 20;

/// Messages of each client while its worker does nothing.
const MESSAGES: usize = 5;

/// Two workers that share the clients, of which the first is stopped as by SIGSTOP; then each client says something.
fn with_one_paused(worker_flags: &[&str]) -> (Cluster, Vec<WebsocketClient>) {
    let flags = [&["--no-master"], worker_flags].concat();
    let mut cluster = Cluster::builder().workers(2).worker_flags(&flags).admin().start();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| cluster.websocket(0)).collect();
    clients.iter_mut().for_each(|client| client.echo("before"));
    cluster.worker(0).pause();
    for client in &mut clients {
        (0..MESSAGES).for_each(|number| client.send_text(&number.to_string()));
    }
    let (admin, all) = (cluster.admin_addresses()[1], (CLIENTS * (1 + MESSAGES)) as u64);
    wait_until("all to be on their way", || (counter(admin, "messages_in") == all).then_some(()));
    (cluster, clients)
}

fn hear_all(clients: &mut [WebsocketClient]) {
    for client in clients {
        (0..MESSAGES).for_each(|number| client.expect(&Event::text(number.to_string())));
        client.echo("after");
    }
}

#[test]
fn what_a_killed_worker_had_in_hand_is_answered_by_another_in_order() {
    let (mut cluster, mut clients) = with_one_paused(&[]);
    cluster.worker(0).kill();
    hear_all(&mut clients);
    drop(clients);
    cluster.stop();
}

/// Without acknowledgements the same is lost: so the test above can fail.
#[test]
fn at_most_once_what_a_killed_worker_had_in_hand_is_lost() {
    let (mut cluster, mut clients) = with_one_paused(&["--at-most-once"]);
    // Those of the other worker are answered. Of these it is not known who has which.
    cluster.worker(0).kill();
    cluster.await_links(0, 0, 1);
    let answered = clients.iter_mut().filter_map(|client| {
        client.send_text("after");
        let first = client.receive();
        let is_lost = first == Event::text("after");
        assert!(is_lost || first == Event::text("0"), "{first:?}");
        (!is_lost).then_some(())
    });
    assert_eq!(answered.count(), CLIENTS / 2);
    drop(clients);
    cluster.stop();
}

#[test]
fn what_a_frozen_worker_had_in_hand_is_answered_once_by_another_and_when_it_thaws_it_serves_again() {
    let (mut cluster, mut clients) = with_one_paused(&[]);
    hear_all(&mut clients);
    cluster.worker(0).resume();
    cluster.await_links(0, 0, 2);
    // Nothing more comes of what it still had.
    clients.iter_mut().for_each(|client| client.echo("once"));
    let mut others: Vec<_> = (0..2).map(|_| cluster.websocket(0)).collect();
    others.iter_mut().for_each(|client| client.echo("served"));
    drop((clients, others));
    cluster.stop();
}
