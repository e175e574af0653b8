//! The worker: your [`Events`], one executor per core, and the [`Gateway`] through which handlers reach clients.
//!
//! ```no_run
//! use ringway_worker::{Client, Events, Gateway, Message, run};
//!
//! struct Shout;
//!
//! impl Events for Shout {
//!     async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
//!         gateway.send_to_client(client.id(), message.text().to_uppercase());
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     run("shout", |_core| Shout)
//! }
//! ```
//!
//! [`run`] makes a program of it that takes the flags of the binary `worker`, with a master that starts it again when it
//! crashes and replaces it on SIGUSR1; with flags of your own beside, [`parse`] and [`Settings::run`] do. [`Worker::start`] runs it inside another program, without a master. Workers speak
//! the protocol of GatewayWorker, so gateways may be Ringway's or PHP's.
//!
//! # Waiting
//!
//! A handler may wait: for a query of its [`Gateway`], for [`time::sleep`], for what `Gateway::tokio` brings from a
//! database. The client's next event waits behind it, other clients' events do not. A worker grants each gateway a part of
//! [`max_concurrent_events`](Config::max_concurrent_events) per core, running, waiting or on their way to it; of gateways that
//! know no grants it reads no more when as many run or wait. Beyond that gateways hold their clients back. What is to go on
//! after the handler is given to [`Gateway::spawn`], what is to happen again and again to [`Gateway::every`].
//!
//! A core's thread sleeps in its own ring. Tasks, timers and sockets of glommio, on whose executor it runs, get their turn only
//! with [`Events::USES_GLOMMIO`]; without it they wait for ever.
//!
//! A panic in a handler costs that event. It is logged and counted; the worker and all later events go on.
//!
//! # Crashes
//!
//! A worker that dies, stands still or is cut off costs no event: gateways of ours keep each until its handler has ended, and what it said
//! was taken, and else give it to another worker. So a handler may run twice for one event, and the second time [`Client::is_repeat`] says so.
//! Work that a handler spawns is covered while it keeps a [`Client::hold`]; without one, and by timers, nobody does it again. Events of PHP's
//! gateways, and of the one in the worker's own process, go with the worker.
//!
//! # State
//!
//! Every core has an `Events` of its own, on a thread of its own, and hands it out as `&self`: a [`Cell`] or
//! [`RefCell`] in it needs no lock. Never hold a `RefCell`'s borrow across an `await`: another client's handler may run
//! meanwhile. What all cores are to share, the closure that makes the `Events` captures in an [`Arc`]:
//!
//! ```no_run
//! use std::cell::Cell;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use ringway_worker::{Client, Events, Gateway, Message, run};
//!
//! struct Counting {
//!     here: Cell<u64>,
//!     everywhere: Arc<AtomicU64>,
//! }
//!
//! impl Events for Counting {
//!     async fn on_message(&self, gateway: &Gateway, client: &Client, _message: Message) {
//!         let here = self.here.get() + 1;
//!         self.here.set(here);
//!         let everywhere = self.everywhere.fetch_add(1, Ordering::Relaxed) + 1;
//!         let core = gateway.core_index();
//!         gateway.send_to_client(client.id(), format!("{here} on core {core}, {everywhere} in all"));
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let everywhere = Arc::new(AtomicU64::new(0));
//!     run("counting", move |_core| Counting { here: Cell::new(0), everywhere: Arc::clone(&everywhere) })
//! }
//! ```
//!
//! A client's events come to one core, until that core's link to its gateway is lost or its worker is replaced; then to
//! another one, perhaps of another worker. So what belongs to a client goes into its session ([`Client::edit_session`]), what belongs to several into
//! groups, and what is to outlive them all into a database.
//!
//! # Libraries that need tokio
//!
//! The feature `tokio` adds `Gateway::tokio`: a future that runs on a small tokio runtime beside the cores while the handler
//! awaits it. The workspace's `examples/chat_with_history` keeps what was said in MySQL that way.
//!
//! # Watching
//!
//! With the feature `admin`, the flag `--admin` has a worker program tell of itself by HTTP: `/status`, `/metrics` for Prometheus,
//! `/healthz`, `/readyz`. A program that has a server of its own
//! gives out [`Instance::report`] and [`Instance::metrics`] of [`StatusSource::instance`].
//!
//! # Memory
//!
//! glibc's allocator keeps what a flood of large messages has taken. [`Allocator`] gives it back; a program chooses it in its
//! `main.rs`:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;
//! # fn main() {}
//! ```
//!
//! [`Arc`]: std::sync::Arc
//! [`Cell`]: std::cell::Cell
//! [`RefCell`]: std::cell::RefCell
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod client;
mod config;
mod control;
pub mod core;
pub mod driver;
mod events;
mod flags;
mod gateway;
mod master;
mod message;
mod name;
mod pump;
pub mod runtime;
mod status;
#[cfg(feature = "admin")]
mod status_server;
#[cfg(not(feature = "admin"))]
#[path = "no_status_server.rs"]
mod status_server;
pub mod time;
mod worker;

pub use protocol::ClientId;
pub use protocol::calls::{Answer, Body, MessageReport, Name};
pub use protocol::client::Kind;
pub use protocol::inner::{CloseReason, CloseReasonError, EventId, HandshakeAnswer, WebsocketRequest};
pub use protocol::php;

pub use crate::core::{Counters, Measures, Status};
#[cfg(feature = "tokio")]
pub use crate::runtime::Bridged;
pub use crate::runtime::{Hold, Spawned};
#[cfg(feature = "admin")]
pub use ::admin::Address as AdminAddress;
pub use ::admin::{Format, Instance, Part, Report};
pub use client::Client;
pub use config::Config;
pub use events::Events;
pub use flags::{Settings, parse, run};
pub use gateway::{Gateway, Reported};
pub use master::Command;
pub use message::Message;
pub use program::{Allocator, Both, Flags, misuse};
pub use status::StatusSource;
pub use tls::InnerTls;
pub use worker::{Running, Worker};
