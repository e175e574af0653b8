//! The worker against a register and gateways that tests play themselves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bridge;
mod commands;
mod drain;
mod events;
mod fake;
mod glommio_turns;
mod handshakes;
mod links;
mod names;
mod outboxes;
mod panics;
mod queries;
mod sessions;
mod spawn;
mod state;
mod websocket;
