//! What is queued for gateways that take too little of it: nothing is dropped, and who else has to wait.

use std::sync::mpsc::Sender;
use std::time::Duration;

use protocol::inner::{Cmd, FLAG_SCALAR};
use ringway_worker::{Client, Config, Gateway, Message, Status, time};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, FakeWorker, LIMIT, Link, config};

/// More than the kernel keeps for two sockets, and less than a frame may have for PHP's gateways.
const LARGE: usize = 9_000_000;

/// Sends the client as many large messages as its message says; `later` does so in a future of its own, `kick` ends its
/// wait. Anything else is echoed. Tells what it has done, and the counters of then.
async fn answer(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    let (gateway, id, text) = (gateway.clone(), client.id(), message.text().into_owned());
    let large = |gateway: &Gateway, count: &str| {
        (0..count.parse().unwrap()).for_each(|_| gateway.send_to_client(id, vec![b'x'; LARGE]));
    };
    match text.split_once(' ') {
        Some(("large", count)) => large(&gateway, count),
        Some(("later", count)) => {
            let count = count.to_owned();
            gateway.clone().spawn(async move {
                // Until the test has seen that nobody else gets on.
                while !std::fs::exists(go_on_file()).unwrap() {
                    time::sleep(Duration::from_millis(1)).await;
                }
                (0..count.parse().unwrap()).for_each(|_| gateway.send_to_client(id, vec![b'x'; LARGE]));
            });
            return tell.send(text).unwrap();
        }
        _ => gateway.send_to_client(id, message),
    }
    let counters = gateway.counters();
    tell.send(format!("{text}: {} dropped, {} overfull", counters.commands_dropped, counters.links_overfull))
        .unwrap();
}

fn go_on_file() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("ringway-{}-outboxes", std::process::id()))
}

fn start(register: &FakeRegister) -> FakeWorker {
    FakeWorker::start_with(config(&[register]), answer)
}

fn await_status(worker: &FakeWorker, what: impl Fn(&Status) -> bool) {
    let source = worker.running.status_source();
    for _ in 0..LIMIT.as_millis() {
        if source.ask()[0].as_ref().is_ok_and(&what) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{:?}", source.ask());
}

fn read_large(link: &mut Link, count: usize) {
    for _ in 0..count {
        assert_eq!(link.frame().body.len(), LARGE);
    }
}

#[test]
fn however_much_is_queued_nothing_is_dropped() {
    // 0: events wait while anything is queued.
    for (size, ours) in [(1000, false), (1000, true), (0, true)] {
        let gateway = FakeGateway::start();
        let register = FakeRegister::start(&[&gateway]);
        let config = Config { send_to_gateway_buffer_size: size, ..config(&[&register]) };
        let worker = FakeWorker::start_with(config, answer);
        let mut link = gateway.accept_worker();
        if ours {
            link.greet();
        }
        link.message("large 3");
        assert_eq!(worker.told(), "large 3: 0 dropped, 0 overfull");
        // It waits until the gateway has taken the others, and so do those of other clients there.
        link.message("behind");
        link.event(Cmd::OnMessage, CLIENT + 1, b"beside");
        await_status(&worker, |status| status.events_waiting == 2 && status.handlers_running == 0);
        read_large(&mut link, 3);
        assert_eq!([link.frame().body, link.frame().body], [b"behind".to_vec(), b"beside".to_vec()]);
        assert_eq!(worker.told(), "behind: 0 dropped, 0 overfull");
        assert_eq!(worker.told(), "beside: 0 dropped, 0 overfull");
    }
}

#[test]
fn a_gateway_that_takes_nothing_holds_up_its_own_clients_only() {
    let (slow, quick) = (FakeGateway::start(), FakeGateway::start());
    let register = FakeRegister::start(&[&slow, &quick]);
    let worker = FakeWorker::start_with(Config { max_concurrent_events: 1, ..config(&[&register]) }, answer);
    let (mut slow_link, mut quick_link) = (slow.accept_worker(), quick.accept_worker());
    slow_link.message("large 2");
    assert_eq!(worker.told(), "large 2: 0 dropped, 0 overfull");
    (0..10).for_each(|client| slow_link.event(Cmd::OnMessage, client, b"waits"));
    await_status(&worker, |status| status.events_waiting == 10);
    quick_link.message("at once");
    assert_eq!(quick_link.frame().body, b"at once");
    assert_eq!(worker.told(), "at once: 0 dropped, 0 overfull");
    read_large(&mut slow_link, 2);
    for client in 0..10 {
        assert_eq!(slow_link.frame().connection_id, client);
    }
}

#[test]
fn the_events_of_a_gateway_that_is_lost_are_handled() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = start(&register);
    let mut link = gateway.accept_worker();
    link.message("large 2");
    assert_eq!(worker.told(), "large 2: 0 dropped, 0 overfull");
    link.message("behind");
    await_status(&worker, |status| status.events_waiting == 1);
    drop(link);
    assert_eq!(worker.told(), "behind: 1 dropped, 0 overfull");
}

