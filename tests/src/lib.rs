//! Real processes of this workspace, started and ended for a test ([`cluster`], whose items are here too), and clients that
//! speak to them.
//!
//! * [`app`]: what workers of tests do.
//! * [`network`]: several machines, of which some can be cut off.
//! * [`load`]: clients that talk without a break, and notice what they lose.
//! * [`crowd`]: many clients with many messages under way, that check every answer.
//! * [`status`]: what a program tells of itself.
//! * [`client`]: blocking clients of the four client protocols, of a cluster by [`Clients`]; the websocket one can break every
//!   rule.
//! * [`mariadb`]: a MariaDB server with data of its own.
//!
//! Nothing here sleeps to let something happen: it blocks on a socket or a pipe with a time limit, or asks again
//! until a deadline ([`wait::wait_until`]). What goes wrong panics, with the output of the processes concerned.
#![forbid(unsafe_code)]

pub mod app;
pub mod client;
pub mod crowd;
pub mod load;
pub mod mariadb;
pub mod network;
pub mod status;

pub use client::Clients;
pub use cluster::{Builder, Cluster, Listen, own_address, peer, process, proxy, relay, sockets, wait};
