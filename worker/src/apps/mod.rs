//! Applications that come with the binary `worker`.

pub mod chat;
pub mod echo;
