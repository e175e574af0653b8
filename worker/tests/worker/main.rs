//! The worker against a register and gateways that tests play themselves.

mod commands;
mod events;
mod fake;
mod links;
mod queries;
