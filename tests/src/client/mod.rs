//! Blocking clients of the four client protocols. Reads have the limit of [`crate::wait::LIMIT`]; what a server
//! sends against its protocol panics.

mod conn;
mod plain;
pub mod websocket;

pub(crate) use conn::Conn;
pub use plain::{Framing, PlainClient};
