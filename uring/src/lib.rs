//! One io_uring per thread: sockets as direct descriptors, events out, operations in.
//!
//! A [`Ring`] carries very many TCP sockets on one thread. The caller runs [`Ring::turn`] in a loop and gets
//! [`Event`]s; between turns it sends ([`Ring::send_all`]), closes, pauses, connects. The ring knows no protocol.
//!
//! How it works, and what it promises:
//! - Sockets live in the ring's own file table (direct descriptors), not in the process's: the limit on open
//!   files counts for each ring, not for the process.
//! - An idle socket is parked with a poll, which costs the kernel 256 bytes. Only a readable socket gets a receive
//!   buffer, lent for the time of one event. Few that are busy can be [preferred](Ring::listen_preferred): they wait with
//!   a receive, into 16 KiB of their own.
//! - The wait can be part of the system call that sends ([`Ring::send_all_and_wait`]).
//! - Sends borrow the caller's memory and are done when [`Ring::send_all`] returns.
//! - Each [`SocketId`] carries a generation. After [`Ring::close`] nothing comes for an id but [`Event::Closed`], and
//!   only after that the slot is used again.
//! - Memory of the ring itself: 12 bytes for each socket, and what [`Config`] says for buffers and queues.
//!
//! ```
//! use std::io::IoSlice;
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! use ringway_uring::{Config, Event, Ring, Send};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ring = Ring::new(Config { sockets_max: 100, ..Config::default() })?;
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! ring.listen(listener)?;
//!
//! let _client = TcpStream::connect(address)?;
//! let mut came = None;
//! while came.is_none() {
//!     ring.turn(Duration::from_millis(100), |event| {
//!         if let Event::Accepted { socket, .. } = event {
//!             came = Some(socket);
//!         }
//!     })?;
//! }
//! let slices = [IoSlice::new(b"hello, "), IoSlice::new(b"world")];
//! let mut short = Vec::new();
//! ring.send_all(came.map(|socket| Send { socket, slices: &slices }), &mut short)?;
//! assert!(short.is_empty(), "a fresh socket has room for a few bytes");
//! # Ok(())
//! # }
//! ```
//!
//! Linux 6.1 or newer. This is the only crate of the project with unsafe code.
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod accept;
mod acks;
mod ahead;
mod buffers;
mod clock;
mod close;
mod config;
mod connect;
mod event;
mod listener;
mod memory;
mod narrow;
mod outbox;
mod probe;
mod queue;
mod receive;
mod ring;
mod send;
mod setup;
mod sleep_flag;
mod slots;
mod stats;
mod steer;
mod token;
mod turn;
mod waker;
mod work;

pub use acks::Acks;
pub use clock::Time;
pub use config::{Config, SOCKETS_MAX};
pub use event::{Event, ListenerId, Send, Short};
pub use probe::{Refused, probe};
pub use ring::Ring;
pub use setup::{SetupError, raise_nofile_limit};
pub use slots::SocketId;
pub use stats::Stats;
pub use steer::{Steering, steer};
pub use waker::Waker;
pub use work::Work;
