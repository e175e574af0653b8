//! The example `push_http`, run as the README says: a program beside `ringway` pushes to somebody in the chat.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::own_address;
use ringway_tests::process::{Process, binary_path};
use ringway_tests::wait::{LIMIT, wait_until};
use serde_json::{Value, json};

/// What the README's `curl` sends: the body, and the path with the uid.
fn curl_of_the_readme() -> (String, String) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix("    curl -d ")).unwrap();
    let (body, path) = line.split_once(" http://127.0.0.1:8000").unwrap();
    (body.to_owned(), path.to_owned())
}

fn ringway(more: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new(binary_path("ringway"));
    command.args(["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0", "--count", "2"]);
    command.args(more);
    let process = Process::spawn("ringway", command);
    let ready = process.await_ready("ringway");
    let (_, rest) = ready.split_once("(websocket ").unwrap();
    let (websocket, rest) = rest.split_once(", ").unwrap();
    assert!(rest.contains(", register 127."), "{ready}");
    (process, websocket.parse().unwrap())
}

fn push_http(register: &str, key: &str) -> (Process, SocketAddr) {
    let example = binary_path("ringway").with_file_name("examples").join("push_http");
    assert!(example.is_file(), "first: cargo build -p ringway-gateway-client --examples");
    let mut command = Command::new(example);
    command.args(["--register-address", register, "--secret-key", key, "--listen", "127.0.0.1:0"]);
    let process = Process::spawn("push_http", command);
    let address = wait_until("push_http to listen", || {
        let stdout = process.stdout();
        Some(stdout.strip_prefix("listening on http://")?.strip_suffix('\n')?.parse().unwrap())
    });
    (process, address)
}

fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    write!(stream, "{head}Connection: close\r\n\r\n{body}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Pushes until so many shards have got it: the last of them may come to the register after its process is ready.
fn push_to_all(address: SocketAddr, path: &str, body: &str, shards: usize) {
    let answer = format!("{shards} gateways got it, 0 did not\n");
    wait_until("all shards to get a push", || post(address, path, body).ends_with(&answer).then_some(()));
}

/// Somebody in the chat.
struct Guest(WebsocketClient);

impl Guest {
    fn come(websocket: SocketAddr, name: &str) -> Guest {
        let mut guest = Guest(WebsocketClient::connect(websocket));
        guest.0.send_text(&json!({"type": "hello", "name": name, "rooms": ["lobby"]}).to_string());
        guest.expect("rooms");
        guest
    }

    fn text(&mut self) -> String {
        match self.0.receive() {
            Event::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("got {other:?}"),
        }
    }

    fn expect(&mut self, kind: &str) -> Value {
        loop {
            let message: Value = serde_json::from_str(&self.text()).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }
}

#[test]
fn the_commands_of_the_readme_push_to_a_name_in_the_chat() {
    let (body, path) = curl_of_the_readme();
    let register = format!("{}:1236", own_address());
    let (mut ringway, websocket) = ringway(&["--register-listen", &register, "--secret-key", "K"]);
    let mut alice = Guest::come(websocket, path.rsplit('/').next().unwrap());
    let (_push_http, address) = push_http(&register, "K");
    push_to_all(address, &path, &body, 2);
    assert_eq!(alice.text(), body);
    ringway.stop();
}

#[test]
fn a_ringway_that_joins_another_ones_register_is_one_cluster_with_it() {
    let register = format!("{}:1236", own_address());
    let (mut first, websocket) = ringway(&["--register-listen", &register, "--secret-key", "K"]);
    let mut ann = Guest::come(websocket, "Ann");
    let (mut second, websocket) = ringway(&["--register-address", &register, "--secret-key", "K"]);
    let mut bo = Guest::come(websocket, "Bo");
    assert_eq!(ann.expect("joined")["who"]["name"], "Bo");
    bo.0.send_text(&json!({"type": "private", "to": "Ann", "text": "over there"}).to_string());
    assert_eq!(ann.expect("private")["text"], "over there");
    let (_push_http, address) = push_http(&register, "K");
    push_to_all(address, "/push/Bo", "here", 4);
    assert_eq!(bo.expect("private")["from"], "Bo");
    assert_eq!(bo.text(), "here");
    second.stop();
    first.stop();
}
