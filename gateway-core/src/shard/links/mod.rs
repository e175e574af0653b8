//! Inner connections: what comes over them, whose they are, and whether the other end is alive.

pub mod drain;
pub mod frames;
pub mod link;
pub mod pulse;
pub mod refusals;
pub mod workers;
