//! The register: tells workers which gateways there are (docs/WIRE.md §2).
//!
//! * [`Directory`] is the register without IO: who is connected, what each line changes, who is owed the list.
//! * [`Register::start`] serves it on a thread of its own; [`Running`] is that server.
#![forbid(unsafe_code)]

mod config;
mod conn;
mod counters;
mod directory;
mod notify;
mod server;
mod shared;
mod status;

pub use config::{
    ADDRESS_SIZE_MAX, CONNECTIONS_MAX, Config, INTRODUCTION_TIMEOUT, REQUEST_SIZE_MAX, STRANGERS_MAX,
    WRITE_TIMEOUT,
};
pub use counters::{Counters, Status};
pub use directory::{Directory, PeerId, Refusal};
pub use server::{Register, Running};
pub use status::StatusSource;
