//! A whole Ringway in one process: register, gateway, and a worker in the gateway's threads.
//!
//! [`embedded()`] makes a program of your [`Events`]; [`Embedded`] runs them inside another program.
//!
//! ```no_run
//! use ringway::{Client, Events, Gateway, Message};
//!
//! struct Echo;
//!
//! impl Events for Echo {
//!     async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
//!         gateway.send_to_client(client.id(), message);
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     ringway::embedded(ringway::options("echo"), |_core| Echo)
//! }
//! ```
#![forbid(unsafe_code)]

mod embedded;
mod flags;

pub use embedded::{
    Embedded, Meeting, MemoryLinks, RELOAD, embedded, instance, reachable, refusal, serve_admin,
};
pub use flags::{Beside, Options, options};
pub use gateway_core;
pub use ringway_worker::{self, Client, Events, Gateway, Message, WebsocketRequest};
