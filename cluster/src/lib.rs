//! Starts Ringway's programs as real processes on free loopback ports, for tests and benches; or plays one of them.
//!
//! * [`Cluster`]: a register, gateways and workers on a loopback address of their own.
//! * [`process`]: one program: its ready line, its output, its end, its CPU time and memory.
//! * [`peer`]: a gateway, a register, a worker or a GatewayClient played by the test.
//! * [`proxy`]: nginx or haproxy in front of a gateway.
//! * [`relay`]: what passes between two programs.
//! * [`conn`]: a blocking connection to a program.
//! * [`sockets`]: what the kernel knows about its connections.
//!
//! Nothing here sleeps to let something happen: it blocks on a pipe with a time limit, or asks again until a deadline
//! ([`wait::wait_until`]). What goes wrong panics, with the output of the processes concerned.
#![forbid(unsafe_code)]

mod cluster;
pub mod conn;
mod loopback;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod sockets;
pub mod wait;

pub use cluster::{Builder, Cluster, Listen};
pub use loopback::own_address;
