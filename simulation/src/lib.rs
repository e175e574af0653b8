//! Gateway shards, worker cores and a register, joined by a network that is made up, under a clock that is set by hand.
//!
//! [`World`] is one cluster, and clients. Nothing in it happens but by its steps, which are drawn from a seed: bytes arrive in
//! pieces and late, sends fall short, time passes, links are cut, workers are replaced, or die, and the register dies and comes back.
//! What is checked is in `tests/`. In an eighth of the seeds clients are websockets, whose handshakes workers answer.
#![forbid(unsafe_code)]

mod check;
mod clients;
mod embedded;
mod faults;
mod gateway;
mod network;
mod pushes;
mod register;
mod sockets;
mod speech;
mod turns;
mod worker;
mod world;

pub use faults::Faults;
pub use world::World;
