//! What a shard counts.

use super::measures::Measures;

/// What a shard has at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Clients.
    pub clients: usize,
    /// The same of each of `Settings::listen`.
    pub clients_by_listener: Vec<usize>,
    /// Clients that are not read because of a worker, or because there is none.
    pub clients_waiting: usize,
    /// Bytes of unfinished messages of clients.
    pub clients_unfinished_bytes: usize,
    /// Clients that are gone and whose workers are still to be told.
    pub departed: usize,
    /// Uids with a client.
    pub uids: usize,
    /// Groups with a member.
    pub groups: usize,
    /// Workers connected.
    pub workers: usize,
    /// Inner connections, those of workers among them.
    pub links: usize,
    /// Links of workers that hand their clients over.
    pub links_draining: usize,
    /// Links of workers that pinged and of which nothing is heard.
    pub links_silent: usize,
    /// A register has taken it.
    pub is_registered: bool,
    /// Bytes queued for workers and for whoever asks.
    pub workers_queued_bytes: usize,
    /// Fan-outs that have not reached everybody.
    pub fan_outs_waiting: usize,
    /// Events that workers who say so have not done.
    pub events_in_flight: usize,
    /// Events that are kept because workers who say so have not said that they are safe.
    pub events_kept: usize,
    /// Of these, and of what waits to be sent again, those that workers have died with.
    pub events_suspected: usize,
    /// Links that have ended, of which it is known for a while what was taken.
    pub links_remembered: usize,
    /// What was measured since start.
    pub measures: Measures,
    /// What has been counted since start.
    pub counters: Counters,
}

