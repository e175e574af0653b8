//! The clients of a shard: how they come, what they say, what they are called, how they go.

pub mod accept;
pub mod client;
pub mod codec;
pub mod directory;
pub mod found;
pub mod heartbeat;
pub mod input;
pub mod leave;
pub mod lingering;
pub mod stop;
pub mod tls;
pub mod unfinished;
