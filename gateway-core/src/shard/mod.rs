//! The shard: all clients of one core, and everything that is known of them.
//!
//! A state machine. It never does IO, reads no clock, and shares nothing. Its parts:
//!
//! * [`clients`](self::clients): how clients come, what they say, what they are called, how they go;
//! * [`links`](self::links): inner connections: frames, workers, how a worker hands its clients over, signs of life;
//! * [`commands`](self::commands), [`answers`](self::answers), [`fanouts`](self::fanouts): what workers command and ask;
//! * [`events`](self::events): what clients do, on its way to their workers;
//! * [`turn`](self::turn), [`output`](self::output): the order of a turn, what is to be sent and done;
//! * [`tick`](self::tick), [`deadlines`](self::deadlines): what time brings.

mod answers;
mod clients;
mod commands;
mod counters;
mod deadlines;
mod events;
mod fanouts;
mod hooks;
mod links;
mod notices;
mod output;
mod table;
mod tick;
mod turn;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{SocketAddr, SocketAddrV4};

use hashbrown::HashMap;
use protocol::ClientId;
use ring::SocketId;

pub use self::counters::{Counters, Status};
pub use self::notices::{Gone, Notice};
pub use self::turn::{Action, Sends, Sink};

use self::answers::listing::Listings;
use self::clients::lingering::Lingering;
use self::clients::stop::Stop;
use self::clients::{ClientSlot, Clients};
use self::deadlines::Deadlines;
use self::events::departed::DepartedTable;
use self::events::reroute::Backlog;
use self::fanouts::Job;
use self::hooks::CaughtHooks;
use self::links::{LinkId, Links};
use self::notices::Notices;
use self::output::{Outbound, Output};
use crate::{ClientInfo, Millis, Settings};

/// What makes a shard this one and no other.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// `lan_ip` and the shard's inner port: where workers reach it, and what client ids begin with.
    pub address: SocketAddrV4,
    /// Any number, different at each start: the first connection id and the random choices come from it.
    pub seed: u64,
}

impl Identity {
    /// A client as hooks see it.
    fn client_info(&self, connection_id: u32, address: SocketAddr, listener: usize) -> ClientInfo {
        let id = ClientId { gateway: self.address, connection_id };
        ClientInfo { id, address, listener }
    }
}

/// All clients of one core.
///
/// Its glue tells what came in by the `on_*` methods, in the order in which it came, then lets it take a [`Shard::turn`]; and calls
/// [`Shard::on_tick`] when [`Shard::next_tick`] has come. It does not wait for anything while [`Shard::is_pending`]. To end,
/// [`Shard::begin_stop`], and when [`Shard::is_stopped`] or it has taken too long, [`Shard::end_stop`].
///
/// Invariants: a socket is a client's, a link's, or lingers, or is none of the shard's; `now` never goes back.
pub struct Shard {
    settings: Settings,
    identity: Identity,
    now: Millis,
    clients: Clients,
    links: Links,
    /// Connections without a client.
    lingering: HashMap<SocketId, Lingering>,
    /// Events that lost links had not taken.
    backlog: Backlog,
    departed: DepartedTable,
    /// Fan-outs that take more than one turn.
    fanouts: VecDeque<Job>,
    /// Answers that take more than one turn.
    listings: Listings,
    deadlines: Deadlines,
    output: Output,
    hooks: CaughtHooks,
    counters: Counters,
    notices: Notices,
    random: fastrand::Rng,
    /// The stop that is under way.
    stop: Option<Stop>,
}

/// What a socket is to the shard.
enum Conn {
    Client(ClientSlot),
    Link(LinkId),
    Lingering,
}

impl Shard {
    /// An empty shard.
    pub fn new(settings: Settings, identity: Identity, now: Millis) -> Shard {
        let hooks = CaughtHooks::start(settings.hooks.make(), identity);
        Shard {
            clients: Clients::new(&settings, now, (identity.seed & 0xFFFF_FFFF) as u32),
            links: Links::new(),
            lingering: HashMap::new(),
            backlog: Backlog::default(),
            departed: DepartedTable::default(),
            fanouts: VecDeque::new(),
            listings: Listings::default(),
            deadlines: Deadlines::new(&settings, now),
            output: Output::default(),
            hooks,
            counters: Counters::default(),
            notices: Notices::default(),
            random: fastrand::Rng::with_seed(identity.seed),
            stop: None,
            settings,
            identity,
            now,
        }
    }

    /// What has been counted since start.
    pub fn counters(&self) -> Counters {
        Counters { hook_panics: self.hooks.panics(), ..self.counters }
    }

    /// What there is now, and what has been counted.
    pub fn status(&self) -> Status {
        Status {
            clients: self.clients.len(),
            uids: self.clients.uids.names().len(),
            groups: self.clients.groups.names().len(),
            workers: self.worker_count(),
            counters: self.counters(),
        }
    }

    /// Clients there now.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Workers connected now.
    pub fn worker_count(&self) -> usize {
        self.links.workers.connected_count()
    }

