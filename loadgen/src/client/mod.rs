//! The clients of one core: a small state each, in a table that socket ids index.

mod state;
mod table;
mod wire;

pub use state::{Client, Stage, encode_within};
pub use table::Clients;
pub use wire::{Incoming, Wire, encode_message, encode_pong};
