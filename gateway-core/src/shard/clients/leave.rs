//! A client goes, however it goes: its worker is told, then it is forgotten.

use protocol::client::websocket;

use super::ClientSlot;
use super::client::{Client, Reading};
use crate::Settings;
use crate::config::RETRY_AFTER_S;
use crate::shard::output::Output;
use crate::shard::{Action, Shard};

/// Why we close a client: its close frame says so (docs/OPERATIONS.md, "Close codes").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CloseReason {
    /// The gateway stops.
    GoingAway,
    /// A limit that is not one of the protocol's: too slow, too much.
    Policy,
    /// It was silent for too long.
    Silent,
    /// Its token has expired.
    Expired,
    /// No worker has taken its events for too long.
    Unserved,
    /// Workers die of what it says.
    Poisonous,
}

impl CloseReason {
    fn code(self) -> u16 {
        match self {
            CloseReason::GoingAway => websocket::GOING_AWAY,
            CloseReason::Policy => websocket::POLICY_VIOLATION,
            CloseReason::Silent => websocket::HEARTBEAT_MISSED,
            CloseReason::Expired => websocket::TOKEN_EXPIRED,
            CloseReason::Unserved => websocket::TRY_AGAIN_LATER,
            CloseReason::Poisonous => websocket::INTERNAL_ERROR,
        }
    }

    /// Whether the same client may be served later, or elsewhere.
    fn is_passing(self) -> bool {
        matches!(self, CloseReason::GoingAway | CloseReason::Unserved)
    }

    /// Whether the client is at fault: who cannot be told why then goes at once, whatever is queued for it.
    fn is_fault(self) -> bool {
        matches!(self, CloseReason::Policy | CloseReason::Silent)
    }
}

impl Client {
    /// Says, behind what is queued for it, that it is closed, and why. Returns whether its protocol has words for that. What
    /// it sends from now on is thrown away, but for its answer.
    pub(crate) fn queue_close_frame(
        &mut self,
        output: &mut Output,
        settings: &Settings,
        code: u16,
        reason: &str,
    ) -> bool {
        if self.closing || !self.codec.is_open() {
            return false;
        }
        let (protocol, queued) = (settings.protocol_of(self.listener), self.out.queue.len());
        output.append_with(self.socket, &mut self.out, |out| protocol.encode_close(code, reason, out));
        self.codec.begin_close();
        let rest = &mut self.rest.take();
        self.closing_received(&settings.limits(), rest);
        self.out.queue.len() > queued
    }

    /// Answers a handshake, whether all of its request has come or not, unless the client has said nothing yet. Returns
    /// whether there was one to answer.
    fn refuse_handshake(&mut self, output: &mut Output) -> bool {
        // Who is not read may have said something.
        let has_begun = self.is_stalled() || !self.rest.is_empty();
        if self.closing || !has_begun || !self.codec.is_handshaking() {
            return false;
        }
        output.append_with(self.socket, &mut self.out, |out| {
            websocket::encode_retry_later(503, RETRY_AFTER_S, out)
        });
        true
    }
}

impl Shard {
    /// Closes a client and tells it why, if its protocol has words for that. Who is closed already has been told.
    pub(crate) fn close_client_because(&mut self, slot: ClientSlot, reason: CloseReason) {
        self.catch_up(slot);
        let Some(client) = self.clients.get_mut(slot).filter(|client| !client.closing) else { return };
        let output = &mut self.output;
        let said = client.queue_close_frame(output, &self.settings, reason.code(), "")
            || (reason.is_passing() && client.refuse_handshake(output));
        if !said && reason.is_fault() {
            return self.close_client_now(slot);
        }
        self.close_client_when_sent(slot);
    }

    /// Nothing more is read from a client; it goes when its queue is empty, or after a while.
    pub(crate) fn close_client_when_sent(&mut self, slot: ClientSlot) {
        if self.clients[slot].codec.is_open() {
            self.catch_up(slot);
        }
        let Some(client) = self.clients.get_mut(slot) else { return };
        if !client.closing {
            client.closing = true;
            client.rest.take();
            if client.is_stalled() {
                // Its input is thrown away from here on, but its end has to be seen.
                client.reading = Reading::Flowing;
                self.output.actions.push(Action::Resume(client.socket));
            }
            self.deadlines.flush.push(self.now, client.socket);
            self.clients.unfinished.forget(slot);
        }
        if self.clients[slot].out.queue.is_empty() {
            self.linger(slot);
        }
    }

    /// Closes a client at once; what is queued for it is lost.
    pub(crate) fn close_client_now(&mut self, slot: ClientSlot) {
        let mut client = self.forget_client(slot);
        client.out.queue.clear(&mut self.output.spare);
        self.clients.sessions.forget(client.socket);
        self.output.actions.push(Action::Close(client.socket));
    }

    /// Tells the worker and takes a client out of every table, but for its session of TLS. The slot is the caller's to use
    /// or to leave.
    pub(crate) fn forget_client(&mut self, slot: ClientSlot) -> Client {
        let mut client = self.clients.remove(slot);
        self.counters.tls_handshakes_failed += u64::from(self.clients.sessions.is_handshaking(client.socket));
        if client.announced {
            self.depart(&mut client);
        }
        self.counters.clients_closed += 1;
        self.clients.count_departure(client.socket, client.peer.address(), self.now);
        let info =
            self.identity.client_info(client.connection_id, client.peer.address(), client.listener.into());
        self.hooks.call(self.now, "on_close", |hooks| hooks.on_close(&info));
        self.links.workers.unbind(client.worker);
        client
    }
}
