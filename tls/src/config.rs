//! Limits of the TLS layer, with unit and reason.

/// Received bytes that are kept until the rest of their record has come: the largest record there may be, with its
/// header (RFC 8446 §5.2, RFC 5246 §6.2.3). Beyond, the session fails: during the handshake a message may take several
/// records, and a hello of that size is nobody's.
pub const REST_SIZE_MAX: usize = 5 + 16_384 + 2_048;

/// Bytes that sealing adds to as much as fits into one record at most: header, nonce, type, tag, and a key update that
/// may go before.
pub const SEALED_OVERHEAD_MAX: usize = 128;

/// A certificate that expires within so many days is worth a line in the log.
pub const EXPIRY_NOTICE_DAYS: u64 = 14;

/// Tickets for a TLS 1.3 client with which it comes back for less CPU. A ticket is kept by the client; the server
/// keeps nothing.
pub(crate) const TICKETS: usize = 1;

/// Tickets of one server that wait for clients that come back. Beyond, a new one is not kept: there are enough.
pub(crate) const TICKETS_KEPT_MAX: usize = 4096;

/// TLS handshakes that are answered in one turn; others wait for the next. An answer may take a millisecond, with a key of RSA.
pub const HANDSHAKES_PER_TURN: usize = 4;

/// Receives that waited for such an answer and are looked at in one turn: pieces of a handshake cost little, but are many if
/// somebody wants it.
pub(crate) const HANDSHAKE_RECEIVES_PER_TURN: usize = 256;
