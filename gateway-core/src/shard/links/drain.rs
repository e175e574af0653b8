//! A worker hands its clients over to others (WIRE.md §14): it gets no more events, and says which clients it is done
//! with. Until it has, their events wait, so that nobody handles a client's event while an earlier one is handled.
//!
//! Nothing is kept for a client that has nothing to say: it stays bound to a worker that takes no events, and is bound
//! anew at its next one.

use std::mem;

use hashbrown::HashSet;
use protocol::inner::drain::{self, decode_ids};
use protocol::inner::{Cmd, Frame};
use ring::SocketId;

use crate::Millis;
use crate::config::DRAIN_MS_MAX;
use crate::shard::clients::directory::Slot;
use crate::shard::{Conn, Shard};

/// A worker link that takes no more events.
pub struct Drain {
    /// After this every client is free, whatever the worker says.
    deadline: Millis,
    /// Clients whose events the worker still handles; `None`: it has not said, so it may be any.
    busy: Option<HashSet<u32>>,
}

impl Drain {
    fn new(deadline: Millis) -> Drain {
        Drain { deadline, busy: None }
    }

    /// Whether the worker may still handle an event of this client.
    pub fn holds(&self, connection_id: u32) -> bool {
        self.busy.as_ref().is_none_or(|busy| busy.contains(&connection_id))
    }
}

impl Shard {
    /// DRAIN: what is queued for the worker is its last, and the answer is behind it. Again: only answered, which tells
    /// the worker that all its commands before are done.
    pub(crate) fn drain(&mut self, link: Slot, frame: &Frame<'_>) {
        let Some(drain) = drain::Drain::decode(frame.body) else { return };
        let deadline = self.now.plus(u64::from(drain.within_ms.min(DRAIN_MS_MAX)));
        let Some(Conn::Link(link)) = self.conns.get_mut(link as usize) else { return };
        let Some(worker) = link.worker.filter(|_| link.ringway) else { return };
        if link.drain.is_none() {
            link.drain = Some(Box::new(Drain::new(deadline)));
            self.workers.drain(worker);
            if !self.draining.contains(&link.socket) {
                self.draining.push(link.socket);
            }
        }
        let round = drain.round.to_be_bytes();
        let answer = Frame { body: &round, ..Frame::command(Cmd::Drained) };
        self.output.append_with(link.socket, &mut link.out, |out| answer.encode(out));
    }

    /// DRAIN_BUSY: everybody else is free.
    pub(crate) fn drain_busy(&mut self, link: Slot, frame: &Frame<'_>) {
        let Some(Conn::Link(it)) = self.conns.get_mut(link as usize) else { return };
        let Some(drain) = it.drain.as_mut() else { return };
        // No more than there are to be held, whatever the worker lists.
        let is_known = |id: &u32| self.connection_ids.contains_key(id) || self.departed.contains(*id);
        drain.busy = Some(decode_ids(frame.body).filter(is_known).collect());
        self.let_free(link);
    }

    /// DRAIN_FREE: these are free too.
    pub(crate) fn drain_free(&mut self, link: Slot, frame: &Frame<'_>) {
        let Some(drain) = self.link(link).and_then(|link| link.drain.as_mut()) else { return };
        let Some(busy) = drain.busy.as_mut() else { return };
        for id in decode_ids(frame.body) {
            busy.remove(&id);
        }
        self.retry_departed_of(link);
        for id in decode_ids(frame.body) {
            if let Some(slot) = self.connection_ids.get(&id).copied() {
                self.resume_client(self.client_ref(slot).socket);
            }
        }
    }

    /// A worker that drained has said who it is once more: it takes events again.
    pub(crate) fn undrain(&mut self, link: Slot) {
        let Some(it) = self.link(link) else { return };
        if it.drain.take().is_none() {
            return;
        }
        let clients = mem::take(&mut it.stalled_clients);
        self.retry_departed_of(link);
        for client in clients {
            self.resume_client(client);
        }
    }

    /// Lets go what draining workers still hold: the shard ends.
    pub(crate) fn end_drains(&mut self) {
        for socket in mem::take(&mut self.draining) {
            self.free_all(socket);
        }
    }

    /// A worker that has not let its clients go in time has to.
    pub(crate) fn expire_drains(&mut self) {
        let now = self.now;
        let mut expired = Vec::new();
        let conns = &self.conns;
        self.draining.retain(|socket| match conns.get(socket.index()) {
            Some(Conn::Link(link)) if link.socket == *socket => match &link.drain {
                Some(drain) if drain.deadline <= now => {
                    expired.push(*socket);
                    false
                }
                drain => drain.is_some(),
            },
            _ => false,
        });
        for socket in expired {
            self.counters.drains_expired += 1;
            self.free_all(socket);
        }
    }

    fn free_all(&mut self, socket: SocketId) {
        let slot = crate::shard::slot(socket);
        let Some(link) = self.link(slot).filter(|link| link.socket == socket) else { return };
        let Some(drain) = link.drain.as_mut() else { return };
        drain.busy = Some(HashSet::new());
        self.let_free(slot);
    }

    /// Everything that waited goes on; what is not free comes back here.
    fn let_free(&mut self, link: Slot) {
        let Some(Conn::Link(it)) = self.conns.get_mut(link as usize) else { return };
        let clients = mem::take(&mut it.stalled_clients);
        self.retry_departed_of(link);
        for client in clients {
            self.resume_client(client);
        }
    }

    /// Departed clients that waited for this link: those that it still holds will again.
    fn retry_departed_of(&mut self, link: Slot) {
        if let Some(link) = self.link(link) {
            let departed = mem::take(&mut link.departed);
            self.retry_departed(departed);
        }
    }
}
