//! A program's connections to all its registers, kept for as long as the program lives (WIRE.md §2): without IO and without a
//! clock.
//!
//! Registers are soft state: each may be away, come back with nothing, or be another one under another address. So a program
//! keeps a [`RegisterClient`] for each address of each name that it was given, and what counts is the union of their lists.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use crate::Credentials;
use crate::register_client::{Action as ClientAction, Connection, Limits, News as ClientNews};
use crate::register_client::{RegisterClient, Role};
use crate::register_lists::RegisterLists;
pub use crate::register_lists::{Listing, RETURN_GRACE_MS};

/// The state machine of one program's connections to its registers.
///
/// The caller owns sockets, clock and the looking up of names. In this order, whenever something happened:
/// 1. [`on_looked_up`](Self::on_looked_up), [`on_connected`](Self::on_connected), [`on_bytes`](Self::on_bytes),
///    [`on_end_of_stream`](Self::on_end_of_stream), [`on_failed`](Self::on_failed): what happened; [`on_tick`](Self::on_tick) at
///    the start, and whenever [`deadline`](Self::deadline) has come.
/// 2. [`next_action`](Self::next_action) until there is none.
/// 3. [`unsent`](Self::unsent) of each connection goes to its socket, [`on_sent`](Self::on_sent) says how much was taken.
///
/// `now` is in ms since any moment, the same one for all calls, and never decreases.
#[derive(Debug)]
pub struct RegisterSet {
    names: Vec<Name>,
    members: Vec<Member>,
    next_id: u32,
    role: Role,
    credentials: Credentials,
    /// Where the process tells of itself.
    admin: Option<SocketAddr>,
    limits: Limits,
    actions: VecDeque<Action>,
}

/// Names a connection to a register: at any time there is at most one of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegisterConn {
    member: u32,
    connection: Connection,
}

/// What the caller is to do.
#[derive(Debug)]
pub enum Action {
    /// Look up all addresses of [`RegisterSet::name`]; [`RegisterSet::on_looked_up`] follows.
    LookUp(usize),
    /// Open this connection.
    Connect(RegisterConn, SocketAddr),
    /// Close this connection or stop opening it, if there is still anything of it.
    Close(RegisterConn),
    /// Hear this of the register that people call so.
    Tell(String, News),
    /// Gateways are not listed any more, without a new list: [`RegisterSet::lists`] knows.
    Unlisted,
}

/// What was learned of a register.
#[derive(Debug)]
pub enum News {
    /// It has taken us: once for each connection, before its first list.
    Held,
    /// Its list, now and at each change. A gateway gets none. [`RegisterSet::lists`] has it already.
    Listed {
        /// In the register's order, at most [`crate::register_client::GATEWAYS_MAX`].
        gateways: Vec<Listing>,
        /// Entries that are no address, or too many.
        left_out: usize,
    },
    /// The connection ended, or could not be had, or the name has no address. It is tried again.
    Lost {
        /// Why.
        error: io::Error,
        /// The register had taken us.
        was_held: bool,
    },
}

/// What the program was given.
#[derive(Debug)]
struct Name {
    /// `HOST:PORT`.
    text: String,
    /// The host is an address.
    is_address: bool,
    is_looking_up: bool,
    /// When to look it up next, in ms; [`NEVER`] while that is done, and for addresses.
    look_up_at: u64,
    /// It was looked up once, or cannot be.
    is_tried: bool,
}

/// A register at one address. Without a client it is one that a name had once, and that counts for a while.
#[derive(Debug)]
struct Member {
    id: u32,
    name: usize,
    address: SocketAddr,
    client: Option<RegisterClient>,
    lists: RegisterLists,
    /// It has listed something, or an attempt has failed.
    is_tried: bool,
}

