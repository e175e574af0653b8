//! Every limit of the gateway that an operator does not set, with its unit, its reason, and what happens beyond it.
//! What an operator sets is in [`crate::Settings`].

use std::time::Duration;

use crate::Rate;
use protocol::inner::{FRAME_SIZE_MAX, QUESTIONS_UNANSWERED_MAX, QUESTIONS_UNANSWERED_SIZE_MAX};

/// How long a client may take to finish its websocket handshake, and what comes before that (TLS, a proxy's header), in ms. Then it
/// is closed: a peer that sends a byte a second must not hold a slot for ever.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;

/// What a client whose handshake cannot be served now is told to wait, in s (Retry-After): about as long as a worker takes
/// to start, or a load balancer to notice that a gateway stops.
pub const RETRY_AFTER_S: u64 = 5;

/// How long a closing client may take to read what is still queued for it, in ms. Then the rest is dropped.
pub const CLOSE_FLUSH_TIMEOUT_MS: u64 = 10_000;

/// How long we wait, after our close frame, for the client's, in ms, before our FIN. A proxy that sees our end while its
/// client still sends drops what we said last.
pub const ANSWER_TIMEOUT_MS: u64 = 2_000;

/// How long we wait, after our FIN, for the peer's, in ms. Closing earlier with unread input would send a reset, and
/// the peer might lose our last bytes to it.
pub const LINGER_TIMEOUT_MS: u64 = 2_000;

/// How long an inner connection may stay without authorization while a secret key is set, in ms. Then it is closed.
pub const AUTHORIZATION_TIMEOUT_MS: u64 = 10_000;

/// Period of the PING (201) on worker links, in ms (WIRE.md §4).
pub const LINK_PING_PERIOD_MS: u64 = 25_000;

/// The longest time that a worker may take to hand its clients over, in ms, whatever it says. Then its clients go to
/// others with their next event.
pub const DRAIN_MS_MAX: u32 = 600_000;

/// Groups that a shard looks at in one turn, for whoever wants to know the largest: some tens of µs.
pub(crate) const GROUPS_SLICE: usize = 1_000;

/// Groups of a shard that are told: more than are shown, as those of several shards are added up.
pub(crate) const GROUPS_FOUND_MAX: usize = 64;

/// Bytes of a group's name that are shown.
pub(crate) const GROUP_SHOWN_SIZE: usize = 128;

/// Between two calls of [`crate::Shard::on_tick`] at least, in ms: the resolution of every timeout here.
pub const TICK_PERIOD_MS: u64 = 50;

/// Clients that a stopping shard closes per tick at least: 1,000 a second, which any gateway takes back without a thought,
/// so that a small gateway has stopped before somebody wonders. More go per tick when the drain timeout asks for it.
pub const STOP_CLIENTS_PER_TICK_MIN: usize = 50;

/// How long the clients that were told last may take to read what is queued for them and to close, in ms, once the
/// drain timeout is over. Then they are closed, and their workers told.
pub const STOP_TIMEOUT_MS: u64 = 5_000;

/// How often a guest has its turn in one turn of the ring: what it asks for in the first is answered in the second.
pub(crate) const GUEST_PASSES: usize = 2;

/// With a guest in its thread, a turn that comes so long after the one before first reads all links to their ends: a core begins with
/// nothing that may be others' by now.
pub(crate) const GUEST_CATCH_UP_AFTER: Duration = Duration::from_millis(100);

/// Sockets of a shard that are kept for the connections of a [guest](crate::Guest): two for each of 500 shards elsewhere; but no
/// more than a sixteenth of all. Beyond it, connections fail while there are as many clients as there may be.
pub const GUEST_CONNECTS_MAX: u32 = 1_024;

/// The buffer in which a shard compresses and inflates, in bytes; what a larger message has made of it is given back.
pub const COMPRESSION_BUFFER_KEPT_MAX: usize = 256 * 1024;

/// Clients that the heartbeat looks at in one turn. A larger table takes several, so that a sweep never holds up the
/// shard for more than about a millisecond; its pings count as [`FANOUT_SENDS_MAX`] says.
pub const HEARTBEAT_SLICE: usize = 8_192;

