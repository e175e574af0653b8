//! A worker that ends hands its clients over (docs/WIRE.md §14).

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use protocol::inner::drain::{Drain, decode_ids, decode_round};
use protocol::inner::{Cmd, FLAG_SCALAR, Frame};
use ringway_worker::{Client, Config, Gateway, Message};

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, Link, Received, config, echo};

/// A gateway's link to a worker, the gateway being one of ours.
fn accept(gateway: &FakeGateway) -> Link {
    let mut link = gateway.accept_worker();
    let mut hello = Vec::new();
    Frame { body: br#"{"ringway":1}"#, ..Frame::command(Cmd::RingwayHello) }.encode(&mut hello);
    link.send_bytes(&hello);
    // An answer to a message shows that it has been read.
    link.event(Cmd::OnMessage, NOBODY, b"hello");
    assert_eq!(link.frame().connection_id, NOBODY);
    link
}

fn round(frame: &Received) -> u32 {
    assert_eq!(frame.cmd, Cmd::Drain as u8, "{frame:?}");
    Drain::decode(&frame.body).unwrap().round
}

fn answer(link: &mut Link, round: u32) {
    let mut out = Vec::new();
    Frame { body: &round.to_be_bytes(), ..Frame::command(Cmd::Drained) }.encode(&mut out);
    assert_eq!(decode_round(&out[28..]), Some(round));
    link.send_bytes(&out);
}

fn ids(frame: &Received, cmd: Cmd) -> Vec<u32> {
    assert_eq!((frame.cmd, frame.flag), (cmd as u8, FLAG_SCALAR), "{frame:?}");
    let mut ids: Vec<_> = decode_ids(&frame.body).collect();
    ids.sort_unstable();
    ids
}

/// Answers at once, or after a message that says `go` from another client.
async fn slow(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    if message.text().starts_with("wait") {
        tell.send("waiting".to_owned()).unwrap();
        let file = message.text().split_once(' ').unwrap().1.to_owned();
        while !std::path::Path::new(&file).exists() {
            ringway_worker::time::sleep(Duration::from_millis(1)).await;
        }
    }
    gateway.send_to_client(client.id(), message);
}

/// A file whose existence ends the wait of [`slow`].
struct Gate(std::path::PathBuf);

impl Gate {
    fn new(name: &str) -> Gate {
        let gate = Gate(std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id())));
        let _ = std::fs::remove_file(&gate.0);
        gate
    }

    fn wait(&self) -> Vec<u8> {
        format!("wait {}", self.0.display()).into_bytes()
    }

    fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn idle_clients_are_free_after_two_rounds() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, echo);
    let mut link = accept(&gateway);
    let stopping = thread::spawn(move || worker.running.stop());
    assert_eq!(round(&link.frame()), 1);
    // What was on its way is still handled.
    link.message("late");
    answer(&mut link, 1);
    assert_eq!(link.frame().body, b"late");
    assert_eq!(round(&link.frame()), 2);
    answer(&mut link, 2);
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), NONE);
    assert_eq!(link.frame().body, b"bye", "what on_stop says is sent");
    assert!(link.receive().is_none());
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn busy_clients_are_free_when_all_gateways_have_what_their_handlers_sent() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let worker = FakeWorker::start(&register, slow);
    let mut links = gateways.each_ref().map(accept);
    let gates = [Gate::new("first"), Gate::new("second")];
    links[0].event(Cmd::OnMessage, 7, &gates[0].wait());
    links[0].event(Cmd::OnMessage, 7, b"behind");
    links[1].event(Cmd::OnMessage, 8, &gates[1].wait());
    assert_eq!([worker.told(), worker.told()], ["waiting", "waiting"]);
    let stopping = thread::spawn(move || worker.running.stop());
    for number in 1..=2 {
        for link in &mut links {
            assert_eq!(round(&link.frame()), number);
            answer(link, number);
        }
    }
    assert_eq!(ids(&links[0].frame(), Cmd::DrainBusy), [7]);
    assert_eq!(ids(&links[1].frame(), Cmd::DrainBusy), [8]);
    gates[0].open();
    assert_eq!(links[0].frame().body, gates[0].wait());
    assert_eq!(links[0].frame().body, b"behind");
    for link in &mut links {
        assert_eq!(round(&link.frame()), 3);
    }
    answer(&mut links[0], 3);
    // The other gateway has not answered: nobody is free yet. Its own client's handler ends meanwhile.
    gates[1].open();
    assert_eq!(links[1].frame().body, gates[1].wait());
    answer(&mut links[1], 3);
    assert_eq!(ids(&links[0].frame(), Cmd::DrainFree), [7]);
    for link in &mut links {
        assert_eq!(round(&link.frame()), 4);
        answer(link, 4);
    }
    assert_eq!(ids(&links[1].frame(), Cmd::DrainFree), [8]);
    for link in &mut links {
        assert_eq!(link.frame().body, b"bye");
        assert!(link.receive().is_none());
    }
    drop(links);
    stopping.join().unwrap().unwrap();
}

