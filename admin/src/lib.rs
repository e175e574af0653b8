//! What a running program tells of itself.
//!
//! A [`Instance`] is a process and its [`Part`]s: shards of a gateway, cores of a worker, each with a data thread that is asked
//! how it is and answers between two turns. What they tell is a [`Row`] for people and [`Metric`]s for Prometheus; [`counters!`]
//! and [`Histogram`] are what they count with. With the feature `server`, [`Admin`] serves it on an address of its own, in a thread of its own. [`fetch`] reads
//! another process' [`Report`], [`table`] shows it. [`feed_watchdog`] lets a
//! service manager know that they turn. Nothing here is on a data path.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "an instance also has what the server alone asks of it")
)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

#[cfg(feature = "server")]
mod accept;
mod ask;
#[cfg(feature = "server")]
mod cluster;
mod counters;
mod exposition;
mod fetch;
#[cfg(feature = "server")]
mod guard;
mod histogram;
mod instance;
mod liveness;
#[cfg(feature = "server")]
mod member;
mod metric;
mod order;
#[cfg(feature = "server")]
mod page;
mod part;
#[cfg(feature = "server")]
mod peer;
#[cfg(feature = "server")]
mod proof;
mod report;
#[cfg(feature = "server")]
mod routes;
#[cfg(feature = "server")]
mod server;
mod table;
mod watchdog;

pub use ask::{ANSWER_TIMEOUT, NoAnswer, Waiting, ask};
#[cfg(feature = "server")]
pub use cluster::{Cluster, Members};
pub use counters::Counter;
pub use exposition::Format;
pub use fetch::fetch;
pub use histogram::{Histogram, Scale};
pub use instance::Instance;
pub use metric::{Causes, Metric, Value};
pub use order::Order;
pub use part::{Part, PartReport};
pub use report::{Process, Report, Row};
#[cfg(feature = "server")]
pub use server::{Address, Admin, AdminError};
pub use table::table;
pub use watchdog::feed_watchdog;
