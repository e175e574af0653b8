//! Which workers there are, and which one a client gets (WIRE.md §8).

use std::num::NonZeroU32;

use hashbrown::HashMap;

use super::LinkId;
use crate::WorkerInfo;
use crate::config::WORKER_KEYS_MAX;
use crate::settings::Router;

/// Names a worker key for as long as it is connected or a client is bound to it: one more than its entry's index, so that
/// no worker costs a client no more than one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WorkerId(NonZeroU32);

impl WorkerId {
    fn of_entry(index: usize) -> WorkerId {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        WorkerId(number.expect("there are at most WORKER_KEYS_MAX entries"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The workers by key. A key outlives its link while clients are bound to it: when it comes back, they are its again.
///
/// Invariant: an entry has a link or a bound client, else it is vacant.
#[derive(Default)]
pub(crate) struct Workers {
    by_key: HashMap<Box<str>, WorkerId>,
    entries: Vec<Option<Worker>>,
    vacant: Vec<WorkerId>,
    /// Keys in order of connecting, those connected now that take events.
    connected: Vec<WorkerId>,
    /// Chosen first while it is connected: it is in the shard's own thread.
    preferred: Option<WorkerId>,
}

struct Worker {
    key: Box<str>,
    link: Option<LinkId>,
    /// Clients bound since it connected, less those that left: what the choice goes by.
    clients: u32,
    /// Clients that refer to this entry.
    bound: u32,
    /// Bytes of events that lost links had not taken and that wait for this worker.
    waiting: usize,
    /// Takes no more events: it is not in [`Workers::connected`].
    draining: bool,
}

/// What a worker's link is to its clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WorkerLink {
    Open(LinkId),
    /// It is there, but takes no more events.
    Draining(LinkId),
    Gone,
}

impl Workers {
    /// A worker says its key. Returns the link that had the key before, which is to be closed; `Err` if there are too
    /// many keys.
    pub(crate) fn connect(
        &mut self,
        key: &str,
        link: LinkId,
    ) -> Result<(WorkerId, Option<LinkId>), TooManyKeys> {
        let id = match self.by_key.get(key) {
            Some(id) => *id,
            None => self.create(key)?,
        };
        let worker = self.entry(id);
        let displaced = worker.link.replace(link);
        worker.clients = 0;
        worker.draining = false;
        self.connected.retain(|other| *other != id);
        self.connected.push(id);
        Ok((id, displaced))
    }

    /// A link is gone. Does nothing if its key has another link by now.
    pub(crate) fn disconnect(&mut self, id: WorkerId, link: LinkId) {
        let worker = self.entry(id);
        if worker.link == Some(link) {
            worker.link = None;
            self.connected.retain(|other| *other != id);
            self.preferred = self.preferred.filter(|preferred| *preferred != id);
            self.vacate_if_unused(id);
        }
    }

    /// A worker that is connected is to be chosen before all others.
    pub(crate) fn prefer(&mut self, id: WorkerId) {
        self.preferred = Some(id);
    }

    /// A worker that is connected takes no more events: it is chosen no more.
    pub(crate) fn drain(&mut self, id: WorkerId) {
        self.entry(id).draining = true;
        self.connected.retain(|other| *other != id);
    }

    /// Chooses a worker for a client and binds it; one for which `waiting_max` bytes wait only if it is so with all.
    /// `random` is any number.
    pub(crate) fn bind(&mut self, router: Router, random: usize, waiting_max: usize) -> Option<WorkerId> {
        let is_full = |id: &WorkerId| self.waiting(*id) >= waiting_max;
        let preferred = self.preferred.filter(|id| self.connected.contains(id) && !is_full(id));
        if let Some(id) = preferred {
            return Some(self.bind_to(id));
        }
        let id = match router {
            // The first of equals: `connected` is in order of connecting.
            Router::LeastConnections => {
                *self.connected.iter().min_by_key(|id| (is_full(id), self.clients(**id)))?
            }
            Router::Random if self.connected.is_empty() => return None,
            Router::Random => {
                let first = random % self.connected.len();
                let (behind, ahead) = self.connected.split_at(first);
                *ahead.iter().chain(behind).find(|id| !is_full(id)).unwrap_or(&ahead[0])
            }
        };
        Some(self.bind_to(id))
    }

    /// Bytes of events that lost links had not taken and that wait for a worker.
    pub(crate) fn waiting(&self, id: WorkerId) -> usize {
        self.entries[id.index()].as_ref().map_or(0, |worker| worker.waiting)
    }

    pub(crate) fn waiting_mut(&mut self, id: WorkerId) -> &mut usize {
        &mut self.entry(id).waiting
    }

    /// Binds a client to this worker, which is connected.
    pub(crate) fn bind_to(&mut self, id: WorkerId) -> WorkerId {
        let worker = self.entry(id);
        worker.clients += 1;
        worker.bound += 1;
        id
    }

    /// A client that was bound, if it was, leaves or goes to another worker.
    pub(crate) fn unbind(&mut self, id: Option<WorkerId>) {
        let Some(id) = id else { return };
        let worker = self.entry(id);
        worker.bound -= 1;
        worker.clients = worker.clients.saturating_sub(1);
        self.vacate_if_unused(id);
    }

    /// What a worker's link is to its clients.
    pub(crate) fn link_of(&self, id: WorkerId) -> WorkerLink {
        match self.entries[id.index()].as_ref() {
            Some(Worker { link: Some(link), draining: false, .. }) => WorkerLink::Open(*link),
            Some(Worker { link: Some(link), draining: true, .. }) => WorkerLink::Draining(*link),
            _ => WorkerLink::Gone,
        }
    }

    /// The links of the worker that this key belongs to: all of its cores.
    pub(crate) fn links_of_name(&self, key: &str) -> impl Iterator<Item = LinkId> {
        let of_name = move |worker: &&Worker| name(&worker.key) == name(key);
        self.entries.iter().flatten().filter(of_name).filter_map(|worker| worker.link)
    }

    /// The link of a worker, if it is connected.
    pub(crate) fn link(&self, id: WorkerId) -> Option<LinkId> {
        self.entries[id.index()].as_ref()?.link
    }

    /// The key of a worker that is connected or has clients.
    pub(crate) fn key(&self, id: WorkerId) -> &str {
        &self.entries[id.index()].as_ref().expect("ids are held only by links and bound clients").key
    }

    /// All connected workers that take events, in order of connecting.
    pub(crate) fn connected(&self) -> impl Iterator<Item = (WorkerId, WorkerInfo<'_>)> {
        let info = |id: &WorkerId| {
            let worker = self.entries[id.index()].as_ref().expect("connected workers have entries");
            (*id, WorkerInfo { key: &worker.key, client_count: worker.clients })
        };
        self.connected.iter().map(info)
    }

    /// Links of all connected workers that take events.
    pub(crate) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.connected.iter().filter_map(|id| self.link(*id))
    }

    /// Workers connected now that take events.
    pub(crate) fn connected_count(&self) -> usize {
        self.connected.len()
    }

    fn clients(&self, id: WorkerId) -> u32 {
        self.entries[id.index()].as_ref().map_or(0, |worker| worker.clients)
    }

    fn entry(&mut self, id: WorkerId) -> &mut Worker {
        self.entries[id.index()].as_mut().expect("ids are held only by links and bound clients")
    }

    fn create(&mut self, key: &str) -> Result<WorkerId, TooManyKeys> {
        if self.by_key.len() >= WORKER_KEYS_MAX {
            return Err(TooManyKeys);
        }
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            WorkerId::of_entry(self.entries.len() - 1)
        });
        self.entries[id.index()] =
            Some(Worker { key: key.into(), link: None, clients: 0, bound: 0, waiting: 0, draining: false });
        self.by_key.insert(key.into(), id);
        Ok(id)
    }

