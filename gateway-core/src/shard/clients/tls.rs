//! TLS: between a client's bytes as the ring has them, and those of its codec.
//!
//! Clients without TLS are not in here. A client's session is kept beside its row; as long as its handshake is under way
//! the row has a stand-in for a codec, so that to all others it is a client whose handshake is not done.

use std::mem;

use protocol::LogLimit;
use protocol::client::websocket;
use tls::{Acceptor, Failure, Handshakes, Session};
use tracing::warn;
use uring::SocketId;

use super::client::Client;
use super::codec::AnyCodec;
use super::lingering::Stage;
use super::{ClientSlot, Clients};
use crate::Listen;
use crate::config::TLS_LOG_PERIOD_MS;
use crate::shard::output::{Outbound, Output};
use crate::shard::table::Table;
use crate::shard::turn::Conn;
use crate::shard::{Action, Shard};

/// The TLS sessions of a shard.
///
/// Invariants: a session is that of the client, or of what lingers, at the same socket; what is plain in a client's queue is
/// there only while its session is open.
pub(crate) struct Sessions {
    rows: Table<Box<Session>>,
    /// What has been decrypted, or is to be encrypted; kept for its memory.
    plain: Vec<u8>,
    /// What a session has answered; empty, kept for its memory.
    reply: Vec<u8>,
    handshakes: Handshakes<SocketId>,
    /// Lines about handshakes that failed.
    failed_log: LogLimit,
    /// Lines about clients that speak TLS where none is spoken.
    unexpected_log: LogLimit,
}

impl Default for Sessions {
    fn default() -> Sessions {
        let log = LogLimit::new(1, TLS_LOG_PERIOD_MS);
        let (plain, reply) = (Vec::new(), Vec::new());
        Sessions {
            rows: Table::new(),
            plain,
            reply,
            handshakes: Handshakes::default(),
            failed_log: log.clone(),
            unexpected_log: log,
        }
    }
}

impl Sessions {
    /// Whether the client with this socket has TLS. The caller knows that the socket is live.
    pub(crate) fn has(&self, socket: SocketId) -> bool {
        self.rows.get(socket.index()).is_some()
    }

    pub(crate) fn is_handshaking(&self, socket: SocketId) -> bool {
        self.rows.get(socket.index()).is_some_and(|session| session.is_handshaking())
    }

    /// Whether handshakes wait for the next turn.
    pub(crate) fn are_waiting(&self) -> bool {
        self.handshakes.are_waiting()
    }

    /// Whether what came on a socket waits for a later turn.
    fn holds(&mut self, socket: SocketId, bytes: &[u8]) -> bool {
        let session = self.rows.get(socket.index()).filter(|session| session.is_handshaking());
        let Some(session) = session.filter(|_| self.handshakes.are_enough()) else { return false };
        self.handshakes.hold(socket, session.has_answered(), bytes);
        true
    }

    /// Whether this one does: it is not the client that takes its time.
    pub(crate) fn is_waiting(&self, socket: SocketId) -> bool {
        self.handshakes.is_waiting(socket)
    }

    /// Bytes of a record that is not whole, and of a handshake that waits.
    pub(crate) fn kept_size(&self, socket: SocketId) -> usize {
        let kept = self.rows.get(socket.index()).map_or(0, |session| session.kept_size());
        kept + self.handshakes.held_size(socket)
    }

    /// A client with TLS has come; its worker is told when its handshake is done.
    pub(crate) fn begin(&mut self, socket: SocketId, acceptor: &Acceptor, is_http: bool) {
        let session = if is_http { acceptor.accept_http() } else { acceptor.accept() };
        self.rows.insert(socket.index(), Box::new(session));
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&mut self, socket: SocketId, out: &mut Outbound, output: &mut Output) {
        if let Some(session) = self.rows.get_mut(socket.index()) {
            session.close(&mut self.reply);
            self.send_reply(socket, out, output);
        }
    }

    pub(crate) fn forget(&mut self, socket: SocketId) {
        self.rows.remove(socket.index());
        self.handshakes.forget(socket);
    }

    /// Queues what a session has answered.
    fn send_reply(&mut self, socket: SocketId, out: &mut Outbound, output: &mut Output) {
        output.append_sealed(socket, out, &self.reply);
        self.reply.clear();
    }
}

impl Clients {
    /// Encrypts the next of what is to be sent to a client, if it has TLS.
    fn seal(&mut self, socket: SocketId, output: &mut Output) -> Result<(), Failure> {
        let Clients { rows, sessions, .. } = self;
        let session = sessions.rows.get_mut(socket.index()).filter(|session| session.is_open());
        let client = rows.get_mut(socket.index()).filter(|client| client.socket == socket);
        let (Some(session), Some(client)) = (session, client) else { return Ok(()) };
        let plain = &mut sessions.plain;
        client.out.queue.seal(&mut output.spare, plain, |plain, out| session.seal(plain, out))
    }
}

impl Client {
    /// TLS stands: what is spoken within it begins.
    fn on_secured(&mut self, listen: &Listen, output: &mut Output) {
        self.codec = AnyCodec::new(&listen.protocol);
        if self.codec.is_open()
            && let Some(held) = self.held.take()
        {
            output.append(self.socket, &mut self.out, &held);
        }
    }
}

impl Shard {
    /// Takes other certificates, for clients that come from now on.
    pub fn on_certificates(&mut self, acceptor: Acceptor) {
        self.settings.tls = Some(acceptor);
    }