admin::counters! {
    /// Clients accepted.
    clients_accepted,
    /// Clients that the gateway's own hooks refused.
    clients_refused,
    /// Load balancers that asked at `--health-path`; each counts as a client that came and went.
    health_checks,
    /// Clients that were turned away while the gateway was cordoned.
    clients_cordoned,
    /// Clients refused because there were as many as all shards may have.
    refused_max_clients,
    /// Clients refused because there were as many as a shard may have.
    refused_max_clients_per_shard,
    /// Clients refused because there were as many as an address may have.
    refused_max_clients_per_address,
    /// Clients refused because as many had come from their address lately as may come.
    refused_handshakes_per_address,
    /// Calls of the gateway's own hooks that panicked.
    hook_panics,
    /// Clients that are gone.
    clients_closed,
    /// Connections that the ring could not take (its table was full) or lost before they were ours.
    accepts_failed,
    /// Client messages given to workers.
    messages_in,
    /// Messages queued for clients, one per target.
    messages_out,
    /// Messages compressed, of those for several clients each one once.
    messages_compressed,
    /// Bytes by which that made them smaller, each one once.
    compression_saved_bytes,
    /// Messages that clients had compressed.
    messages_inflated,
    /// Frames from workers and query connections.
    frames_in,
    /// Connections of trusted proxies that were closed because they did not begin with a PROXY header in time.
    proxy_headers_malformed,
    /// Clients that broke their protocol by a PROXY header, as they are not believed.
    proxy_headers_unexpected,
    /// Websocket handshakes refused because of the origin of their page.
    origins_refused,
    /// Websocket handshakes refused because they had no token.
    tokens_missing,
    /// Websocket handshakes refused because what they showed was no token, or too large.
    tokens_malformed,
    /// Websocket handshakes refused because there was no key for their token's algorithm and key id.
    tokens_unknown_key,
    /// Websocket handshakes refused because nobody known had signed their token.
    tokens_bad_signature,
    /// Websocket handshakes refused because their token had expired.
    tokens_expired,
    /// Websocket handshakes refused because their token was not valid yet.
    tokens_early,
    /// Websocket handshakes refused because their token was of another issuer, or for another audience.
    tokens_foreign,
    /// Websocket handshakes refused because their token lacked a claim that is needed, or had one of another type.
    tokens_incomplete,
    /// Clients closed for breaking their protocol.
    clients_malformed,
    /// Clients closed because their websocket request was larger than it may be.
    clients_closed_header_size,
    /// Clients closed because their message was in more frames than it may be.
    clients_closed_fragments,
    /// Links closed for a malformed frame.
    links_malformed,
    /// Workers that were told that another has their name.
    workers_refused,
    /// Workers whose link another of their name took the place of.
    workers_displaced,
    /// Links closed for a wrong or missing secret key.
    links_unauthorized,
    /// Inner connections closed because they spoke no TLS, where `--inner-tls-ca` asks for it.
    links_without_tls,
    /// Inner connections closed because their TLS handshake failed: no certificate that counts, or not in time.
    links_tls_failed,
    /// Inner connections closed because they said what they are, or a key, and not the proof that `--inner-auth challenge` wants.
    links_unproven,
    /// Links closed because nothing was heard of a peer that pings (WIRE.md §14).
    links_silent,
    /// Links closed because the peer's machine acknowledged nothing for a minute.
    links_stuck,
    /// Times a silent worker was kept, its clients unread, because no other would take them.
    links_kept,
    /// Times no new clients were accepted because too many departed ones waited for workers to be told.
    accepts_held,
    /// Events that a lost link had not taken, or its worker not finished, and that went on to other workers.
    events_rerouted,
    /// Events sent to a worker that another one may have had.
    events_repeated,
    /// Events dropped because three workers died with them in hand.
    events_poisonous,
    /// Events that lost links left and that could not be given to anybody.
    events_dropped,
    /// Query connections closed because an answer was longer than anybody takes.
    replies_too_large,
    /// Messages dropped because their client's queue was full.
    messages_dropped_slow_client,
    /// Clients closed because their queue was full.
    clients_closed_slow,
    /// Clients closed because there was no worker for them.
    clients_closed_no_worker,
    /// Clients closed by the heartbeat.
    clients_closed_silent,
    /// Clients closed because their token has expired.
    clients_closed_token,
    /// Clients whose handshake was refused because their worker took no events for as long as it may take.
    clients_closed_unserved,
    /// Clients closed for not finishing their handshake in time.
    clients_closed_handshake,
    /// Clients closed because unfinished messages of all together were too large, and theirs was the largest.
    clients_closed_unfinished_size,
    /// Clients closed because a message of theirs was not whole in time.
    clients_closed_unfinished_time,
    /// Clients closed because they sent more messages than they may.
    clients_closed_message_rate,
    /// Clients closed because they sent more bytes than they may.
    clients_closed_byte_rate,
    /// Clients closed because they had no uid in time.
    clients_closed_unbound,
    /// TLS handshakes that failed, whatever the reason; also those cut off or not finished in time.
    tls_handshakes_failed,
    /// TLS sessions that broke after their handshake.
    tls_sessions_failed,
    /// Clients that spoke TLS where none is spoken.
    tls_unexpected,
    /// Times a client was not read any more because its worker's link was full.
    stalls_link_full,
    /// Times a client was not read any more because there was no worker.
    stalls_no_worker,
    /// Times a client was not read any more because its worker was handing it over.
    stalls_draining,
    /// Times a client was not read any more because its worker was silent.
    stalls_silent,
    /// Times a client was not read any more because events of lost links went first.
    stalls_rerouting,
    /// Times a client was not read any more because its worker had as many events in hand as it takes.
    stalls_window,
    /// Times a client was not read any more because its worker had as many of its events in hand as are one client's share.
    stalls_own_events,
    /// Times a client was not read any more because its worker had its handshake to answer.
    stalls_handshake,
    /// Times a client was not read for some ms because it had had its share of a worker that does not say what it has done.
    stalls_share,
    /// Times a client was not read for a while because it had sent as many messages as it may.
    stalls_message_rate,
    /// Times a client was not read for a while because it had sent as many bytes as it may.
    stalls_byte_rate,
    /// Websocket handshakes that workers have refused.
    handshakes_refused,
    /// Workers that did not let their clients go in the time that they had said.
    drains_expired,
    /// ON_CLOSE frames dropped because there was no worker for too long.
    closes_dropped,
    /// Commands ignored for exceeding a limit.
    commands_refused,
    /// System calls on the shard's ring: nearly all that its thread makes.
    ring_enters,
    /// Bytes received from clients, workers and registers.
    received_bytes,
    /// Bytes sent to them.
    sent_bytes,
    /// Sends that did not take everything: the peer reads slowly.
    short_sends,
}

impl Counters {
    /// Messages dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.messages_dropped_slow_client + self.closes_dropped + self.events_dropped + self.events_poisonous
    }
}
