//! The chat through a register, two gateways of two shards and two workers, each a process of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen};
use serde_json::{Value, json};

fn cluster() -> Cluster {
    Cluster::builder()
        .gateways(2)
        .shards(2)
        .workers(2)
        .listen(&[Listen::Websocket, Listen::Text])
        .app("chat")
        .start()
}

struct Guest {
    client: WebsocketClient,
    id: String,
    name: &'static str,
}

impl Guest {
    /// Says hello and reads up to the list of rooms, which ends the answer.
    fn new(cluster: &Cluster, gateway: usize, name: &'static str, rooms: &[&str]) -> Guest {
        let client = cluster.websocket(gateway);
        let mut guest = Guest { client, id: String::new(), name };
        guest.say(&json!({"type": "hello", "name": name, "rooms": rooms}));
        guest.id = guest.expect("welcome")["id"].as_str().unwrap().to_owned();
        guest.expect("rooms");
        guest
    }

    fn say(&mut self, request: &Value) {
        self.client.send_text(&request.to_string());
    }

    fn receive(&mut self) -> Value {
        let event = self.client.receive();
        let Event::Text(text) = &event else { panic!("{} got {event:?}", self.name) };
        serde_json::from_slice(text.as_ref()).unwrap()
    }

    /// The next message of a type. Others may come in between: who comes and goes is told to all.
    fn expect(&mut self, kind: &str) -> Value {
        loop {
            let message = self.receive();
            if message["type"] == kind {
                return message;
            }
            assert_ne!(message["type"], "error", "{}: {message}", self.name);
        }
    }

    fn expect_error(&mut self, request: &Value, code: &str) {
        self.say(request);
        let message = self.receive();
        assert_eq!((&message["type"], &message["code"]), (&json!("error"), &json!(code)), "{message}");
    }

    fn whisper(&mut self, to: &str, text: &str) {
        self.say(&json!({"type": "private", "to": to, "text": text}));
    }

    /// Waits until nobody of this name is there.
    fn await_offline(&mut self, name: &str) {
        wait_until("somebody to be gone", || {
            self.whisper(name, "still there?");
            (self.receive()["code"] == "offline").then_some(())
        });
    }

    fn who(&self) -> Value {
        json!({"id": self.id, "name": self.name})
    }

