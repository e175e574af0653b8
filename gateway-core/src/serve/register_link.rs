//! A shard's registration: a kept connection to each register (WIRE.md §2), on the shard's own ring. What is said and when
//! is [`RegisterSet`]'s business; here are its sockets and its log.

use std::io::{self, IoSlice};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};

use inner_tls::Ring;
use program::Resolver;
use protocol::Credentials;
use protocol::register_client::{Limits, Role};
use protocol::register_set::{Action, News, RegisterConn, RegisterSet};
use protocol::register_trouble::RegisterNews;
use tracing::{debug, info, warn};
use uring::{Event, Send, Short, SocketId, Waker};

use crate::{Millis, Settings};

/// What the log said last of each register: shards share it, so that a line is said once and not by each.
pub(super) type RegisterLog = Arc<Mutex<RegisterNews>>;

/// A shard's connections to all registers.
///
/// In each turn: [`deliver`](Self::deliver) for each event of the ring, then [`turn`](Self::turn).
pub(super) struct RegisterLinks {
    set: RegisterSet,
    sockets: Vec<Socket>,
    /// Names that were looked up, by other threads.
    resolver: Resolver<usize>,
    log: RegisterLog,
    /// The shard's inner address, for the log.
    shard: String,
    /// Something has happened since the last turn.
    is_touched: bool,
}

struct Socket {
    id: SocketId,
    conn: RegisterConn,
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
        let role = Role::Gateway(shard.clone());
        let credentials =
            Credentials::new(settings.secret_key.clone(), settings.inner_auth, &settings.nonces);
        let set = RegisterSet::new(&settings.register_address, role, credentials, Limits::default())
            .with_admin(settings.admin);
        RegisterLinks {
            set,
            sockets: Vec::new(),
            resolver: Resolver::new(waker),
            log,
            shard,
            is_touched: true,
        }
    }

    /// Takes the event if it is about a register's connection; else gives it back.
    pub(super) fn deliver<'a>(&mut self, now: Millis, event: Event<'a>) -> Option<Event<'a>> {
        let Some(id) = event.socket() else { return Some(event) };
        let Some(socket) = self.sockets.iter_mut().find(|socket| socket.id == id) else {
            return Some(event);
        };
        self.is_touched = true;
        match event {
            Event::Connected { .. } => {
                socket.is_connected = true;
                self.set.on_connected(now.0, socket.conn);
            }
            Event::Received { bytes, .. } => self.set.on_bytes(now.0, socket.conn, bytes),
            Event::EndOfStream { .. } => self.set.on_end_of_stream(now.0, socket.conn),
            Event::Failed { error, .. } => self.set.on_failed(now.0, socket.conn, error),
            Event::Writable { .. } => socket.is_full = false,
            _ => {}
        }
        None
    }

    /// Whether workers can find the shard: a register has it, or there are to be none.
    pub(super) fn is_any_held(&self) -> bool {
        self.set.is_empty() || self.set.is_any_held()
    }

    /// When [`Self::turn`] has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Millis {
        Millis(self.set.deadline())
    }

    /// Does what is due, and sends what is to be sent.
    ///
    /// # Errors
    /// The ring is broken.
    pub(super) fn turn(&mut self, ring: &mut Ring) -> io::Result<()> {
        let now = Millis(ring.now());
        while let Some((name, found)) = self.resolver.next() {
            self.is_touched = true;
            self.set.on_looked_up(now.0, name, found);
        }
        if !std::mem::take(&mut self.is_touched) && now < self.deadline() {
            return Ok(());
        }
        self.set.on_tick(now.0);
        while let Some(action) = self.set.next_action() {
            match action {
                Action::LookUp(name) => self.resolver.look_up(name, self.set.name(name).to_owned()),
                Action::Connect(conn, address) => match ring.connect(address, self.set.connect_from(address))
                {
                    Ok(id) => {
                        self.sockets.push(Socket { id, conn, is_connected: false, is_full: false });
                    }
                    Err(error) => self.set.on_failed(now.0, conn, error),
                },
                Action::Close(conn) => {
                    self.sockets
                        .extract_if(.., |socket| socket.conn == conn)
                        .for_each(|socket| ring.close(socket.id));
                }
                Action::Tell(register, news) => tell(&self.log, &register, &self.shard, news),
                // That is for those who follow lists.
                Action::Unlisted => {}
            }
        }
        self.send(ring)
    }

    /// Leaves all registers, for good.
    pub(super) fn leave(&mut self, ring: &mut Ring) {
        self.set.clear();
        self.sockets.drain(..).for_each(|socket| ring.close(socket.id));
    }

    fn send(&mut self, ring: &mut Ring) -> io::Result<()> {
        for socket in self.sockets.iter_mut().filter(|socket| socket.is_connected && !socket.is_full) {
            let unsent = self.set.unsent(socket.conn);
            if unsent.is_empty() {
                continue;
            }
            let mut short: Vec<Short> = Vec::new();
            let send = Send { socket: socket.id, slices: &[IoSlice::new(unsent)] };
            ring.send_all([send], &mut short)?;
            socket.is_full = !short.is_empty();
            let sent = short.first().map_or(unsent.len(), |short| short.sent);
            self.set.on_sent(socket.conn, sent);
        }
        Ok(())
    }
}

fn tell(log: &RegisterLog, register: &str, shard: &str, news: News) {
    // Whatever happened to a thread that held it, it says what was told.
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    match news {
        News::Held if log.held(register) => info!(register, "registered"),
        News::Lost { error, was_held } if !log.failed(register, &error, was_held) => {
            debug!(register, shard, "no register: {error}");
        }
        News::Lost { error, was_held: true } => warn!(register, "lost the register: {error}; trying on"),
        News::Lost { error, was_held: false } => warn!(register, "not registered: {error}; trying on"),
        News::Held | News::Listed { .. } => {}
    }
}
