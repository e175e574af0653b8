//! The applications that come with Ringway: what the binary `worker` runs.
#![forbid(unsafe_code)]

pub mod chat;
pub mod echo;
