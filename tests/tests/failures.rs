//! Programs that end, as operators and accidents end them, and what the rest makes of it.

use protocol::inner::Cmd;
use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::peer::Link;
use ringway_tests::{Clients, Cluster, Listen};

/// Longer than any restart takes on a loaded machine.
const PATIENT: &[&str] = &["--no-worker-wait", "25"];

fn echo_all(clients: &mut [WebsocketClient], text: &str) {
    clients.iter_mut().for_each(|client| client.echo(text));
}

#[test]
fn clients_of_a_killed_worker_go_on_with_another() {
    let mut cluster = Cluster::builder().gateways(2).workers(2).gateway_flags(PATIENT).start();
    let mut clients: Vec<_> = (0..20).map(|index| cluster.websocket(index % 2)).collect();
    echo_all(&mut clients, "before");
    cluster.worker(0).kill();
    (0..2).for_each(|gateway| cluster.await_links(gateway, 0, 1));
    echo_all(&mut clients, "one is gone");
    cluster.start_worker(0);
    (0..2).for_each(|gateway| cluster.await_links(gateway, 0, 2));
    cluster.worker(1).kill();
    (0..2).for_each(|gateway| cluster.await_links(gateway, 0, 1));
    echo_all(&mut clients, "the other is gone");
    drop(clients);
    cluster.stop();
}

#[test]
fn without_a_worker_clients_wait_for_one() {
    let mut cluster = Cluster::builder().gateway_flags(PATIENT).start();
    let mut clients: Vec<_> = (0..10).map(|_| cluster.websocket(0)).collect();
    echo_all(&mut clients, "before");
    cluster.worker(0).stop();
    cluster.await_links(0, 0, 0);
    for client in &mut clients {
        client.send_text("is anybody there?");
    }
    let mut newcomer = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    newcomer.send_bytes(&ringway_tests::client::websocket::request("/", &[]));
    cluster.start_worker(0);
    for client in &mut clients {
        client.expect(&Event::text("is anybody there?"));
    }
    newcomer.await_accept();
    newcomer.echo("me too");
    echo_all(&mut clients, "after");
    drop((clients, newcomer));
    cluster.stop();
}

#[test]
fn without_a_worker_for_too_long_clients_are_closed() {
    let mut cluster = Cluster::builder()
        .listen(&[Listen::Websocket, Listen::Text])
        .gateway_flags(&["--no-worker-wait", "1"])
        .start();
    let mut client = cluster.plain(0, Framing::Text);
    client.echo(b"before");
    cluster.worker(0).stop();
    cluster.await_links(0, 0, 0);
    client.send(b"is anybody there?");
    assert_eq!(client.read_to_end(), b"");
    cluster.start_worker(0);
    cluster.websocket(0).echo("served again");
    drop(client);
    cluster.stop();
}

#[test]
fn a_register_can_be_restarted() {
    let mut cluster = Cluster::builder().gateways(2).gateway_flags(PATIENT).start();
    let mut clients: Vec<_> = (0..4).map(|index| cluster.websocket(index % 2)).collect();
    echo_all(&mut clients, "before");
    cluster.register().kill();
    echo_all(&mut clients, "without a register");
    cluster.start_register();
    echo_all(&mut clients, "with a new one");
    // Only a worker that found both gateways through the new register can answer now.
    cluster.start_worker(1);
    (0..2).for_each(|gateway| cluster.await_links(gateway, 0, 2));
    cluster.worker(0).stop();
    (0..2).for_each(|gateway| cluster.await_links(gateway, 0, 1));
    echo_all(&mut clients, "through a new worker");
    drop(clients);
    cluster.stop();
}

#[test]
fn programs_may_start_before_the_register() {
    let mut cluster = Cluster::builder().gateways(1).gateway_flags(PATIENT).start();
    cluster.register().kill();
    cluster.worker(0).kill();
    cluster.kill_gateway(0);
    cluster.start_gateway(0);
    cluster.launch_worker(0);
    cluster.start_register();
    cluster.websocket(0).echo("found each other");
    cluster.stop();
}

#[test]
fn a_killed_gateway_takes_only_its_own_clients() {
    let mut cluster = Cluster::builder().gateways(2).workers(2).gateway_flags(PATIENT).start();
    let mut lost = cluster.websocket(0);
    let mut steady = cluster.websocket(1);
    lost.echo("before");
    cluster.kill_gateway(0);
    lost.expect(&Event::End);
    for round in 0..50 {
        steady.echo(&format!("round {round}"));
    }
    cluster.start_gateway(0);
    cluster.websocket(0).echo("served again");
    steady.echo("still here");
    cluster.stop();
}

/// As a service manager does it: the old process has ended, the new one starts in the same moment.
#[test]
fn a_gateway_can_be_restarted_at_once() {
    let mut cluster = Cluster::builder().listen(&Listen::ALL).shards(2).gateway_flags(PATIENT).start();
    for round in 0..5 {
        let mut client = cluster.websocket(0);
        client.echo(&format!("round {round}"));
        cluster.gateway(0).terminate();
        client.expect(&Event::Close(Some(1001)));
        client.expect(&Event::End);
        drop(client);
        cluster.gateway(0).await_clean_exit();
        cluster.start_gateway(0);
    }
    cluster.stop();
}

#[test]
fn a_gateway_that_ends_says_so_to_clients_and_workers() {
    const CLIENTS: usize = 20;
    let mut cluster = Cluster::builder().workers(0).listen(&Listen::ALL).start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut websockets: Vec<_> = (0..CLIENTS).map(|_| cluster.websocket(0)).collect();
    let mut plain: Vec<_> = Framing::ALL.iter().map(|framing| cluster.plain(0, *framing)).collect();
    let mut waiting = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    let clients = websockets.len() + plain.len() + 1;
    let mut connected = Vec::new();
    while connected.len() < clients {
        let event = worker.receive().unwrap();
        if event.cmd == Cmd::OnConnect as u8 {
            connected.push(event.connection_id);
        }
    }
    cluster.gateway(0).terminate();
    for client in &mut websockets {
        client.expect(&Event::Close(Some(1001)));
        client.expect(&Event::End);
    }
    for client in &mut plain {
        assert_eq!(client.read_to_end(), b"");
    }
    assert_eq!(waiting.read_to_end(), b"", "a client that has not shaken hands gets no frame");
    let mut closed = Vec::new();
    while let Some(event) = worker.receive() {
        if event.cmd == Cmd::OnClose as u8 {
            closed.push(event.connection_id);
        }
    }
    connected.sort_unstable();
    closed.sort_unstable();
    assert_eq!(closed, connected);
    assert_eq!(cluster.gateway(0).await_exit().code(), Some(0));
    cluster.stop();
}

#[test]
fn every_program_ends_on_sigint_as_on_sigterm() {
    let mut cluster = Cluster::builder().start();
    cluster.websocket(0).echo("hello");
    cluster.worker(0).interrupt();
    assert_eq!(cluster.worker(0).await_exit().code(), Some(0));
    cluster.gateway(0).interrupt();
    assert_eq!(cluster.gateway(0).await_exit().code(), Some(0));
    cluster.register().interrupt();
    assert_eq!(cluster.register().await_exit().code(), Some(0));
}
