//! Register, gateway and worker restarted in any order under load, as operators do it and as accidents do: all are
//! connected again soon, and clients of other gateways notice nothing.

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::load::{Load, Messages};
use ringway_tests::status::links;
use ringway_tests::wait::{Stopwatch, wait_until};
use ringway_tests::{Clients, Cluster, Listen};

/// Longer than any restart takes on a loaded machine.
const PATIENT: &[&str] = &["--no-worker-wait", "25"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Register,
    /// The first of two.
    Gateway,
    /// The first of two.
    Worker,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Sigterm,
    Sigkill,
}

use End::{Sigkill, Sigterm};
use Part::{Gateway, Register, Worker};

const ORDERS: [[Part; 3]; 6] = [
    [Register, Gateway, Worker],
    [Register, Worker, Gateway],
    [Gateway, Register, Worker],
    [Gateway, Worker, Register],
    [Worker, Register, Gateway],
    [Worker, Gateway, Register],
];

fn end(cluster: &mut Cluster, part: Part, end: End) {
    match (part, end) {
        (Register, Sigterm) => cluster.register().stop(),
        (Register, Sigkill) => cluster.register().kill(),
        (Gateway, Sigterm) => cluster.gateway(0).stop(),
        (Gateway, Sigkill) => cluster.kill_gateway(0),
        (Worker, Sigterm) => cluster.worker(0).stop(),
        (Worker, Sigkill) => cluster.worker(0).kill(),
    }
}

/// Returns when it says that it is ready.
fn start(cluster: &mut Cluster, part: Part) {
    match part {
        Register => cluster.start_register(),
        Gateway => cluster.start_gateway(0),
        Worker => cluster.start_worker(0),
    }
}

/// Waits until everybody is connected to everybody, and says how long that took.
fn await_connected(cluster: &Cluster, what: &str) {
    let since = Stopwatch::start();
    // The register has two gateways and two workers, each gateway two workers, each worker two gateways.
    for (address, count) in cluster.admin_addresses().into_iter().zip([4, 2, 2, 2, 2]) {
        wait_until(&format!("{count} links at {address} after {what}"), || {
            (links(address) == count).then_some(())
        });
    }
    println!("restarts: {what}: all connected {} ms after ready", since.elapsed().as_millis());
}

fn cluster() -> Cluster {
    Cluster::builder().gateways(2).workers(2).admin().gateway_flags(PATIENT).start()
}

/// Clients of the gateway that is never restarted.
fn steady_load(cluster: &Cluster) -> Load {
    Load::start((0..4).map(|_| cluster.websocket(1)))
}

/// One after the other, each connected again before the next.
fn restart_each(how: End) -> Messages {
    let mut cluster = cluster();
    let load = steady_load(&cluster);
    for part in [Register, Gateway, Worker] {
        for _ in 0..3 {
            end(&mut cluster, part, how);
            start(&mut cluster, part);
            await_connected(&cluster, &format!("{part:?} by {how:?}"));
            cluster.websocket(0).echo("served");
        }
    }
    let messages = load.stop();
    cluster.stop();
    messages
}

#[test]
fn each_may_be_restarted_again_and_again() {
    let messages = restart_each(Sigterm);
    println!("restarts: {messages:?}");
    assert!(messages.sent > 100);
}

#[test]
fn each_may_be_killed_again_and_again() {
    let messages = restart_each(Sigkill);
    println!("restarts: {messages:?}");
    assert!(messages.sent > 100);
}

/// All three end in one order, and start in every other.
#[test]
fn all_may_be_away_at_once() {
    let mut cluster = cluster();
    let load = steady_load(&cluster);
    for (index, order) in ORDERS.into_iter().enumerate() {
        let how = if index % 2 == 0 { Sigterm } else { Sigkill };
        for part in order {
            end(&mut cluster, part, how);
        }
        for part in ORDERS[(index + 2) % ORDERS.len()] {
            match part {
                // It is ready only when there is a register.
                Worker => cluster.launch_worker(0),
                part => start(&mut cluster, part),
            }
        }
        cluster.worker(0).await_ready("worker");
        await_connected(&cluster, &format!("{order:?} by {how:?}"));
    }
    assert!(load.stop().sent > 100);
    cluster.stop();
}

#[test]
fn without_register_and_other_gateway_clients_notice_nothing() {
    let mut cluster = cluster();
    let load = steady_load(&cluster);
    for (part, how) in [(Register, Sigterm), (Gateway, Sigterm), (Register, Sigkill), (Gateway, Sigkill)] {
        end(&mut cluster, part, how);
        start(&mut cluster, part);
        await_connected(&cluster, &format!("{part:?} by {how:?}"));
    }
    let messages = load.stop();
    assert!(messages.sent > 50 && messages.lost == 0, "{messages:?}");
    cluster.stop();
}

/// A client that does not read holds a stop up; a second signal does not wait for it.
#[test]
fn a_second_signal_ends_a_gateway_at_once() {
    let mut cluster = Cluster::builder().gateway_flags(&["--max-package-size", "33554432"]).start();
    let mut other = cluster.websocket(0);
    other.echo("hello");
    let mut deaf = WebsocketClient::connect(cluster.address(0, Listen::Websocket));
    // More than sockets hold: the rest of its echo stays in the gateway's queue.
    deaf.send_text(&"x".repeat(24 << 20));
    deaf.writer().peek(&mut [0]).expect("the echo begins to arrive");
    cluster.gateway(0).terminate();
    other.expect(&Event::Close(Some(1001)));
    cluster.gateway(0).terminate();
    assert_eq!(cluster.gateway(0).await_exit().code(), Some(143));
    drop(deaf);
    cluster.stop();
}

/// Both registers go one after the other, by SIGKILL, and come back with nothing. A gateway that is started while one of them is
/// away is found through the other.
#[test]
fn with_two_registers_either_may_die_and_come_back_with_nothing() {
    let mut cluster = Cluster::builder().registers(2).gateways(1).workers(1).admin().start();
    let admin = cluster.admin_addresses();
    let [first, second, gateway, worker] = admin[..] else { panic!("four programs: {admin:?}") };
    let links_of = |address, count| {
        wait_until(&format!("{count} links at {address}"), || (links(address) == count).then_some(()));
    };
    let load = Load::start((0..4).map(|_| cluster.websocket(0)));
    cluster.register().kill();
    cluster.start_gateway(1);
    links_of(worker, 2);
    let mut newcomer = cluster.websocket(1);
    newcomer.echo("found without the first register");
    cluster.start_register();
    // Two gateways and the worker.
    links_of(first, 3);
    cluster.register_at(1).kill();
    let mut another = cluster.websocket(1);
    another.echo("found without the second register");
    cluster.start_register_at(1);
    links_of(second, 3);
    assert_eq!((links(gateway), links(worker)), (1, 2), "no link was lost");
    newcomer.echo("still here");
    let messages = load.stop();
    assert!(messages.sent > 50 && messages.lost == 0, "{messages:?}");
    cluster.stop();
}
