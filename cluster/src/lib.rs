//! Starts Ringway's programs as real processes on free loopback ports, for tests and benches.
//!
//! * [`Cluster`]: a register, gateways and workers on a loopback address of their own.
//! * [`process`]: one program: its ready line, its output, its end, its CPU time and memory.
//! * [`sockets`]: what the kernel knows about its connections.
//!
//! Nothing here sleeps to let something happen: it blocks on a pipe with a time limit, or asks again until a deadline
//! ([`wait::wait_until`]). What goes wrong panics, with the output of the processes concerned.
#![forbid(unsafe_code)]

mod cluster;
mod loopback;
pub mod process;
pub mod sockets;
pub mod wait;

pub use cluster::{Builder, Cluster, Listen};
pub use loopback::own_address;
