//! Peers of the inner protocol and of the register (WIRE.md §2 to §5), for tests that play a program themselves.

mod gateway;
mod link;
mod register;

pub use gateway::FakeGateway;
pub use link::{CLIENT, Link, Received};
pub use register::{Address, FakeRegister, NO_GATEWAYS};
