//! The worker of `scripts/chaos`: does what clients ask for, and keeps a journal of it.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use ringway_chaos::clock::Clock;
use ringway_chaos::journal::Journal;
use ringway_chaos::request::{Kind, Reply, Request};
use ringway_worker::{Client, ClientId, Events, Gateway, Message, parse, time};

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

/// How long a handler of [`Kind::Wait`] takes: so there are some at work whenever the process dies.
const WAIT: Duration = Duration::from_millis(50);

/// Does what the clients of `scripts/chaos` ask for.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Own {
    /// where the journal is kept
    #[argh(option, default = "String::new()")]
    journal: String,
    /// when the run began, in microseconds since 1970
    #[argh(option, default = "0")]
    began: u64,
}

fn main() -> ExitCode {
    let (settings, own) = parse::<Own>("chaos-worker");
    let (path, clock) = (PathBuf::from(own.journal), Clock::of_run(own.began));
    settings.run(move |_core| {
        let journal = Journal::create(&path, clock).expect("a run of the worker has a journal of its own");
        Chaos { journal: Rc::new(journal) }
    })
}

struct Chaos {
    journal: Rc<Journal>,
}

impl Events for Chaos {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let text = message.text();
        let Some(request) = Request::parse(&text) else { return };
        let event_id = u128::from_be_bytes(client.event_id().to_bytes());
        self.journal.begin(request.id, event_id, client.is_repeat());
        handle(gateway, client, request).await;
        self.journal.end(request.id, event_id);
    }
}

async fn handle(gateway: &Gateway, client: &Client, request: Request<'_>) {
    let id = request.id;
    let answer = |value: &str| {
        gateway.send_to_client(client.id(), Reply::Answer { id, value }.to_string());
    };
    match request.kind {
        Kind::Hello => {
            gateway.join_group(client.id(), request.target.to_owned());
            answer(&client.id().to_string());
        }
        Kind::Echo => answer("0"),
        Kind::Wait => {
            time::sleep(WAIT).await;
            answer("0");
        }
        Kind::Foreign => {
            if let Ok(target) = request.target.parse::<ClientId>() {
                gateway.send_to_client(target, Reply::Foreign { id }.to_string());
            }
            answer("0");
        }
        Kind::Group => {
            let group = format!("group of {id}");
            gateway.join_group(client.id(), group.clone());
            gateway.send_to_group(group.clone(), Reply::Answer { id, value: "0" }.to_string());
            gateway.leave_group(client.id(), group);
        }
        Kind::Room => {
            let word = Reply::Foreign { id }.to_string();
            gateway.send_to_group_except(request.target.to_owned(), &[client.id()], word);
            answer("0");
        }
        Kind::Query => {
            let count = gateway.client_count().await;
            answer(&count.value.to_string());
        }
        Kind::Count => {
            let mut count = 0;
            client.edit_session(|session| {
                count = session.get("count").and_then(|count| count.as_int()).unwrap_or(0) + 1;
                session.insert("count", count);
            });
            answer(&count.to_string());
        }
    }
}