/// Encoded messages up to this many bytes are copied into each target's queue; larger ones are shared. A copy this
/// small costs less than the handle, and lets all of a batch leave in one piece.
pub const COPY_MAX: usize = 1_024;

/// A queue's own buffers are filled up to this many bytes before a new one is begun: few enough that a busy link's
/// buffers are kept for reuse.
pub const CHUNK_SIZE_MAX: usize = 8 * 1024;

/// Listed targets of a fan-out that get it at once. With more it joins the log of fan-outs.
pub const FANOUT_DIRECT_MAX: usize = 1_024;

/// Targets of a fan-out that get it at once whatever the turn has to send already.
pub const FANOUT_FEW_MAX: usize = 16;

/// Fan-outs that were held up and are taken in one turn, if there is room. Each may look up as many names as [`FANOUT_SLICE`] says.
pub const HELD_UP_PER_TURN_MAX: usize = 64;

/// Clients of a shard up to which a message to everybody is sent at once. With more it joins the log, where those that come
/// together are one piece for each client.
pub const EVERYBODY_DIRECT_MAX: usize = 64;

/// Sends that a turn may have when a fan-out begins that is done at once, and that heartbeats may add to it: each some 4 µs of
/// the kernel's time. With more only [`FANOUT_FEW_MAX`] targets get it at once. It also bounds the buffers that are in use at once.
pub const FANOUT_SENDS_MAX: usize = 1_024;

/// Sends that the log of fan-outs may add to a turn: about a millisecond. Then everybody else gets a turn.
pub const WALK_SENDS_MAX: usize = 256;

/// Messages that the walk may queue in a turn: to those that take nothing now, or have not ended their handshake, it sends
/// nothing, and a copy takes its time, too.
pub const WALK_MESSAGES_MAX: usize = 16_384;

/// Clients that the walk over the log looks at in one turn, and targets of a fan-out that are looked up in one turn.
pub const FANOUT_SLICE: usize = 32_768;

/// Fan-outs in the log. Beyond any of these three bounds the next one waits, and its link is not served, until there is room;
/// one alone may exceed them.
pub const FANOUTS_MAX: usize = 64;

/// Bytes of messages in the log and of their encoded forms.
pub const FANOUTS_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Bytes of fan-outs that stand one behind the other in the log and are kept in one piece, too, for clients that get all of them.
pub const MERGED_SIZE_MAX: usize = 64 * 1024;

/// In how many encoded forms such a piece is kept.
pub const MERGED_FORMS_MAX: usize = 4;

/// Targets in the log that are listed one by one: 4 bytes each.
pub const FANOUTS_LISTED_MAX: usize = 1_000_000;

/// Elements of one list, the answer to a query, that are written in one turn, and names looked at for it: some 2 ms at
/// most. One list takes its slice per turn; when there are several, they take turns.
pub const LISTING_SLICE: usize = 2_048;

/// Bytes of such a slice, beyond which it ends with the element that it is at.
pub const LISTING_SLICE_SIZE: usize = 1024 * 1024;

/// Rows looked at in one turn for a list of all clients, and sorted: about a millisecond.
pub const LISTING_ROWS_MAX: usize = 8_192;

/// Clients of a uid, in a list of uids, that are written without looking whether the slice is over.
pub const LISTED_AT_ONCE_MAX: usize = 256;

/// The longest answer to a query, in bytes: what a worker of ours, or a program with `gateway-client`, takes. For a
/// longer one the connection that asked is closed as soon as it has grown so far, counted and logged.
pub const REPLY_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Bytes on a worker's link from which on no slice of an answer is queued until something is sent, and then one: events wait for so
/// much of answers at most.
pub const ANSWERS_QUEUED_MAX: usize = 512 * 1024;

/// Lists that are written for one worker's link at a time. With so many, its next questions wait until one is done.
pub const LISTINGS_PER_LINK_MAX: usize = 8;

