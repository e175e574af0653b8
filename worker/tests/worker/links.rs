//! Links that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use protocol::inner::Cmd;
use ringway_worker::{Client, Config, Gateway, Message, time};

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, LIMIT, NO_GATEWAYS, config, echo};

#[test]
fn a_lost_gateway_is_connected_again() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    drop(gateway.accept_worker());
    let mut link = gateway.accept_worker();
    link.message("again");
    assert_eq!(link.frame().body, b"again");
}

#[test]
fn bytes_that_are_no_frame_cost_only_their_link() {
    let bad = FakeGateway::start();
    let good = FakeGateway::start();
    let register = FakeRegister::start(&[&bad, &good]);
    let _worker = FakeWorker::start(&register, echo);
    let mut bad_link = bad.accept_worker();
    let mut good_link = good.accept_worker();
    bad_link.message("before");
    assert_eq!(bad_link.frame().body, b"before");
    bad_link.send_bytes(&[0xff; 64]);
    assert_eq!(bad_link.receive(), None);
    good_link.message("fine");
    assert_eq!(good_link.frame().body, b"fine");
    bad.accept_worker();
}

#[test]
fn a_gateway_that_left_the_list_keeps_its_link() {
    let first = FakeGateway::start();
    let second = FakeGateway::start();
    let register = FakeRegister::start(&[&first]);
    let _worker = FakeWorker::start(&register, echo);
    let mut first_link = first.accept_worker();
    register.list(&[&second]);
    let mut second_link = second.accept_worker();
    for link in [&mut first_link, &mut second_link] {
        link.message("still here");
        assert_eq!(link.frame().body, b"still here");
    }
    // Once it is lost, it is given up until it is listed again.
    drop(first_link);
    register.list(&[&first, &second]);
    first.accept_worker();
}

#[test]
fn a_restarted_register_costs_no_link() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    register.line();
    let mut link = gateway.accept_worker();
    register.list(&NO_GATEWAYS);
    register.restart(&NO_GATEWAYS);
    register.line();
    link.message("kept");
    assert_eq!(link.frame().body, b"kept");
}

#[test]
fn gateways_of_all_registers_are_served() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let registers = [FakeRegister::start(&[&gateways[0]]), FakeRegister::start(&[&gateways[1]])];
    let _worker = FakeWorker::start_with(config(&[&registers[0], &registers[1]]), echo);
    for gateway in &gateways {
        gateway.accept_worker();
    }
    // The other register's list does not matter for the link of the first one's gateway.
    registers[1].list(&NO_GATEWAYS);
    gateways[0].accept_worker();
}

#[test]
fn no_gateway_is_ready_too() {
    let register = FakeRegister::start(&NO_GATEWAYS);
    let worker = FakeWorker::start(&register, echo);
    worker.running.stop().unwrap();
}

#[test]
fn a_gateway_that_does_not_read_is_not_read_either() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let mut settings = config(&[&register]);
    settings.send_to_gateway_buffer_size = 1_000_000;
    let worker = FakeWorker::start_with(settings, echo);
    let mut link = gateway.accept_worker();
    let mut writer = link.writer();
    let (done, written) = channel();
    std::thread::spawn(move || {
        for number in 0..MESSAGES {
            writer.message(&format!("{number:010000}"));
        }
        done.send(()).unwrap();
    });
    // Until all is written, or nothing moves any more because the worker has stopped reading.
    let _ = written.recv_timeout(Duration::from_secs(1));
    for number in 0..MESSAGES {
        assert!(link.frame().body == format!("{number:010000}").into_bytes(), "message {number} is missing");
    }
    worker.running.stop().unwrap();
}

/// 30 MB in all: more than the kernel keeps for two sockets.
const MESSAGES: usize = 3_000;

#[test]
fn a_gateway_of_ours_is_pinged_at_once() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    let mut link = gateway.accept_worker();
    link.greet();
    link.message("after the hello");
    assert_eq!(link.frame().body, b"after the hello");
    assert_eq!(link.pings, 1);
}

#[test]
fn a_silent_gateway_is_dead_if_it_has_pinged_and_only_then() {
    let (dead, quiet) = (FakeGateway::start(), FakeGateway::start());
    let register = FakeRegister::start(&[&dead, &quiet]);
    let _worker = FakeWorker::start(&register, echo);
    let (mut dead_link, mut quiet_link) = (dead.accept_worker(), quiet.accept_worker());
    quiet_link.event(Cmd::RingwayHello, 0, br#"{"ringway":1}"#);
    dead_link.greet();
    assert_eq!(dead_link.receive(), None);
    dead.accept_worker();
    quiet_link.message("still here");
    assert_eq!(quiet_link.frame().body, b"still here");
    assert!(quiet_link.pings >= 3, "{} pings in 8 s", quiet_link.pings);
}

#[test]
fn what_a_dead_gateway_was_asked_is_not_waited_for() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let config = Config { query_timeout: Duration::from_secs(3600), ..config(&[&register]) };
    let ask = async |gateway: &Gateway, client: &Client, _: Message, tell: &Sender<String>| {
        let _ = tell.send(format!("{:?}", gateway.is_online(client.id()).await.value));
    };
    let worker = FakeWorker::start_with(config, ask);
    let mut link = gateway.accept_worker();
    link.greet();
    link.message("go");
    let mut question = gateway.accept();
    assert_eq!(question.frame().cmd, Cmd::IsOnline as u8);
    assert_eq!(worker.told(), "false");
    assert_eq!(question.receive(), None);
}

/// A link that is closed again and again is tried less and less often, every 10 s in the end; not so one whose gateway
/// registers again and again.
#[test]
fn a_gateway_that_is_listed_again_is_connected_at_once() {
    const ROUNDS: usize = 30;
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    let (done, rounds) = channel();
    std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            drop(gateway.accept_worker());
            register.list(&[&gateway]);
        }
        done.send(()).unwrap();
    });
    rounds.recv_timeout(3 * LIMIT).expect("all rounds, which take minutes with pauses between them");
}

/// A core that has enough to do listens to nobody, and must not take that for the silence of a gateway that is new there.
#[test]
fn a_gateway_that_is_not_listened_to_is_not_silent() {
    let (lost, other) = (FakeGateway::start(), FakeGateway::start());
    let register = FakeRegister::start(&[&lost, &other]);
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    let wait = async move |gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>| {
        tell.send(message.text().into_owned()).unwrap();
        while message.text() == "wait" && !may_go_on.load(Ordering::Relaxed) {
            time::sleep(Duration::from_millis(1)).await;
        }
        gateway.send_to_client(client.id(), message);
    };
    let worker = FakeWorker::start_with(Config { max_concurrent_events: 1, ..config(&[&register]) }, wait);
    let (mut link, mut other_link) = (lost.accept_worker(), other.accept_worker());
    link.greet();
    link.message("behind the hello");
    assert_eq!(link.frame().body, b"behind the hello");
    other_link.message("wait");
    drop(link);
    assert_eq!([worker.told(), worker.told()], ["behind the hello", "wait"]);
    let mut again = lost.accept_worker();
    again.greet();
    again.message("heard");
    // Longer than a gateway of ours may take to say that it is one.
    std::thread::sleep(Duration::from_secs(5));
    go_on.store(true, Ordering::Relaxed);
    assert_eq!(again.frame().body, b"heard");
}
