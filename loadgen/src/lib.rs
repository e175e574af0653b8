//! The load generator: very many clients on few threads, and what they saw.
//!
//! * [`Flags`] is the command line, [`Plan`] what follows from it: which core connects how many clients to where.
//! * [`check()`] finds what this machine lacks for it: files, ports, queues, memory.
//! * [`run()`] carries a plan out: one pinned executor per core, each with its own ring and its share of the clients, and
//!   a control thread that ramps up, lets all cores measure at the same instant, and merges what they counted.
//! * [`Report`] is the result, as a table and a page for people and as JSON for programs.
//!
//! What is measured: messages are timed from the moment they were *meant* to be sent, so that a server that stalls
//! cannot hide it, and failures are counted by their cause, never left out.
#![forbid(unsafe_code)]

mod check;
mod client;
mod clock;
mod config;
mod core;
mod failure;
mod flags;
mod generator;
mod measure;
mod pace;
mod plan;
mod report;
mod run;
mod sender;
mod server;
mod stamp;
mod step;
mod target;

pub use check::{Conntrack, Finding, Severity, System, check};
pub use failure::Failures;
pub use flags::{Flags, Scenario};
pub use measure::ChurnCounters;
pub use plan::Plan;
pub use report::{
    Broadcast, Churn, Connections, Fanout, Latency, Measured, Outcome, Quantile, Report, Second,
    ServerMemory, Setup,
};
pub use run::{Notice, run};
pub use step::Step;