/// Reads what a link still says until it ends: what clients were sent, and who was said to be free. Answers DRAINs.
fn to_the_end(link: &mut Link) -> (Vec<Vec<u8>>, Vec<u32>) {
    let (mut sent, mut free) = (Vec::new(), Vec::new());
    while let Some(frame) = link.receive() {
        match Cmd::from_u8(frame.cmd) {
            Some(Cmd::Drain) => answer(link, round(&frame)),
            Some(Cmd::DrainFree) => free.extend(decode_ids(&frame.body)),
            Some(Cmd::DrainBusy) => panic!("said twice"),
            _ => sent.push(frame.body),
        }
    }
    free.sort_unstable();
    (sent, free)
}

#[test]
fn a_core_that_has_enough_to_do_hands_over_what_it_is_sent_all_the_same() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start_with(Config { max_concurrent_events: 1, ..config(&[&register]) }, slow);
    let mut link = accept(&gateway);
    let gate = Gate::new("full");
    link.event(Cmd::OnMessage, 7, &gate.wait());
    assert_eq!(worker.told(), "waiting");
    link.event(Cmd::OnMessage, 8, b"behind");
    let stopping = thread::spawn(move || worker.running.stop());
    for number in 1..=2 {
        assert_eq!(round(&link.frame()), number);
        answer(&mut link, number);
    }
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), [7, 8]);
    gate.open();
    let (sent, free) = to_the_end(&mut link);
    assert_eq!(sent, [gate.wait(), b"behind".to_vec(), b"bye".to_vec()], "one after the other");
    assert_eq!(free, [7, 8]);
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn handlers_that_do_not_end_are_given_up_in_time() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let settings = Config { drain_timeout: Duration::from_millis(100), ..config(&[&register]) };
    let worker = FakeWorker::start_with(settings, slow);
    let mut link = accept(&gateway);
    link.event(Cmd::OnMessage, 7, &Gate::new("never").wait());
    assert_eq!(worker.told(), "waiting");
    let stopping = thread::spawn(move || worker.running.stop());
    for number in 1..=2 {
        assert_eq!(round(&link.frame()), number);
        answer(&mut link, number);
    }
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), [7]);
    assert_eq!(link.frame().body, b"bye");
    assert!(link.receive().is_none());
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn a_gateway_that_is_gone_is_not_waited_for_nor_connected_again() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let worker = FakeWorker::start(&register, echo);
    let [mut link, lost] = gateways.each_ref().map(accept);
    let stopping = thread::spawn(move || worker.running.stop());
    assert_eq!(round(&link.frame()), 1);
    answer(&mut link, 1);
    drop(lost);
    assert_eq!(round(&link.frame()), 2);
    answer(&mut link, 2);
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), NONE);
    drop(link);
    stopping.join().unwrap().unwrap();
    assert!(gateways[1].is_left_alone());
}

#[test]
fn what_a_php_gateway_has_sent_is_handled_without_a_word_about_it() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, slow);
    let mut link = gateway.accept_worker();
    let gate = Gate::new("php");
    link.message(std::str::from_utf8(&gate.wait()).unwrap());
    link.message("behind");
    assert_eq!(worker.told(), "waiting");
    let stopping = thread::spawn(move || worker.running.stop());
    gate.open();
    assert_eq!(link.frame().body, gate.wait());
    assert_eq!(link.frame().body, b"behind");
    assert_eq!(link.frame().body, b"bye");
    assert!(link.receive().is_none());
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn what_a_php_gateway_has_sent_is_handled_though_the_core_had_enough_to_do() {
    let (php, ours) = (FakeGateway::start(), FakeGateway::start());
    let register = FakeRegister::start(&[&php, &ours]);
    let worker = FakeWorker::start_with(Config { max_concurrent_events: 1, ..config(&[&register]) }, slow);
    let (mut php_link, mut link) = (php.accept_worker(), accept(&ours));
    let gate = Gate::new("full-php");
    php_link.event(Cmd::OnMessage, 7, &gate.wait());
    assert_eq!(worker.told(), "waiting");
    php_link.event(Cmd::OnMessage, 8, b"behind");
    let stopping = thread::spawn(move || worker.running.stop());
    for number in 1..=2 {
        assert_eq!(round(&link.frame()), number);
        answer(&mut link, number);
    }
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), NONE);
    // The time that PHP's gateways are given is over: what was read is handled all the same.
    gate.open();
    assert_eq!(php_link.frame().body, gate.wait());
    assert_eq!(php_link.frame().body, b"behind");
    to_the_end(&mut link);
    drop((link, php_link));
    stopping.join().unwrap().unwrap();
}

#[test]
fn an_answer_to_what_was_never_said_is_none() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, echo);
    let mut link = accept(&gateway);
    for round in [1, u32::MAX] {
        answer(&mut link, round);
    }
    link.message("read");
    assert_eq!(link.frame().body, b"read");
    let stopping = thread::spawn(move || worker.running.stop());
    for number in 1..=2 {
        assert_eq!(round(&link.frame()), number);
        link.message("on the way");
        assert!(number == 2 || link.frame().body == b"on the way", "still taken");
        answer(&mut link, number);
    }
    assert_eq!(ids(&link.frame(), Cmd::DrainBusy), NONE);
    to_the_end(&mut link);
    drop(link);
    stopping.join().unwrap().unwrap();
}

/// A client that only says that it is there.
const NOBODY: u32 = 99;

const NONE: [u32; 0] = [];
