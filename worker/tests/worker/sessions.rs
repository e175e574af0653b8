//! Sessions that a worker has written: no handler sees one from before the write (docs/WIRE.md §7).

use std::sync::mpsc::Sender;

use protocol::inner::{Cmd, FLAG_SCALAR};
use ringway_worker::php::{Array, Value};
use ringway_worker::{Client, Gateway, Message};
use serde::{Deserialize, Serialize};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, FakeWorker, Link, sent};

const BEFORE: &str = "a:1:{s:1:\"n\";i:0;}";
const OURS: &str = "a:1:{s:1:\"n\";i:1;}";
const THEIRS: &str = "a:1:{s:1:\"n\";i:2;}";

fn numbered(n: i64) -> Array {
    Array::from([("n", n)])
}

/// Tells the session's number, and then does to it what the message says.
async fn number(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    let n = client.with_session(|session| session.get("n").and_then(Value::as_int));
    match message.text().as_ref() {
        "write" => client.set_session(numbered(1)),
        "set" => gateway.set_session(client.id(), numbered(1)),
        "update" => gateway.update_session(client.id(), numbered(1)),
        _ => {}
    }
    let n = n.map_or("none".to_owned(), |n| n.to_string());
    tell.send(format!("{} {} {n}", client.id().connection_id, message.text())).unwrap();
}

struct Stage {
    worker: FakeWorker,
    gateway: FakeGateway,
    link: Link,
    _register: FakeRegister,
}

impl Stage {
    fn set() -> Stage {
        let gateway = FakeGateway::start();
        let register = FakeRegister::start(&[&gateway]);
        let worker = FakeWorker::start(&register, number);
        let link = gateway.accept_worker();
        Stage { worker, gateway, link, _register: register }
    }

    /// The client's message `text`, sent when its session was `session`.
    fn message(&mut self, session: &str, text: &str) {
        self.message_of(CLIENT, session, text);
    }

    fn message_of(&mut self, client: u32, session: &str, text: &str) {
        self.link.event_with(Cmd::OnMessage, client, FLAG_SCALAR, session.as_bytes(), text.as_bytes());
    }

    /// Has the worker change the session, and returns the query connection on which it asks about the next message,
    /// which was sent before the change.
    fn doubt(&mut self, how: &str) -> Link {
        self.message(BEFORE, how);
        assert_eq!(self.worker.told(), format!("1 {how} 0"));
        self.link.frame();
        self.message(BEFORE, "stale");
        let mut queries = self.gateway.accept();
        assert_question(&mut queries);
        queries
    }
}

fn assert_question(queries: &mut Link) {
    assert_eq!(sent(&queries.frame()), (Cmd::GetSessionByClientId as u8, CLIENT, 1, "", ""));
}

#[test]
fn an_event_from_before_a_write_gets_what_was_written() {
    for how in ["write", "set"] {
        let mut stage = Stage::set();
        let mut queries = stage.doubt(how);
        queries.reply(OURS);
        assert_eq!(stage.worker.told(), "1 stale 1");
        // Another one that was on its way.
        stage.message(BEFORE, "stale");
        assert_question(&mut queries);
        queries.reply(OURS);
        assert_eq!(stage.worker.told(), "1 stale 1");
        // Once the write was seen, events are believed again: what they show is newer.
        stage.message(OURS, "fresh");
        assert_eq!(stage.worker.told(), "1 fresh 1");
        stage.message(THEIRS, "newer");
        assert_eq!(stage.worker.told(), "1 newer 2");
    }
}

#[test]
fn a_question_that_overtook_the_write_is_asked_again() {
    let mut stage = Stage::set();
    let mut queries = stage.doubt("write");
    for _ in 0..2 {
        queries.reply(BEFORE);
        assert_question(&mut queries);
    }
    queries.reply(OURS);
    assert_eq!(stage.worker.told(), "1 stale 1");
}

#[test]
fn what_somebody_else_wrote_is_believed_in_the_end() {
    let mut stage = Stage::set();
    let mut queries = stage.doubt("write");
    for _ in 0..6 {
        queries.reply(THEIRS);
        assert_question(&mut queries);
    }
    queries.reply(THEIRS);
    assert_eq!(stage.worker.told(), "1 stale 2");
    stage.message(THEIRS, "fresh");
    assert_eq!(stage.worker.told(), "1 fresh 2");
}