    /// Bytes of a client with TLS, or of what lingers of one.
    pub(crate) fn session_received(&mut self, socket: SocketId, bytes: &mut [u8]) {
        let slot = self.clients.find(socket);
        let before = slot.map(|slot| self.clients.before_input(slot, self.counters.messages_in));
        if self.clients.sessions.holds(socket, bytes) {
            self.output.actions.push(Action::Pause(socket));
        } else {
            self.take_session_input(socket, bytes);
        }
        if let Some((slot, before)) = slot.zip(before) {
            self.clients.note_input(slot, before, self.counters.messages_in, self.now);
        }
    }

    /// Handshakes that waited. Who is closed meanwhile is passed over.
    #[inline]
    pub(crate) fn continue_handshakes(&mut self) {
        self.clients.sessions.handshakes.begin_turn();
        if self.clients.sessions.are_waiting() {
            self.take_handshakes();
        }
    }

    #[cold]
    fn take_handshakes(&mut self) {
        while let Some((socket, mut bytes)) = self.clients.sessions.handshakes.take_next() {
            self.output.actions.push(Action::Resume(socket));
            self.session_received(socket, &mut bytes);
        }
    }

    fn take_session_input(&mut self, socket: SocketId, bytes: &mut [u8]) {
        if !self.is_heard(socket) {
            return;
        }
        let sessions = &mut self.clients.sessions;
        let Some(session) = sessions.rows.get_mut(socket.index()) else { return };
        let mut plain = mem::take(&mut sessions.plain);
        plain.clear();
        let (was_open, was_handshaking) = (session.is_open(), session.is_handshaking());
        let result = session.receive(bytes, &mut plain, &mut sessions.reply);
        let opened = !was_open && session.is_open();
        let ended = session.has_ended();
        if opened || was_handshaking && !sessions.reply.is_empty() {
            sessions.handshakes.answered();
        }
        self.send_session_reply(socket);
        if opened && let Some(client) = self.clients.live_mut(socket) {
            client.on_secured(&self.settings.listen[usize::from(client.listener)], &mut self.output);
        }
        if opened || !plain.is_empty() {
            match self.conn(socket) {
                Some(Conn::Client(slot)) => self.client_received(slot, &mut plain),
                _ => self.endings().received(socket, &mut plain),
            }
        }
        self.clients.sessions.plain = plain;
        // What was in there may have been the last of it.
        if !self.is_heard(socket) {
            return;
        }
        match result {
            Err(failure) => {
                let reply = &mut self.clients.sessions.reply;
                if matches!(failure, Failure::NotTls) && websocket::encode_tls_needed(bytes, reply) {
                    self.send_session_reply(socket);
                }
                if !was_open {
                    self.note_unexpected_proxy(socket, bytes);
                }
                self.session_failed(socket, was_open, &failure);
            }
            Ok(()) if ended => self.on_end_of_stream(self.now, socket),
            Ok(()) => {}
        }
    }

    /// Whether what a client sends still counts, or what comes on a connection that lingers.
    fn is_heard(&self, socket: SocketId) -> bool {
        match self.clients.live(socket) {
            Some(client) => !client.closing || client.codec.awaits_close(),
            None => self.lingering.get(&socket).is_some_and(|lingering| lingering.stage == Stage::Answer),
        }
    }

    /// Encrypts what is to be sent to those of `dirty` that have TLS.
    pub(crate) fn seal(&mut self, dirty: &[SocketId]) {
        if self.clients.sessions.rows.end() == 0 {
            return;
        }
        for socket in dirty {
            if self.clients.seal(*socket, &mut self.output).is_err() {
                self.counters.tls_sessions_failed += 1;
                self.clients.find(*socket).into_iter().for_each(|slot| self.close_client_now(slot));
            }
        }
    }

    /// Counts a client that speaks TLS where none is spoken, if that is what `bytes` begin with.
    pub(crate) fn note_unexpected_tls(&mut self, slot: ClientSlot, bytes: &[u8]) {
        let client = &self.clients[slot];
        if !tls::is_client_hello(bytes) || self.clients.sessions.has(client.socket) {
            return;
        }
        let (peer, listen) = (client.peer.address(), &self.settings.listen[usize::from(client.listener)]);
        self.counters.tls_unexpected += 1;
        if let Some(unsaid) = self.clients.sessions.unexpected_log.admit(self.now.0) {
            warn!(%peer, unsaid, "client speaks TLS at {listen}, which has none");
        }
    }

    fn session_failed(&mut self, socket: SocketId, was_open: bool, failure: &Failure) {
        let Some(slot) = self.clients.find(socket) else {
            self.counters.tls_sessions_failed += 1;
            return self.endings().end(socket);
        };
        let client = &mut self.clients[slot];
        client.out.queue.clear_plain(&mut self.output.spare);
        // It may have been asked for an answer, which will not come any more.
        client.codec = AnyCodec::Securing;
        if was_open {
            self.counters.tls_sessions_failed += 1;
        } else {
            self.counters.tls_handshakes_failed += 1;
            let (peer, listen) = (client.peer.address(), &self.settings.listen[usize::from(client.listener)]);
            if let Some(unsaid) = self.clients.sessions.failed_log.admit(self.now.0) {
                warn!(%peer, unsaid, "TLS handshake at {listen} failed: {failure}");
            }
        }
        self.close_client_when_sent(slot);
    }

    fn send_session_reply(&mut self, socket: SocketId) {
        let client = self.clients.rows.get_mut(socket.index()).filter(|client| client.socket == socket);
        let out = match client {
            Some(client) => Some(&mut client.out),
            None => self.lingering.get_mut(&socket).map(|lingering| &mut lingering.out),
        };
        if let Some(out) = out {
            self.clients.sessions.send_reply(socket, out, &mut self.output);
        }
    }
}
