//! What a core counts, and what it has at one moment.

/// What a core has counted since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Events given to handlers.
    pub events: u64,
    /// The messages of clients among them.
    pub messages_in: u64,
    /// Commands queued, one per gateway that got them.
    pub commands: u64,
    /// The messages to clients among them, however many clients they go to.
    pub messages_out: u64,
    /// Events that were read and not given to handlers: the core had stopped, or its time was over.
    pub events_dropped: u64,
    /// Commands for a gateway that was not connected, or too large for a frame.
    pub commands_dropped: u64,
    /// Links closed, with what was queued there, because too much was queued for all gateways together.
    pub links_overfull: u64,
    /// Commands with a name that is none (`""` or `"0"`), ignored.
    pub names_refused: u64,
    /// Queries sent, one per gateway asked.
    pub queries: u64,
    /// Queries that a gateway did not answer in time.
    pub queries_missing: u64,
    /// Connections to gateways closed because of bytes that are no frame.
    pub malformed: u64,
    /// Panics of handlers and of spawned futures.
    pub panics: u64,
    /// Websocket requests that could not be read; their event was left out.
    pub bad_requests: u64,
}

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
    /// Clients whose session was written and not seen since.
    pub sessions_remembered: usize,
    /// What has been counted since the start.
    pub counters: Counters,
}

impl Counters {
    /// Every counter by name.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("events", self.events),
            ("messages_in", self.messages_in),
            ("events_dropped", self.events_dropped),
            ("commands", self.commands),
            ("messages_out", self.messages_out),
            ("commands_dropped", self.commands_dropped),
            ("links_overfull", self.links_overfull),
            ("names_refused", self.names_refused),
            ("queries", self.queries),
            ("queries_missing", self.queries_missing),
            ("malformed", self.malformed),
            ("panics", self.panics),
            ("bad_requests", self.bad_requests),
        ]
        .into_iter()
    }
}