#[test]
fn a_merge_is_awaited_too() {
    let mut stage = Stage::set();
    let mut queries = stage.doubt("update");
    queries.reply(BEFORE);
    assert_question(&mut queries);
    queries.reply(OURS);
    assert_eq!(stage.worker.told(), "1 stale 1");
    stage.message(OURS, "fresh");
    assert_eq!(stage.worker.told(), "1 fresh 1");
}

#[test]
fn a_client_in_doubt_keeps_its_order_and_holds_up_nobody() {
    let mut stage = Stage::set();
    let mut queries = stage.doubt("write");
    stage.message(OURS, "second");
    stage.message(THEIRS, "third");
    stage.message_of(2, BEFORE, "other");
    assert_eq!(stage.worker.told(), "2 other 0");
    queries.reply(OURS);
    assert_eq!(stage.worker.told(), "1 stale 1");
    assert_eq!(stage.worker.told(), "1 second 1");
    assert_eq!(stage.worker.told(), "1 third 2");
}

#[test]
fn without_an_answer_the_event_is_believed() {
    for answer in [Some("N;"), None] {
        let mut stage = Stage::set();
        let mut queries = stage.doubt("write");
        match answer {
            Some(answer) => queries.reply(answer),
            // Not a length that can be.
            None => queries.send_bytes(&[0xff; 4]),
        }
        assert_eq!(stage.worker.told(), "1 stale 0");
        stage.message(BEFORE, "next");
        assert_eq!(stage.worker.told(), "1 next 0");
    }
}

#[test]
fn a_number_that_a_new_client_has_is_not_in_doubt() {
    for end in [Cmd::OnClose, Cmd::OnConnect] {
        let mut stage = Stage::set();
        stage.message(BEFORE, "write");
        assert_eq!(stage.worker.told(), "1 write 0");
        stage.link.event(end, CLIENT, b"");
        assert!(stage.worker.told().starts_with("c"), "close or connect");
        stage.message(BEFORE, "new");
        assert_eq!(stage.worker.told(), "1 new 0");
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Visit {
    name: Option<String>,
    count: u32,
}

#[test]
fn sessions_are_read_and_written_as_types() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(
        &register,
        async |_: &Gateway, client: &Client, message: Message, tell: &Sender<String>| {
            let visit = match client.session_as::<Visit>() {
                Ok(visit) => Visit { count: visit.count + 1, ..visit },
                Err(error) => return tell.send(error.to_string()).unwrap(),
            };
            match message.text().as_ref() {
                "set" => client.set_session_as(&visit).unwrap(),
                "assign" => client.assign_session(&visit).unwrap(),
                _ => tell.send(client.set_session_as("text").unwrap_err().to_string()).unwrap(),
            }
        },
    );
    let mut link = gateway.accept_worker();
    let mut say = |session: &str, text: &str| {
        link.event_with(Cmd::OnMessage, CLIENT, FLAG_SCALAR, session.as_bytes(), text.as_bytes());
        String::from_utf8(link.frame().ext).unwrap()
    };
    assert_eq!(say("", "set"), "a:2:{s:4:\"name\";N;s:5:\"count\";i:1;}");
    let theirs = "a:2:{s:6:\"theirs\";b:1;s:5:\"count\";i:1;}";
    link.event(Cmd::OnClose, CLIENT, b"");
    assert_eq!(worker.told(), "close 1");
    let mut say = |session: &str, text: &str| {
        link.event_with(Cmd::OnMessage, 2, FLAG_SCALAR, session.as_bytes(), text.as_bytes());
        String::from_utf8(link.frame().ext).unwrap()
    };
    assert_eq!(say(theirs, "assign"), "a:3:{s:6:\"theirs\";b:1;s:5:\"count\";i:2;s:4:\"name\";N;}");
    link.event_with(Cmd::OnMessage, 3, FLAG_SCALAR, theirs.as_bytes(), b"set");
    assert_eq!(link.frame().ext, b"a:2:{s:4:\"name\";N;s:5:\"count\";i:2;}");
    link.event_with(Cmd::OnMessage, 4, FLAG_SCALAR, b"a:1:{s:5:\"count\";s:1:\"x\";}", b"set");
    assert!(worker.told().starts_with("at count: "));
    link.event_with(Cmd::OnMessage, 4, FLAG_SCALAR, b"", b"wrong");
    assert!(!worker.told().is_empty());
}
