//! The applications that come with Ringway: what the binary `worker` runs.
#![forbid(unsafe_code)]

mod app;
pub mod chat;
pub mod echo;

pub use app::App;
