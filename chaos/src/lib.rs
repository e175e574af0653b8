//! Finds out whether a message is lost when a worker or a gateway dies, stands still or is cut off: `scripts/chaos`.
//!
//! A register, two gateways and two workers run as real processes, with a [`proxy`] of its own between workers and gateways.
//! Users send numbered messages ([`load`], [`client`], [`request`]), [`faults`] are drawn from a seed and done by the
//! [`cluster`] to the [`programs`], workers write down what they begin and end ([`journal`]), and [`verdict`] compares all that with what
//! docs/GUARANTEES.md promises.
#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod cluster;
pub mod faults;
pub mod journal;
pub mod load;
pub mod programs;
pub mod proxy;
pub mod report;
pub mod request;
pub mod run;
pub mod verdict;
