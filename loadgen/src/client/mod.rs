//! The clients of one core: a small state each, in a table that socket ids index.

mod state;
mod table;
mod wire;

pub(crate) use state::{Client, Stage, encode_within};
pub(crate) use table::Clients;
pub(crate) use wire::{Wire, encode_pong};
