//! What a running program tells of itself.
//!
//! [`Admin`] serves `GET /status` on an address of its own, in a thread of its own: a [`Report`] as JSON, with a [`Row`]
//! for each shard of a gateway or core of a worker. [`fetch`] reads it, [`table`] shows it. [`counters!`] declares
//! what they count. Nothing here is on a
//! data path.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod counters;
mod fetch;
mod report;
mod server;
mod table;

pub use fetch::fetch;
pub use report::{ANSWER_TIMEOUT, NoAnswer, Process, Report, Row, ask};
pub use server::{Address, Admin};
pub use table::table;
