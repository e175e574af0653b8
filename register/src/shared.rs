//! What the tasks of the register's thread share: who is connected, and how each is woken.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use protocol::pulse::Pulse;

use crate::config::Config;
use crate::counters::{Counters, Status};
use crate::directory::{Directory, PeerId, Refusal};
use crate::notify::Notify;

/// What the tasks of the register's thread share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) directory: RefCell<Directory>,
    pub(crate) conns: RefCell<HashMap<PeerId, Rc<Wakes>>>,
    /// Whether the last connection was one too many.
    pub(crate) is_full: Cell<bool>,
    pub(crate) last_refused: Cell<Option<(IpAddr, Refusal)>>,
    pub(crate) counters: RefCell<Counters>,
    /// Set when the last connection is gone.
    pub(crate) empty: Notify,
}

/// How a connection's task is woken by others.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// A list is due.
    pub(crate) owed: Notify,
    /// The register stops.
    pub(crate) stop: Notify,
    /// The peer pinged, and is not heard any more.
    pub(crate) dead: Notify,
    /// Another connection needs its place.
    pub(crate) crowded: Notify,
    pulse: Cell<Pulse>,
}

impl Wakes {
    pub(crate) fn beat<T>(&self, change: impl FnOnce(&mut Pulse) -> T) -> T {
        let mut pulse = self.pulse.get();
        let result = change(&mut pulse);
        self.pulse.set(pulse);
        result
    }
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        let directory = RefCell::new(Directory::new(config.secret_key.clone()));
        Self {
            config,
            directory,
            conns: RefCell::default(),
            is_full: Cell::new(false),
            last_refused: Cell::new(None),
            counters: RefCell::default(),
            empty: Notify::default(),
        }
    }

    /// Hands a line to the directory and wakes the connections that are owed a list by it.
    pub(crate) fn on_line(&self, peer: PeerId, line: &[u8]) -> Result<(), Refusal> {
        let mut directory = self.directory.borrow_mut();
        let before = directory.address(peer).is_some();
        directory.on_line(peer, line)?;
        self.count(|counters| counters.requests += 1);
        if !before && let Some(address) = directory.address(peer) {
            tracing::info!(address, "gateway registered");
        }
        drop(directory);
        self.wake_owed();
        Ok(())
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.borrow_mut());
    }

    pub(crate) fn status(&self) -> Status {
        let directory = self.directory.borrow();
        Status {
            connections: directory.peer_count(),
            gateways: directory.gateway_count(),
            workers: directory.worker_count(),
            counters: *self.counters.borrow(),
        }
    }

    pub(crate) fn wake_owed(&self) {
        let mut woken = Vec::new();
        self.directory.borrow_mut().drain_woken(&mut woken);
        let conns = self.conns.borrow();
        for wakes in woken.iter().filter_map(|peer| conns.get(peer)) {
            wakes.owed.notify();
        }
    }
}