impl RegisterSet {
    /// For the registers at `addresses`, `HOST:PORT` each. Nothing happens before the first [`Self::on_tick`].
    pub fn new(
        addresses: &[String],
        role: Role,
        credentials: impl Into<Credentials>,
        limits: Limits,
    ) -> RegisterSet {
        let (names, members, actions) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut set = RegisterSet {
            names,
            members,
            next_id: 0,
            role,
            credentials: credentials.into(),
            admin: None,
            limits,
            actions,
        };
        for (index, text) in addresses.iter().enumerate() {
            let address = text.parse().ok();
            set.names.push(Name {
                text: text.clone(),
                is_address: address.is_some(),
                is_looking_up: false,
                look_up_at: if address.is_some() { NEVER } else { 0 },
                is_tried: address.is_some(),
            });
            address.into_iter().for_each(|address| set.add(index, address));
        }
        set
    }

    /// The same, and the registers are told where the process tells of itself, as far as they get there.
    #[must_use]
    pub fn with_admin(mut self, admin: Option<SocketAddr>) -> RegisterSet {
        self.admin = admin;
        for member in &mut self.members {
            let port = admin_port(admin, member.address);
            member.client = member.client.take().map(|client| client.with_admin(port));
        }
        self
    }

    /// The address of ours from which a register is to be connected to; `None`: any. A register believes a process's connection
    /// where the process is. On one machine that may be an address on which nobody tells of it, unless it is chosen.
    pub fn connect_from(&self, register: SocketAddr) -> Option<IpAddr> {
        let admin = self.admin?.ip();
        let is_fit = !admin.is_unspecified() && admin.is_ipv4() == register.is_ipv4();
        (is_fit && register.ip().is_loopback()).then_some(admin)
    }

    /// What a program that has registers at `addresses` may have of connections to them, at most.
    pub fn connections_max(addresses: &[String]) -> usize {
        let is_address = |text: &String| text.parse::<SocketAddr>().is_ok();
        addresses.iter().map(|text| 2 * if is_address(text) { 1 } else { ADDRESSES_MAX }).sum()
    }

