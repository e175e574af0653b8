//! Limits of TLS between programs, with unit and reason.

/// How long whoever connects may take to prove that it belongs to the cluster, in ms. Then it is closed.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;

/// Connections of a thread that have not proved yet that they belong to the cluster, some 40 KiB each at most. Beyond, the one that
/// came first is closed: a handshake takes milliseconds.
pub const STRANGERS_MAX: usize = 1_000;

/// Plain bytes that are encrypted before the kernel has taken what was: four records. More stays plain until then.
pub(crate) const SEAL_SIZE_MAX: usize = 64 * 1024;

/// Memory for that which a connection keeps while nothing is to be sent. What took more gives it back.
pub(crate) const KEPT_SIZE_MAX: usize = 4 * 1024;

/// A line in the log about each kind of stranger, so often at most, in ms.
pub(crate) const LOG_PERIOD_MS: u64 = 10_000;