/// What is queued keeps nobody from hearing that the gateway is dead.
#[test]
fn a_gateway_that_takes_nothing_and_is_silent_is_dead() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = start(&register);
    let mut link = gateway.accept_worker();
    link.greet();
    link.message("large 2");
    assert_eq!(worker.told(), "large 2: 0 dropped, 0 overfull");
    link.message("behind");
    gateway.accept_worker();
    assert_eq!(worker.told(), "behind: 1 dropped, 0 overfull");
}

#[test]
fn a_gateway_that_takes_nothing_is_not_read_without_end() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = start(&register);
    let mut link = gateway.accept_worker();
    link.message("large 2");
    assert_eq!(worker.told(), "large 2: 0 dropped, 0 overfull");
    let mut writer = link.writer();
    let writing = std::thread::spawn(move || (0..3_000).for_each(|_| writer.message(&"m".repeat(10_000))));
    await_status(&worker, |status| status.events_waiting >= 100);
    // Less than a megabyte and what one read gives beyond it.
    assert!(worker.running.status_source().ask()[0].unwrap().events_waiting <= 130);
    read_large(&mut link, 2);
    for _ in 0..3_000 {
        assert_eq!(link.frame().body.len(), 10_000);
    }
    writing.join().unwrap();
}

/// A quarter of a GiB for all gateways together: no handler starts. Half a GiB: the one that takes the least is given up.
#[test]
fn too_much_for_all_gateways_stops_the_handlers_and_then_costs_the_fullest_link() {
    let (fullest, full, other) = (FakeGateway::start(), FakeGateway::start(), FakeGateway::start());
    let register = FakeRegister::start(&[&fullest, &full, &other]);
    let _ = std::fs::remove_file(go_on_file());
    let worker = start(&register);
    let [mut fullest_link, mut full_link, mut other_link] =
        [&fullest, &full, &other].map(FakeGateway::accept_worker);
    fullest_link.message("later 30");
    assert_eq!(worker.told(), "later 30");
    full_link.message("large 10");
    fullest_link.message("large 22");
    assert_eq!([worker.told(), worker.told()].concat().matches(": 0 dropped, 0 overfull").count(), 2);
    other_link.event(Cmd::OnMessage, CLIENT, b"waits");
    await_status(&worker, |status| status.events_waiting == 1);
    std::fs::write(go_on_file(), "").unwrap();
    // What came for the link that was given up was dropped.
    let told = worker.told();
    assert!(told.starts_with("waits: ") && told.ends_with(", 1 overfull"), "{told}");
    assert_eq!(other_link.frame().flag, FLAG_SCALAR);
    read_large(&mut full_link, 10);
    fullest.accept_worker();
    std::fs::remove_file(go_on_file()).unwrap();
}
