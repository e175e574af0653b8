//! A worker hands its clients over to others (WIRE.md §14): it gets no more events, and says which clients it is done
//! with. Until it has, their events wait, so that nobody handles a client's event while an earlier one is handled.
//!
//! Nothing is kept for a client that has nothing to say: it stays bound to a worker that takes no events, and is bound
//! anew at its next one.

use std::mem;

use hashbrown::HashSet;
use protocol::inner::drain::{self, decode_ids};
use protocol::inner::{Cmd, Frame};

use super::{LinkId, Links};
use crate::Millis;
use crate::config::DRAIN_MS_MAX;
use crate::shard::Shard;

/// A worker link that takes no more events.
pub(crate) struct Drain {
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
    fn holds(&self, connection_id: u32) -> bool {
        self.busy.as_ref().is_none_or(|busy| busy.contains(&connection_id))
    }
}

impl Links {
    /// Whether there may be some that drain.
    pub(crate) fn may_drain(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Whether a worker that drains may still handle an event of this client.
    pub(crate) fn holds(&self, link: LinkId, connection_id: u32) -> bool {
        let drain = self.get(link).and_then(|link| link.drain.as_ref());
        drain.is_some_and(|drain| drain.holds(connection_id))
    }

    /// Begins to drain a link, unless it does already or is no worker of ours. Returns whether it drains.
    fn begin_drain(&mut self, id: LinkId, deadline: Millis) -> bool {
        let Some(link) = self.get_mut(id) else { return false };
        let Some(worker) = link.worker.filter(|_| link.ringway) else { return false };
        if link.drain.is_none() {
            link.drain = Some(Box::new(Drain::new(deadline)));
            self.workers.drain(worker);
            if !self.draining.contains(&id) {
                self.draining.push(id);
            }
        }
        true
    }

    /// Those whose time is over, which are to be freed. Forgets links that drain no more.
    fn take_expired_drains(&mut self, now: Millis) -> Vec<LinkId> {
        let mut draining = mem::take(&mut self.draining);
        let deadline = |id: LinkId| Some(self.get(id)?.drain.as_ref()?.deadline);
        let expired = draining.iter().copied().filter(|id| deadline(*id).is_some_and(|time| time <= now));
        let expired: Vec<LinkId> = expired.collect();
        draining.retain(|id| deadline(*id).is_some_and(|time| time > now));
        self.draining = draining;
        expired
    }
}

impl Shard {
    /// DRAIN: what is queued for the worker is its last, and the answer is behind it. Again: only answered, which tells
    /// the worker that all its commands before are done.
    pub(crate) fn drain(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(drain) = drain::Drain::decode(frame.body) else { return };
        let deadline = self.now.plus(u64::from(drain.within_ms.min(DRAIN_MS_MAX)));
        if self.links.begin_drain(id, deadline)
            && let Some(link) = self.links.get_mut(id)
        {
            let round = drain.round.to_be_bytes();
            link.queue_frame(&mut self.output, &Frame { body: &round, ..Frame::command(Cmd::Drained) });
        }
    }

    /// DRAIN_BUSY: everybody else is free.
    pub(crate) fn drain_busy(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(drain) = self.links.get_mut(id).and_then(|link| link.drain.as_mut()) else { return };
        // No more than there are to be held, whatever the worker lists.
        let is_known = |id: &u32| self.clients.by_id(*id).is_some() || self.departed.contains(*id);
        drain.busy = Some(decode_ids(frame.body).filter(is_known).collect());
        self.let_free(id);
    }

    /// DRAIN_FREE: these are free too.
    pub(crate) fn drain_free(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(drain) = self.links.get_mut(id).and_then(|link| link.drain.as_mut()) else { return };
        let Some(busy) = drain.busy.as_mut() else { return };
        for client in decode_ids(frame.body) {
            busy.remove(&client);
        }
        self.retry_departed_of(id);
        for client in decode_ids(frame.body) {
            if let Some(slot) = self.clients.by_id(client) {
                self.resume_client(self.clients[slot].socket);
            }
        }
    }

    /// A worker that drained has said who it is once more: it takes events again.
    pub(super) fn undrain(&mut self, id: LinkId) {
        if self.links.get_mut(id).is_some_and(|link| link.drain.take().is_some()) {
            self.let_free(id);
        }
    }

    /// Lets go what draining workers still hold: the shard ends.
    pub(crate) fn end_drains(&mut self) {
        for id in mem::take(&mut self.links.draining) {
            self.free_all(id);
        }
    }

    /// A worker that has not let its clients go in time has to.
    pub(crate) fn expire_drains(&mut self) {
        for id in self.links.take_expired_drains(self.now) {
            self.counters.drains_expired += 1;
            self.free_all(id);
        }
    }

    fn free_all(&mut self, id: LinkId) {
        if let Some(drain) = self.links.get_mut(id).and_then(|link| link.drain.as_mut()) {
            drain.busy = Some(HashSet::new());
            self.let_free(id);
        }
    }

    /// Everything that waited goes on; what is not free comes back here.
    fn let_free(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let clients = mem::take(&mut link.stalled_clients);
        self.retry_departed_of(id);
        for client in clients {
            self.resume_client(client);
        }
    }

    /// Departed clients that waited for this link: those that it still holds will again.
    pub(crate) fn retry_departed_of(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            let departed = mem::take(&mut link.departed);
            self.retry_departed(departed);
        }
    }
}
