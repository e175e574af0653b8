//! Plain counters of a ring, from its start.

/// Counters since the ring was made; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub accepts: u64,
    /// Connections refused because the table was full.
    pub refusals: u64,
    /// Connections lost in accept for other reasons.
    pub accept_failures: u64,
    /// Outgoing connections begun.
    pub connects: u64,
    /// Sockets closed and freed.
    pub closes: u64,
    /// Receives that brought bytes.
    pub receives: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Sends handed to the kernel.
    pub sends: u64,
    /// Sends that did not take everything.
    pub short_sends: u64,
    /// Bytes that the kernel took.
    pub bytes_out: u64,
    /// System calls on the ring.
    pub enters: u64,
}
