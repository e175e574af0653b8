//! The load generator against small servers made of the protocol crate's codecs, on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod broadcast;
mod command_line;
mod failures;
mod server;
mod workloads;

use argh::FromArgs;
use loadgen::{Flags, Plan, Report, System};

/// A plan for a command line, on one CPU.
fn plan(line: &str) -> Plan {
    ::program::check_machine().unwrap();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = Flags::from_args(&["loadgen"], &words).unwrap();
    let system = System { cpus: ::program::allowed_cpus(), open_files: Some(20_000), ..System::default() };
    Plan::new(&flags, &system).unwrap()
}

/// Runs a command line to its end.
fn run(line: &str) -> Report {
    loadgen::run(plan(line), || false, |_| {}).unwrap()
}
