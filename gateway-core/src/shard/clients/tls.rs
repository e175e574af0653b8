//! TLS: between a client's bytes as the ring has them, and those of its codec.
//!
//! Clients without TLS are not in here. A client's session is kept beside its row; as long as its handshake is under way
//! the row has a stand-in for a codec, so that to all others it is a client whose handshake is not done.

use std::mem;

use protocol::LogLimit;
use protocol::client::websocket;
use ring::SocketId;
use tls::{Failure, Session};
use tracing::warn;

use crate::config::TLS_LOG_PERIOD_MS;
use crate::shard::clients::codec::AnyCodec;
use crate::shard::clients::directory::Slot;
use crate::shard::clients::lingering::Stage;
use crate::shard::table::Table;
use crate::shard::{Conn, Shard};

/// The sessions of a shard.
///
/// Invariants: a session is that of the client at the same slot; what is plain in a client's queue is there only while its
/// session is open.
pub(crate) struct Secure {
    sessions: Table<Box<Session>>,
    /// What has been decrypted, or is to be encrypted; kept for its memory.
    plain: Vec<u8>,
    /// Lines about handshakes that failed.
    failed_log: LogLimit,
    /// Lines about clients that speak TLS where none is spoken.
    unexpected_log: LogLimit,
}

impl Default for Secure {
    fn default() -> Secure {
        let limit = LogLimit::new(1, TLS_LOG_PERIOD_MS);
        Secure { sessions: Table::new(), plain: Vec::new(), failed_log: limit.clone(), unexpected_log: limit }
    }
}

impl Secure {
    /// Whether the client at a slot has TLS.
    pub fn has(&self, slot: Slot) -> bool {
        self.sessions.get(slot as usize).is_some()
    }

    /// Bytes of a record that is not whole.
    pub fn kept_size(&self, slot: Slot) -> usize {
        self.sessions.get(slot as usize).map_or(0, |session| session.kept_size())
    }

    pub fn forget(&mut self, slot: Slot) {
        self.sessions.remove(slot as usize);
    }
}

impl Shard {
    /// Takes other certificates, for clients that come from now on.
    pub fn on_certificates(&mut self, acceptor: tls::Acceptor) {
        self.settings.tls = Some(acceptor);
    }

    /// A client with TLS has come; its worker is told when its handshake is done.
    pub(crate) fn begin_session(&mut self, slot: Slot) {
        let acceptor =
            self.settings.tls.as_ref().expect("checked at start: a listener with TLS has certificates");
        self.secure.sessions.insert(slot as usize, Box::new(acceptor.accept()));
    }

    /// Bytes of a client with TLS.
    pub(crate) fn session_received(&mut self, slot: Slot, bytes: &mut [u8]) {
        let before = self.before_input(slot);
        self.take_session_input(slot, bytes);
        self.note_unfinished(slot, before);
    }

    fn take_session_input(&mut self, slot: Slot, bytes: &mut [u8]) {
        let Some(socket) = self.receiving_socket(slot) else { return };
        let Some(session) = self.secure.sessions.get_mut(slot as usize) else { return };
        let mut plain = mem::take(&mut self.secure.plain);
        plain.clear();
        let was_open = session.is_open();
        let result = session.receive(bytes, &mut plain, &mut self.reply);
        let opened = !was_open && session.is_open();
        let ended = session.has_ended();
        self.append_reply(slot);
        if opened {
            self.on_secured(slot);
        }
        if opened || !plain.is_empty() {
            match self.conns.get(slot as usize) {
                Some(Conn::Lingering(_)) => self.lingering_received(slot, &mut plain),
                _ => self.client_received(slot, &mut plain),
            }
        }
        self.secure.plain = plain;
        // What was in there may have been the last of it.
        if self.receiving_socket(slot) != Some(socket) {
            return;
        }
        match result {
            Err(failure) => {
                if matches!(failure, Failure::NotTls) && websocket::encode_tls_needed(bytes, &mut self.reply)
                {
                    self.append_reply(slot);
                }
                self.session_failed(slot, was_open, &failure);
            }
            Ok(()) if ended => self.on_end_of_stream(self.now, socket),
            Ok(()) => {}
        }
    }

