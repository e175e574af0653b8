//! A gateway and a worker in the same threads: a shard and a core each, with no socket between them.
//!
//! `memory` is the link between the two, `guest` their common turn, `cluster` starts and stops them, `run` makes a program of
//! them.

mod cluster;
mod guest;
mod memory;
mod run;
mod status;

pub use cluster::{Embedded, Meeting, reachable};
pub use memory::MemoryLinks;
pub use run::{RELOAD, embedded, refusal};
pub use status::{instance, serve_admin};