    fn vacate_if_unused(&mut self, id: WorkerId) {
        let worker = self.entry(id);
        if worker.link.is_none() && worker.bound == 0 {
            let key = std::mem::take(&mut worker.key);
            self.by_key.remove(&key);
            self.entries[id.index()] = None;
            self.vacant.push(id);
        }
    }
}

/// A key without its last part, the number of the core.
fn name(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(name, _)| name)
}

/// More worker keys than [`WORKER_KEYS_MAX`].
#[derive(Debug)]
pub(crate) struct TooManyKeys;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32) -> LinkId {
        LinkId(uring::SocketId::new(index, 1))
    }

    fn least(workers: &mut Workers) -> Option<WorkerId> {
        workers.bind(Router::LeastConnections, 0, 1)
    }

    #[test]
    fn least_connections_and_the_first_of_equals() {
        let mut workers = Workers::default();
        assert_eq!(least(&mut workers), None);
        let (a, _) = workers.connect("a", link(1)).unwrap();
        let (b, _) = workers.connect("b", link(2)).unwrap();
        assert_eq!(
            [least(&mut workers), least(&mut workers), least(&mut workers)],
            [Some(a), Some(b), Some(a)]
        );
        workers.unbind(Some(a));
        workers.unbind(Some(a));
        assert_eq!(least(&mut workers), Some(a));
    }

    #[test]
    fn the_preferred_one_is_chosen_while_it_takes_events() {
        let mut workers = Workers::default();
        let (a, _) = workers.connect("a", link(1)).unwrap();
        let (b, _) = workers.connect("b", link(2)).unwrap();
        workers.prefer(b);
        assert_eq!([(); 3].map(|()| workers.bind(Router::Random, 0, 1)), [Some(b); 3]);
        *workers.waiting_mut(b) = 1;
        assert_eq!(least(&mut workers), Some(a));
        *workers.waiting_mut(b) = 0;
        workers.drain(b);
        assert_eq!([(); 4].map(|()| least(&mut workers)), [Some(a); 4]);
        workers.connect("b", link(3)).unwrap();
        assert_eq!(least(&mut workers), Some(b));
        workers.disconnect(b, link(3));
        workers.connect("b", link(4)).unwrap();
        assert_eq!(workers.bind(Router::Random, 0, 1), Some(a), "nobody has said so again");
    }

    #[test]
    fn a_key_that_comes_back_has_its_clients_and_starts_at_zero() {
        let mut workers = Workers::default();
        let (a, _) = workers.connect("a", link(1)).unwrap();
        let bound = least(&mut workers).unwrap();
        workers.disconnect(a, link(1));
        assert_eq!((workers.link(bound), workers.connected_count()), (None, 0));
        workers.connect("b", link(2)).unwrap();
        least(&mut workers);
        assert_eq!(workers.connect("a", link(3)).unwrap().0, a);
        assert_eq!(workers.link(bound), Some(link(3)));
        assert_eq!(least(&mut workers), Some(a));
    }

    #[test]
    fn the_same_key_again_displaces_the_link_and_its_end_changes_nothing() {
        let mut workers = Workers::default();
        let (a, none) = workers.connect("a", link(1)).unwrap();
        assert_eq!(none, None);
        assert_eq!(workers.connect("a", link(2)).unwrap(), (a, Some(link(1))));
        workers.disconnect(a, link(1));
        assert_eq!(workers.link(a), Some(link(2)));
    }

    #[test]
    fn a_draining_worker_is_not_chosen_until_its_key_comes_back() {
        let mut workers = Workers::default();
        let (a, _) = workers.connect("a", link(1)).unwrap();
        let bound = least(&mut workers).unwrap();
        workers.drain(a);
        assert_eq!((workers.link_of(bound), least(&mut workers)), (WorkerLink::Draining(link(1)), None));
        workers.disconnect(a, link(1));
        assert_eq!(workers.link_of(bound), WorkerLink::Gone);
        workers.connect("a", link(2)).unwrap();
        assert_eq!((workers.link_of(bound), least(&mut workers)), (WorkerLink::Open(link(2)), Some(a)));
    }

    #[test]
    fn unused_keys_are_forgotten() {
        let mut workers = Workers::default();
        for round in 0..10 {
            let (id, _) = workers.connect(&format!("key {round}"), link(round)).unwrap();
            let bound = least(&mut workers).unwrap();
            workers.disconnect(id, link(round));
            workers.unbind(Some(bound));
        }
        assert_eq!((workers.by_key.len(), workers.entries.len()), (0, 1));
    }

    #[test]
    fn random_reaches_all() {
        let mut workers = Workers::default();
        for index in 0..3 {
            workers.connect(&index.to_string(), link(index)).unwrap();
        }
        let chosen: Vec<_> =
            (0..3).map(|random| workers.bind(Router::Random, random, 1).unwrap().index()).collect();
        assert_eq!(chosen, [0, 1, 2]);
    }

    #[test]
    fn a_worker_for_which_much_waits_is_the_last_choice() {
        let mut workers = Workers::default();
        let (a, _) = workers.connect("a", link(1)).unwrap();
        let (b, _) = workers.connect("b", link(2)).unwrap();
        *workers.waiting_mut(a) = 10;
        for router in [Router::LeastConnections, Router::Random] {
            for random in 0..4 {
                assert_eq!(workers.bind(router, random, 10), Some(b));
            }
        }
        *workers.waiting_mut(b) = 10;
        assert_eq!(workers.bind(Router::LeastConnections, 0, 10), Some(a));
        assert_eq!(workers.bind(Router::Random, 1, 10), Some(b));
        assert_eq!(workers.bind(Router::Random, 1, 11), Some(b));
    }
}
