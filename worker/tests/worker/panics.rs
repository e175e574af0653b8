//! Handlers that panic.

use std::sync::mpsc::Sender;

use ringway_worker::{Client, Gateway, Message};

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, sent};
use protocol::inner::Cmd;

/// Panics when told to, at once or after it has waited; echoes else.
async fn touchy(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    match message.text().as_ref() {
        "panic" => {
            client.set_session([("half", "done")].into());
            panic!("told to");
        }
        "wait and panic" => {
            gateway.is_online(client.id()).await;
            panic!("told to, later");
        }
        "count" => tell.send(gateway.counters().panics.to_string()).unwrap(),
        _ => gateway.send_to_client(client.id(), message),
    }
}

#[test]
fn a_panic_ends_neither_the_worker_nor_anybodys_later_events() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, touchy);
    let mut link = gateway.accept_worker();
    for text in ["panic", "before", "wait and panic", "behind"] {
        link.event(Cmd::OnMessage, 1, text.as_bytes());
    }
    link.event(Cmd::OnMessage, 2, b"other");
    // What the first handler made of the session is not stored.
    assert_eq!(sent(&link.frame()), (5, 1, 1, "", "before"));
    assert_eq!(sent(&link.frame()), (5, 2, 1, "", "other"));
    let mut queries = gateway.accept();
    queries.frame();
    queries.reply("i:1;");
    assert_eq!(sent(&link.frame()), (5, 1, 1, "", "behind"));
    link.message("count");
    assert_eq!(worker.told(), "2");
    worker.running.stop().unwrap();
}
