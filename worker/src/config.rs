//! What a worker is told at its start, and every limit it keeps.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::InnerAuth;
use tls::InnerTls;

use crate::Settings;

/// What a worker is told at its start. Flags and config keys of the binary have the same names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The first half of the worker key `<name>:<core>`, by which gateways know a core (WIRE.md §8). Two workers on
    /// one machine need two names: gateways of ours refuse the second one, which says so in its log, and PHP's let the
    /// two throw each other out. By default it has digits that no other program has.
    pub name: String,
    /// Cores, each one thread with its own links.
    pub count: usize,
    /// The CPUs that cores are pinned to, in this order and then around; empty: all that the process may use, beginning at
    /// one that depends on the process.
    pub cpus: Vec<usize>,
    /// `host:port` of every register; the gateways of all of them are served.
    pub register_addresses: Vec<String>,
    /// Where the process tells of itself, for registers, whose dashboards show it. `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// What registers and gateways compare with their own; may be empty.
    pub secret_key: String,
    /// How that is shown: said as it is, or proven, which needs one that is not empty.
    pub inner_auth: InnerAuth,
    /// What registers, gateways and the worker prove to each other by that they belong to one cluster; the files are read when
    /// the worker starts. `None`: they speak plain TCP.
    pub inner_tls: Option<InnerTls>,
    /// How long a query waits for the gateways it asked.
    pub query_timeout: Duration,
    /// Bytes that are to be queued towards one gateway. While half of them are, events of its clients wait until it has
    /// taken some; what handlers say meanwhile is queued all the same. 0: while anything is.
    pub send_to_gateway_buffer_size: usize,
    /// How long running handlers may take to end when the worker is to end. Then they are given up.
    pub drain_timeout: Duration,
    /// Events per core whose handlers may run at once. A gateway of ours may have a part of as many on their way to a core or
    /// in its hands, and holds its clients back beyond that. When so many run or wait, no more is read of other gateways.
    pub max_concurrent_events: usize,
    /// Gateways keep no event until it is safe: what a worker that dies, freezes or is cut off has in hand is lost, and no handler
    /// runs twice for one event. Else gateways of ours give such events to others, who are told so
    /// ([`Client::is_repeat`](crate::Client::is_repeat)).
    pub at_most_once: bool,
    /// How long a core that has nothing to do looks for something by itself before it sleeps. Zero: not at all. More needs a
    /// CPU for each core.
    pub busy_poll: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Settings::default().config().expect("the defaults of the flags are right")
    }
}

impl Config {
    /// The same with no time-out beyond [`TIMEOUT_MAX`].
    pub(crate) fn bounded(mut self) -> Config {
        self.query_timeout = self.query_timeout.min(TIMEOUT_MAX);
        self.drain_timeout = self.drain_timeout.min(TIMEOUT_MAX);
        self
    }
}

/// Cores that a flag may ask for, more than machines have CPUs.
pub(crate) const CORES_MAX: usize = 4096;

/// The longest time that a flag may give, in seconds: a year, which no clock overflows by.
pub(crate) const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// The longest time-out that a program may give: beyond it, it is as good as for ever, and [`Duration::MAX`] is more than
/// clocks count.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(SECONDS_MAX);

/// Wait between the loss of a connection and the next attempt (WIRE.md §1).
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The longest wait between two attempts, while a gateway closes every link soon after it was opened.
pub(crate) const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(10);

/// A link that the gateway closed before this is a short one. Longer than [`RECONNECT_DELAY`]: two workers of one name
/// throw each other out after just that.
pub(crate) const SHORT_LINK_AGE: Duration = Duration::from_secs(3);

/// A link that has stood this long was taken: a gateway that does not like the secret key closes it at once. One of ours
/// says so earlier.
pub(crate) const TAKEN_LINK_AGE: Duration = Duration::from_secs(1);

/// What a gateway at whose address one of ours was may take to say that it is one, once there is a connection. Then it is
/// taken for stopped, and tried again, less and less often.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(3);

/// What a gateway may take, once there is a connection, until it has asked for a proof of the secret key and proven that it
/// knows it itself, where that is wanted.
pub(crate) const PROOF_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a gateway may refuse the worker's name before the other worker of that name counts as one that stays: the
/// gateway notices within 9 s when the other's machine is gone, and the next attempt is a second later.
pub(crate) const NAME_PATIENCE: Duration = Duration::from_secs(12);

/// A core that has had a link for so long does not end because its name is refused: then the other worker is the new
/// one, and ends. Longer than [`NAME_PATIENCE`], or of two that start at once both might stay.
pub(crate) const ESTABLISHED_AGE: Duration = Duration::from_secs(30);

/// The exit code of a worker whose name another one has: EX_UNAVAILABLE of sysexits.h.
pub(crate) const EXIT_NAME_TAKEN: u8 = 69;

/// Short links in a row after which the worker says what is probably wrong, and tries less often.
pub(crate) const SHORT_LINKS_MAX: u32 = 3;

/// Limit for one connection attempt (WIRE.md §5).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Wait before a worker process that has crashed is started again: doubled by each crash that follows soon.
pub(crate) const RESTART_DELAY: Duration = Duration::from_millis(100);

