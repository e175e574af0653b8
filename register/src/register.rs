//! The register without IO: its connections, what each of them is told, and when it ends.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use protocol::pulse::LOOK_PERIOD_MS;
use protocol::register::PONG;
use protocol::{Credentials, Nonces};
use uring::SocketId;

use crate::config::{CONNECTIONS_MAX, Config, REQUEST_SIZE_MAX};
use crate::conn::{Conn, End};
use crate::counters::{Counters, Status};
use crate::directory::{Directory, Refusal};

/// A register.
///
/// The caller owns sockets and clock. In this order, whenever something happened or [`deadline`](Self::deadline) has come:
/// 1. [`on_accepted`](Self::on_accepted), [`on_accept_failed`](Self::on_accept_failed), [`on_bytes`](Self::on_bytes),
///    [`on_end_of_stream`](Self::on_end_of_stream), [`on_writable`](Self::on_writable), [`on_failed`](Self::on_failed): what
///    happened.
/// 2. [`turn`](Self::turn).
///
/// `now` is in ms since any moment, the same one for all calls, and never decreases. What comes of a socket that is closed
/// is ignored.
///
/// Invariants: the directory's peers are `conns`; a connection with output is in `dirty`, or its socket is full.
#[derive(Debug)]
pub struct Register {
    directory: Directory,
    conns: BTreeMap<SocketId, Conn>,
    introduction_timeout: Duration,
    /// When to look at who is still alive next, in ms; [`NEVER`] while nobody is watched.
    look_at: u64,
    counters: Counters,
    /// Why the last connection could not be had.
    accept_failure: Option<io::ErrorKind>,
    last_refused: Option<(IpAddr, Refusal)>,
    /// Who has something to send, for the next turn.
    dirty: Vec<SocketId>,
    /// Who ends in the next turn, with these bytes if any.
    leaving: Vec<(SocketId, &'static [u8])>,
    actions: Vec<Action>,
}

/// Something to do with a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Stop reading.
    Pause(SocketId),
    /// Read again.
    Resume(SocketId),
    /// Close now. The register has forgotten the socket.
    Close(SocketId),
}

/// Where a register's turns take effect: a ring, or what stands for one.
pub trait Sink {
    /// Why nothing can be sent any more.
    type Error;

    /// Does something with a socket.
    fn act(&mut self, action: Action);

