//! What becomes of a command.

use std::net::SocketAddrV4;

/// Which gateways got a command. What "got" means is [`Config::confirm`](crate::Config::confirm).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use = "it says which gateways did not get the command"]
pub struct Delivery {
    /// How many gateways got it. 0 for a command that concerned none, or when there are none.
    pub reached: usize,
    /// Gateways that should have got it and did not: not listed, not reachable, not answering, too slow, or a
    /// frame too large.
    pub missing: Vec<SocketAddrV4>,
}

impl Delivery {
    /// Whether every gateway concerned got it.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}
