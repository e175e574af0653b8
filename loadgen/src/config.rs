//! Every limit of the load generator, with unit and reason.

use std::time::Duration;

/// Bytes of the smallest message: it has to hold its time stamp.
pub(crate) const SIZE_MIN: usize = crate::stamp::STAMP_SIZE;

/// Bytes of the largest message; inner frames and packages end at 10 MiB.
pub(crate) const SIZE_MAX: usize = 8 << 20;

/// Bytes of the largest message that is accepted from a server, headers included.
pub(crate) const PACKAGE_SIZE_MAX: usize = 16 << 20;

/// Ports that `net.ipv4.ip_local_port_range` can have at most, 1024 to 65535.
pub(crate) const PORT_RANGE_MAX: u64 = 64_512;

/// Destinations that `--spread` may make of one: the last octet of 127.0.0.0.
pub(crate) const SPREAD_MAX: u8 = 254;

/// Destinations in all: a client refers to its own by two bytes.
pub(crate) const DESTINATIONS_MAX: usize = 1 << 16;

/// Threads; beyond, none of them would get anything done.
pub(crate) const CORES_MAX: usize = 1024;

/// Connections of one core that are pending (connecting or in the handshake). More wait: a listener's queue is finite
/// (net.core.somaxconn, 4096 by default), and a connection it drops is retried after a whole second.
pub(crate) const PENDING_MAX: usize = 512;

/// The same of all cores together: many more threads than CPUs get to each of theirs after seconds, and a server closes who does not
/// say what it wants for long.
pub(crate) const PENDING_ALL_MAX: usize = 8_192;

/// Slots of a core's ring beyond its share of connections: sockets that ended but are not released yet.
pub(crate) const SPARE_SOCKETS: usize = 64;

/// Bytes kept for a client whose socket is full. Beyond, messages are not sent and counted as such.
pub(crate) const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Clients that are started, and messages that are sent by the clock, in one turn; the next turn does the others.
pub(crate) const SENDS_PER_TURN: usize = 1024;

/// Bytes of one receive buffer, and how many: 2 MiB per core.
pub(crate) const RECV_BUFFER_SIZE: usize = 16 * 1024;
/// As many sockets are received from in one turn.
pub(crate) const RECV_BUFFERS: u16 = 128;

/// How often a core reports to the control thread, at multiples of this. A whole part of a second, so that each second has
/// as many reports.
pub(crate) const SAMPLE_PERIOD: Duration = Duration::from_millis(250);

/// Seconds of a run that are kept for the report: a day. Later ones are shown while they pass, but not kept.
pub(crate) const SECONDS_MAX: usize = 86_400;

/// How long a turn of an idle core may block: commands of the control thread wait no longer.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(10);

/// From the decision to measure to the moment itself, so that the command has reached every core by then.
pub(crate) const LEAD: Duration = Duration::from_millis(100);

/// Steps of one run; each has a histogram of its own.
pub(crate) const STEPS_MAX: usize = 64;

/// Messages that leave at once: they are one write to each gateway.
pub(crate) const BURST_MAX: usize = 1000;

/// How long messages in flight are waited for when the user ends a run.
pub(crate) const STOP_DRAIN_MAX: Duration = Duration::from_secs(2);

/// Broadcasts that the report lists one by one; the others are in its sums.
pub(crate) const BROADCASTS_KEPT: usize = 1000;

/// How long a register or a gateway may take for one step of the broadcasting side.
pub(crate) const SENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a gateway's list of its clients: some 30 for each.
pub(crate) const REPLY_SIZE_MAX: usize = 128 << 20;

/// How often gateways are asked whether they know all clients yet, and how many times: 5 s.
pub(crate) const SYNC_PERIOD: Duration = Duration::from_millis(20);
/// Beyond, the run fails.
pub(crate) const SYNC_TRIES_MAX: usize = 250;

/// Bytes of commands that go to a gateway in one piece when clients are put into rooms.
pub(crate) const JOIN_BYTES: usize = 64 * 1024;

/// Seconds for which the port of a client that left is not free: on loopback (`net.ipv4.tcp_tw_reuse` is 2 by default),
/// and else.
pub(crate) const PORT_REST_LOCAL: f64 = 1.0;
/// Linux's TIME_WAIT.
pub(crate) const PORT_REST: f64 = 60.0;

/// Range of measured latencies, in nanoseconds: those beyond it count as the highest.
pub(crate) const LATENCY_NS_MIN: u64 = 100;
/// 100 s; longer than any stall that a run survives.
pub(crate) const LATENCY_NS_MAX: u64 = 100_000_000_000;
/// Significant digits of a latency: one part in a thousand.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// Kernel memory of an idle socket that a poll waits on, in bytes, rounded up.
pub(crate) const BYTES_PER_SOCKET: u64 = 4096;
/// What this program keeps for a client, in bytes: its slot here and in the ring, both of which grow by doubling.
pub(crate) const BYTES_PER_CLIENT: u64 = 256;
/// What a gateway keeps for a client with uid, group and a small session, in bytes.
pub(crate) const BYTES_PER_SERVER_CLIENT: u64 = 900;
/// A thread with its executor, rings, buffers and histograms, in bytes.
pub(crate) const BYTES_PER_CORE: u64 = 24 << 20;
/// Ordinary descriptors of a thread: those of the executor's three rings, of the client ring, and what they are woken by.
pub(crate) const FILES_PER_CORE: u64 = 16;
/// Bytes of a page as `net.ipv4.tcp_mem` counts them.
pub(crate) const PAGE_SIZE: u64 = 4096;
