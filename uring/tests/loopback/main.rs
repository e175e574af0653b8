//! The ring against sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a failed expectation fails the test")]

mod closing;
mod common;
mod ending;
mod preferred;
mod pressure;
mod sending;
mod steering;
mod table;
mod waking;
