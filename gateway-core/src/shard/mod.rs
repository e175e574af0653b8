//! The shard: all clients of one core, and everything that is known of them.
//!
//! A state machine. It never does IO, reads no clock, and shares nothing. Its parts:
//!
//! * [`clients`](self::clients): how clients come, what they say, what they are called, how they go;
//! * [`links`](self::links): inner connections: frames, workers, how a worker hands its clients over, signs of life;
//! * [`commands`](self::commands), [`answers`](self::answers), [`fanouts`](self::fanouts): what workers command and ask;
//! * [`undelivered`](self::undelivered): events that wait for a worker;
//! * [`turn`](self::turn), [`output`](self::output): the order of a turn, what is to be sent and done;
//! * [`tick`](self::tick), [`deadlines`](self::deadlines): what time brings.

mod answers;
mod clients;
mod commands;
mod counters;
mod deadlines;
mod fanouts;
mod hooks;
mod links;
mod notices;
mod output;
mod table;
mod tick;
mod turn;
mod undelivered;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{SocketAddr, SocketAddrV4};

use hashbrown::HashMap;
use protocol::ClientId;
use protocol::client::Protocol;
use protocol::pulse::LOOK_PERIOD_MS;
use ring::SocketId;

pub use self::counters::{Counters, Status};
pub use self::notices::{Gone, Notice};
pub use self::turn::{Action, Sends, Sink};

use self::answers::listing::Listings;
use self::clients::client::Client;
use self::clients::directory::{Directory, Slot};
use self::clients::heartbeat::Heartbeat;
use self::clients::lingering::Lingering;
use self::clients::stop::Stop;
use self::clients::tls::Secure;
use self::clients::unfinished::Unfinished;
use self::deadlines::Timeouts;
use self::fanouts::Job;
use self::hooks::CaughtHooks;
use self::links::link::Link;
use self::links::workers::Workers;
use self::notices::Notices;
use self::output::{Outbound, Output};
use self::table::Table;
use self::undelivered::departed::DepartedTable;
use self::undelivered::reroute::Backlog;
use crate::config::{
    ANSWER_TIMEOUT_MS, AUTHORIZATION_TIMEOUT_MS, CLOSE_FLUSH_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS,
    LINGER_TIMEOUT_MS, LINK_PING_PERIOD_MS,
};
use crate::{ClientInfo, Millis, Settings};

/// What makes a shard this one and no other.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// `lan_ip` and the shard's inner port: where workers reach it, and what client ids begin with.
    pub address: SocketAddrV4,
    /// Any number, different at each start: the first connection id and the random choices come from it.
    pub seed: u64,
}

/// All clients of one core.
///
/// Invariants: every client row is in `connection_ids` and the other way round; sets in the directory hold slots of
/// client rows only; `now` never goes back.
pub struct Shard {
    settings: Settings,
    identity: Identity,
    now: Millis,
    conns: Table<Conn>,
    connection_ids: HashMap<u32, Slot>,
    /// Rows that are [`Conn::Link`].
    links: Vec<SocketId>,
    accepted: u64,
    uids: Directory,
    groups: Directory,
    workers: Workers,
    /// Links that drain; one that is gone may still be listed.
    draining: Vec<SocketId>,
    hooks: CaughtHooks,
    output: Output,
    secure: Secure,
    /// Fan-outs that take more than one turn.
    jobs: VecDeque<Job>,
    /// Answers that take more than one turn.
    listings: Listings,
    /// What is held of clients' input.
    unfinished: Unfinished,
    counters: Counters,
    notices: Notices,
    heartbeat: Heartbeat,
    waits: Waits,
    backlog: Backlog,
    departed: DepartedTable,
    /// Rows that are [`Conn::Lingering`].
    lingering_count: usize,
    random: u64,
    last_connection_id: u32,
    /// The stop that is under way.
    stop: Option<Stop>,
    /// Answers of codecs on their way to a queue; kept for its memory.
    reply: Vec<u8>,
}

/// What a slot of the ring is used for.
enum Conn {
    Client(Client),
    Link(Box<Link>),
    Lingering(Lingering),
}

/// Who waits for what.
struct Waits {
    handshake: Timeouts,
    answer: Timeouts,
    flush: Timeouts,
    linger: Timeouts,
    authorization: Timeouts,
    /// Clients without a worker.
    no_worker: Timeouts,
    next_link_ping: Millis,
    next_link_look: Millis,
}

