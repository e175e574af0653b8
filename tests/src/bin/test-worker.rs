//! A worker for tests: a client's message is what its handler does.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use ringway_worker::{Client, Events, Gateway, Message, run, time};

/// A message is a word and a number; the answer is the message, or as said here.
struct TestApp;

impl Events for TestApp {
    /// As the environment says: `TEST_START` is `panic`, or a file without which the start fails.
    async fn try_start(&self, _gateway: &Gateway) -> Result<(), Box<dyn std::error::Error>> {
        match std::env::var("TEST_START") {
            Ok(word) if word == "panic" => panic!("asked to"),
            Ok(file) => Ok(std::fs::metadata(file).map(drop)?),
            Err(_) => Ok(()),
        }
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let text = message.text().into_owned();
        let (word, number) = text.split_once(' ').unwrap_or((&text, "0"));
        let number: u64 = number.parse().unwrap_or(0);
        match word {
            // Takes some milliseconds.
            "wait" => time::sleep(Duration::from_millis(number % 4)).await,
            // Answers with how many of these the client's session has seen.
            "count" => {
                let mut session = client.session();
                let count = session.get("count").and_then(|count| count.as_int()).unwrap_or(0);
                session.insert("count", count + 1);
                client.set_session(session);
                time::sleep(Duration::from_millis(number % 3)).await;
                return gateway.send_to_client(client.id(), format!("count {count}"));
            }
            // Answers with how many clients there are, and how many gateways did not say.
            "online" => {
                let online = gateway.client_count().await;
                let answer = format!("{} {}", online.value, online.missing.len());
                return gateway.send_to_client(client.id(), answer);
            }
            "pid" => return gateway.send_to_client(client.id(), std::process::id().to_string()),
            "hush" => return,
            "leave" => return gateway.close_client_with(client.id(), "last words"),
            "abort" => std::process::abort(),
            "panic" => panic!("a handler"),
            // Keeps its core from everything else.
            "block" => std::thread::sleep(Duration::from_secs(number)),
            _ => {}
        }
        gateway.send_to_client(client.id(), text);
    }
}

fn main() -> ExitCode {
    run("test-worker", |_core| TestApp)
}
