//! What an operator allows clients: how many there may be, how fast they may come and speak, and what becomes of who wants more.
//!
//! * [`rate`]: so many a second, and the permits by which that is kept.
//! * [`counts`]: how many clients there are in all and of each address, for all shards of a process.

mod counts;
mod rate;

use std::time::Duration;

pub use self::counts::ClientCounts;
pub(crate) use self::counts::Excess;
pub(crate) use self::rate::Bucket;
pub use self::rate::Rate;

/// The limits that hold for clients; none is on unless somebody says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientLimits {
    /// Clients of all shards together.
    pub clients_max: Option<usize>,
    /// Clients of each shard.
    pub shard_clients_max: Option<usize>,
    /// Clients of one address, of all shards together; of IPv6 it is the /64.
    pub address_clients_max: Option<usize>,
    /// Clients that may come from such an address, and websocket handshakes of it where its proxy says it there.
    pub address_handshakes: Option<Rate>,
    /// Messages of each client.
    pub messages: Option<Rate>,
    /// Bytes received from each client, with what frames them; of TLS, what was in there.
    pub bytes: Option<Rate>,
    /// What becomes of who exceeds one of these two.
    pub over_limit: OverLimit,
    /// How long a client may be without a uid after it came. Zero: for ever.
    pub bind_timeout: Duration,
}

program::choice! {
    /// What becomes of a client that sends more than it may.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum OverLimit {
        /// It is not read until it may send again.
        #[default]
        Pause = "pause",
        /// It is closed; websockets are told 1008.
        Close = "close",
    }
}

impl ClientLimits {
    /// Whether clients have to be counted.
    pub(crate) fn count_clients(&self) -> bool {
        let ClientLimits { clients_max, shard_clients_max, address_clients_max, address_handshakes, .. } =
            self;
        clients_max.is_some()
            || shard_clients_max.is_some()
            || address_clients_max.is_some()
            || address_handshakes.is_some()
    }
}
