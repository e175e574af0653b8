//! Every limit of the ring, with unit and reason.

use std::time::Duration;

/// The sizes of a ring. Fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sockets at once, at most 1,048,576 (the kernel's bound on a file table) and at most the soft limit of open files
    /// (see `raise_nofile_limit`). Each takes 8 to 16 bytes of kernel memory at once, 12 bytes of ours when first used.
    /// Beyond: connections are refused and `Event::AcceptFailed` says so.
    pub sockets_max: u32,
    /// Of these, how many are kept for [`connect`](crate::Ring::connect): accepts leave them free.
    pub reserved_for_connects: u32,
    /// Operations that go to the kernel in one system call, a power of two. More are submitted in several calls.
    pub entries: u32,
    /// Completions that can wait to be fetched, a power of two, at least twice `entries`. Beyond, the kernel keeps them in a slower list.
    pub completions: u32,
    /// Bytes of one receive buffer, which bounds one `Event::Received`.
    pub recv_buffer_size: usize,
    /// Bytes that are received in one turn from a socket that is not preferred, if less than a buffer: its share of the turn. At
    /// least 1.
    pub recv_size_max: usize,
    /// How many receive buffers, which is how many sockets are received from in one turn. The others wait their turn.
    pub recv_buffers: u16,
    /// Accepts in flight for each listener, so how many connections come in by one system call. Each keeps one slot of the table reserved.
    pub accepts_in_flight: u16,
    /// Period of `Event::Tick`. Zero: no ticks.
    pub tick: Duration,
    /// How long a wait looks for what comes by itself before it sleeps, so that nobody has to wake the thread: it takes the CPU
    /// for that long after each turn. Zero: not at all.
    pub busy_poll: Duration,
    /// A turn that comes so long after the one before, however long it meant to wait, receives from preferred sockets until they have no
    /// more: the thread may have stood still, and the end of a connection be behind its bytes. [`Duration::MAX`]:
    /// only when it was held up for seconds (`Ring::was_held_up`).
    pub catch_up_after: Duration,
}

impl Default for Config {
    /// 16,384 sockets, 4 MiB of receive buffers, a tick every 100 ms.
    fn default() -> Config {
        Config {
            sockets_max: 16_384,
            reserved_for_connects: 0,
            entries: 256,
            completions: 4_096,
            recv_buffer_size: 64 * 1024,
            recv_size_max: usize::MAX,
            recv_buffers: 64,
            accepts_in_flight: 16,
            tick: Duration::from_millis(100),
            busy_poll: Duration::ZERO,
            catch_up_after: Duration::MAX,
        }
    }
}

/// The most sockets that a ring can have: the kernel's `IORING_MAX_FIXED_FILES`, however many files a process may open.
pub const SOCKETS_MAX: u32 = 1 << 20;

/// The kernel's `UIO_MAXIOV`: slices of one gathered send.
pub(crate) const SLICES_MAX: usize = 1024;

/// Bytes of one slice in one send; the kernel stops below 2 GiB.
pub(crate) const SLICE_BYTES_MAX: usize = 1 << 30;

/// A thread that did not get to a turn for this long, beyond what it meant to wait, was held up, in ms. Less than it takes
/// any peer to give somebody up.
pub(crate) const HELD_UP_MS: u64 = 3_000;

/// Rounds of receives from preferred sockets alone, after a time of being held up: with the default buffers of 64 KiB more than
/// the largest window of a socket (`tcp_rmem`). What is left then comes with the rest.
pub(crate) const CATCH_UP_ROUNDS_MAX: usize = 128;

/// How long a listener rests after an error that would come again at once, such as too many open files.
pub(crate) const ACCEPT_REST_MS: u64 = 100;

/// How often a submission that the kernel takes nothing of (out of memory) is tried again before the ring gives up.
pub(crate) const SUBMIT_TRIES_MAX: u32 = 1000;

/// Preferred sockets that wait with a buffer of their own. Others wait as those that are not preferred do.
pub(crate) const AHEAD_COUNT_MAX: usize = 256;

/// Bytes of the buffer that a preferred socket waits with. Who brings more is then received from as others are.
pub(crate) const AHEAD_SIZE: usize = 16 * 1024;

/// Of so many turns that had something to do, one is measured ([`crate::Work`]): a clock is read for it.
pub(crate) const WORK_SAMPLED: u32 = 64;

/// Slots are allocated in chunks of this many, so that growing never copies the table.
pub(crate) const SLOTS_PER_CHUNK: usize = 4096;
