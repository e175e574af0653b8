//! Events that no worker has taken yet, and that wait for one.

pub mod departed;
pub mod reroute;
