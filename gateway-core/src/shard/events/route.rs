//! Which link a client's next event goes to, or why none.

use std::net::SocketAddr;

use crate::ClientInfo;
use crate::shard::Shard;
use crate::shard::clients::ClientSlot;
use crate::shard::clients::client::Client;
use crate::shard::counters::Counters;
use crate::shard::links::link::Link;
use crate::shard::links::workers::{WorkerId, WorkerLink};
use crate::shard::links::{LinkId, Links};

/// Why a client's events cannot go out now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stall {
    /// There is no worker.
    NoWorker,
    /// The link to the client's worker is full.
    LinkFull(LinkId),
    /// The client's worker takes no more events, and may still handle an earlier one of this client.
    Draining(LinkId),
    /// Nothing is heard of the client's worker, and there is no other.
    Silent(LinkId),
    /// Others' events that lost links had not taken go first on this link.
    Rerouting(LinkId),
}

impl Stall {
    /// The link that is waited for.
    pub fn link(self) -> Option<LinkId> {
        match self {
            Stall::NoWorker => None,
            Stall::LinkFull(link) | Stall::Draining(link) | Stall::Silent(link) | Stall::Rerouting(link) => {
                Some(link)
            }
        }
    }
}

impl Counters {
    /// How often clients were stalled for this reason.
    pub(crate) fn stalls(&mut self, stall: Stall) -> &mut u64 {
        match stall {
            Stall::NoWorker => &mut self.stalls_no_worker,
            Stall::LinkFull(_) => &mut self.stalls_link_full,
            Stall::Draining(_) => &mut self.stalls_draining,
            Stall::Silent(_) => &mut self.stalls_silent,
            Stall::Rerouting(_) => &mut self.stalls_rerouting,
        }
    }
}

impl Links {
    /// Whether a worker's link, with at most so many bytes queued, takes an event now.
    pub(super) fn room(&self, id: LinkId, queued_max: usize) -> Result<LinkId, Stall> {
        match self.get(id).expect("a worker's link is forgotten when it closes") {
            Link { shut: true, .. } => Err(Stall::NoWorker),
            Link { silent: true, .. } => Err(Stall::Silent(id)),
            link if link.out.queue.len() >= queued_max => Err(Stall::LinkFull(id)),
            _ => Ok(id),
        }
    }

    /// The link of the worker that a client has; none if another is to be chosen.
    pub(super) fn of_client(
        &self,
        worker: Option<WorkerId>,
        connection_id: u32,
    ) -> Result<Option<LinkId>, Stall> {
        match worker.map_or(WorkerLink::Gone, |worker| self.workers.link_of(worker)) {
            WorkerLink::Open(link) => Ok(Some(link)),
            WorkerLink::Draining(link) if self.holds(link, connection_id) => Err(Stall::Draining(link)),
            WorkerLink::Draining(_) | WorkerLink::Gone => Ok(None),
        }
    }
}

impl Shard {
    /// The link for a client's next event.
    pub(crate) fn route(&mut self, slot: ClientSlot) -> Result<LinkId, Stall> {
        let link = self.worker_link(slot)?;
        if self.is_behind(link) {
            return Err(Stall::Rerouting(link));
        }
        self.links.room(link, self.settings.send_to_worker_buffer_size)
    }

    /// The link of a client's worker. Another worker is chosen if the client has none, or if its worker is gone or
    /// has handed it over.
    pub(super) fn worker_link(&mut self, slot: ClientSlot) -> Result<LinkId, Stall> {
        let Client { worker, connection_id, .. } = self.clients[slot];
        match self.links.of_client(worker, connection_id)? {
            Some(link) => Ok(link),
            None => self.rebind(slot).ok_or(Stall::NoWorker),
        }
    }

    fn rebind(&mut self, slot: ClientSlot) -> Option<LinkId> {
        let Client { connection_id, ref peer, listener, .. } = self.clients[slot];
        let peer = peer.address();
        let worker = self.choose_worker(connection_id, peer, listener)?;
        if let Some(old) = self.clients[slot].worker.replace(worker) {
            self.links.workers.unbind(old);
        }
        self.links.workers.link(worker)
    }

    /// Chooses a worker for a client and binds it.
    pub(super) fn choose_worker(
        &mut self,
        connection_id: u32,
        peer: SocketAddr,
        listener: u8,
    ) -> Option<WorkerId> {
        let is_asked = self.hooks.routes(self.now);
        let asked = is_asked.then(|| self.identity.client_info(connection_id, peer, listener));
        match asked.and_then(|info| self.ask_hook(&info)) {
            Some(worker) => Some(self.links.workers.bind_to(worker)),
            None => {
                let (random, waiting_max) = (self.random.next(), self.settings.send_to_worker_buffer_size);
                self.links.workers.bind(self.settings.router, random, waiting_max)
            }
        }
    }

    fn ask_hook(&mut self, info: &ClientInfo) -> Option<WorkerId> {
        let (ids, infos): (Vec<_>, Vec<_>) = self.links.workers.connected().unzip();
        if ids.is_empty() {
            return None;
        }
        self.hooks.route(self.now, info, &infos).map(|index| ids[index])
    }
}
