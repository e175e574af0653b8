//! A worker of its own, for gateways that are programs of their own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway_hello::Hello;

fn main() -> ExitCode {
    ringway_worker::run("hello_worker", |_core| Hello)
}
