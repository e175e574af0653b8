//! TLS between programs of a cluster, below all that they say to each other: [`Ring`] is `uring`'s, and its connections with
//! other programs are encrypted if it was given certificates.
//!
//! What is above hears of a connection when its handshake is done, gets plain bytes and sends plain bytes; it need not know
//! that there is TLS. Without certificates every call goes to `uring` as it is.
//!
//! * [`Ring`]: where events pass, and sends.
//! * `links`: what becomes of both, without IO. One session for each connection, and those whose handshakes are not done.
//!
//! There is no way back to plain bytes: who speaks no TLS is closed, whichever side began.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod config;
mod link;
mod links;
mod ring;

pub use config::{HANDSHAKE_TIMEOUT_MS, STRANGERS_MAX};
pub use links::Refused;
pub use ring::Ring;
