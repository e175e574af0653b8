//! Churn: new clients connect by the clock, each in place of one that leaves.

use std::collections::HashMap;

use uring::SocketId;

use crate::clock::Nanos;
use crate::pace::Pace;

/// One core's part of the churn.
#[derive(Debug)]
pub(crate) struct Churn {
    /// When the core's new clients connect.
    pub arrivals: Pace,
    /// New connections that are not open yet, each with the moment it was meant to begin. At most as many as the driver
    /// lets be pending.
    pub pending: HashMap<SocketId, Nanos>,
}
