//! A shard's registration: a kept connection to each register (WIRE.md §2), on the shard's own ring. What is said and when
//! is [`RegisterClient`]'s business; here are its sockets and its log.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use program::Resolver;
use protocol::register_client::{Action, Connection, Limits, News, RegisterClient, Role};
use protocol::register_trouble::RegisterNews;
use tracing::{debug, info, warn};
use uring::{Event, Ring, Send, Short, SocketId, Waker};

use crate::{Millis, Settings};

/// What the log said last of each register: shards share it, so that a line is said once and not by each.
pub(super) type RegisterLog = Arc<Mutex<HashMap<String, RegisterNews>>>;

/// A shard's connections to all registers.
///
/// In each turn: [`deliver`](Self::deliver) for each event of the ring, then [`turn`](Self::turn).
pub(super) struct RegisterLinks {
    links: Vec<RegisterLink>,
    /// Addresses that were looked up, by other threads.
    resolver: Resolver<(usize, Connection)>,
    log: RegisterLog,
    /// The shard's inner address, for the log.
    shard: String,
    /// Something has happened since the last turn.
    is_touched: bool,
}

struct RegisterLink {
    client: RegisterClient,
    main: Option<Socket>,
    probe: Option<Socket>,
}

struct Socket {
    id: SocketId,
    is_connected: bool,
    /// The last send fell short: there is no room.
    is_full: bool,
}

impl RegisterLinks {
    /// For the shard at the inner `address`. `waker` wakes its ring.
    pub(super) fn new(
        settings: &Settings,
        address: SocketAddrV4,
        log: RegisterLog,
        waker: Waker,
    ) -> RegisterLinks {
        let shard = address.to_string();
        let link = |register: &String| RegisterLink {
            client: RegisterClient::new(
                register.clone(),
                Role::Gateway(shard.clone()),
                settings.secret_key.clone(),
                Limits::default(),
            ),
            main: None,
            probe: None,
        };
        let links = settings.register_address.iter().map(link).collect();
        RegisterLinks { links, resolver: Resolver::new(waker), log, shard, is_touched: true }
    }

    /// Takes the event if it is about a register's connection; else gives it back.
    pub(super) fn deliver<'a>(&mut self, now: Millis, event: Event<'a>) -> Option<Event<'a>> {
        let Some(socket) = event.socket() else { return Some(event) };
        let mut links = self.links.iter_mut();
        let Some((link, connection)) = links.find_map(|link| link.owner_of(socket)) else {
            return Some(event);
        };
        self.is_touched = true;
        link.on_event(now.0, connection, event);
        None
    }

    /// When [`Self::turn`] has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Millis {
        Millis(self.links.iter().map(|link| link.client.deadline()).min().unwrap_or(u64::MAX))
    }

    /// Does what is due, and sends what is to be sent.
    ///
    /// # Errors
    /// The ring is broken.
    pub(super) fn turn(&mut self, ring: &mut Ring) -> io::Result<()> {
        let now = Millis(ring.now());
        while let Some(((index, connection), address)) = self.resolver.next() {
            self.is_touched = true;
            if let Some(link) = self.links.get_mut(index) {
                link.connect(ring, now.0, connection, address);
            }
        }
        if !std::mem::take(&mut self.is_touched) && now < self.deadline() {
            return Ok(());
        }
        for (index, link) in self.links.iter_mut().enumerate() {
            link.client.on_tick(now.0);
            while let Some(action) = link.client.next_action() {
                match action {
                    Action::Connect(connection) => {
                        self.resolver.look_up((index, connection), link.client.register().to_owned())
                    }
                    Action::Close(connection) => link.close(ring, connection),
                    Action::News(news) => tell(&self.log, link.client.register(), &self.shard, news),
                }
            }
            link.send(ring)?;
        }
        Ok(())
    }

    /// Leaves all registers, for good.
    pub(super) fn leave(&mut self, ring: &mut Ring) {
        for mut link in self.links.drain(..) {
            link.close(ring, Connection::Main);
            link.close(ring, Connection::Probe);
        }
    }
}

impl RegisterLink {
    fn owner_of(&mut self, socket: SocketId) -> Option<(&mut RegisterLink, Connection)> {
        let is_its = |own: &Option<Socket>| own.as_ref().is_some_and(|own| own.id == socket);
        let connection = match (is_its(&self.main), is_its(&self.probe)) {
            (true, _) => Connection::Main,
            (_, true) => Connection::Probe,
            _ => return None,
        };
        Some((self, connection))
    }

    fn socket(&mut self, connection: Connection) -> &mut Option<Socket> {
        match connection {
            Connection::Main => &mut self.main,
            Connection::Probe => &mut self.probe,
        }
    }

    fn on_event(&mut self, now: u64, connection: Connection, event: Event<'_>) {
        match event {
            Event::Connected { .. } => {
                if let Some(socket) = self.socket(connection) {
                    socket.is_connected = true;
                }
                self.client.on_connected(now, connection);
            }
            Event::Received { bytes, .. } => self.client.on_bytes(now, connection, bytes),
            Event::EndOfStream { .. } => self.client.on_end_of_stream(now, connection),
            Event::Failed { error, .. } => self.client.on_failed(now, connection, error),
            Event::Writable { .. } => {
                if let Some(socket) = self.socket(connection) {
                    socket.is_full = false;
                }
            }
            _ => {}
        }
    }

    /// Connects to what a look-up has found, unless that is not wanted any more.
    fn connect(
        &mut self,
        ring: &mut Ring,
        now: u64,
        connection: Connection,
        address: io::Result<SocketAddr>,
    ) {
        if !self.client.is_looking_up(connection) {
            return;
        }
        match address.and_then(|address| ring.connect(address, None)) {
            Ok(id) => {
                *self.socket(connection) = Some(Socket { id, is_connected: false, is_full: false });
                self.client.on_connecting(now, connection);
            }
            Err(error) => self.client.on_failed(now, connection, error),
        }
    }

    fn close(&mut self, ring: &mut Ring, connection: Connection) {
        if let Some(socket) = self.socket(connection).take() {
            ring.close(socket.id);
        }
    }

    fn send(&mut self, ring: &mut Ring) -> io::Result<()> {
        for (connection, socket) in [(Connection::Main, &mut self.main), (Connection::Probe, &mut self.probe)]
        {
            let unsent = self.client.unsent(connection);
            let Some(socket) = socket.as_mut().filter(|socket| socket.is_connected && !socket.is_full) else {
                continue;
            };
            if unsent.is_empty() {
                continue;
            }
            let mut short: Vec<Short> = Vec::new();
            let send = Send { socket: socket.id, slices: &[IoSlice::new(unsent)] };
            ring.send_all([send], &mut short)?;
            socket.is_full = !short.is_empty();
            let sent = short.first().map_or(unsent.len(), |short| short.sent);
            self.client.on_sent(connection, sent);
        }
        Ok(())
    }
}

fn tell(log: &RegisterLog, register: &str, shard: &str, news: News) {
    // Whatever happened to a thread that held it, it says what was told.
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let last = log.entry(register.to_owned()).or_default();
    match news {
        News::Held if last.held() => info!(register, "registered"),
        News::Lost { error, was_held } if !last.failed(&error, was_held) => {
            debug!(register, shard, "no register: {error}");
        }
        News::Lost { error, was_held: true } => warn!(register, "lost the register: {error}; trying on"),
        News::Lost { error, was_held: false } => warn!(register, "not registered: {error}; trying on"),
        News::Held | News::Gateways { .. } => {}
    }
}