/// Questions of one worker's link that wait, as too much is queued for it or too many lists are written: twice as many as a worker of
/// ours has unanswered. With more, the link is closed.
pub const QUESTIONS_ASIDE_MAX: usize = 2 * QUESTIONS_UNANSWERED_MAX;
/// The same in bytes, and one frame more.
pub const QUESTIONS_ASIDE_SIZE_MAX: usize = 2 * QUESTIONS_UNANSWERED_SIZE_MAX + FRAME_SIZE_MAX;

/// A long answer grows in pieces. A new one is begun when there are this many bytes in the last, in a buffer of
/// [`PIECE_CAPACITY`]: few elements grow it, and each is freed as soon as it is sent.
pub const PIECE_SIZE: usize = 56 * 1024;
/// See [`PIECE_SIZE`].
pub const PIECE_CAPACITY: usize = 64 * 1024;

/// Between two log lines of a shard about answers that are too long, in ms; those between are counted only.
pub const REPLY_LOG_PERIOD_MS: u64 = 10_000;

/// Between two looks at how long clients' messages have been unfinished, in ms: what the timeout is exact to.
pub const UNFINISHED_LOOK_PERIOD_MS: u64 = 1_000;

/// Between two log lines of a shard about clients closed for unfinished messages, in ms and for each of the two reasons;
/// those between are counted only.
pub const UNFINISHED_LOG_PERIOD_MS: u64 = 10_000;

/// What clients may hold of unfinished messages if nobody has said and the machine does not tell its memory, in bytes.
pub const UNFINISHED_SIZE_DEFAULT: usize = 1024 * 1024 * 1024;

/// The part of the machine's memory that clients may hold of unfinished messages unless somebody says otherwise: an eighth,
/// because as much may be on its way to workers, and to clients, at the same time.
pub const UNFINISHED_MEMORY_DIVISOR: u64 = 8;

/// Bytes of a client with TLS that are encrypted at once, for one send: what fits into one record. The rest of its queue
/// stays as it is until that is sent, so that a broadcast to slow clients is shared for as long as it can be.
pub const SEAL_SIZE_MAX: usize = 16 * 1024;

/// Between two log lines of a shard about departed clients that hold up new ones, in ms; those between are counted only.
pub const DEPARTED_LOG_PERIOD_MS: u64 = 10_000;

/// Between two log lines of a shard about lost workers' events that go to others, in ms; those between are counted only.
pub const REROUTE_LOG_PERIOD_MS: u64 = 10_000;

/// What waits in a shard for other workers because links that were lost had not taken it, in bytes. Each worker has a bound of its
/// own, that of a link's queue, so this is reached only when full links are lost again and again, each time with no other worker
/// than such as read nothing. Beyond, no client is read that has none of it.
pub const REROUTED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Between two log lines of a shard about failed TLS handshakes, in ms; those between are counted only.
pub const TLS_LOG_PERIOD_MS: u64 = 10_000;

/// Between two log lines of a shard about PROXY headers that are wrong, in ms, and as long between those about some that nobody is
/// to send; those between are counted only.
pub const PROXY_LOG_PERIOD_MS: u64 = 10_000;

/// Between two log lines of a shard about pages whose origin is not allowed, in ms; those between are counted only.
pub const ORIGIN_LOG_PERIOD_MS: u64 = 10_000;

/// What of such an origin is logged, in bytes.
pub const ORIGIN_LOGGED_SIZE_MAX: usize = 200;

/// A token of a client's, in bytes; those of identity providers have 1 to 4 KiB. Beyond: refused.
pub const TOKEN_SIZE_MAX: usize = 8 * 1024;

/// How far the clock of who makes tokens may be from ours, in seconds: so much later do they end, and so much earlier begin.
pub const TOKEN_LEEWAY_S: u64 = 10;

/// Between two log lines of a shard about tokens that are not good, in ms; those between are counted only.
pub const TOKEN_LOG_PERIOD_MS: u64 = 10_000;

/// How long a client that has said too much is left alone at most, in ms, before it is looked at again: so long what is kept of
/// those that have gone meanwhile stays.
pub const RATE_LOOK_PERIOD_MS: u64 = 10_000;

/// Between two log lines of a shard about one of the limits of clients, in ms; those between are counted only.
pub const LIMIT_LOG_PERIOD_MS: u64 = 10_000;