    /// Moves what an operator may want to read of the workers into `notices`, in order.
    pub fn take_notices(&mut self, notices: &mut Vec<Notice>) {
        self.notices.take(notices);
    }

    /// The bytes for the next send on a socket; nothing if it is gone.
    pub fn unsent(&self, socket: SocketId) -> impl Iterator<Item = IoSlice<'_>> {
        let out = self.outbound(socket);
        // What a client with TLS has queued is not for the wire before it is sealed.
        let plain = out.filter(|_| !self.clients.sessions.has(socket));
        let plain = plain.into_iter().flat_map(|out| out.queue.slices());
        out.and_then(|out| out.queue.sealed()).into_iter().chain(plain)
    }

    /// Whether sends, actions, large fan-outs, long answers, heartbeats or clients that hold too much wait: the glue must not
    /// block before another [`Shard::turn`].
    pub fn is_pending(&self) -> bool {
        self.output.is_pending()
            || !self.fanouts.is_empty()
            || self.listings.are_under_way()
            || self.clients.heartbeat.is_sweeping()
            || self.clients.unfinished.is_too_much()
    }

    /// There is room again after a short send.
    pub fn on_writable(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        if let Some((out, output)) = self.outbound_mut(socket) {
            output.unblock(socket, out);
        }
    }

    /// Bytes came. They may be changed.
    pub fn on_received(&mut self, now: Millis, socket: SocketId, bytes: &mut [u8]) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Link(id)) => self.link_received(id, bytes),
            Some(_) if self.clients.sessions.has(socket) => self.session_received(socket, bytes),
            Some(Conn::Client(slot)) => self.client_received(slot, bytes),
            Some(Conn::Lingering) => self.endings().received(socket, bytes),
            None => {}
        }
    }

    /// The peer will send no more.
    pub fn on_end_of_stream(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Client(slot)) => self.client_ended(slot),
            Some(Conn::Link(id)) => self.link_ended(id),
            Some(Conn::Lingering) => self.endings().peer_ended(socket),
            None => {}
        }
    }

    /// The connection broke.
    pub fn on_failed(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Client(slot)) => self.close_client_now(slot),
            Some(Conn::Link(id)) => self.close_link_because(id, Gone::Broken),
            Some(Conn::Lingering) => self.endings().close(socket),
            None => self.output.actions.push(Action::Close(socket)),
        }
    }

    /// Takes what was sent from a socket's queue: `short` bytes, or all of [`Shard::unsent`]. Returns whether anything may
    /// follow from that.
    fn advance(&mut self, socket: SocketId, short: Option<usize>) -> bool {
        let has_tls = self.clients.sessions.has(socket);
        let output = &mut self.output;
        let mut advance = |out: &mut Outbound| {
            let sent = short.unwrap_or_else(|| out.offered(has_tls));
            output.sent(socket, out, sent, short.is_some());
            sent
        };
        if let Some(client) = self.clients.live_mut(socket) {
            advance(&mut client.out);
            return client.closing;
        }
        if let Some(link) = self.links.get_mut(LinkId::of(socket)) {
            if advance(&mut link.out) > 0 {
                link.pulse.said();
            }
        } else if let Some(lingering) = self.lingering.get_mut(&socket) {
            advance(&mut lingering.out);
        }
        true
    }

    /// Does what follows from a send: most often a link's.
    fn after_send(&mut self, socket: SocketId) {
        let id = LinkId::of(socket);
        if self.links.get(id).is_some() {
            return self.link_sent(id);
        }
        match self.clients.find(socket) {
            // It is closing: of others nothing follows.
            Some(slot) if self.clients[slot].out.queue.is_empty() => self.linger(slot),
            Some(_) => {}
            None => self.endings().sent(socket),
        }
    }

    /// What a socket is now: the one place that says whether it still is what it was.
    fn conn(&self, socket: SocketId) -> Option<Conn> {
        if let Some(slot) = self.clients.find(socket) {
            Some(Conn::Client(slot))
        } else if self.links.get(LinkId::of(socket)).is_some() {
            Some(Conn::Link(LinkId::of(socket)))
        } else {
            self.lingering.contains_key(&socket).then_some(Conn::Lingering)
        }
    }

    fn outbound(&self, socket: SocketId) -> Option<&Outbound> {
        if let Some(client) = self.clients.live(socket) {
            return Some(&client.out);
        }
        let link = self.links.get(LinkId::of(socket)).map(|link| &link.out);
        link.or_else(|| self.lingering.get(&socket).map(|lingering| &lingering.out))
    }

    fn outbound_mut(&mut self, socket: SocketId) -> Option<(&mut Outbound, &mut Output)> {
        let out = if let Some(client) = self.clients.live_mut(socket) {
            &mut client.out
        } else if let Some(link) = self.links.get_mut(LinkId::of(socket)) {
            &mut link.out
        } else {
            &mut self.lingering.get_mut(&socket)?.out
        };
        Some((out, &mut self.output))
    }
}
