//! What workers of tests run: a client's message is what its handler does.

use std::process::Command;
use std::time::Duration;

use cluster::Cluster;
use cluster::process::{Process, binary_path};
use ringway_worker::{Client, ClientId, Events, Gateway, Message, WebsocketRequest, time};

/// Starts the worker of tests, called `test`, at a cluster that has no other; ready.
pub fn start(cluster: &Cluster, cores: usize) -> Process {
    let mut command = Command::new(binary_path("test-worker"));
    let (cores, register) = (cores.to_string(), cluster.register_address().to_string());
    command.args(["--count", &cores, "--name", "test", "--register-address", &register]);
    let worker = Process::spawn("worker", command);
    worker.await_ready("test-worker");
    worker
}

/// A message is a word and a number; the answer is the message, or as said here.
#[derive(Clone, Copy, Debug)]
pub struct TestApp;

impl Events for TestApp {
    /// As the environment says: `TEST_START` is `panic`, `never`, or a file without which the start fails.
    async fn try_start(&self, _gateway: &Gateway) -> Result<(), Box<dyn std::error::Error>> {
        match std::env::var("TEST_START") {
            Ok(word) if word == "panic" => panic!("asked to"),
            Ok(word) if word == "never" => {
                eprintln!("the start never ends");
                std::future::pending().await
            }
            Ok(file) => Ok(std::fs::metadata(file).map(drop)?),
            Err(_) => Ok(()),
        }
    }

    /// Greets who has come by a token, under the name that it has there.
    async fn on_websocket_connect(&self, gateway: &Gateway, _client: &Client, request: &WebsocketRequest) {
        let claims = request.jwt_claims::<serde_json::Value>();
        if let Some(subject) =
            claims.ok().flatten().and_then(|claims| claims["sub"].as_str().map(str::to_owned))
        {
            gateway.send_to_uid(subject.as_str(), format!("hello, {subject}"));
        }
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let text = message.text().into_owned();
        let (word, number) = text.split_once(' ').unwrap_or((&text, "0"));
        let to: Option<ClientId> = number.parse().ok();
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
            // Joins and leaves a group so often, and counts its members behind each; answers with how often it saw what it did.
            "rooms" => {
                let mut seen = 0;
                for _ in 0..number {
                    gateway.join_group(client.id(), "room");
                    let with = *gateway.client_count_of_group("room").await;
                    gateway.leave_group(client.id(), "room");
                    let without = *gateway.client_count_of_group("room").await;
                    seen += u64::from((with, without) == (1, 0));
                }
                return gateway.send_to_client(client.id(), format!("rooms {seen}"));
            }
            // Tells everybody and nobody, and answers with what became of it.
            "report" => {
                let all = gateway.reported().send_to_all("news").await;
                let nobody = gateway.reported().send_to_uid("nobody", "news").await;
                let (missing, dropped) = (all.missing.len() + nobody.missing.len(), all.dropped);
                let answer = format!("{} {} dropped {dropped} missing {missing}", all.queued, nobody.queued);
                return gateway.send_to_client(client.id(), answer);
            }
            "from" => return gateway.send_to_client(client.id(), client.address().to_string()),
            "pid" => return gateway.send_to_client(client.id(), std::process::id().to_string()),
            "id" => return gateway.send_to_client(client.id(), client.id().to_string()),
            "all" => return gateway.send_to_all(text),
            // Is for the client of this id.
            "to" => return to.into_iter().for_each(|other| gateway.send_to_client(other, &*text)),
            "hush" => return,
            "leave" => return gateway.close_client_with(client.id(), "last words"),
            // Says when it begins, and takes this many seconds.
            "sleep" => {
                gateway.send_to_client(client.id(), "sleeping");
                time::sleep(Duration::from_secs(number)).await;
            }
            // So many MB.
            "large" => {
                return gateway.send_to_client(client.id(), vec![b'x'; number as usize * 1_000_000]);
            }
            "abort" => std::process::abort(),
            "panic" => panic!("a handler"),
            // Keeps its core from everything else.
            "block" => std::thread::sleep(Duration::from_secs(number)),
            _ => {}
        }
        gateway.send_to_client(client.id(), text);
    }

    /// Tells everybody, if `TEST_CLOSE` is in the environment.
    async fn on_close(&self, gateway: &Gateway, _client: &Client) {
        if std::env::var_os("TEST_CLOSE").is_some() {
            gateway.send_to_all(format!("close {}", std::process::id()));
        }
    }

    /// Tells everybody, if `TEST_STOP` is in the environment.
    async fn on_stop(&self, gateway: &Gateway) {
        if std::env::var_os("TEST_STOP").is_some() {
            gateway.send_to_all(format!("stop {}", std::process::id()));
        }
    }
}