    /// What was given as the register's address at this place: `HOST:PORT`.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index].text
    }

    /// Whether there are registers at all.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether each register has listed something, or could not be had.
    pub fn are_all_tried(&self) -> bool {
        self.names.iter().all(|name| name.is_tried) && self.members.iter().all(|member| member.is_tried)
    }

    /// Whether each register that there is has taken us.
    pub fn are_all_held(&self) -> bool {
        let mut clients = self.members.iter().filter_map(|member| member.client.as_ref());
        self.names.iter().all(|name| name.is_tried) && clients.all(RegisterClient::is_held)
    }

    /// Whether some register has taken us.
    pub fn is_any_held(&self) -> bool {
        self.members.iter().filter_map(|member| member.client.as_ref()).any(RegisterClient::is_held)
    }

    /// Whether a gateway counts as there, as far as registers know: one of them lists it, or did when it was last there.
    pub fn lists(&self, gateway: SocketAddrV4) -> bool {
        self.members.iter().any(|member| member.lists.contain(gateway))
    }

    /// How many registers it knows, present and past: each lists at most [`crate::register_client::GATEWAYS_MAX`].
    pub fn register_count(&self) -> usize {
        self.members.len()
    }

    /// These are the addresses of a name; or they cannot be had, and those from before still are.
    pub fn on_looked_up(&mut self, now: u64, index: usize, found: io::Result<Vec<SocketAddr>>) {
        if !self.names[index].is_looking_up {
            return;
        }
        match found.and_then(preferred) {
            Ok(addresses) => self.take_addresses(now, index, &addresses),
            Err(error) if !self.has_clients(index) => self.tell_lost(self.names[index].text.clone(), error),
            Err(_) => {}
        }
        for place in self.places_of(index) {
            if self.client(place).is_some_and(|client| client.is_looking_up(Connection::Main)) {
                self.connect(now, place, Connection::Main);
            }
        }
        let wait = if self.has_clients(index) { LOOK_UP_PERIOD_MS } else { LOOK_UP_RETRY_MS };
        let name = &mut self.names[index];
        (name.is_looking_up, name.is_tried, name.look_up_at) = (false, true, now.saturating_add(wait));
    }

    /// The connection stands.
    pub fn on_connected(&mut self, now: u64, conn: RegisterConn) {
        self.with(now, conn, |client, connection| client.on_connected(now, connection));
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, now: u64, conn: RegisterConn, bytes: &[u8]) {
        self.with(now, conn, |client, connection| client.on_bytes(now, connection, bytes));
    }

    /// The register will say no more.
    pub fn on_end_of_stream(&mut self, now: u64, conn: RegisterConn) {
        self.with(now, conn, |client, connection| client.on_end_of_stream(now, connection));
    }

    /// The connection broke, or could not be had.
    pub fn on_failed(&mut self, now: u64, conn: RegisterConn, error: io::Error) {
        self.with(now, conn, |client, connection| client.on_failed(now, connection, error));
    }

    /// Does what is due.
    pub fn on_tick(&mut self, now: u64) {
        for index in 0..self.names.len() {
            if now >= self.names[index].look_up_at {
                self.look_up(index);
            }
        }
        self.tick_members(now);
        let expired = self.members.iter_mut().map(|member| member.lists.expire(now));
        let is_any = expired.fold(false, |is_any, is_expired| is_any | is_expired);
        self.forget_past();
        self.actions.extend(is_any.then_some(Action::Unlisted));
    }

    /// When [`Self::on_tick`] is due next, in ms.
    pub fn deadline(&self) -> u64 {
        let names = self.names.iter().map(|name| name.look_up_at);
        let lists = self.members.iter().map(|member| member.lists.deadline());
        let clients = self.members.iter().filter_map(|member| member.client.as_ref());
        let clients = clients.map(RegisterClient::deadline);
        names.chain(lists).chain(clients).min().unwrap_or(NEVER)
    }

    /// What the caller is to do next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is to be sent on a connection.
    pub fn unsent(&self, conn: RegisterConn) -> &[u8] {
        let client = self.members.iter().find(|member| member.id == conn.member);
        client.and_then(|member| member.client.as_ref()).map_or(&[], |client| client.unsent(conn.connection))
    }

    /// Of that, the first `size` bytes were taken.
    pub fn on_sent(&mut self, conn: RegisterConn, size: usize) {
        let member = self.members.iter_mut().find(|member| member.id == conn.member);
        if let Some(client) = member.and_then(|member| member.client.as_mut()) {
            client.on_sent(conn.connection, size);
        }
    }

    /// Has nothing to do with registers any more.
    pub fn clear(&mut self) {
        self.names.clear();
        self.members.clear();
        self.actions.clear();
    }

    fn with(&mut self, now: u64, conn: RegisterConn, tell: impl FnOnce(&mut RegisterClient, Connection)) {
        let Some(place) = self.members.iter().position(|member| member.id == conn.member) else { return };
        if let Some(client) = &mut self.members[place].client {
            tell(client, conn.connection);
            self.follow(now, place);
        }
    }

    fn tick_members(&mut self, now: u64) {
        for place in 0..self.members.len() {
            if let Some(client) = &mut self.members[place].client
                && now >= client.deadline()
            {
                client.on_tick(now);
                self.follow(now, place);
            }
        }
    }

    /// Does what a register's client wants.
    fn follow(&mut self, now: u64, place: usize) {
        let (id, name) = (self.members[place].id, self.members[place].name);
        while let Some(action) = self.members[place].client.as_mut().and_then(RegisterClient::next_action) {
            match action {
                // Whoever is there by now may have another address.
                ClientAction::Connect(Connection::Main) if !self.names[name].is_address => self.look_up(name),
                ClientAction::Connect(connection) => self.connect(now, place, connection),
                ClientAction::Close(connection) => {
                    self.actions.push_back(Action::Close(RegisterConn { member: id, connection }));
                }
                ClientAction::News(news) => self.hear(now, place, news),
            }
        }
    }

    fn hear(&mut self, now: u64, place: usize, news: ClientNews) {
        let label = self.label(place);
        let member = &mut self.members[place];
        let news = match news {
            ClientNews::Held => News::Held,
            ClientNews::Gateways { gateways, left_out } => {
                member.is_tried = true;
                News::Listed { gateways: member.lists.take(now, &gateways), left_out }
            }
            ClientNews::Lost { error, was_held } => {
                member.is_tried = true;
                member.lists.away();
                News::Lost { error, was_held }
            }
        };
        self.actions.push_back(Action::Tell(label, news));
    }

    fn connect(&mut self, now: u64, place: usize, connection: Connection) {
        let Member { id, address, client: Some(client), .. } = &mut self.members[place] else { return };
        client.on_connecting(now, connection);
        self.actions.push_back(Action::Connect(RegisterConn { member: *id, connection }, *address));
    }

    fn look_up(&mut self, index: usize) {
        let name = &mut self.names[index];
        if !std::mem::replace(&mut name.is_looking_up, true) {
            name.look_up_at = NEVER;
            self.actions.push_back(Action::LookUp(index));
        }
    }

    /// Begins with registers that are new under a name. Ends with those that are not there any more, unless they are connected:
    /// no connection that works is closed because of a list.
    fn take_addresses(&mut self, now: u64, index: usize, addresses: &[SocketAddr]) {
        for place in self.places_of(index) {
            let is_there = addresses.contains(&self.members[place].address);
            let member = &mut self.members[place];
            match &member.client {
                Some(client) if !is_there && client.is_looking_up(Connection::Main) => {
                    member.client = None;
                    member.lists.retire(now);
                }
                None if is_there => {
                    member.lists.away();
                    self.members[place].client = Some(self.new_client(self.members[place].address));
                }
                _ => {}
            }
        }
        self.forget_past();
        for address in addresses {
            let is_known = |member: &Member| member.name == index && member.address == *address;
            if !self.members.iter().any(is_known) {
                self.add(index, *address);
            }
        }
        self.tick_members(now);
    }

    fn add(&mut self, name: usize, address: SocketAddr) {
        let (id, client) = (self.next_id, Some(self.new_client(address)));
        self.next_id += 1;
        self.members.push(Member { id, name, address, client, lists: RegisterLists::new(), is_tried: false });
    }

    fn new_client(&self, address: SocketAddr) -> RegisterClient {
        RegisterClient::new(&address.to_string(), self.role.clone(), self.credentials.clone(), self.limits)
            .with_admin(admin_port(self.admin, address))
    }

    fn forget_past(&mut self) {
        self.members.retain(|member| member.client.is_some() || !member.lists.is_empty());
    }

    fn tell_lost(&mut self, label: String, error: io::Error) {
        self.actions.push_back(Action::Tell(label, News::Lost { error, was_held: false }));
    }

    fn client(&self, place: usize) -> Option<&RegisterClient> {
        self.members[place].client.as_ref()
    }

    fn has_clients(&self, name: usize) -> bool {
        self.members.iter().any(|member| member.name == name && member.client.is_some())
    }

    /// Where the registers of a name are.
    fn places_of(&self, name: usize) -> Vec<usize> {
        (0..self.members.len()).filter(|place| self.members[*place].name == name).collect()
    }

    /// What people call a register.
    fn label(&self, place: usize) -> String {
        let Member { name, address, .. } = &self.members[place];
        let Name { text, is_address, .. } = &self.names[*name];
        if *is_address { text.clone() } else { format!("{text} ({address})") }
    }
}

/// The addresses of a name that count: those of IPv4, since a name that has both kinds has each register twice; of very many
/// the first by number, so that all programs choose the same.
fn preferred(mut addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// What a register is told of an admin address. On another machine it does not get to one that is for this machine alone.
fn admin_port(admin: Option<SocketAddr>, register: SocketAddr) -> Option<u16> {
    let admin = admin.filter(|admin| admin.port() != 0)?;
    (!admin.ip().is_loopback() || register.ip().is_loopback()).then_some(admin.port())
}

/// Registers of one name at most: more than anybody runs, and each costs every shard and core a connection. Further addresses are
/// left out.
const ADDRESSES_MAX: usize = 16;

/// How often a name is looked up while nothing is wrong, in ms: so soon a register that is new under it is connected to.
const LOOK_UP_PERIOD_MS: u64 = 30_000;

/// When a name is looked up again of which no address is known, in ms: as soon as a register is connected to again.
const LOOK_UP_RETRY_MS: u64 = 500;

/// No time ever.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
#[path = "register_set_tests.rs"]
mod tests;
