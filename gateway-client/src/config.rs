//! What a client is told at its start, and every limit it keeps.

use std::time::Duration;

use protocol::InnerAuth;

/// What a client is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `host:port` of every register, or `text://host:port` as PHP has it; the gateways of all of them are reached.
    pub register_addresses: Vec<String>,
    /// What registers and gateways compare with their own; may be empty.
    pub secret_key: String,
    /// How that is shown: said as it is, or proven, as programs with `--inner-auth challenge` want it.
    pub inner_auth: InnerAuth,
    /// What registers, gateways and the client prove to each other by that they belong to one cluster; the files are read when
    /// the client is made. `None`: they speak plain TCP.
    #[cfg(feature = "tls")]
    pub inner_tls: Option<tls::InnerTls>,
    /// Limit for opening a connection.
    pub connect_timeout: Duration,
    /// Limit for a gateway to take a command or to answer a query, once there is a connection, and for a register to
    /// send its list. A gateway that exceeds it loses its connection; one that said nothing at all meanwhile, for 2 s or
    /// four times in a row, is left out: missing in every call at once, until it says that it is there: it is asked after 1 s, and then less often, every
    /// 10 s in the end. A call waits no longer than both limits together.
    pub reply_timeout: Duration,
    /// When a command counts as delivered.
    pub confirm: Confirm,
}

/// When a command counts as delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Confirm {
    /// When it was written to the gateway's socket, as in PHP. A wrong key is not noticed: ask something first.
    #[default]
    Written,
    /// When the gateway has carried it out: a small query behind it on the same connection has been answered.
    Handled,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            register_addresses: vec!["127.0.0.1:1236".to_owned()],
            secret_key: String::new(),
            inner_auth: InnerAuth::default(),
            #[cfg(feature = "tls")]
            inner_tls: None,
            connect_timeout: Duration::from_secs(3),
            reply_timeout: Duration::from_secs(5),
            confirm: Confirm::Written,
        }
    }
}

impl Config {
    /// The same with no limit beyond [`LIMIT_MAX`].
    pub(crate) fn bounded(mut self) -> Config {
        self.connect_timeout = self.connect_timeout.min(LIMIT_MAX);
        self.reply_timeout = self.reply_timeout.min(LIMIT_MAX);
        self
    }
}

/// The longest limit that is kept, a year: whoever gives more means for ever, and no clock counts as far as
/// [`Duration::MAX`].
const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Wait after a failed attempt to connect to a gateway: calls within it fail at once, so that an absent gateway does not delay
/// every call.
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// What a gateway may take, once there is a connection, until it has asked for a proof of the secret key and proven that it
/// knows it itself, where that is wanted; or the reply timeout if that is shorter.
pub(crate) const PROOF_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes taken from a register at once.
pub(crate) const REGISTER_READ_SIZE: usize = 4096;

/// What may wait to be heard of registers, of that size each. Beyond it registers are not read.
pub(crate) const REGISTER_EVENTS_MAX: usize = 64;

/// Lines that may wait to be written to a register; beyond it they wait where they are made.
pub(crate) const REGISTER_WRITES_MAX: usize = 16;

/// How long a gateway without a connection is kept after it left the lists. After a register's restart gateways come
/// back one by one within about a second (WIRE.md §2); broadcasts in between must not miss them.
pub(crate) const UNLISTED_KEEP: Duration = Duration::from_secs(3);

/// Bytes that may be queued towards one gateway; checked before a packet is added, so it goes beyond by one at most
/// (WIRE.md §8). A call that finds so many names the gateway as missing at once.
pub(crate) const QUEUE_BYTES_MAX: usize = 10_240_000;

/// Packets that may be queued towards one gateway; beyond it as with [`QUEUE_BYTES_MAX`].
pub(crate) const QUEUE_MAX: usize = 10_000;

/// Questions sent on one connection and not answered yet; beyond it the queue waits.
pub(crate) const PIPELINE_MAX: usize = 1024;

/// Bytes after which no more packets are added to one write.
pub(crate) const WRITE_SIZE: usize = 64 * 1024;

/// Idle time after which a connection is closed (WIRE.md §1), or the reply timeout if that is longer.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The largest reply in bytes: every session of a shard with a million clients fits. Beyond it the connection is closed.
pub(crate) const REPLY_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Log lines in [`LOG_PERIOD_MS`] about gateways that cannot be reached; how many more there were is said with the next.
pub(crate) const LOG_LINES_MAX: u32 = 50;

/// See [`LOG_LINES_MAX`].
pub(crate) const LOG_PERIOD_MS: u64 = 10_000;
