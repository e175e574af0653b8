//! Everything in one process: gateway and worker in the same threads, and a register.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway_hello::Hello;

fn main() -> ExitCode {
    ringway::embedded(ringway::options("hello"), |_core| Hello)
}