impl Shard {
    /// An empty shard.
    pub fn new(settings: Settings, identity: Identity, now: Millis) -> Shard {
        let hooks = CaughtHooks::start(settings.hooks.make(), identity);
        let no_worker_ms = settings.no_worker_wait.as_millis() as u64;
        Shard {
            heartbeat: Heartbeat::new(&settings, now),
            unfinished: Unfinished::new(&settings, now),
            settings,
            identity,
            now,
            conns: Table::new(),
            connection_ids: HashMap::new(),
            links: Vec::new(),
            accepted: 0,
            uids: Directory::default(),
            groups: Directory::default(),
            workers: Workers::default(),
            draining: Vec::new(),
            hooks,
            output: Output::default(),
            secure: Secure::default(),
            jobs: VecDeque::new(),
            listings: Listings::default(),
            counters: Counters::default(),
            notices: Notices::default(),
            waits: Waits {
                handshake: Timeouts::new(HANDSHAKE_TIMEOUT_MS),
                answer: Timeouts::new(ANSWER_TIMEOUT_MS),
                flush: Timeouts::new(CLOSE_FLUSH_TIMEOUT_MS),
                linger: Timeouts::new(LINGER_TIMEOUT_MS),
                authorization: Timeouts::new(AUTHORIZATION_TIMEOUT_MS),
                no_worker: Timeouts::new(no_worker_ms),
                next_link_ping: now.plus(LINK_PING_PERIOD_MS),
                next_link_look: now.plus(LOOK_PERIOD_MS),
            },
            backlog: Backlog::default(),
            departed: DepartedTable::default(),
            lingering_count: 0,
            random: identity.seed | 1,
            last_connection_id: identity.seed as u32,
            stop: None,
            reply: Vec::new(),
        }
    }

    /// What has been counted since start.
    pub fn counters(&self) -> Counters {
        Counters { hook_panics: self.hooks.panics(), ..self.counters }
    }

    /// What there is now, and what has been counted.
    pub fn status(&self) -> Status {
        Status {
            clients: self.connection_ids.len(),
            uids: self.uids.names().len(),
            groups: self.groups.names().len(),
            workers: self.workers.connected_count(),
            counters: self.counters(),
        }
    }

    /// Clients there now.
    pub fn client_count(&self) -> usize {
        self.connection_ids.len()
    }

    /// Workers connected now.
    pub fn worker_count(&self) -> usize {
        self.workers.connected_count()
    }

    /// Moves what an operator may want to read of the workers into `notices`, in order.
    pub fn take_notices(&mut self, notices: &mut Vec<Notice>) {
        self.notices.take(notices);
    }