    /// Everybody whom this one finds in a room.
    fn people(&mut self, room: &str) -> Vec<String> {
        self.say(&json!({"type": "refresh", "room": room}));
        let people = self.expect("room")["people"].clone();
        self.expect("rooms");
        let mut names: Vec<_> =
            people.as_array().unwrap().iter().map(|who| who["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn guests_of_two_gateways_see_and_hear_each_other() {
    let cluster = cluster();
    let mut ann = Guest::new(&cluster, 0, "Ann", &["tea"]);
    let mut bo = Guest::new(&cluster, 1, "Bo", &["tea"]);
    assert_eq!(ann.expect("joined")["who"], bo.who());
    assert_eq!(ann.people("tea"), ["Ann", "Bo"]);
    assert_eq!(bo.people("tea"), ["Ann", "Bo"]);

    let text = "<b>\u{1f600}</b> \"\\ \n";
    bo.say(&json!({"type": "say", "room": "tea", "text": text}));
    let heard = json!({"type": "message", "room": "tea", "from": bo.who(), "text": text});
    assert_eq!(ann.expect("message"), heard);
    assert_eq!(bo.expect("message"), heard);

    ann.say(&json!({"type": "name", "name": " Anna "}));
    ann.name = "Anna";
    assert_eq!(bo.expect("renamed")["who"], ann.who());
    assert_eq!(ann.expect("renamed")["who"], ann.who());

    drop(bo.client);
    let left = ann.expect("left");
    assert_eq!((&left["room"], &left["who"]["name"]), (&json!("tea"), &json!("Bo")));
    assert_eq!(ann.people("tea"), ["Anna"]);
    cluster.stop();
}

#[test]
fn rooms_are_opened_listed_and_left() {
    let cluster = cluster();
    let mut ann = Guest::new(&cluster, 0, "Ann", &["lobby"]);
    let mut bo = Guest::new(&cluster, 1, "Bo", &["lobby"]);
    ann.expect("joined");
    ann.say(&json!({"type": "join", "room": "7"}));
    assert_eq!(ann.expect("room")["online"], 1);
    assert_eq!(bo.expect("opened")["room"], "7");
    bo.say(&json!({"type": "refresh"}));
    let rooms = json!([{"name": "7", "online": 1}, {"name": "lobby", "online": 2}]);
    assert_eq!(bo.expect("rooms")["rooms"], rooms);

    bo.say(&json!({"type": "join", "room": "7"}));
    assert_eq!(ann.expect("joined")["room"], "7");
    ann.say(&json!({"type": "leave", "room": "lobby"}));
    let left = bo.expect("left");
    assert_eq!((&left["room"], &left["who"]), (&json!("lobby"), &ann.who()));
    ann.expect_error(&json!({"type": "say", "room": "lobby", "text": "still here?"}), "room");
    cluster.stop();
}

#[test]
fn private_messages_reach_one_person_alone() {
    let cluster = cluster();
    let mut ann = Guest::new(&cluster, 0, "Ann", &["tea"]);
    let mut bo = Guest::new(&cluster, 1, "Bo", &["tea"]);
    let mut cleo = Guest::new(&cluster, 0, "Cleo", &["tea"]);
    ann.whisper("Bo", "psst");
    let whispered = json!({"type": "private", "from": "Ann", "to": "Bo", "text": "psst"});
    assert_eq!(bo.expect("private"), whispered);
    assert_eq!(ann.expect("private"), whispered);
    // To oneself it comes once.
    ann.whisper("Ann", "a note");
    assert_eq!(ann.expect("private")["text"], "a note");

    // Had it gone to her too, it would have come before what is said now.
    ann.say(&json!({"type": "say", "room": "tea", "text": "aloud"}));
    loop {
        let message = cleo.receive();
        assert_ne!(message["type"], "private");
        if message["type"] == "message" {
            break;
        }
    }
    loop {
        let message = ann.receive();
        assert_ne!(message["type"], "private");
        if message["type"] == "message" {
            break;
        }
    }

    drop(bo.client);
    ann.expect("left");
    ann.whisper("Bo", "psst");
    let error = ann.receive();
    assert_eq!((&error["code"], &error["about"]), (&json!("offline"), &json!("Bo")), "{error}");
    cluster.stop();
}

#[test]
fn a_name_stays_the_same_person() {
    let cluster = cluster();
    let mut ann = Guest::new(&cluster, 0, "Ann", &["tea"]);
    let first = Guest::new(&cluster, 0, "Bo", &[]);
    let first_id = first.id.clone();
    drop(first.client);
    ann.await_offline("Bo");

    // Another connection, to another gateway: what is said to the name finds it.
    let mut bo = Guest::new(&cluster, 1, "Bo", &[]);
    assert_ne!(bo.id, first_id);
    ann.whisper("Bo", "again");
    assert_eq!(bo.expect("private")["text"], "again");

    // Two windows of one person: both get what is said to it, and what it says.
    let mut other = cluster.websocket(0);
    other.send_text(r#"{"type":"hello","name":"Bo","rooms":["tea"]}"#);
    let mut other = Guest { client: other, id: String::new(), name: "Bo" };
    assert_eq!(other.expect("welcome")["elsewhere"], true);
    ann.whisper("Bo", "both of you");
    for window in [&mut bo, &mut other] {
        assert_eq!(window.expect("private")["text"], "both of you");
    }
    bo.whisper("Ann", "yes");
    for window in [&mut bo, &mut other] {
        assert_eq!(window.expect("private")["text"], "yes");
    }

    // Whoever takes another name is found by that one, and not by the old one.
    other.say(&json!({"type": "name", "name": "Bob"}));
    other.expect("renamed");
    ann.whisper("Bob", "only here");
    assert_eq!(other.expect("private")["text"], "only here");
    ann.whisper("Bo", "only there");
    assert_eq!(bo.expect("private")["text"], "only there");
    cluster.stop();
}

#[test]
fn nonsense_gets_an_error_and_nothing_else() {
    let cluster = cluster();
    let mut stranger = Guest { client: cluster.websocket(0), id: String::new(), name: "stranger" };
    for nonsense in ["", "{", "[]", "null", "hello", r#"{"type":"sudo"}"#, r#"{"type":"say","room":{}}"#] {
        stranger.client.send_text(nonsense);
        assert_eq!(stranger.receive()["code"], "malformed", "{nonsense}");
    }
    stranger.expect_error(&json!({"type": "join", "room": "tea"}), "hello");
    stranger.expect_error(&json!({"type": "hello", "name": "x".repeat(33)}), "name");
    stranger.expect_error(&json!({"type": "hello", "name": "a\u{202e}b"}), "name");
    stranger.expect_error(&json!({"type": "hello", "name": "0"}), "name");
    stranger.expect_error(&json!({"type": "hello", "name": "Al", "rooms": ["a b"]}), "room");

    let mut ann = Guest::new(&cluster, 0, "Ann", &["tea"]);
    ann.expect_error(&json!({"type": "hello", "name": "Ann"}), "hello");
    ann.expect_error(&json!({"type": "say", "room": "tea", "text": " \n"}), "text");
    ann.expect_error(&json!({"type": "say", "room": "tea", "text": "x".repeat(2001)}), "text");
    ann.expect_error(&json!({"type": "say", "room": "coffee", "text": "x"}), "room");
    ann.expect_error(&json!({"type": "private", "to": "Nobody", "text": "x"}), "offline");
    ann.say(&json!({"type": "say", "room": "tea", "text": "x".repeat(2000)}));
    ann.expect("message");
    cluster.stop();
}

#[test]
fn the_chat_does_not_need_a_websocket() {
    let cluster = cluster();
    let mut ann = Guest::new(&cluster, 0, "Ann", &["tea"]);
    let mut bo = cluster.plain(1, Framing::Text);
    bo.send(br#"{"type":"hello","name":"Bo","rooms":["tea"]}"#);
    let welcome: Value = serde_json::from_slice(&bo.receive().unwrap()).unwrap();
    assert_eq!((&welcome["type"], &welcome["name"]), (&json!("welcome"), &json!("Bo")));
    assert_eq!(ann.expect("joined")["who"]["name"], "Bo");
    cluster.stop();
}
