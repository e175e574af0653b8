//! The register: tells workers which gateways there are (docs/WIRE.md §2).
//!
//! * [`Register`] is the register without IO: connections, what each line changes, who is told what, who is to go.
//! * [`Register::start`] serves one on a thread of its own; [`Running`] is that server.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod config;
mod conn;
mod counters;
mod directory;
#[cfg(feature = "admin")]
mod lookup;
mod pump;
mod register;
mod start;
mod status;

pub use config::{Config, REQUEST_SIZE_MAX, STRANGERS_MAX};
pub use counters::{Counters, Status};
pub use register::{Action, Register, Sink};
pub use start::Running;
pub use status::StatusSource;
