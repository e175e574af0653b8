//! What a core counts, and what it has at one moment.

use super::Measures;

/// What a core has at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Gateway shards connected.
    pub links: usize,
    /// Clients whose handler has begun and waits for something.
    pub handlers_running: usize,
    /// Events that wait: behind those handlers, or for a gateway to take what it was sent.
    pub events_waiting: usize,
    /// Bytes queued towards gateways.
    pub queued_bytes: usize,
    /// Events that gateways keep although their handlers have ended: what these commanded elsewhere was not taken yet, or somebody
    /// holds them.
    pub events_unsettled: usize,
    /// Commands that their gateways have not said to have taken.
    pub commands_kept: usize,
    /// Bytes of commands of handlers whose event others may have by now.
    pub held_bytes: usize,
    /// Clients whose session was written and not seen since.
    pub sessions_remembered: usize,
    /// It hands its clients over, and ends.
    pub is_stopping: bool,
    /// What was measured since the start.
    pub measures: Measures,
    /// What has been counted since the start.
    pub counters: Counters,
}

admin::counters! {
    /// Events given to handlers.
    events,
    /// The messages of clients among them.
    messages_in,
    /// Commands queued, one per gateway that got them.
    commands,
    /// The messages to clients among them, however many clients they go to.
    messages_out,
    /// Events that were read and not given to handlers: the core had stopped, or its time was over.
    events_dropped,
    /// The same of gateways that keep them, and give them to other workers.
    events_returned,
    /// Events that counted as safe although other gateways have not said to have taken what they commanded there: too many waited for
    /// that, or for too long.
    events_unproven,
    /// Events that another worker may have had before.
    events_repeated,
    /// Times the core stood still for so long that it closed its links: gateways may have given its clients to others.
    standstills,
    /// Commands for a gateway that was not connected, or too large for a frame.
    commands_dropped,
    /// Commands that were kept until their gateway has taken them, and dropped: it did not come back, or not as the one that it was,
    /// or they were too many.
    commands_forgotten,
    /// Commands of handlers whose event another worker was given, dropped.
    commands_revoked,
    /// Links closed, with what was queued there, because too much was queued for all gateways together.
    links_overfull,
    /// Commands with a name that is none (`""` or `"0"`), ignored.
    names_refused,
    /// Queries sent, one per gateway asked.
    queries,
    /// Queries that a gateway did not answer in time.
    queries_missing,
    /// Connections to gateways closed because of bytes that are no frame.
    malformed,
    /// Panics of handlers and of spawned futures.
    panics,
    /// Polls of handlers and of spawned futures that held the core up for 50 ms or more.
    slow_handlers,
    /// Websocket requests that could not be read; their event was left out.
    bad_requests,
    /// System calls on the core's ring, which is the gateway shard's too if the core runs in its thread: nearly all that the
    /// thread makes.
    ring_enters,
    /// Bytes received from gateways and registers; of a gateway in the same thread, what its ring received.
    received_bytes,
    /// Bytes sent, likewise.
    sent_bytes,
}
