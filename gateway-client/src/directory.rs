//! Which gateways there are, and the link to each. Never does IO itself.

use std::collections::HashSet;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use indexmap::IndexMap;
use protocol::register_client::GATEWAYS_MAX;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{Config, UNLISTED_KEEP};
use crate::link::Link;

/// What the registers have said. Shared by all clones of a client and the tasks that follow the registers.
#[derive(Debug)]
pub(crate) struct Directory {
    config: Arc<Config>,
    /// Asks whether a gateway is there.
    probe: Bytes,
    state: Mutex<State>,
    /// A register has answered, or failed to.
    attempted: Notify,
}

#[derive(Debug)]
struct State {
    registers: Vec<Register>,
    /// In the order in which they were first listed: broadcasts and queries keep it.
    gateways: IndexMap<SocketAddrV4, Gateway>,
}

#[derive(Clone, Debug, Default)]
struct Register {
    /// The last list; one that is away keeps it.
    list: Option<HashSet<SocketAddrV4>>,
    /// Why the last attempt failed, or the connection was lost.
    problem: Option<String>,
}

#[derive(Debug)]
struct Gateway {
    link: Link,
    /// When it left the lists.
    unlisted: Option<Instant>,
}

impl Directory {
    pub(crate) fn new(config: Arc<Config>, probe: Bytes) -> Directory {
        let registers = vec![Register::default(); config.register_addresses.len()];
        let state = Mutex::new(State { registers, gateways: IndexMap::new() });
        Directory { config, probe, state, attempted: Notify::new() }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
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
    pub(crate) fn take(&self, register: usize, list: Vec<SocketAddrV4>) {
        let mut state = self.state();
        for &gateway in &list {
            state.gateways.entry(gateway).or_insert_with(|| Gateway {
                link: Link::start(gateway, Arc::clone(&self.config), self.probe.clone()),
                unlisted: None,
            });
        }
        state.registers[register] = Register { list: Some(list.into_iter().collect()), problem: None };
        state.mark_unlisted(Instant::now());
        drop(state);
        self.attempted.notify_waiters();
    }

    /// Notes that a register cannot be reached or was lost.
    pub(crate) fn lost(&self, register: usize, problem: String) {
        self.state().registers[register].problem = Some(problem);
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
        if self.registers.iter().any(|register| register.list.is_none() && register.problem.is_none()) {
            return None;
        }
        if self.registers.iter().any(|register| register.list.is_some()) {
            return Some(Ok(()));
        }
        Some(Err(self.registers.iter().filter_map(|register| register.problem.clone()).collect()))
    }

    fn mark_unlisted(&mut self, now: Instant) {
        for (address, gateway) in &mut self.gateways {
            let listed = self
                .registers
                .iter()
                .filter_map(|register| register.list.as_ref())
                .any(|list| list.contains(address));
            gateway.unlisted = if listed { None } else { gateway.unlisted.or(Some(now)) };
        }
        self.forget(now);
        // Lists that change all the time must not make this grow.
        if self.gateways.len() > GATEWAYS_MAX * (self.registers.len() + 1) {
            self.gateways.retain(|_, gateway| gateway.unlisted.is_none());
        }
    }

    fn forget(&mut self, now: Instant) {
        self.gateways.retain(|_, gateway| {
            gateway.link.is_connected() || gateway.unlisted.is_none_or(|since| now - since < UNLISTED_KEEP)
        });
    }
}