    /// The socket at a slot, if what its peer sends still counts.
    fn receiving_socket(&self, slot: Slot) -> Option<SocketId> {
        let (socket, is_heard) = match self.conns.get(slot as usize)? {
            Conn::Client(client) => (client.socket, !client.closing || client.codec.awaits_close()),
            Conn::Lingering(lingering) => (lingering.socket, lingering.stage == Stage::Answer),
            Conn::Link(_) => return None,
        };
        is_heard.then_some(socket)
    }

    /// Encrypts what is to be sent to those of `dirty` that have TLS.
    pub(crate) fn seal(&mut self, dirty: &[SocketId]) {
        if self.secure.sessions.end() == 0 {
            return;
        }
        for socket in dirty {
            let Some(session) = self.secure.sessions.get_mut(socket.index()) else { continue };
            let Some(Conn::Client(client)) = self.conns.get_mut(socket.index()) else { continue };
            if client.socket != *socket || !session.is_open() {
                continue;
            }
            let (spare, scratch) = (&mut self.output.spare, &mut self.secure.plain);
            let sealed = client.out.queue.seal(spare, scratch, |plain, out| session.seal(plain, out));
            if sealed.is_err() {
                self.counters.tls_sessions_failed += 1;
                self.close_client_now(crate::shard::slot(*socket));
            }
        }
    }

    /// Tells a client with TLS that nothing more will come.
    pub(crate) fn end_session(&mut self, slot: Slot) {
        if let Some(session) = self.secure.sessions.get_mut(slot as usize) {
            session.close(&mut self.reply);
            self.append_reply(slot);
        }
    }

    /// A client goes whose handshake is not done.
    pub(crate) fn count_unfinished_session(&mut self, slot: Slot) {
        let session = self.secure.sessions.get(slot as usize);
        self.counters.tls_handshakes_failed +=
            u64::from(session.is_some_and(|session| session.is_handshaking()));
    }

    /// Counts a client that speaks TLS where none is spoken, if that is what `bytes` begin with.
    pub(crate) fn note_unexpected_tls(&mut self, slot: Slot, bytes: &[u8]) {
        let client = self.client_ref(slot);
        if !tls::is_client_hello(bytes) || self.secure.has(slot) {
            return;
        }
        let (peer, listen) = (client.peer.address(), &self.settings.listen[usize::from(client.listener)]);
        self.counters.tls_unexpected += 1;
        if let Some(unsaid) = self.secure.unexpected_log.admit(self.now.0) {
            warn!(%peer, unsaid, "client speaks TLS at {listen}, which has none");
        }
    }

    fn on_secured(&mut self, slot: Slot) {
        let Some(Conn::Client(client)) = self.conns.get_mut(slot as usize) else { return };
        client.codec = AnyCodec::new(&self.settings.listen[usize::from(client.listener)].protocol);
        if client.codec.is_open()
            && let Some(held) = client.held.take()
        {
            self.output.append(client.socket, &mut client.out, &held);
        }
    }

    fn session_failed(&mut self, slot: Slot, was_open: bool, failure: &Failure) {
        let client = match self.conns.get_mut(slot as usize) {
            Some(Conn::Client(client)) => client,
            Some(Conn::Lingering(_)) => {
                self.counters.tls_sessions_failed += 1;
                return self.say_end(slot);
            }
            _ => return,
        };
        client.out.queue.clear_plain(&mut self.output.spare);
        // It may have been asked for an answer, which will not come any more.
        client.codec = AnyCodec::Securing;
        if was_open {
            self.counters.tls_sessions_failed += 1;
        } else {
            self.counters.tls_handshakes_failed += 1;
            let (peer, listen) = (client.peer.address(), &self.settings.listen[usize::from(client.listener)]);
            if let Some(unsaid) = self.secure.failed_log.admit(self.now.0) {
                warn!(%peer, unsaid, "TLS handshake at {listen} failed: {failure}");
            }
        }
        self.close_client_when_sent(slot);
    }

    /// Queues what a session has answered.
    fn append_reply(&mut self, slot: Slot) {
        let (socket, out) = match self.conns.get_mut(slot as usize) {
            Some(Conn::Client(client)) => (client.socket, &mut client.out),
            Some(Conn::Lingering(lingering)) => (lingering.socket, &mut lingering.out),
            _ => return,
        };
        self.output.append_sealed(socket, out, &self.reply);
        self.reply.clear();
    }
}
