//! The chat that comes with the binary `worker`, as a program of its own.

use std::process::ExitCode;

use ringway_worker::apps::chat::Chat;
use ringway_worker::run;

fn main() -> ExitCode {
    run("chat", |_core| Chat::default())
}