    /// The bytes for the next send on a socket; nothing if it is gone.
    pub fn unsent(&self, socket: SocketId) -> impl Iterator<Item = IoSlice<'_>> {
        let out = self.outbound(socket);
        // What a client with TLS has queued is not for the wire before it is sealed.
        let plain = out.filter(|_| !self.secure.has(slot(socket)));
        let plain = plain.into_iter().flat_map(|out| out.queue.slices());
        out.and_then(|out| out.queue.sealed()).into_iter().chain(plain)
    }

    /// Whether sends, actions, large fan-outs, long answers, heartbeats or clients that hold too much wait: the glue must not
    /// block before another [`Shard::turn`].
    pub fn is_pending(&self) -> bool {
        self.output.is_pending()
            || !self.jobs.is_empty()
            || self.listings.are_under_way()
            || self.heartbeat.is_sweeping()
            || self.unfinished.is_too_much()
    }

    /// There is room again after a short send.
    pub fn on_writable(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conns.get_mut(socket.index()) {
            Some(Conn::Client(client)) if client.socket == socket => {
                self.output.unblock(socket, &mut client.out)
            }
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => {
                self.output.unblock(socket, &mut lingering.out)
            }
            Some(Conn::Link(link)) if link.socket == socket => self.output.unblock(socket, &mut link.out),
            _ => {}
        }
    }

    /// Bytes came. They may be changed.
    pub fn on_received(&mut self, now: Millis, socket: SocketId, bytes: &mut [u8]) {
        self.now = now;
        match self.conns.get(socket.index()) {
            Some(
                Conn::Client(Client { socket: own, .. }) | Conn::Lingering(Lingering { socket: own, .. }),
            ) if *own == socket && self.secure.has(slot(socket)) => {
                self.session_received(slot(socket), bytes)
            }
            Some(Conn::Client(client)) if client.socket == socket => {
                self.client_received(slot(socket), bytes)
            }
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => {
                self.lingering_received(slot(socket), bytes)
            }
            Some(Conn::Link(link)) if link.socket == socket => self.link_received(slot(socket), bytes),
            _ => {}
        }
    }

    /// The peer will send no more.
    pub fn on_end_of_stream(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conns.get(socket.index()) {
            Some(Conn::Client(client)) if client.socket == socket => self.client_ended(slot(socket)),
            Some(Conn::Link(link)) if link.socket == socket => self.link_ended(slot(socket)),
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => {
                self.lingering_ended(slot(socket))
            }
            _ => {}
        }
    }

    /// The connection broke.
    pub fn on_failed(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conns.get(socket.index()) {
            Some(Conn::Client(client)) if client.socket == socket => self.close_client_now(slot(socket)),
            Some(Conn::Link(link)) if link.socket == socket => self.link_failed(slot(socket)),
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => {
                self.close_lingering(slot(socket))
            }
            _ => self.output.actions.push(Action::Close(socket)),
        }
    }

    /// Takes what was sent from a socket's queue: `short` bytes, or all of [`Shard::unsent`].
    fn advance(&mut self, socket: SocketId, short: Option<usize>) {
        let has_tls = self.secure.has(slot(socket));
        let sent = |out: &Outbound| short.unwrap_or_else(|| out.offered(has_tls));
        match self.conns.get_mut(socket.index()) {
            Some(
                Conn::Client(Client { socket: own, out, .. })
                | Conn::Lingering(Lingering { socket: own, out, .. }),
            ) if *own == socket => {
                self.output.sent(socket, out, sent(out), short.is_some());
            }
            Some(Conn::Link(link)) if link.socket == socket => {
                let sent = sent(&link.out);
                self.output.sent(socket, &mut link.out, sent, short.is_some());
                if sent > 0 {
                    link.pulse.said();
                }
            }
            _ => {}
        }
    }

    /// Does what follows from a send.
    fn after_send(&mut self, socket: SocketId) {
        match self.conns.get(socket.index()) {
            Some(Conn::Client(client)) if client.socket == socket => {
                let is_done = client.closing && client.out.queue.is_empty();
                if is_done {
                    self.linger(slot(socket));
                }
            }
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => {
                self.lingering_sent(slot(socket))
            }
            Some(Conn::Link(link)) if link.socket == socket => self.link_sent(slot(socket)),
            _ => {}
        }
    }

    fn outbound(&self, socket: SocketId) -> Option<&Outbound> {
        match self.conns.get(socket.index()) {
            Some(Conn::Client(client)) if client.socket == socket => Some(&client.out),
            Some(Conn::Lingering(lingering)) if lingering.socket == socket => Some(&lingering.out),
            Some(Conn::Link(link)) if link.socket == socket => Some(&link.out),
            _ => None,
        }
    }

    fn client(&mut self, slot: Slot) -> &mut Client {
        match self.conns.get_mut(slot as usize) {
            Some(Conn::Client(client)) => client,
            _ => unreachable!("slots of clients come from tables that hold clients only"),
        }
    }

    fn client_ref(&self, slot: Slot) -> &Client {
        match self.conns.get(slot as usize) {
            Some(Conn::Client(client)) => client,
            _ => unreachable!("slots of clients come from tables that hold clients only"),
        }
    }

    /// A client as hooks see it.
    fn client_info(&self, connection_id: u32, address: SocketAddr, listener: u8) -> ClientInfo {
        let id = ClientId { gateway: self.identity.address, connection_id };
        ClientInfo { id, address, listener: listener.into() }
    }

    /// What a client's listener speaks.
    fn protocol_of(&self, slot: Slot) -> &dyn Protocol {
        self.settings.listen[usize::from(self.client_ref(slot).listener)].protocol.protocol()
    }

    /// The link at a slot, unless it has been closed meanwhile.
    fn link(&mut self, slot: Slot) -> Option<&mut Link> {
        match self.conns.get_mut(slot as usize) {
            Some(Conn::Link(link)) => Some(link),
            _ => None,
        }
    }

    /// A number that nobody outside can foresee who does not know the seed (xorshift64).
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn slot(socket: SocketId) -> Slot {
    socket.index() as Slot
}
