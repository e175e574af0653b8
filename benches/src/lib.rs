//! Benchmarks of Ringway.
//!
//! * [`goals`]: CPU and system calls per echo, latency, rates, broadcasts, idle clients, memory, idle programs, sleeps, TLS, each
//!   against its goal.
//! * [`compare`]: CPU per message of two builds.
//! * [`million`]: what a million connections cost in memory and CPU, idle and talked to.
//! * [`instructions`]: micro benchmarks, counted by callgrind, against a committed baseline.
//! * [`plot`]: all kept results as a page.
//! * [`Environment`]: which machine, kernel and commit the figures are of, and the file they are kept in.
//!
//! A benchmark here is an interleaved comparison on one machine, or a count: wall time and CPU time on their own say more
//! about the machine than about Ringway. The program `bench` (`scripts/bench`) runs them; `cargo test` runs each of them tiny.
#![forbid(unsafe_code)]

mod bare;
pub mod compare;
mod cpus;
mod environment;
pub mod goals;
pub mod instructions;
mod kernel;
mod load;
mod median;
pub mod million;
pub mod plot;
mod programs;
mod shards;
mod watch;

pub use environment::{Environment, results_directory};
