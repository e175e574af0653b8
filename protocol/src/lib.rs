//! The wire protocols of Ringway, without IO: bytes in, values out.
//!
//! * [`client`]: what end users speak to a gateway: websocket, text, frame, tcp, or a protocol of your own.
//! * [`inner`]: frames between workers and gateways, and the replies to queries.
//! * [`php`]: PHP's serialize format, in which sessions and replies are written.
//! * [`register`]: the JSON lines of the register; [`register_client`]: a connection to one; [`register_set`]: to all of them.
//! * [`address`]: hosts and ports as flags have them.
//! * [`pulse`]: when a silent peer counts as dead.
//! * [`millis`]: spans of time as numbers.
//! * [`is_secret`], [`prove`], [`is_proof`]: whether a peer has said the secret, or shown that it knows it.
//! * [`InnerAuth`], [`Credentials`]: which of the two programs of a cluster do; [`Nonces`]: what they prove it with.
//! * [`LogLimit`]: how often what a peer does may be logged.
//! * [`calls`]: commands and queries: which gateway gets which frame, and what replies mean.
//! * [`ClientId`]: the name of a client, which is its address too.
//!
//! Nothing here opens a socket, reads a clock or spawns, and randomness comes from [`Nonces`] alone. Every decoder takes what has arrived so far and tells
//! "need more" from "malformed" in its type; no input makes it panic.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod address;
pub mod calls;
pub mod client;
mod client_id;
pub mod inner;
mod inner_auth;
mod json;
mod log_limit;
mod millis;
pub mod pulse;
pub mod register;
pub mod register_client;
mod register_lists;
pub mod register_set;
mod register_stream;
pub mod register_trouble;
mod secret;

pub use client_id::{ClientId, ClientIdError};
pub use inner_auth::{Credentials, InnerAuth, InnerAuthError, Nonces};
pub use log_limit::LogLimit;
pub use millis::millis;
#[doc(inline)]
pub use php_values as php;
pub use secret::{is_proof, is_secret, prove};