/// Websockets that are one too many and are told so, with HTTP's 429 or 503, by a shard in a second and at once: each keeps its
/// connection until it has asked, read the answer and gone, 2 s each at most. Beyond, they are closed without a word.
pub const REFUSALS_TOLD: Rate = Rate { per_second: 50, burst: 50 };

/// Between two log lines of a shard about hooks that panicked, in ms; those between are counted only.
pub const HOOK_LOG_PERIOD_MS: u64 = 10_000;

/// Slices handed to the kernel in one send. More wait for the next turn; the kernel's own bound is 1,024.
pub const SLICES_PER_SEND_MAX: usize = 64;

/// Bytes of messages that are kept for a client whose handshake is under way; with as many it is slow.
pub const HELD_SIZE_MAX: usize = 64 * 1024;

/// Spare buffers for clients' queues that a shard keeps for reuse: one for each send of a fan-out's slice. A batch that
/// needs more allocates, and frees what is over.
pub const SPARE_SMALL_MAX: usize = FANOUT_SENDS_MAX;

/// The largest buffer that counts as small, in bytes: a message that is copied, and a little more.
pub const SPARE_SMALL_SIZE_MAX: usize = 2 * COPY_MAX;

/// Spare buffers for links' queues that a shard keeps for reuse: 2 MiB at most.
pub const SPARE_LARGE_MAX: usize = 64;

/// A buffer that grew beyond this many bytes is freed after use instead of kept.
pub const SPARE_LARGE_SIZE_MAX: usize = 32 * 1024;

/// Events of one client that may be in flight to a worker that says what it has done. Beyond, the client is not read until there
/// are no more than [`CLIENT_EVENTS_RESUMED`]: enough for a round trip of one that sends fast, and few before others'.
pub const CLIENT_EVENTS_MAX: u8 = 16;

/// Of so many events of a link, one is timed until its worker says that it is done.
pub(crate) const EVENTS_TIMED: u32 = 64;

/// See [`CLIENT_EVENTS_MAX`].
pub const CLIENT_EVENTS_RESUMED: u8 = 8;

/// An event whose frame is larger than this, in bytes, is a client's whole share.
pub const CLIENT_LARGE_EVENT_SIZE: usize = 64 * 1024;

/// Bytes that are received from one client in a turn: some thousand pings, or a fifth of a ms. The rest stays in the kernel until
/// the next turn.
pub const CLIENT_BYTES_PER_TURN: usize = 16 * 1024;

/// Events that one client may have in a period of [`SHARE_PERIOD_MS`] to a worker that does not say what it has done, as PHP's. Beyond,
/// the client is not read until the next one. 8,000 a second: of five that send as fast as they can, a worker still does all, and
/// others wait behind 160 events.
pub const SHARE_EVENTS_MAX: u8 = 32;

/// A longer message counts once more for each of so many bytes: 32 MiB a second of large ones.
pub const SHARE_EVENT_SIZE: usize = 4 * 1024;

/// See [`SHARE_EVENTS_MAX`], in ms.
pub const SHARE_PERIOD_MS: u64 = 4;

/// Emptied chunks of frames that a link keeps for the next ones: so many of [`CHUNK_SIZE_MAX`] hold a window of small events.
pub const RETAINED_CHUNKS_SPARE: usize = 8;

/// Deaths of workers with an event in hand, after which it is sent alone.
pub const DEATHS_BEFORE_ALONE: u8 = 2;

/// The same after which it is dropped, and its client closed.
pub const DEATHS_BEFORE_DROPPED: u8 = 3;

/// Events at most that are sent alone. More at once have died with workers that somebody killed, and would be worked off one by one.
pub const ALONE_EVENTS_MAX: usize = 32;

/// For how long, in ms, events are sent alone at most, and others of the shard one at a time: a handler that takes longer holds up
/// nobody for longer.
pub const ALONE_MS_MAX: u64 = 10_000;

/// Lines about dropped events in each [`REROUTE_LOG_PERIOD_MS`].
pub const POISON_LOG_LINES: u32 = 20;

