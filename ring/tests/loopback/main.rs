//! The ring against sockets on loopback.

mod closing;
mod common;
mod ending;
mod pressure;
mod sending;
mod table;
