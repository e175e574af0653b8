//! The clients of a shard: how they come, what they say, what they are called, how they go.

pub(super) mod accept;
pub(super) mod admission;
pub(super) mod client;
pub(super) mod codec;
pub(super) mod cordon;
pub(super) mod directory;
pub(super) mod found;
pub(super) mod heartbeat;
pub(super) mod input;
pub(super) mod largest;
pub(super) mod leave;
pub(super) mod lingering;
pub(super) mod names;
mod probe;
pub(super) mod proxied;
pub(super) mod rates;
pub(super) mod share;
pub(super) mod stop;
pub(super) mod tls;
pub(super) mod tokens;
mod unanswered;
pub(super) mod unfinished;

use std::ops::{Index, IndexMut};

use hashbrown::HashMap;
use protocol::LogLimit;
use uring::SocketId;

use self::admission::{Admissions, LimitLogs};
use self::client::Client;
use self::directory::Directory;
use self::heartbeat::Heartbeat;
use self::rates::Rates;
use self::share::Shares;
use self::tls::Sessions;
use self::tokens::Tokens;
use self::unanswered::Unanswered;
use self::unfinished::Unfinished;
use super::table::Table;
use crate::config::ORIGIN_LOG_PERIOD_MS;
use crate::{Millis, Settings};

/// Where a client's row is: the slot of its socket. To be held only while the client is known to be there; what may outlive it
/// holds the [`SocketId`], or the connection id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct ClientSlot(u32);

impl ClientSlot {
    pub(crate) fn of(index: usize) -> ClientSlot {
        ClientSlot(u32::try_from(index).expect("slots are below the ring's SOCKETS_MAX"))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// All clients, by socket, by connection id, by uid and by group.
///
/// Invariants: every row is in `by_id` and the other way round; sets hold slots of rows only, and a row's memberships are in
/// them.
pub(crate) struct Clients {
    rows: Table<Client>,
    by_id: HashMap<u32, ClientSlot>,
    pub uids: Directory,
    pub groups: Directory,
    /// TLS sessions, also of connections that linger.
    pub sessions: Sessions,
    /// What is held of clients' input.
    pub unfinished: Unfinished,
    pub heartbeat: Heartbeat,
    /// Those that waited for their own events and are to be read again; kept for its memory.
    pub ready: Vec<SocketId>,
    pub shares: Shares,
    pub tokens: Tokens,
    /// What newcomers are counted by, if they are.
    pub admissions: Option<Admissions>,
    /// What each says is counted by, if it is.
    pub rates: Option<Box<Rates>>,
    pub limit_logs: LimitLogs,
    /// Those whose handshakes are their workers' to answer.
    unanswered: HashMap<SocketId, Unanswered>,
    /// Lines about pages that may not open websockets.
    pub origin_log: LogLimit,
    accepted: u64,
    last_id: u32,
    /// How many there are of each listener.
    by_listener: Vec<usize>,
}

impl Clients {
    /// Connection ids begin behind `last_id`.
    pub(crate) fn new(settings: &Settings, now: Millis, last_id: u32) -> Clients {
        Clients {
            rows: Table::new(),
            by_id: HashMap::new(),
            uids: Directory::default(),
            groups: Directory::default(),
            sessions: Sessions::default(),
            unfinished: Unfinished::new(settings, now),
            heartbeat: Heartbeat::new(settings, now),
            ready: Vec::new(),
            shares: Shares::default(),
            tokens: Tokens::default(),
            admissions: Admissions::new(settings),
            rates: Rates::new(settings),
            limit_logs: LimitLogs::default(),
            unanswered: HashMap::new(),
            origin_log: LogLimit::new(1, ORIGIN_LOG_PERIOD_MS),
            accepted: 0,
            last_id,
            by_listener: vec![0; settings.listen.len()],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many there are of each of `Settings::listen`.
    pub(crate) fn by_listener(&self) -> &[usize] {
        &self.by_listener
    }

    /// The client with this socket, if it is still there.
    pub(crate) fn find(&self, socket: SocketId) -> Option<ClientSlot> {
        self.live(socket).map(|_| ClientSlot::of(socket.index()))
    }

    /// The same, its row.
    pub(crate) fn live(&self, socket: SocketId) -> Option<&Client> {
        self.rows.get(socket.index()).filter(|client| client.socket == socket)
    }

    /// The same, its row.
    pub(crate) fn live_mut(&mut self, socket: SocketId) -> Option<&mut Client> {
        self.rows.get_mut(socket.index()).filter(|client| client.socket == socket)
    }

    /// The client of this slot, if there is one.
    pub(crate) fn get(&self, slot: ClientSlot) -> Option<&Client> {
        self.rows.get(slot.index())
    }

    /// The same.
    pub(crate) fn get_mut(&mut self, slot: ClientSlot) -> Option<&mut Client> {
        self.rows.get_mut(slot.index())
    }

    /// One past the highest slot that may have a client.
    pub(crate) fn end(&self) -> usize {
        self.rows.end()
    }

    /// How many were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The client with this connection id.
    pub(crate) fn by_id(&self, connection_id: u32) -> Option<ClientSlot> {
        self.by_id.get(&connection_id).copied()
    }

    /// Who is there, in no order that would mean anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientSlot, &Client)> {
        self.rows.iter().map(|(index, client)| (ClientSlot::of(index), client))
    }

    /// A number that no client has and that is not `taken`; never 0.
    pub(crate) fn next_id(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            if id != 0 && !self.by_id.contains_key(&id) && !taken(id) {
                return id;
            }
        }
    }

    /// Counts a client that is about to be accepted, or to be refused.
    pub(crate) fn next_accepted(&mut self) -> u64 {
        self.accepted += 1;
        self.accepted
    }

    pub(crate) fn insert(&mut self, client: Client) -> ClientSlot {
        let index = client.socket.index();
        let slot = ClientSlot::of(index);
        self.by_id.insert(client.connection_id, slot);
        self.by_listener[usize::from(client.listener)] += 1;
        self.rows.insert(index, client);
        slot
    }

    /// Takes a client out of every table, but for its TLS session.
    pub(crate) fn remove(&mut self, slot: ClientSlot) -> Client {
        let client = self.rows.remove(slot.index()).expect(KNOWN_TO_BE_THERE);
        self.by_id.remove(&client.connection_id);
        self.by_listener[usize::from(client.listener)] -= 1;
        self.unfinished.forget(slot);
        self.tokens.forget(client.socket);
        self.rates.iter_mut().for_each(|rates| rates.forget(slot));
        self.unanswered.remove(&client.socket);
        if let Some(uid) = client.uid {
            self.uids.leave(uid);
        }
        for group in client.groups() {
            self.groups.leave(*group);
        }
        client
    }
}

impl Index<ClientSlot> for Clients {
    type Output = Client;

    fn index(&self, slot: ClientSlot) -> &Client {
        self.rows.get(slot.index()).expect(KNOWN_TO_BE_THERE)
    }
}

impl IndexMut<ClientSlot> for Clients {
    fn index_mut(&mut self, slot: ClientSlot) -> &mut Client {
        self.rows.get_mut(slot.index()).expect(KNOWN_TO_BE_THERE)
    }
}

const KNOWN_TO_BE_THERE: &str = "who holds a client's slot knows that it is there";
