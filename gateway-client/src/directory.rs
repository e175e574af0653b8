//! Which gateways there are, and the link to each. Never does IO itself.

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use indexmap::IndexMap;
use protocol::register_client::GATEWAYS_MAX;
use protocol::register_set::{Listing, RegisterSet};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{Config, UNLISTED_KEEP};
use crate::link::Link;
use crate::stream::Dialler;

/// What the registers have said. Shared by all clones of a client and the tasks that follow the registers.
#[derive(Debug)]
pub(crate) struct Directory {
    config: Arc<Config>,
    dialler: Dialler,
    /// Asks whether a gateway is there.
    probe: Bytes,
    state: Mutex<State>,
    /// A register has answered, or failed to.
    attempted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// One of them has.
    has_listed: bool,
    /// All of them have, or failed to.
    are_all_tried: bool,
    /// What is wrong with each that has not listed anything, until all are tried.
    problems: IndexMap<String, String>,
    /// In the order in which they were first listed: broadcasts and queries keep it.
    gateways: IndexMap<SocketAddrV4, Gateway>,
}

#[derive(Debug)]
struct Gateway {
    link: Link,
    /// When it left the lists.
    unlisted: Option<Instant>,
}

impl Directory {
    pub(crate) fn new(config: Arc<Config>, dialler: Dialler, probe: Bytes) -> Directory {
        Directory { config, dialler, probe, state: Mutex::default(), attempted: Notify::new() }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How programs of the cluster are connected to.
    pub(crate) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// Waits until every register has answered, or failed to. `Err`: none has a list; why, for each.
    pub(crate) async fn settled(&self) -> Result<(), Vec<String>> {
        loop {
            let attempted = self.attempted.notified();
            if let Some(settled) = self.state().settled() {
                return settled;
            }
            attempted.await;
        }
    }

    /// Notes a register's new list. Needs a tokio runtime, on which links of new gateways run.
    pub(crate) fn take(&self, register: &str, list: Vec<Listing>) {
        let mut state = self.state();
        for Listing { gateway, .. } in list {
            state.gateways.entry(gateway).or_insert_with(|| Gateway {
                link: Link::start(
                    gateway,
                    Arc::clone(&self.config),
                    self.dialler.clone(),
                    self.probe.clone(),
                ),
                unlisted: None,
            });
        }
        state.has_listed = true;
        state.problems.swap_remove(register);
    }

    /// Notes that a register cannot be reached or was lost.
    pub(crate) fn lost(&self, register: String, problem: String) {
        let mut state = self.state();
        // Only who begins asks for them.
        if !state.are_all_tried {
            state.problems.insert(register, problem);
        }
    }

    /// Notes what all registers together say by now.
    pub(crate) fn compare(&self, registers: &RegisterSet) {
        let mut state = self.state();
        state.are_all_tried = registers.are_all_tried();
        state.mark_unlisted(registers, Instant::now());
        drop(state);
        self.attempted.notify_waiters();
    }

    /// The gateways there are: listed, connected, or away for so short that it may be the register that was.
    pub(crate) fn gateways(&self) -> Vec<SocketAddrV4> {
        let mut state = self.state();
        state.forget(Instant::now());
        state.gateways.keys().copied().collect()
    }

    /// The link to a gateway, if there is such a gateway: a client id that somebody made up leads nowhere.
    pub(crate) fn link(&self, gateway: SocketAddrV4) -> Option<Link> {
        self.state().gateways.get(&gateway).map(|gateway| gateway.link.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a panic could happen, so a poisoned lock is as good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settled(&self) -> Option<Result<(), Vec<String>>> {
        match (self.are_all_tried, self.has_listed) {
            (false, _) => None,
            (true, true) => Some(Ok(())),
            (true, false) => Some(Err(self.problems.values().cloned().collect())),
        }
    }

    fn mark_unlisted(&mut self, registers: &RegisterSet, now: Instant) {
        for (address, gateway) in &mut self.gateways {
            let listed = registers.lists(*address);
            gateway.unlisted = if listed { None } else { gateway.unlisted.or(Some(now)) };
        }
        self.forget(now);
        // Lists that change all the time must not make this grow.
        if self.gateways.len() > GATEWAYS_MAX * (registers.register_count() + 1) {
            self.gateways.retain(|_, gateway| gateway.unlisted.is_none());
        }
    }

    fn forget(&mut self, now: Instant) {
        self.gateways.retain(|_, gateway| {
            gateway.link.is_connected() || gateway.unlisted.is_none_or(|since| now - since < UNLISTED_KEEP)
        });
    }
}
