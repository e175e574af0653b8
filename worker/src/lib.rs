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
//! [`run`] makes a program of it that takes the flags of the binary `worker`. [`Worker::start`] runs it inside
//! another program. Workers speak the protocol of GatewayWorker, so gateways may be Ringway's or PHP's.
#![forbid(unsafe_code)]

pub mod apps;
mod client;
mod config;
mod core;
mod events;
mod flags;
mod gateway;
mod message;
mod status;
pub mod time;
mod worker;

pub use protocol::ClientId;
pub use protocol::calls::{Answer, Body, Name};
pub use protocol::client::Kind;
pub use protocol::inner::WebsocketRequest;
pub use protocol::php;

pub use crate::core::{Counters, Status};
pub use ::admin::{Address as AdminAddress, Report};
pub use client::Client;
pub use config::Config;
pub use events::Events;
pub use flags::{Settings, run};
pub use gateway::Gateway;
pub use message::Message;
pub use status::StatusSource;
pub use worker::{Running, Worker};
