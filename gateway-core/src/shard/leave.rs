//! A client goes, however it goes: its worker is told, then it is forgotten.

use std::mem;

use protocol::client::websocket;
use protocol::inner::{Cmd, FLAG_SCALAR};

use super::client::{Client, Reading};
use super::directory::Slot;
use super::input::{Event, Stall, event_frame};
use super::output::Action;
use super::{Conn, Shard};
use crate::config::ORPHAN_BYTES_MAX;

/// Why we close a client: its close frame says so (docs/OPERATIONS.md, "Close codes").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseReason {
    /// The gateway stops.
    GoingAway,
    /// A limit that is not one of the protocol's: too slow, too much.
    Policy,
    /// It was silent for too long.
    Silent,
    /// There has been no worker for too long.
    NoWorker,
}

impl CloseReason {
    fn code(self) -> u16 {
        match self {
            CloseReason::GoingAway => websocket::GOING_AWAY,
            CloseReason::Policy => websocket::POLICY_VIOLATION,
            CloseReason::Silent => websocket::HEARTBEAT_MISSED,
            CloseReason::NoWorker => websocket::TRY_AGAIN_LATER,
        }
    }

    /// Whether the client is at fault: who cannot be told why then goes at once, whatever is queued for it.
    fn is_fault(self) -> bool {
        matches!(self, CloseReason::Policy | CloseReason::Silent)
    }
}

impl Shard {
    /// Closes a client and tells it why, if its protocol has words for that.
    pub(super) fn close_client_because(&mut self, slot: Slot, reason: CloseReason) {
        let said = self.say_close(slot, reason.code(), "");
        if !said && reason.is_fault() {
            return self.close_client_now(slot);
        }
        self.close_client_when_sent(slot);
    }

    /// Tells a client, behind what is queued for it, that it is closed, and why. Returns whether that can be said. What it
    /// sends from now on is thrown away, but for its answer.
    pub(super) fn say_close(&mut self, slot: Slot, code: u16, reason: &str) -> bool {
        let limits = self.settings.limits();
        let Some(Conn::Client(client)) = self.conns.get_mut(slot as usize) else { return false };
        if client.closing || !client.codec.is_open() {
            return false;
        }
        let protocol = self.settings.listen[usize::from(client.listener)].protocol.protocol();
        let queued = client.out.queue.len();
        self.output
            .append_with(client.socket, &mut client.out, |out| protocol.encode_close(code, reason, out));
        client.codec.leave();
        if client.codec.is_leaving() {
            client.codec.decode(&limits, &mut client.rest.take(), &mut Vec::new());
        }
        client.out.queue.len() > queued
    }

    /// Nothing more is read from a client; it goes when its queue is empty, or after a while.
    pub(super) fn close_client_when_sent(&mut self, slot: Slot) {
        let now = self.now;
        let client = self.client(slot);
        let socket = client.socket;
        if !client.closing {
            client.closing = true;
            client.rest.take();
            if client.reading == Reading::Stalled {
                // Its input is thrown away from here on, but its end has to be seen.
                client.reading = Reading::Flowing;
                self.output.actions.push(Action::Resume(socket));
            }
            self.waits.flush.push(now, socket);
        }
        if self.client(slot).out.queue.is_empty() {
            self.part(slot);
        }
    }

    /// Closes a client at once; what is queued for it is lost.
    pub(super) fn close_client_now(&mut self, slot: Slot) {
        let mut client = self.forget_client(slot);
        client.out.queue.clear(&mut self.output.spare);
        self.secure.forget(slot);
        self.output.actions.push(Action::Close(client.socket));
    }

    /// Hands over the ON_CLOSE frames that had no worker to go to.
    pub(super) fn deliver_orphans(&mut self, link: Slot) {
        self.waits.orphan_bytes = 0;
        let orphans = mem::take(&mut self.waits.orphans);
        let Some(Conn::Link(link)) = self.conns.get_mut(link as usize) else { return };
        for (_, frame) in orphans {
            self.output.append(link.socket, &mut link.out, &frame);
        }
    }

    /// Tells the worker and takes a client out of every table, but for its session of TLS. The slot is the caller's to use
    /// or to leave.
    pub(super) fn forget_client(&mut self, slot: Slot) -> Client {
        if self.client(slot).announced {
            self.emit_close(slot);
        }
        self.count_unfinished_session(slot);
        let Some(Conn::Client(client)) = self.conns.remove(slot as usize) else {
            unreachable!("the caller has looked");
        };
        self.counters.clients_closed += 1;
        let info = self.client_info(client.connection_id, client.peer.address(), client.listener);
        self.hooks.on_close(&info);
        self.connection_ids.remove(&client.connection_id);
        if let Some(uid) = client.uid {
            self.uids.leave(uid);
        }
        for group in client.groups() {
            self.groups.leave(*group);
        }
        if let Some(worker) = client.worker {
            self.workers.unbind(worker);
        }
        client
    }

    /// ON_CLOSE goes out even over a full link: it is small, and workers clean up by it. Without any worker it waits, as
    /// it does while a worker that hands its clients over still handles an event of this one.
    fn emit_close(&mut self, slot: Slot) {
        let event = Event { cmd: Cmd::OnClose, flag: FLAG_SCALAR, body: &[] };
        let stall = match self.worker_link(slot) {
            Ok(link) => {
                // A session that is too large for this worker's link was another worker's; this one never had it.
                let _ = self.emit(slot, super::slot(link), event);
                return;
            }
            Err(stall) => stall,
        };
        let mut frame = Vec::new();
        let client = self.client_ref(slot);
        let port = self.settings.listen[usize::from(client.listener)].address.port();
        event_frame(&self.identity, port, client, event).encode(&mut frame);
        match stall {
            Stall::Draining(link) => self.hold_close(link, client.connection_id, frame),
            Stall::NoWorker | Stall::LinkFull(_) => self.keep_orphan(frame),
        }
    }

    /// Keeps an ON_CLOSE for the next worker that comes.
    pub(super) fn keep_orphan(&mut self, frame: Vec<u8>) {
        let deadline = self.now.plus(self.settings.no_worker_wait.as_millis() as u64);
        self.waits.orphan_bytes += frame.len();
        self.waits.orphans.push_back((deadline, frame));
        while self.waits.orphan_bytes > ORPHAN_BYTES_MAX {
            self.drop_orphan();
        }
    }

    pub(super) fn drop_orphan(&mut self) {
        if let Some((_, frame)) = self.waits.orphans.pop_front() {
            self.waits.orphan_bytes -= frame.len();
            self.counters.closes_dropped += 1;
        }
    }
}
