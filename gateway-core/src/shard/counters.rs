//! What a shard counts.

/// What a shard has at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Clients.
    pub clients: usize,
    /// Uids with a client.
    pub uids: usize,
    /// Groups with a member.
    pub groups: usize,
    /// Workers connected.
    pub workers: usize,
    /// What has been counted since start.
    pub counters: Counters,
}

/// Plain numbers since start; the shard's thread alone writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clients accepted.
    pub clients_accepted: u64,
    /// Clients that the gateway's own hooks refused.
    pub clients_refused: u64,
    /// Calls of the gateway's own hooks that panicked.
    pub hook_panics: u64,
    /// Clients that are gone.
    pub clients_closed: u64,
    /// Connections that the ring could not take (its table was full) or lost before they were ours.
    pub accepts_failed: u64,
    /// Client messages given to workers.
    pub messages_in: u64,
    /// Messages queued for clients, one per target.
    pub messages_out: u64,
    /// Frames from workers and query connections.
    pub frames_in: u64,
    /// Clients closed for breaking their protocol.
    pub clients_malformed: u64,
    /// Links closed for a malformed frame.
    pub links_malformed: u64,
    /// Workers that were told that another has their name.
    pub workers_refused: u64,
    /// Workers whose link another of their name took the place of.
    pub workers_displaced: u64,
    /// Links closed for a wrong or missing secret key.
    pub links_unauthorized: u64,
    /// Links closed because nothing was heard of a peer that pings (WIRE.md §14).
    pub links_silent: u64,
    /// Links closed because the peer's machine acknowledged nothing for a minute.
    pub links_stuck: u64,
    /// Times a silent worker was kept, its clients unread, because no other would take them.
    pub links_kept: u64,
    /// Times no new clients were accepted because too many departed ones waited for workers to be told.
    pub accepts_held: u64,
    /// Events that a lost link had not taken, and that went on to other workers.
    pub events_rerouted: u64,
    /// Such events that could not be given to anybody.
    pub events_dropped: u64,
    /// Query connections closed because an answer was longer than anybody takes.
    pub replies_too_large: u64,
    /// Messages dropped because their client's queue was full.
    pub messages_dropped_slow_client: u64,
    /// Clients closed because their queue was full.
    pub clients_closed_slow: u64,
    /// Clients closed because there was no worker for them.
    pub clients_closed_no_worker: u64,
    /// Clients closed by the heartbeat.
    pub clients_closed_silent: u64,
    /// Clients whose handshake was refused because their worker took no events for as long as it may take.
    pub clients_closed_unserved: u64,
    /// Clients closed for not finishing their handshake in time.
    pub clients_closed_handshake: u64,
    /// Clients closed because unfinished messages of all together were too large, and theirs was the largest.
    pub clients_closed_unfinished_size: u64,
    /// Clients closed because a message of theirs was not whole in time.
    pub clients_closed_unfinished_time: u64,
    /// TLS handshakes that failed, whatever the reason; also those cut off or not finished in time.
    pub tls_handshakes_failed: u64,
    /// TLS sessions that broke after their handshake.
    pub tls_sessions_failed: u64,
    /// Clients that spoke TLS where none is spoken.
    pub tls_unexpected: u64,
    /// Times a client was not read any more because its worker's link was full.
    pub stalls_link_full: u64,
    /// Times a client was not read any more because there was no worker.
    pub stalls_no_worker: u64,
    /// Times a client was not read any more because its worker was handing it over.
    pub stalls_draining: u64,
    /// Times a client was not read any more because its worker was silent.
    pub stalls_silent: u64,
    /// Times a client was not read any more because events of lost links went first.
    pub stalls_rerouting: u64,
    /// Workers that did not let their clients go in the time that they had said.
    pub drains_expired: u64,
    /// ON_CLOSE frames dropped because there was no worker for too long.
    pub closes_dropped: u64,
    /// Commands ignored for exceeding a limit.
    pub commands_refused: u64,
}

impl Counters {
    /// Messages dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.messages_dropped_slow_client + self.closes_dropped + self.events_dropped
    }

    /// Every counter by name.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("clients_accepted", self.clients_accepted),
            ("clients_refused", self.clients_refused),
            ("hook_panics", self.hook_panics),
            ("clients_closed", self.clients_closed),
            ("accepts_failed", self.accepts_failed),
            ("messages_in", self.messages_in),
            ("messages_out", self.messages_out),
            ("frames_in", self.frames_in),
            ("clients_malformed", self.clients_malformed),
            ("links_malformed", self.links_malformed),
            ("workers_refused", self.workers_refused),
            ("workers_displaced", self.workers_displaced),
            ("links_unauthorized", self.links_unauthorized),
            ("links_silent", self.links_silent),
            ("links_stuck", self.links_stuck),
            ("links_kept", self.links_kept),
            ("accepts_held", self.accepts_held),
            ("events_rerouted", self.events_rerouted),
            ("events_dropped", self.events_dropped),
            ("replies_too_large", self.replies_too_large),
            ("messages_dropped_slow_client", self.messages_dropped_slow_client),
            ("clients_closed_slow", self.clients_closed_slow),
            ("clients_closed_no_worker", self.clients_closed_no_worker),
            ("clients_closed_silent", self.clients_closed_silent),
            ("clients_closed_unserved", self.clients_closed_unserved),
            ("clients_closed_handshake", self.clients_closed_handshake),
            ("clients_closed_unfinished_size", self.clients_closed_unfinished_size),
            ("clients_closed_unfinished_time", self.clients_closed_unfinished_time),
            ("tls_handshakes_failed", self.tls_handshakes_failed),
            ("tls_sessions_failed", self.tls_sessions_failed),
            ("tls_unexpected", self.tls_unexpected),
            ("stalls_link_full", self.stalls_link_full),
            ("stalls_no_worker", self.stalls_no_worker),
            ("stalls_draining", self.stalls_draining),
            ("stalls_silent", self.stalls_silent),
            ("stalls_rerouting", self.stalls_rerouting),
            ("drains_expired", self.drains_expired),
            ("closes_dropped", self.closes_dropped),
            ("commands_refused", self.commands_refused),
        ]
        .into_iter()
    }
}