/// The longest of these waits.
pub(crate) const RESTART_DELAY_MAX: Duration = Duration::from_secs(10);

/// A worker process that has run this long did not crash soon after its start.
pub(crate) const STABLE_AGE: Duration = Duration::from_secs(60);

/// How long a reload's new process may take until it has a link to every gateway that the old one has. Then it is
/// killed, and the old one goes on.
pub(crate) const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(30);

/// What a worker process may take to end beyond its drain timeout: the steps of [`STOP_STEP_TIMEOUT`] and some. Then the
/// master kills it.
pub(crate) const END_GRACE: Duration = Duration::from_secs(20);

/// How often a core tells its master that it turns.
pub(crate) const ALIVE_PERIOD: Duration = Duration::from_secs(2);

/// A worker process of which no core has turned for this long is killed by its master and started again: each of its cores is
/// blocked by a handler, or it was stopped. Counted from when a core's start is done; several periods of
/// [`ALIVE_PERIOD`].
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// While a core of the worker process has not turned for this long, its master does not tell a service manager's watchdog that it
/// goes on. Counted as [`SILENCE_MAX`] is.
pub(crate) const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// A master that comes to look so much later than it wanted was held up itself, and its processes probably were, too: they get
/// their time once more.
pub(crate) const MASTER_HOLD_UP: Duration = Duration::from_secs(5);

/// How often a worker process looks whether the one before it has left the `--admin` port.
#[cfg(feature = "admin")]
pub(crate) const ADMIN_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Sockets of a core at most: a link and a query connection for each gateway that registers may list, and those to registers.
pub(crate) const SOCKETS_MAX: u32 = 16_384;

/// Bytes taken from a connection at once: a batch big enough to hide the cost of a system call, small enough to stay in the
/// second-level cache.
pub(crate) const READ_SIZE: usize = 128 * 1024;

/// Connections that are read in one turn of a core.
pub(crate) const READ_BUFFERS: u16 = 16;

/// Capacity in bytes that an emptied buffer keeps; what a burst needed beyond it is given back.
pub(crate) const BUFFER_KEEP_SIZE: usize = 1024 * 1024;

/// Bytes of sessions and bodies that may wait behind running handlers, per core. Beyond it the core stops reading.
pub(crate) const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Gateway shards among which a core divides what it can hold, whatever the number of the moment: what a gateway was granted is
/// not taken back when others come. With more of them, all together may have more in flight than a core would read of others.
pub(crate) const GATEWAYS_EXPECTED: usize = 16;

/// Events that each gateway may have in flight at least.
pub(crate) const WINDOW_EVENTS_MIN: usize = 4;

/// Bytes of events that each gateway may have in flight at least. One event may be in flight whatever its size.
pub(crate) const WINDOW_BYTES_MIN: usize = 128 * 1024;

/// A core that did not turn for this long closes its links to gateways that keep events: they give up a worker that they have not heard
/// for 8 s, it says something every 2 s, and what they have sent it meanwhile they send to others.
pub(crate) const STANDSTILL_MAX: Duration = Duration::from_secs(6);

/// A core that did not turn for this long may have stood still: nothing begins before all that has come meanwhile is read, the ends of
/// links, too. One that only had nothing to do loses nothing by it.
pub(crate) const CATCH_UP_AFTER: Duration = Duration::from_millis(100);

/// Bytes of commands that are kept for one gateway until it has said that it has taken them. Beyond it the oldest are forgotten, and
/// their events count as safe.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same for all gateways of a core. Beyond it, only [`KEPT_BYTES_SHARE`] are kept for each that is told something.
pub(crate) const KEPT_ALL_BYTES_MAX: usize = 4 * KEPT_BYTES_MAX;

/// Bytes that are kept for a gateway whatever is kept for others.
pub(crate) const KEPT_BYTES_SHARE: usize = KEPT_BYTES_MAX / GATEWAYS_EXPECTED;

/// How long commands are kept for a gateway to which there is no link. Less than gateways remember what they have taken.
pub(crate) const KEPT_TIME: Duration = Duration::from_secs(60);

/// How long an event waits for a gateway to say that it has taken what its handler commanded there. Then it counts as safe.
pub(crate) const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);

/// How often it is looked which of these times are over, while anything waits.
pub(crate) const KEPT_LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Bytes of commands of handlers that a core holds back because others may have their events. Beyond it they are dropped and counted.
pub(crate) const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Lost links of which a core knows what became of their events. Handlers of older ones count as those of events that nobody gives
/// again.
pub(crate) const LOST_LINKS_MAX: usize = 1_024;

/// Windows of events on one link that are done and not safe: what they commanded at other gateways waits to be taken. With more of
/// them, all count as safe, and are counted.
/// Half of what gateways bear.
pub(crate) const UNSAFE_WINDOWS_MAX: usize = protocol::inner::UNSAFE_WINDOWS_MAX / 2;

/// Events that are done, which a gateway is told at once: all may be of one client, of which it lets 16 be in flight and goes on when 8
/// are done.
pub(crate) const DONE_EVENTS_URGENT: usize = 8;