    /// Sends, and adds to `sent` how much of each was taken. After less than all [`Register::on_writable`] is to follow.
    ///
    /// # Errors
    /// Nothing can be sent any more, on any socket.
    fn send(&mut self, sends: &[(SocketId, IoSlice<'_>)], sent: &mut Vec<usize>) -> Result<(), Self::Error>;
}

impl Register {
    /// One that nobody is connected to.
    pub fn new(config: &Config) -> Register {
        Register::with_nonces(config, &Nonces::default())
    }

    /// The same, with nonces of one's own.
    pub fn with_nonces(config: &Config, nonces: &Nonces) -> Register {
        let credentials = Credentials::new(config.secret_key.clone(), config.inner_auth, nonces);
        Register {
            directory: Directory::new(credentials),
            conns: BTreeMap::new(),
            introduction_timeout: config.introduction_timeout,
            look_at: NEVER,
            counters: Counters::default(),
            accept_failure: None,
            last_refused: None,
            dirty: Vec::new(),
            leaving: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// A connection came.
    pub fn on_accepted(&mut self, now: u64, socket: SocketId, from: SocketAddr) {
        let Ok(crowded) = self.directory.make_room() else {
            self.on_accept_failed(&io::ErrorKind::QuotaExceeded.into());
            return self.actions.push(Action::Close(socket));
        };
        if let Some(oldest) = crowded {
            self.end(oldest, End::Refused(Refusal::Crowded));
        }
        self.accept_failure = None;
        self.counters.accepted += 1;
        self.directory.on_open(socket, now + protocol::millis(self.introduction_timeout));
        self.conns.insert(socket, Conn::new(from));
        // It may be one that is to be asked first.
        self.offer(now, socket);
    }

    /// No connection came; if for want of a socket ([`io::ErrorKind::QuotaExceeded`]), it was closed.
    pub fn on_accept_failed(&mut self, error: &io::Error) {
        let is_new = self.accept_failure.replace(error.kind()) != Some(error.kind());
        let is_full = error.kind() == io::ErrorKind::QuotaExceeded;
        self.counters.refused_full += u64::from(is_full);
        if is_new && is_full {
            tracing::warn!(CONNECTIONS_MAX, "too many connections, new ones are closed");
        } else if is_new {
            tracing::warn!(%error, "cannot accept connections");
        }
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, now: u64, socket: SocketId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&socket) {
            conn.heard();
            conn.lines.push(bytes);
            self.proceed(now, socket);
        }
    }

    /// The peer says no more.
    pub fn on_end_of_stream(&mut self, now: u64, socket: SocketId) {
        if let Some(conn) = self.conns.get_mut(&socket) {
            conn.has_ended = true;
            self.proceed(now, socket);
        }
    }

    /// A socket that had no room for everything has some.
    pub fn on_writable(&mut self, socket: SocketId) {
        if self.conns.get_mut(&socket).is_some_and(Conn::on_writable) {
            self.dirty.push(socket);
        }
    }

    /// The connection broke.
    pub fn on_failed(&mut self, socket: SocketId) {
        self.end(socket, End::Gone);
    }

    /// Ends all connections. To be called again as long as some still come.
    pub fn stop(&mut self) {
        while let Some((&socket, _)) = self.conns.first_key_value() {
            self.end(socket, End::Gone);
        }
    }

    /// When [`Self::turn`] is due, in ms, if nothing happens before; 0 if there is more to do at once.
    pub fn deadline(&self) -> u64 {
        let is_done = self.dirty.is_empty() && self.leaving.is_empty() && self.actions.is_empty();
        if !is_done || self.directory.has_woken() {
            return 0;
        }
        self.directory.oldest_stranger().map_or(self.look_at, |(by, _)| by.min(self.look_at))
    }

    /// Does what is due, then one send per socket that has something to send, then what follows from that.
    ///
    /// # Errors
    /// The sink's. It is not to be called again then.
    pub fn turn<S: Sink>(&mut self, now: u64, sink: &mut S) -> Result<(), S::Error> {
        while let Some((by, oldest)) = self.directory.oldest_stranger()
            && by <= now
        {
            self.end(oldest, End::Refused(Refusal::Silent));
        }
        if now >= self.look_at {
            self.look(now);
        }
        // Now, so that several changes are one list.
        for socket in self.directory.take_woken() {
            self.offer(now, socket);
        }
        self.actions.drain(..).for_each(|action| sink.act(action));
        self.send(now, sink)?;
        self.actions.drain(..).for_each(|action| sink.act(action));
        Ok(())
    }

    /// What it has, and has counted.
    pub fn status(&self) -> Status {
        Status {
            connections: self.directory.peer_count(),
            gateways: self.directory.gateway_count(),
            workers: self.directory.worker_count(),
            counters: self.counters,
        }
    }

    /// The processes that have told where they tell of themselves, in order: at the address of their connections, whatever they
    /// say.
    pub fn members(&self) -> BTreeMap<SocketAddr, &'static str> {
        let member = |(socket, conn): (&SocketId, &Conn)| {
            let (program, port) = self.directory.admin(*socket)?;
            Some((SocketAddr::new(conn.from.ip().to_canonical(), port), program))
        };
        self.conns.iter().filter_map(member).collect()
    }

    /// Answers line after line. The next one waits until the answer is sent, so that TCP holds back who asks and does not
    /// read.
    fn proceed(&mut self, now: u64, socket: SocketId) {
        while !self.offer(now, socket) {
            let Some(conn) = self.conns.get_mut(&socket) else { return };
            let taken = match conn.lines.next_line() {
                Ok(Some(line)) if line.len() <= REQUEST_SIZE_MAX => self.directory.on_line(socket, line),
                Ok(None) => return self.await_more(socket),
                _ => Err(Refusal::TooLong),
            };
            match taken {
                Ok(()) => self.counters.requests += 1,
                Err(refusal) => return self.end(socket, End::Refused(refusal)),
            }
        }
    }

    /// All lines are answered.
    fn await_more(&mut self, socket: SocketId) {
        let Some(conn) = self.conns.get(&socket) else { return };
        if conn.lines.unfinished().len() > REQUEST_SIZE_MAX {
            self.end(socket, End::Refused(Refusal::TooLong));
        } else if conn.has_ended {
            self.end(socket, End::Gone);
        }
    }

    /// Begins to send what the peer is owed; whether something is on its way to it.
    fn offer(&mut self, now: u64, socket: SocketId) -> bool {
        let Some(conn) = self.conns.get_mut(&socket) else { return false };
        if conn.is_sending() {
            return true;
        }
        if let Some(proof) = self.directory.take_owed_proof(socket) {
            conn.begin(proof);
        } else if self.directory.take_pong(socket) {
            conn.pinged();
            conn.begin(Rc::from(PONG));
            self.look_at = self.look_at.min(now + LOOK_PERIOD_MS);
        } else if let Some(list) = self.directory.take_line(socket) {
            conn.begin(list);
            self.counters.lists += 1;
        } else {
            return false;
        }
        self.dirty.push(socket);
        true
    }

    fn send<S: Sink>(&mut self, now: u64, sink: &mut S) -> Result<(), S::Error> {
        let (dirty, leaving) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.leaving));
        let of_conns = dirty.iter().filter_map(|socket| Some((*socket, self.conns.get(socket)?.unsent())));
        let sends = of_conns.chain(leaving.iter().copied()).filter(|(_, bytes)| !bytes.is_empty());
        let sends: Vec<_> = sends.map(|(socket, bytes)| (socket, IoSlice::new(bytes))).collect();
        let mut sent = Vec::new();
        sink.send(&sends, &mut sent)?;
        let sockets: Vec<_> = sends.iter().map(|(socket, _)| *socket).collect();
        for (socket, sent) in sockets.into_iter().zip(sent) {
            self.on_sent(now, socket, sent);
        }
        // A peer that is refused and does not listen has lost nothing.
        self.actions.extend(leaving.into_iter().map(|(socket, _)| Action::Close(socket)));
        Ok(())
    }

    fn on_sent(&mut self, now: u64, socket: SocketId, sent: usize) {
        let Some(conn) = self.conns.get_mut(&socket) else { return };
        conn.on_sent(now, sent);
        if conn.is_watched() {
            self.look_at = self.look_at.min(now + LOOK_PERIOD_MS);
        }
        self.proceed(now, socket);
        let Some(conn) = self.conns.get_mut(&socket) else { return };
        // Its lines wait here for their answers: no more of them meanwhile.
        let is_sending = conn.is_sending();
        if std::mem::replace(&mut conn.is_paused, is_sending) != is_sending {
            self.actions.push(if is_sending { Action::Pause(socket) } else { Action::Resume(socket) });
        }
    }

    /// Looks at who is still alive.
    fn look(&mut self, now: u64) {
        let found = self.conns.iter_mut().filter_map(|(socket, conn)| Some((*socket, conn.look(now)?)));
        for (socket, end) in found.collect::<Vec<_>>() {
            self.end(socket, end);
        }
        let is_watching = self.conns.values().any(Conn::is_watched);
        self.look_at = if is_watching { now + LOOK_PERIOD_MS } else { NEVER };
    }

    fn end(&mut self, socket: SocketId, end: End) {
        let Some(Conn { from, .. }) = self.conns.remove(&socket) else { return };
        let mut farewell = None;
        match end {
            End::Refused(refusal) => {
                self.counters.refuse(refusal);
                self.log_refusal(from, refusal);
                farewell = refusal.farewell();
            }
            End::Dead => {
                self.counters.dead += 1;
                tracing::warn!(%from, "a peer does not ping any more, taken for dead");
            }
            End::Gone => {}
        }
        self.directory.on_closed(socket);
        self.leaving.push((socket, farewell.unwrap_or_default()));
    }

    /// A peer with a wrong key comes back every second; the log has it once.
    fn log_refusal(&mut self, from: SocketAddr, refusal: Refusal) {
        let now = Some((from.ip(), refusal));
        if std::mem::replace(&mut self.last_refused, now) == now {
            tracing::debug!(%from, "connection refused again: {refusal}");
        } else {
            tracing::warn!(%from, "connection refused: {refusal}");
        }
    }
}

/// No time ever.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