/// How long it is known, in ms, what was taken of a link that has ended: longer than its worker keeps what it had said.
pub const TAKEN_KEPT_MS: u64 = 75_000;

/// Links that have ended, of which that is known, at 32 bytes each. Beyond it the oldest is forgotten, and its worker drops what it
/// kept.
pub const TAKEN_LINKS_MAX: usize = 4_096;

/// A worker whose run is there again within this time, in ms, has not died.
pub const REVIVAL_MS: u64 = 10_000;

/// Events in flight on one link, whatever its worker grants: twice that times 16 bytes is what is kept of them, 2 MiB, beside their
/// frames. More is taken for this.
pub const WINDOW_EVENTS_MAX: u32 = 65_536;
/// The same in bytes: what a shard keeps for a worker that never says what is safe is a small multiple of it.
pub const WINDOW_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// What departed clients leave until a worker takes it (ON_CLOSE with the session, events before it), in bytes. Beyond, no new
/// clients are accepted until half of it is gone; those that are there may still depart, which moves their sessions here. While
/// there is no worker at all, the oldest are dropped and counted.
pub const DEPARTED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a worker that pings may be silent while no other takes its clients, in ms: they are not read meanwhile. Then it is
/// given up all the same.
pub const SILENT_KEPT_MS: u64 = 60_000;

/// How long the kernel of a link's peer may acknowledge nothing of what is sent or asked, in ms. Then its machine is dead, and the
/// link is closed. A peer that does not read acknowledges all the same, and may take as long as it likes.
pub const UNACKNOWLEDGED_MS: u64 = 60_000;

/// Worker keys remembered per shard. Beyond, a WORKER_CONNECT with a new key is refused by closing the link.
pub const WORKER_KEYS_MAX: usize = 65_536;

/// The largest session in bytes: every frame about its client carries it, and must have room for a header and a
/// message of 64 KiB beside it. SET_SESSION and UPDATE_SESSION beyond are ignored and counted.
pub const SESSION_SIZE_MAX: usize = FRAME_SIZE_MAX - 64 * 1024 - protocol::inner::HEADER_SIZE;

/// The largest frame of an inner connection that has not said the secret key yet, in bytes. Beyond, it is closed.
pub const UNAUTHORIZED_FRAME_SIZE_MAX: usize = 64 * 1024;

/// How long whoever opens the control socket may take to say what it wants, and to take the answer. Then it is closed.
pub const CONTROL_READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How long whoever gives an order waits for the answer: all shards have 3 s, and some who came before had theirs.
pub const CONTROL_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A line on the control socket, in bytes. What is beyond is not read.
pub const CONTROL_LINE_MAX: u64 = 1_024;

/// Orders that wait for the one that is carried out. Who comes then waits, too, in `connect`.
pub const CONTROL_BACKLOG: i32 = 8;

/// A wait after something was wrong on the control socket, so that no error is repeated as fast as it can be.
pub const CONTROL_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Groups one client may be in. Beyond, JOIN_GROUP is ignored and counted: the list is the worker's to keep short.
pub const GROUPS_PER_CLIENT_MAX: usize = 4_096;

const _: () = assert!(COPY_MAX <= CHUNK_SIZE_MAX && SLICES_PER_SEND_MAX <= 1_024);
const _: () = assert!(PIECE_SIZE <= PIECE_CAPACITY && PIECE_CAPACITY > SPARE_LARGE_SIZE_MAX);
// The last message that begins in a chunk may double it; that must not cost the buffer.
const _: () = assert!(CHUNK_SIZE_MAX > SPARE_SMALL_SIZE_MAX);
const _: () = assert!(4 * CHUNK_SIZE_MAX <= SPARE_LARGE_SIZE_MAX);
const _: () = assert!(SEAL_SIZE_MAX + tls::SEALED_OVERHEAD_MAX <= SPARE_LARGE_SIZE_MAX);
const _: () = assert!(LINGER_TIMEOUT_MS <= CLOSE_FLUSH_TIMEOUT_MS);
// Who is told last at a stop, and reads, may take its time.
const _: () = assert!(ANSWER_TIMEOUT_MS + LINGER_TIMEOUT_MS < STOP_TIMEOUT_MS);
