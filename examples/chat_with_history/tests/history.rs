//! The chat against a real MariaDB.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::mariadb::MariaDb;
use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster};
use serde_json::{Value, json};

/// Lines of a room that a newcomer sees.
const LINES_SHOWN: usize = 50;

/// A register and a gateway, with the example as their worker.
struct Stage {
    cluster: Cluster,
    worker: Process,
    url: String,
}

impl Stage {
    fn set(url: &str) -> Stage {
        let cluster = Cluster::builder().workers(0).start();
        let worker = start_worker(&cluster, url);
        Stage { cluster, worker, url: url.to_owned() }
    }

    fn restart_worker(&mut self) {
        self.worker.stop();
        self.cluster.await_links(0, 0, 0);
        self.worker = start_worker(&self.cluster, &self.url);
    }

    /// Somebody who is in these rooms.
    fn guest(&self, name: &str, rooms: &[&str]) -> Guest {
        let mut guest = Guest { client: self.cluster.websocket(0), id: String::new() };
        guest.say(&json!({"type": "hello", "name": name, "rooms": rooms}));
        let welcome = guest.hear("welcome");
        assert_eq!(welcome["history"], true);
        guest.id = welcome["id"].as_str().unwrap().to_owned();
        guest
    }

    /// What a newcomer is told that was said in a room.
    fn history(&self, room: &str) -> Vec<Value> {
        let mut newcomer = self.guest("newcomer", &[room]);
        let mut history = newcomer.hear("history");
        assert_eq!((&history["room"], &history["away"]), (&json!(room), &Value::Null));
        history["lines"].as_array_mut().unwrap().drain(..).collect()
    }

    fn stop(mut self) {
        self.worker.stop();
        self.cluster.stop();
    }
}

fn start_worker(cluster: &Cluster, url: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat_with_history"));
    command.args(["--count", "2", "--register-address", &cluster.register_address().to_string()]);
    command.env("DATABASE_URL", url);
    let worker = Process::spawn("chat_with_history", command);
    worker.await_ready("chat_with_history");
    worker
}

struct Guest {
    client: WebsocketClient,
    id: String,
}

impl Guest {
    fn say(&mut self, what: &Value) {
        self.client.send_text(&what.to_string());
    }

    fn say_in(&mut self, room: &str, text: &str) {
        self.say(&json!({"type": "say", "room": room, "text": text}));
    }

    /// The next message of this type.
    fn hear(&mut self, kind: &str) -> Value {
        loop {
            let heard = self.client.receive();
            let Event::Text(text) = heard else { panic!("{kind} was to come, {heard:?} has") };
            let message: Value = serde_json::from_slice(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Says something in a room, waits until it is shown there, and returns its number.
    fn said_in(&mut self, room: &str, text: &str) -> Option<u64> {
        self.say_in(room, text);
        let message = self.hear("message");
        assert_eq!((&message["room"], &message["text"]), (&json!(room), &json!(text)));
        message["number"].as_u64()
    }
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[test]
fn newcomers_see_what_was_said_before_the_worker_started_again() {
    let Some(database) = MariaDb::start() else { return };
    let mut stage = Stage::set(&database.url());
    assert_eq!(stage.history("tea"), [] as [Value; 0]);
    let mut ann = stage.guest("Ann", &["tea", "Tea"]);
    let said: Vec<String> = (0..LINES_SHOWN + 5).map(|number| format!("line {number}")).collect();
    let numbers: Vec<u64> = said.iter().map(|text| ann.said_in("tea", text).unwrap()).collect();
    assert!(numbers.is_sorted());
    ann.said_in("Tea", "another room").unwrap();
    let id = ann.id.clone();
    drop(ann);
    stage.restart_worker();
    let lines = stage.history("tea");
    assert_eq!(texts(&lines), said[5..]);
    assert_eq!(lines.iter().map(|line| line["number"].as_u64().unwrap()).collect::<Vec<_>>(), numbers[5..]);
    assert!(lines.iter().all(|line| line["from"] == json!({"id": id, "name": "Ann"})));
    // After the year 2020, in milliseconds.
    assert!(lines.iter().all(|line| line["at"].as_u64().unwrap() > 1_577_836_800_000));
    assert_eq!(texts(&stage.history("Tea")), ["another room"]);
    assert_eq!(texts(&stage.history("coffee")), [""; 0]);
    stage.stop();
}

#[test]
fn any_text_comes_back_as_it_was() {
    let Some(database) = MariaDb::start() else { return };
    let stage = Stage::set(&database.url());
    let longest = "😀".repeat(2000);
    let said = [
        "'; DROP TABLE chat_history; -- ",
        r#"\' " \" % _ \\ ` ? :a {"json":[]}"#,
        "\u{0} \u{1} \n \t \u{7f} trailing   ",
        "ﬁ ẞ 茶 👩‍👩‍👧‍👦 e\u{301} \u{202e} \u{ffff} \u{10ffff}",
        &longest,
    ];
    let mut bob = stage.guest("O'Bob \"; -- 😀", &["茶-2.5_x"]);
    for text in said {
        bob.said_in("茶-2.5_x", text).unwrap();
    }
    let lines = stage.history("茶-2.5_x");
    assert_eq!(texts(&lines), said);
    assert!(lines.iter().all(|line| line["from"]["name"] == "O'Bob \"; -- 😀"));
    stage.stop();
}

#[test]
fn the_chat_goes_on_without_its_database() {
    let Some(mut database) = MariaDb::start() else { return };
    let mut stage = Stage::set(&database.url());
    let mut ann = stage.guest("Ann", &["tea"]);
    assert_eq!(ann.hear("history")["lines"], json!([]));
    assert!(ann.said_in("tea", "before").is_some());
    database.kill();
    assert_eq!(ann.said_in("tea", "without"), None);
    assert_eq!(ann.said_in("tea", "still without"), None);
    let told_away = |stage: &Stage| stage.guest("Bob", &["tea"]).hear("history");
    assert_eq!(told_away(&stage), json!({"type": "history", "room": "tea", "lines": [], "away": true}));
    let complaints = stage.worker.stderr();
    assert_eq!(complaints.matches("no history until the database is there").count(), 1, "{complaints}");
    // A worker that finds no database serves as well.
    stage.restart_worker();
    assert_eq!(told_away(&stage)["away"], true);
    database.start_again();
    let lines = wait_until("the history", || {
        let history = told_away(&stage);
        (history["away"] == Value::Null).then(|| history["lines"].as_array().unwrap().clone())
    });
    assert_eq!(texts(&lines), ["before"]);
    // The client that stayed has lost its worker, and writes to the new one.
    assert!(ann.said_in("tea", "after").is_some());
    assert_eq!(texts(&stage.history("tea")), ["before", "after"]);
    stage.stop();
}

#[test]
fn an_address_that_is_none_is_refused_in_a_line() {
    for url in [None, Some("nonsense"), Some("http://u:secret@h/d"), Some("mysql://u:secret@h")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat_with_history"));
        command.env_remove("DATABASE_URL");
        command.args(url.iter().flat_map(|url| ["--database-url", url]));
        let mut worker = Process::spawn("chat_with_history", command);
        assert_eq!(worker.await_exit().code(), Some(2));
        let stderr = worker.stderr();
        assert!(stderr.lines().count() == 1 && stderr.contains("mysql://"), "{url:?}: {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}
