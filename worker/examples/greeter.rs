//! A worker with flags of its own beside those that every worker has.
//!
//! `--greeting` may also stand in the environment, as `RINGWAY_WORKER_GREETING`, and in the file of `--config`. Another flag is
//! another field of [`Own`].

use std::process::ExitCode;

use ringway_worker::{Client, Events, Gateway, Message, parse};

/// Greets whoever says a name.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Own {
    /// what to say before the name (default hello)
    #[argh(option, arg_name = "WORD", default = "String::from(\"hello\")")]
    greeting: String,
    /// say it in capitals
    #[argh(switch)]
    loud: bool,
}

struct Greeter {
    greeting: String,
}

impl Events for Greeter {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        gateway.send_to_client(client.id(), format!("{}, {}", self.greeting, message.text()));
    }
}

fn main() -> ExitCode {
    let (settings, own) = parse::<Own>("greeter");
    let greeting = if own.loud { own.greeting.to_uppercase() } else { own.greeting };
    settings.run(move |_core| Greeter { greeting: greeting.clone() })
}