/// How long a gateway waits to hear that an event is done, unless it is sent something before, or many are.
pub(crate) const DONE_DELAY: Duration = Duration::from_millis(10);

/// Bytes of events that one gateway whose clients' events are not started may have read ahead, so that its pings are still
/// heard. Beyond it that gateway is not read.
pub(crate) const LINK_WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Bytes queued towards all gateways of a core beyond which no handler is started: as much as 25 gateways that are full.
pub(crate) const OUTBOXES_START_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes queued towards all gateways of a core, by handlers that had begun and by spawned futures. Beyond it the link with
/// the most is closed, with what is queued there.
pub(crate) const OUTBOXES_BYTES_MAX: usize = 2 * OUTBOXES_START_BYTES_MAX;

/// How long a core may do one kind of thing until the next has its turn: begin handlers of events that were just read, poll
/// what was woken, begin handlers of events that wait.
pub(crate) const TURN_TIME: Duration = Duration::from_millis(1);

/// A handler, or a future, that holds its core up for so long without awaiting is counted, and the log says which: everybody else
/// on the core waits meanwhile, and where it shares its thread with a gateway's shard, all clients of that, too.
pub(crate) const HELD_UP: Duration = Duration::from_millis(50);

/// Lines about that in the log, a core, in each [`HELD_UP_LOG_PERIOD_MS`]. The next one says how many were left out.
pub(crate) const HELD_UP_LOG_LINES: u32 = 1;

/// See [`HELD_UP_LOG_LINES`]; in ms.
pub(crate) const HELD_UP_LOG_PERIOD_MS: u64 = 10_000;

/// Queries that may wait for one gateway. One more is answered at once as missing.
pub(crate) const QUERY_QUEUE_MAX: usize = 10_000;

/// Clients per core whose session was written and not seen since; some 50 bytes each. One more makes the core forget the
/// older half: an event of theirs that was on its way during the write shows its handler the session from before.
pub(crate) const SESSIONS_MAX: usize = 65_536;

/// How long a gateway of ours is asked for a session that may be from before a write, whatever `--query-timeout` says. Beyond it the
/// handler sees the session from before. No longer than a core may stand still: one that the gateway does not hear is given up
/// soon after, and an event that has waited for so long is another worker's.
pub(crate) const SESSION_PATIENCE: Duration = Duration::from_secs(6);

/// Before it is asked again when it did not answer, or has not read the write after all of [`SESSION_RETRY_PAUSES`].
pub(crate) const SESSION_RETRY_PAUSE_LAST: Duration = Duration::from_millis(64);

/// Pauses before a gateway is asked again for a session that may be from before a write. A gateway that answers something else
/// than from before after all of them together is believed; long enough for one that is busy with a full command link.
pub(crate) const SESSION_RETRY_PAUSES: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
];

/// The same after a merge, of the pauses above: few, since a merge that changes nothing uses them all up.
pub(crate) const MERGE_RETRY_COUNT: usize = 2;

const _: () =
    assert!(NAME_PATIENCE.as_secs() > 10 && ESTABLISHED_AGE.as_secs() > 2 * NAME_PATIENCE.as_secs());
const _: () = assert!(MERGE_RETRY_COUNT <= SESSION_RETRY_PAUSES.len());

/// Within this time a gateway that is there has answered, as a rule. Who does not wait for so long cannot tell whether it is.
pub(crate) const ANSWER_TIME_USUAL: Duration = Duration::from_millis(100);

/// Idle time after which a query connection is closed (WIRE.md §1).
pub(crate) const QUERY_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The largest reply in bytes: every session of a shard with a million clients fits. Beyond it the connection is closed.
pub(crate) const REPLY_SIZE_MAX: usize = 256 * 1024 * 1024;

/// How long a worker that ends goes on with the events of gateways that know no DRAIN: as long as PHP's (WIRE.md §9).
pub(crate) const PHP_STOP_DELAY: Duration = Duration::from_millis(50);

/// Limit for the gateways' answers to a DRAIN. One that takes longer is hung or gone: its clients are free when the link
/// to it ends, and the order between it and other gateways is not kept.
pub(crate) const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for each step of stopping that comes after the handlers: `on_stop`, the last bytes.
pub(crate) const STOP_STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for gateways to close their ends once everything is sent.
pub(crate) const STOP_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads that tokio's futures run on, unless the environment's `TOKIO_WORKER_THREADS` says otherwise. They mostly wait:
/// the cores are for what computes.
#[cfg(feature = "tokio")]
pub(crate) const TOKIO_THREADS: usize = 2;

/// Threads for blocking work of tokio's futures (looking up names, files). More of it waits.
#[cfg(feature = "tokio")]
pub(crate) const TOKIO_BLOCKING_THREADS_MAX: usize = 64;

/// Limit for tokio's futures and blocking work to end with the worker.
#[cfg(feature = "tokio")]
pub(crate) const TOKIO_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Futures polled one after the other until sockets have their turn.
pub(crate) const POLLS_PER_TURN: usize = 256;
