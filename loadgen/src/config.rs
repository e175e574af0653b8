//! Every limit of the load generator, with unit and reason.

use std::time::Duration;

/// Bytes of the smallest message: it has to hold its time stamp.
pub const SIZE_MIN: usize = crate::stamp::STAMP_SIZE;

/// Bytes of the largest message; inner frames and packages end at 10 MiB.
pub const SIZE_MAX: usize = 8 << 20;

/// Bytes of the largest message that is accepted from a server, headers included.
pub const PACKAGE_SIZE_MAX: usize = 16 << 20;

/// Connections to one address and port from one source address: Linux hands out the ports 32768 to 60999, some of which
/// others use.
pub const CONNS_PER_DESTINATION: usize = 28_000;

/// So many of them are made fast. Linux gives connections the odd ports first, and once those are taken it looks at all
/// of them again for every further connection: some 2,000 a second are left of any ramp.
pub const CONNS_PER_DESTINATION_FAST: usize = 14_000;

/// Destinations that `--spread` may make of one: the last octet of 127.0.0.0.
pub const SPREAD_MAX: u8 = 254;

/// Destinations in all: a client refers to its own by two bytes.
pub const DESTINATIONS_MAX: usize = 1 << 16;

/// Connections of one core that are on their way (connecting or in the handshake). More wait: a listener's queue is
/// finite (net.core.somaxconn, 4096 by default), and what it drops comes again after a whole second.
pub const PENDING_MAX: usize = 512;

/// Slots of a core's ring beyond its share of connections: sockets that ended but are not released yet.
pub const SPARE_SOCKETS: usize = 64;

/// Bytes kept for a client whose socket is full. Beyond, messages are not sent and counted as such.
pub const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Clients that are started, and messages that are sent by the clock, in one turn; the others come in the next.
pub const SENDS_PER_TURN: usize = 1024;

/// Bytes of one receive buffer, and how many: 2 MiB per core.
pub const RECV_BUFFER_SIZE: usize = 16 * 1024;
/// As many sockets are received from in one turn.
pub const RECV_BUFFERS: u16 = 128;

/// How often a core tells the control thread what it counted.
pub const SAMPLE_PERIOD: Duration = Duration::from_millis(250);

/// How long a turn of an idle core may block: commands of the control thread wait no longer.
pub const WAIT_MAX: Duration = Duration::from_millis(10);

/// From the decision to measure to the moment itself, so that every core has been told by then.
pub const LEAD: Duration = Duration::from_millis(100);

/// How long answers that are under way at the end of the measured phase are waited for.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);

/// How long a register or a gateway may take for one step of the broadcasting side.
pub const SENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Latencies that are told apart, in nanoseconds: beyond, they count as the highest.
pub const LATENCY_NS_MIN: u64 = 100;
/// 100 s; longer than any stall that a run survives.
pub const LATENCY_NS_MAX: u64 = 100_000_000_000;
/// Significant digits of a latency: one part in a thousand.
pub const LATENCY_DIGITS: u8 = 3;
